"""The files behind a path: every regular file of a folder, unpacked, whole, and none too large to be real."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from adapters.storage.regular_files import read_regular, sha256_of
from engine.errors import DataError, in_words

MOST_BYTES = 1 << 30
"""Of one file, packed or not. A month of minutes of every contract of an exchange is below 200 MB."""
_PIECE = 1 << 20
_DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
CHECKSUM = ".CHECKSUM"
"""What data.binance.vision publishes beside each file: its SHA-256 and its name."""


@dataclass(frozen=True)
class Source:
    """The unpacked content of a file, or of a file in a zip."""

    path: Path
    content: bytes
    member: str = ""

    @property
    def name(self) -> str:
        """Its own name, without the suffix of what it was packed into."""
        return Path(self.member).name if self.member else self.path.name.removesuffix(".gz")

    @property
    def file(self) -> str:
        """Its place for messages."""
        return str(self.path)


def files_in(path: Path) -> list[Path]:
    """The path itself, or every file below it, sorted. Raises ``DataError`` where nothing is."""
    if not path.exists():
        raise DataError("does not exist; give a file or a folder", file=str(path))
    if not path.is_dir():
        return [path]
    found = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted(each for each in found if not each.name.startswith("."))


def opened(path: Path) -> Iterator[Source]:
    """What a file holds: itself, unpacked, or each file in a zip. Raises ``DataError`` for one that is not whole."""
    content = _read(path)
    _check_sum(path, content)
    try:
        if path.suffix == ".zip":
            yield from _members(path, content)
        elif path.suffix == ".gz":
            yield Source(path, _at_most(gzip.GzipFile(fileobj=io.BytesIO(content)), path))
        else:
            yield Source(path, content)
    except _DAMAGED as error:
        problem = f"is cut off or damaged: download it again ({in_words(error)})"
        raise DataError(problem, file=str(path)) from None


def _members(path: Path, content: bytes) -> Iterator[Source]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [one for one in archive.infolist() if not one.is_dir() and "__MACOSX" not in one.filename]
        if not members:
            raise DataError("is a zip without files", file=str(path))
        for member in members:
            with archive.open(member) as packed:
                # Read to its end, where its checksum is compared.
                yield Source(path, _at_most(packed, path), member.filename)


def _at_most(packed: IO[bytes] | gzip.GzipFile, path: Path) -> bytes:
    pieces, size = [], 0
    while piece := packed.read(_PIECE):
        size += len(piece)
        if size > MOST_BYTES:
            raise DataError(f"unpacks to more than {MOST_BYTES:,} bytes", file=str(path))
        pieces.append(piece)
    return _not_empty(b"".join(pieces), path)


def _read(path: Path) -> bytes:
    try:
        return _not_empty(read_regular(path, MOST_BYTES), path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None


def _not_empty(content: bytes, path: Path) -> bytes:
    if not content.strip():
        raise DataError("the file is empty", file=str(path))
    return content


def _check_sum(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + CHECKSUM)
    if not beside.is_file():
        return
    published = _read(beside).split()[0].decode("ascii", "replace").lower()
    if published != sha256_of(content):
        raise DataError(f"is not what {beside.name} says: download it again", file=str(path))
