"""Reading files that others may have put there: regular ones only, and none that is larger than it can rightly be."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

NOT_REGULAR = "it is no regular file (a device, a pipe, a folder)"


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file, or of one that a link leads to.

    Raises ``OSError`` whose ``strerror`` says what is wrong: it is missing, it is something that could be read for
    ever, or it has more than ``most_bytes``.
    """
    _require_regular(path.stat(), path)
    # A pipe that takes the file's place meanwhile would wait for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        _require_regular(found, path)
        # A size may be wrong (files of /proc say 0) or grow meanwhile: one byte more than allowed shows it.
        content = b"" if found.st_size > most_bytes else file.read(most_bytes + 1)
    size = max(found.st_size, len(content))
    if size > most_bytes:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, and {most_bytes:,} is the most", str(path))
    return content


def require_regular(path: Path) -> None:
    """Raise ``OSError`` unless the path is, or leads to, a regular file."""
    _require_regular(path.stat(), path)


def sha256_of(content: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The same of a file of any size, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_regular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
