"""One process at a time in a folder: the work of a training or a walk-forward, a state of paper trading."""

from __future__ import annotations

import fcntl
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Self

from engine.errors import LONGEST_VALUE, DataError, UserError, cut

LOCK = ".lock"
OURS = "process "
"""What a lock says begins so; an empty one is of a process that has ended as it should."""


class FolderLock:
    """Holds a folder until it is closed or the process ends, however that ends: nobody clears up after a killed one.

    It is a context too. ``by`` and ``instead`` are words for whoever finds the folder held: who holds it, and what
    else can be done than to wait. Raises ``UserError``, with the process that holds it, ``DataError`` for a file of
    that name that is no lock, and ``OSError`` where the disk does not let us.
    """

    def __init__(self, folder: Path, *, by: str = "another process", instead: str = "") -> None:
        # The file stays behind: if it were removed, two processes could each lock one of that name.
        # Opened to append, since whoever is refused must not wipe out who holds it.
        self._file = (folder / LOCK).open("ab+", buffering=0)
        try:
            self._take(folder, by, instead)
        except BaseException:
            self._file.close()
            raise

    def _take(self, folder: Path, by: str, instead: str) -> None:
        path = str(folder / LOCK)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = f"{folder} is in use by {by}{_in_brackets(self._text())}"
            raise UserError(f"{held}; wait for it{', ' if instead else ' or '}stop it{instead}") from None
        except OSError as error:
            error.filename = path
            raise
        if (text := self._text()) and not text.startswith(OURS):
            raise DataError("is no lock of arb's; move it away", file=path)
        self._write(f"{OURS}{os.getpid()}{_here()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the folder back; a second time does nothing."""
        if not self._file.closed:
            self._write("")
            self._file.close()

    def _write(self, text: str) -> None:
        # The lock holds without it, on a full disk too.
        with suppress(OSError):
            self._file.truncate(0)
            self._file.write(text.encode())

    def _text(self) -> str:
        self._file.seek(0)
        return self._file.read(LONGEST_VALUE).decode(errors="replace")


def _in_brackets(holder: str) -> str:
    """What the holder wrote; between taking the lock and writing it has said nothing yet."""
    # On a shared disk the number may be of another machine; of this one that goes without saying.
    return f" ({cut(holder.removesuffix(_here()), LONGEST_VALUE)})" if holder else ""


def _here() -> str:
    return f" on {platform.node()}"
