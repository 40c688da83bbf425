"""How often a model has been looked at on which hours: every look makes the next result less surprising."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.storage.bundles import LOOKS, bundle_folder
from adapters.storage.json_files import read_objects
from adapters.storage.pbt_names import JOB
from engine.errors import UserError


def looks_file(model: Path) -> Path:
    """Where looks at a model are counted: beside its description, for an agent of a population in the run's folder."""
    folder = bundle_folder(model)
    return (folder.parent if (folder.parent / JOB).is_file() else folder) / LOOKS


def record_look(model: Path, look: Mapping[str, Any]) -> int:
    """Append one look; returns which look at this data set and window it is (1: the first), of what it names
    as ``model``.

    Raises ``UserError`` when the file cannot be read or written: an unrecorded look would make later results look
    better.
    """
    path = looks_file(model)
    # Read before anything is added: a damaged record is refused as it is, and not made longer.
    earlier = read_objects(path)
    line = json.dumps({"time": datetime.now(UTC).isoformat(), **look}, allow_nan=False)
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise UserError(f"the look cannot be recorded in {path}: {error.strerror}; copy the model first") from None
    # Looks at other hours, or at another agent of the run, say nothing about this one.
    same = ("model", "dataset_fingerprint", "from", "to")
    return 1 + sum(all(old.get(key) == look.get(key) for key in same) for old in earlier)
