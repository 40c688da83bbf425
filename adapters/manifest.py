"""What every run says about itself: settings, costs, data, code, seed, command and times."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from adapters.configuration import ArbSettings
from adapters.datasets.load import Dataset

RUN_FORMAT = 2
"""Of the files of a run: raised when they change so that a version from before could misread them."""
_PACKAGES = ("numpy", "numba", "pandas", "pyarrow")


@cache
def code_version() -> str:
    """Version of the package, with the commit of the checkout it runs from where there is one."""
    here = Path(__file__).resolve().parent.parent
    asked = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        found = ""
    return f"{version('arb')}+{found}" if found else version("arb")


def command_line() -> str:
    """The command as it was typed."""
    return shlex.join(["arb", *sys.argv[1:]])


def build_manifest(
    settings: ArbSettings, dataset: Dataset, *, written_by: str, seed: int, started: datetime, **more: Any
) -> dict[str, Any]:
    """The manifest of a run that ends now; ``written_by``: the command whose results it stands beside."""
    return {
        "format": RUN_FORMAT,
        **more,
        "written_by": written_by,
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash(),
        "cost_table": {name: [row.model_dump(mode="json") for row in rows] for name, rows in settings.fees.items()},
        "cost_table_hash": settings.cost_table_hash(),
        "dataset": {
            "path": str(dataset.path),
            "name": dataset.info.name,
            "source": dataset.info.source,
            "fingerprint": dataset.fingerprint,
            "notes": list(dataset.notes),
        },
        "code_version": code_version(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "seed": seed,
        "command": command_line(),
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
    }
