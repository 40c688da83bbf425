"""How many bytes this process and this thread have read, as Linux counts them, whatever code did it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from types import TracebackType
from typing import Self

WHOLE, OWN = "/proc/self/io", "/proc/thread-self/io"


@dataclass(frozen=True)
class BytesRead:
    """Since some beginning: by the thread that asks, and by all threads of the process."""

    by_thread: int = 0
    by_process: int = 0

    def __sub__(self, other: BytesRead) -> BytesRead:
        return BytesRead(self.by_thread - other.by_thread, self.by_process - other.by_process)


class ReadCounter:
    """What was read so far, without what asking takes; always zero where the system does not count."""

    def __init__(self) -> None:
        self._asked = 0
        self._open: list[int] = []
        try:
            for path in (OWN, WHOLE):
                self._open.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            # No Linux, or not allowed: the other witnesses remain.
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def now(self) -> BytesRead:
        """To be asked by the thread that made the counter."""
        return BytesRead(*(self._count(handle) for handle in self._open))

    def _count(self, handle: int) -> int:
        content = os.pread(handle, 4096, 0)
        count = int(content.split(b"rchar: ")[1].split()[0]) - self._asked
        self._asked += len(content)  # counted by the kernel from the next time on
        return count

    def _close(self) -> None:
        while self._open:
            os.close(self._open.pop())
