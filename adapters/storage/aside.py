"""What is written aside: its writer holds it as long as it lives, and what a killed writer left is swept later."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX, OLD_SUFFIX = ".arb.tmp", ".old.arb.tmp"
"""Ends of names that nobody but us gives; ``OLD_SUFFIX``: a folder that holds what is being replaced."""
OLD_ENOUGH_SECONDS = 3600.0
"""What changed more lately is left alone, whoever holds it."""
LONGEST_NAME = 32

_swept: set[Path] = set()
"""Folders that this process has swept already."""


@contextmanager
def file_aside(path: Path) -> Iterator[Path]:
    """An empty file beside ``path``, held until the end, when it is removed unless it was renamed."""
    _make_room(path)
    handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=SUFFIX, dir=path.parent)
    aside = Path(name)
    try:
        _hold(handle)
        aside.chmod(_default_mode(0o666))
        yield aside
    finally:
        os.close(handle)
        aside.unlink(missing_ok=True)


@contextmanager
def folder_aside(path: Path, suffix: str = SUFFIX) -> Iterator[Path]:
    """An empty folder beside ``path``, held until the end, when it is removed unless it was renamed."""
    _make_room(path)
    aside = Path(tempfile.mkdtemp(prefix=_prefix(path), suffix=suffix, dir=path.parent))
    # The folder itself is locked, so that no file of ours lies among what is written into it.
    handle = os.open(aside, os.O_RDONLY)
    try:
        _hold(handle)
        aside.chmod(_default_mode(0o777))
        yield aside
    finally:
        os.close(handle)
        with suppress(OSError):
            _remove(aside)


def sweep(folder: Path) -> None:
    """Remove from a folder what writers left that were killed long ago.

    What was moved out of the way there and had no successor yet is put back instead.
    """
    for path in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError):
            # Age and lock: where file systems have no locks, age alone protects a writer that still lives.
            if not path.is_symlink() and time.time() - path.stat().st_mtime > OLD_ENOUGH_SECONDS and _is_free(path):
                _remove(path)


def _remove(path: Path) -> None:
    """Remove a file or folder; what was moved into it and has no successor is put back before."""
    # A writer that was killed between its two renames has left nothing in the old place: here is all there is.
    if path.name.endswith(OLD_SUFFIX) and path.is_dir():
        for kept in path.iterdir():
            _put_back(kept, path.parent / kept.name)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _put_back(kept: Path, place: Path) -> None:
    if place.exists():
        return
    try:
        kept.rename(place)
    except OSError:
        # Another writer may have come there in this very moment. Else this is all there is, and it is not removed.
        if not place.exists():
            raise


def _make_room(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parent = path.parent.resolve()
    if parent not in _swept:
        _swept.add(parent)
        sweep(parent)


def _prefix(path: Path) -> str:
    return f".{path.name[:LONGEST_NAME]}."


def _hold(handle: int) -> None:
    """The system lets go when the process ends, however it ends. File systems without locks do without."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_free(path: Path) -> bool:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _default_mode(mode: int) -> int:
    """``mode`` less the umask, which mkstemp and mkdtemp ignore in favour of private modes."""
    # The umask can only be read by setting it.
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask
