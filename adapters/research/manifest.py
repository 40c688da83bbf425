"""What every run says about itself: settings, costs, data, code, seed, command and times."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_files import file_facts
from adapters.datasets.load import Dataset
from adapters.storage.provenance import code_version, command_line
from adapters.storage.saved_run import RUN_FORMAT

_PACKAGES = ("numpy", "numba", "pandas", "pyarrow")


def build_manifest(
    settings: ArbSettings, dataset: Dataset, *, written_by: str, seed: int, started: datetime, **more: Any
) -> dict[str, Any]:
    """The manifest of a run that ends now; ``written_by``: the command whose results it stands beside."""
    return {
        "format": RUN_FORMAT,
        # Before what every run states, so that no caller can overwrite it.
        **more,
        **_own_files(more),
        "written_by": written_by,
        "settings": settings.model_dump(mode="json"),
        "settings_hash": settings.hash(),
        "cost_table": settings.cost_table(),
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


def _own_files(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the strategies are that are known by a path alone; nothing where all are installed or importable."""
    names = [facts.get("strategy"), *(facts.get("strategies") or ())]
    files = {name: found for name in names if isinstance(name, str) and (found := file_facts(name))}
    return {"strategy_files": files} if files else {}
