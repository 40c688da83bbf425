"""Runs fuzzing campaigns: many seeded cases of one kind, each in a folder of its own, within a time, under watch.

A campaign is a module beside this one with a ``NAME`` and ``case(rng, folder) -> "refused" | "accepted"``. A case makes
one mutated input under its folder, runs the real thing on it and raises ``AssertionError`` for what is accepted and
wrong. Here it is seen to that nothing is written elsewhere, nothing hangs, and nothing else is raised.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Case = Callable[[np.random.Generator, Path], str]
PEACEFUL = ("refused", "accepted")
OUTCOMES = (*PEACEFUL, "wrong", "traceback", "hang", "outside")
"""``wrong``: accepted and not right; ``outside``: something was written outside of the case's folder."""
LIMIT_SECONDS, WARM_UP_SECONDS = 30.0, 200.0
"""For a case, and for the first one more, in which code may be compiled."""
HERE = Path(__file__).parent
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING: dict[str, tuple[int, int | None]] = {
    "os.mkdir": (0, 2), "os.remove": (0, 1), "os.rmdir": (0, 1), "os.rename": (1, 3), "os.link": (1, 3),
    "os.symlink": (1, 2), "os.truncate": (0, None), "os.chmod": (0, 2), "shutil.rmtree": (0, 1),
}  # fmt: skip
"""Audit events of calls that change a folder: where among their arguments the changed path and the open folder that
it is relative to stand."""


@dataclass(frozen=True)
class Campaign:
    """One kind of inputs."""

    name: str
    case: Case


@dataclass(frozen=True)
class Failure:
    """A case that must not be; ``fuzz.py --campaign NAME --seed SEED --case NUMBER`` does it again."""

    campaign: str
    seed: int
    number: int
    outcome: str
    detail: str

    def __str__(self) -> str:
        again = f'--campaign "{self.campaign}" --seed {self.seed} --case {self.number}'
        return f"{self.outcome}: python benchmarks/fuzz.py {again}\n{self.detail}"


@dataclass
class Tally:
    """How the cases of a campaign went."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    longest: float = 0.0

    @property
    def cases(self) -> int:
        """Cases in all."""
        return sum(self.counts.values())


class _HangError(BaseException):
    """Raised into a case that takes too long; nothing of ours catches it."""


def campaigns() -> list[Campaign]:
    """Every campaign there is, by name. Raises ``ValueError`` when two have one name."""
    modules = (importlib.import_module(f"fuzzing.{path.stem}") for path in sorted(HERE.glob("*.py")))
    found = [Campaign(module.NAME, module.case) for module in modules if hasattr(module, "NAME")]
    if len({one.name for one in found}) != len(found):
        raise ValueError("two campaigns have one name")
    return sorted(found, key=lambda one: one.name)


def run(
    campaign: Campaign, cases: int, seed: int, *, first: int = 0, until: float | None = None,
    limit_seconds: float = LIMIT_SECONDS, warm_up_seconds: float = WARM_UP_SECONDS,
) -> Tally:  # fmt: skip
    """Do ``cases`` cases from number ``first`` on, or as many as there is time for before ``until`` (monotonic)."""
    tally, began = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="arb-fuzz-") as name, _surroundings() as spare:
        for number in range(first, first + cases):
            if until is not None and time.monotonic() > until:
                break
            started = time.monotonic()
            limit = limit_seconds + warm_up_seconds * (number == first)
            outcome, detail = _one(campaign, [seed, number], Path(name) / f"{number}", spare, limit)
            tally.longest = max(tally.longest, time.monotonic() - started)
            tally.counts[outcome] += 1
            if outcome not in PEACEFUL:
                tally.failures.append(Failure(campaign.name, seed, number, outcome, detail))
    tally.seconds = time.monotonic() - began
    return tally


def _one(campaign: Campaign, seed: list[int], place: Path, spare: Path, limit: float) -> tuple[str, str]:
    """Outcome of one case and what there is to say about it. ``place`` holds its folder and where it stands."""
    folder, standing = place / "case", place / "standing"
    folder.mkdir(parents=True)
    standing.mkdir()
    os.chdir(standing)
    try:
        with _watched([folder, spare]) as changed, _limited(limit):
            outcome = campaign.case(np.random.default_rng(seed), folder)
        detail = "" if outcome in PEACEFUL else f"it answered {outcome!r}"
        outcome = outcome if outcome in PEACEFUL else "traceback"
    except _HangError:
        outcome, detail = "hang", f"not done within {limit:g} s\n{traceback.format_exc()}"
    except AssertionError:
        outcome, detail = "wrong", traceback.format_exc()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome, detail = "traceback", traceback.format_exc()
    left = [str(path) for path in (*standing.iterdir(), *place.iterdir()) if path not in (folder, standing)]
    if changed or left:
        outcome, detail = "outside", "\n".join([*sorted(changed), *left, detail])
    os.chdir(spare)
    shutil.rmtree(place, ignore_errors=True)
    return outcome, detail


@cache
def _spare_folder() -> Path:
    """Where campaigns may keep what they need again; it goes with the process."""
    spare = Path(tempfile.mkdtemp(prefix="arb-fuzz-spare-"))
    atexit.register(shutil.rmtree, spare, ignore_errors=True)
    (spare / "tmp").mkdir()
    return spare


@contextmanager
def _surroundings() -> Iterator[Path]:
    """Caches and temporary files go to a spare folder, warnings are errors, and all is as before at the end."""
    spare, before, stood = _spare_folder(), dict(os.environ), Path.cwd()
    os.environ |= {"ARB_CACHE_DIR": str(spare / "cache"), "TMPDIR": str(spare / "tmp"), "COLUMNS": "100"}
    kept, tempfile.tempdir = tempfile.tempdir, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield spare
    finally:
        os.chdir(stood)
        tempfile.tempdir = kept
        os.environ.clear()
        os.environ |= before


# --- what is written where ---

_allowed: list[Path] = []
_changed: set[str] = set()
_is_hooked = False


@contextmanager
def _watched(allowed: list[Path]) -> Iterator[set[str]]:
    """The paths outside of ``allowed`` that Python was asked to change meanwhile."""
    global _is_hooked
    if not _is_hooked:
        sys.addaudithook(_heard)  # there is no way to take it away again
        _is_hooked = True
    _changed.clear()
    _allowed[:] = [path.resolve() for path in allowed]
    found: set[str] = set()
    try:
        yield found
    finally:
        _allowed.clear()
        found |= _changed


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if not _allowed:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        _note(arguments[0])
    elif event in _CHANGING:
        path, folder = _CHANGING[event]
        _note(arguments[path], None if folder is None else arguments[folder])


def _note(path: Any, folder: Any = None) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        return  # a file that is open already
    stands = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
    real = Path(os.path.realpath(Path(stands) / os.fsdecode(path)))
    is_cache = real.suffix in (".pyc", ".nbi", ".nbc") or "__pycache__" in real.parts or real.parts[:2] == ("/", "dev")
    if not is_cache and not any(real.is_relative_to(root) for root in _allowed):
        _changed.add(str(real))


# --- time ---


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises ``_HangError`` in here when it takes longer; waits and loops of Python are cut, compiled code ends."""
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield
        return

    def cut(*_: object) -> None:
        if not is_over:
            raise _HangError

    is_over = False
    signal.signal(signal.SIGUSR1, cut)
    timer = threading.Timer(seconds, lambda: signal.pthread_kill(main.ident or 0, signal.SIGUSR1))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        is_over = True  # a signal that comes too late is heard and does nothing
        timer.cancel()
