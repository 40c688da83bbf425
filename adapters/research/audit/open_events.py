"""Opens of files as the kernel sees them, whatever code does them: fanotify of Linux, which needs no privilege.

Python's own audit events know nothing of a file that compiled code opens (pyarrow, a database, a memory map of C++).
An event carries the process that caused it, so that others may go on reading the same files.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_CLOEXEC, _NONBLOCK, _REPORT_DIRECTORY_AND_NAME = 0x1, 0x2, 0xC00
_ADD, _HERE = 0x1, -100
_OPEN, _QUEUE_OVERFLOW, _ON_CHILDREN = 0x20, 0x4000, 0x0800_0000
_EVENT = struct.Struct("<IBBHQii")
"""Length, version, a blank, length of this part, mask, descriptor, process."""
_RECORD = struct.Struct("<BBH8xIi")
"""Kind, a blank, length, file system, length and kind of the directory's handle; the handle and a name follow."""
_BUFFER_BYTES = 1 << 16


class OpenEvents:
    """Names of the files below some folders that this process has opened since it was last asked."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Raises ``OSError`` where the system cannot tell: it is no Linux, forbids it, or the file system is none that
        it can watch."""
        if not sys.platform.startswith("linux"):
            raise OSError("only Linux has fanotify")
        self._library: Any = ctypes.CDLL(None, use_errno=True)
        flags = _CLOEXEC | _NONBLOCK | _REPORT_DIRECTORY_AND_NAME
        self._queue = self._call("fanotify_init", ctypes.c_uint(flags), ctypes.c_uint(os.O_RDONLY))
        self._paths: dict[str, Path] = {}
        try:
            for folder in folders:
                self._watch(folder)
        except OSError:
            os.close(self._queue)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._queue)

    def opened(self) -> list[str]:
        """Paths, each once; a name alone where it was not there when the watch began."""
        found: dict[str, None] = {}
        while content := self._read():
            for name in _names(content):
                found[str(self._paths.get(name, name))] = None
        return list(found)

    def _watch(self, folder: Path) -> None:
        """Folders tell of the files in them; the files too, for a hard link to one may lie anywhere."""
        for path in (folder, *folder.rglob("*")):
            self._mark(path, _OPEN | _ON_CHILDREN if path.is_dir() else _OPEN)
            # Events hold a handle of the folder, which takes privileges to open, so the name has to lead to the path.
            self._paths.setdefault(path.name, path)

    def _mark(self, path: Path, mask: int) -> None:
        self._call(
            "fanotify_mark", ctypes.c_int(self._queue), ctypes.c_uint(_ADD), ctypes.c_uint64(mask),
            ctypes.c_int(_HERE), os.fsencode(path),
        )  # fmt: skip

    def _call(self, name: str, *arguments: Any) -> int:
        result = int(getattr(self._library, name)(*arguments))
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result

    def _read(self) -> bytes:
        try:
            return os.read(self._queue, _BUFFER_BYTES)
        except BlockingIOError:
            return b""


def _names(content: bytes) -> Iterator[str]:
    """Names of the files that events of this process are about."""
    at = 0
    while at < len(content):
        length, _, _, head, mask, _, process = _EVENT.unpack_from(content, at)
        if mask & _QUEUE_OVERFLOW:
            # Events were lost, and one of them may have been ours.
            yield "more files than can be counted"
        elif process == os.getpid():
            yield _name(content[at + head : at + length])
        at += length


def _name(record: bytes) -> str:
    _, _, length, handle, _ = _RECORD.unpack_from(record)
    return os.fsdecode(record[_RECORD.size + handle : length].split(b"\0")[0])
