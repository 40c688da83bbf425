"""Work for worker processes in tests: tasks are (what, folder, number)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from engine.errors import UserError


def work(shared: str, task: tuple[str, str, int], tell: Any) -> Any:
    """Does what the task says; what was begun leaves a file for each time."""
    what, folder, number = task
    begun = Path(folder) / f"{number}.{len(list(Path(folder).glob(f'{number}.*')))}"
    begun.write_text(str(os.getpid()), encoding="utf-8")
    tell(f"{shared} {number}")
    if what == "die" or (what == "die once" and begun.suffix == ".0"):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "memory" and begun.suffix == ".0":
        raise MemoryError
    if what == "user error":
        raise UserError("this cannot be met")
    if what == "defect":
        raise ZeroDivisionError("a defect")
    if what == "wait":
        signal.pause()
    if what == "threads":
        return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    return number * 10
