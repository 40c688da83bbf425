"""What the machine is to blame for (disks, permissions, memory, databases), told in one line.

Files whose content is damaged are told by whoever reads them. What is left is a defect of ours, and stays a traceback.
"""

from __future__ import annotations

import errno
import os
import re

WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "it would be larger than files may be here",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of the path is no folder",
    errno.ENOENT: "it does not exist",
    errno.EEXIST: "it exists already",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.ELOOP: "its links lead in a circle",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "the machine has too many files open",
    errno.EBUSY: "it is in use, or a disk is mounted there",
    errno.ENOLCK: "files cannot be locked on this disk",
    errno.EXDEV: "it is on another disk",
    errno.EIO: "the disk failed",
    errno.EINVAL: "the file system does not take it",
}


def cause(error: BaseException) -> str | None:
    """One line about an error that came from outside; None for a defect of ours."""
    if isinstance(error, MemoryError):
        return "out of memory; use fewer --workers, fewer coins (filters.symbols) or a shorter window"
    if isinstance(error, OSError):
        return _of_the_system(error)
    if type(error).__module__ == "sqlite3":  # imported by those alone who use it
        from adapters.storage.sqlite_words import in_words

        return f"a database failed: {in_words(error)}"
    return None


def _of_the_system(error: OSError) -> str | None:
    number = error.errno or _number_in(str(error))
    if number is None:
        return None
    places = [_shown(name) for name in (error.filename, error.filename2) if name is not None]
    what = WORDS.get(number) or os.strerror(number).lower()
    return f"{' to '.join(places)}: {what}" if places else what


def _number_in(text: str) -> int | None:
    """pyarrow writes the number of an error into its text."""
    found = re.search(r"\[?errno (\d+)\]?", text, re.IGNORECASE)
    return int(found.group(1)) if found else None


def _shown(name: str | bytes | int) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes) else f"file {name}"
