"""Writing aside, then renaming: a file or a folder appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.storage.aside import OLD_SUFFIX, SUFFIX, file_aside, folder_aside
from adapters.storage.giving_way import Owned, check_place
from engine.errors import UserError


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; on success it replaces ``path``, on any error it is removed.

    Parent folders are made. Readers see the old content or the new one, never a part.
    """
    with file_aside(path) as aside:
        yield aside
        # Renamed before it is on the disk, the file could be empty under its final name after a power cut.
        _flush(aside)
        aside.replace(path)


@contextmanager
def new_directory(path: Path, *, instead_of: Owned | None = None) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes ``path``, on any error it is removed.

    A folder that is all ``instead_of`` says, or an empty one, gives way at the end. Raises ``UserError`` before when
    anything else stands there, and after when it has come there meanwhile: then what was made is kept beside it.
    """
    check_place(path, instead_of)
    with folder_aside(path) as aside:
        yield aside
        try:
            check_place(path, instead_of)
        except UserError as error:
            kept = path.with_name(f"{path.name}{aside.name.removesuffix(SUFFIX)}")
            raise UserError(f"{error}; what was made is in {aside.rename(kept)}") from None
        _swap(aside, path)


def _swap(aside: Path, path: Path) -> None:
    """Put ``aside`` in the place of ``path``; what stood there is moved out of the way first, then removed."""
    if not path.exists():
        aside.rename(path)
        return
    # No rename replaces a folder with content, so there is a moment without one: ``sweep`` mends it after a kill.
    with folder_aside(path, OLD_SUFFIX) as old:
        path.rename(old / path.name)
        try:
            aside.rename(path)
        except OSError:
            (old / path.name).rename(path)
            raise


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
