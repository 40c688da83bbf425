"""One process at a time in the folder of a run."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import UserError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the run's folder. Raises ``UserError`` when another process works in it."""
    # The file stays behind: if it were removed, two processes could each lock one of that name.
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another process is at work in {folder}") from None
        yield
