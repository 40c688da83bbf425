"""Writing aside, then renaming: a file or a folder appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import UserError


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it replaces ``path``, on any error it is removed.

    Parent folders are made. Readers see the old content or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    aside = Path(name)
    aside.chmod(_default_mode(0o666))
    try:
        yield aside
        _flush(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def new_directory(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes ``path``, on any error it is removed.

    With ``replace`` an existing folder gives way at the end. Raises ``UserError`` when ``path`` exists already
    and is not an empty folder.
    """
    if not replace and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} exists already; choose another folder or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    aside.chmod(_default_mode(0o777))
    try:
        yield aside
        _swap(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(aside: Path, path: Path) -> None:
    """Put ``aside`` in the place of ``path``; what stood there is moved out of the way first, then removed."""
    if not path.exists():
        aside.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old.tmp", dir=path.parent))
    try:
        path.rename(old / path.name)
        try:
            aside.rename(path)
        except OSError:
            (old / path.name).rename(path)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _default_mode(mode: int) -> int:
    """``mode`` less the umask, which mkstemp and mkdtemp ignore in favour of private modes."""
    umask = os.umask(0)
    os.umask(umask)
    return mode & ~umask


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
