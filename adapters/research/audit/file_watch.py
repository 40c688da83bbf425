"""What a plug-in opens: files, other processes, the network. An audit cannot change what it reads there.

Three witnesses, since none sees everything. Python tells of what Python code opens, anywhere. The kernel tells of what
any code opens below the watched folders (``open_events``). And the count of bytes that were read
(``bytes_read``) tells of compiled code that reads from elsewhere, without a name. What no witness sees: a
memory map of a file outside the watched folders that compiled code makes, and what is in the memory of the process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.research.audit.bytes_read import BytesRead, ReadCounter
from adapters.research.audit.open_events import OpenEvents

CODE = frozenset({".py", ".pyc", ".pyi", ".so", ".pth", ".nbi", ".nbc"})
"""Suffixes of what is read to run code: modules, libraries, machine code that numba has kept."""
SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/share/zoneinfo/")
OUTSIDE = {
    "subprocess.Popen": "another process", "os.system": "another process", "os.posix_spawn": "another process",
    "os.exec": "another process", "os.fork": "another process", "os.forkpty": "another process",
    "socket.connect": "the network", "socket.getaddrinfo": "the network", "sqlite3.connect": "a database",
}  # fmt: skip
"""Audit events of Python by what they lead to."""
UNSEEN = "a file, by compiled code"
MOST_BY_OTHER_THREADS = 16_384
"""Bytes between two decisions; those of a terminal or of a test runner read their messages."""


@dataclass(frozen=True)
class Touch:
    """Something that was opened while ``label`` held; ``watched``: a file below the watched folders."""

    what: str
    label: str
    watched: bool


class FileWatch:
    """Notes what this process opens, as a context; at first for nobody (``paused``), then under labels (``at``)."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder.resolve() for folder in folders if folder.is_dir()]
        self._stack = ExitStack()
        self._events: OpenEvents | None = None
        self._counter = ReadCounter()
        self._label = ""
        self._listens = self._explained = False
        self._read_before = BytesRead()
        self._touches: dict[Touch, None] = {}

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            try:
                self._events = opening.enter_context(OpenEvents(self._folders))
            except OSError:
                self._events = None  # the other witnesses remain, see sees_compiled_code
            opening.enter_context(self._counter)
            opening.enter_context(_listening(lambda *event: self._hear(*event) if self._listens else None))
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()
        self._stack.close()

    @property
    def sees_compiled_code(self) -> bool:
        """Whether what compiled code opens in the watched folders is seen, with its name."""
        return self._events is not None

    @property
    def touches(self) -> list[Touch]:
        """In the order in which they were seen first."""
        return list(self._touches)

    def at(self, label: str) -> None:
        """What is opened from now on happens under this label."""
        self._collect()
        self._label, self._listens = label, True
        self._begin()

    def pause(self) -> None:
        """What is opened from now on is our own affair."""
        self._collect()
        self._listens = False

    def _begin(self) -> None:
        if self._events is not None:
            # Emptied: what was opened until now belongs to nobody.
            self._events.opened()
        self._explained = False
        self._read_before = self._counter.now()

    def _collect(self) -> None:
        """The witnesses that have to be asked."""
        if not self._listens:
            return
        read = self._counter.now() - self._read_before
        opened = [] if self._events is None else self._events.opened()
        for path in opened:
            self._note(path, watched=True)
        # The thread that decides should read nothing at all; other threads always read a little.
        much = read.by_thread > 0 or read.by_process > MOST_BY_OTHER_THREADS
        if much and not opened and not self._explained:
            self._note(UNSEEN, watched=False)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """One of Python's audit events."""
        if event == "import":
            # An import reads the files of its module, which explains the bytes.
            self._explained = True
        elif event in OUTSIDE:
            self._explained = True
            named = arguments[0] if event in ("subprocess.Popen", "sqlite3.connect") else arguments[-1:]
            self._note(f"{OUTSIDE[event]} ({str(named)[:200]})", watched=False)
        # A number is a descriptor that was opened, and told, before.
        elif event == "open" and not isinstance(arguments[0], int) and _reads(arguments[2]):
            self._explained = True
            # A link must not hide where a file really lies.
            path = Path(os.path.realpath(os.fsdecode(arguments[0])))
            watched = self._is_watched(path)
            if watched or not _is_machinery(path):
                self._note(str(path), watched=watched)

    def _is_watched(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self._folders)

    def _note(self, what: str, *, watched: bool) -> None:
        self._touches[Touch(what, self._label, watched)] = None


def _reads(flags: Any) -> bool:
    """Whether a file is opened to be read, too."""
    return not isinstance(flags, int) or (flags & os.O_ACCMODE) != os.O_WRONLY


def _is_machinery(path: Path) -> bool:
    """Whether a file is read to run code: modules and libraries, with what lies beside them, and the system's own."""
    roots = {Path(root) for root in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    installed = any(part.endswith((".dist-info", ".egg-info")) for part in path.parts)
    known = path.suffix in CODE or installed or str(path).startswith(SYSTEM)
    return known or any(path.is_relative_to(root) for root in roots)


Listener = Callable[[str, tuple[Any, ...]], None]
_LISTENERS: list[Listener] = []
_INSTALLED: list[bool] = []


@contextmanager
def _listening(listener: Listener) -> Iterator[None]:
    """Python's audit events for a while. A hook can never be taken out again, so there is one, and it may be idle."""
    if not _INSTALLED:
        sys.addaudithook(_hook)
        _INSTALLED.append(True)
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in _LISTENERS:
        with suppress(Exception):  # what is raised here would stop what was about to be done
            listener(event, arguments)
