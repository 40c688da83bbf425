"""What a format is: which files it wants, and what it reads out of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from adapters.importing.recordings import Recording
from adapters.importing.source_files import Source


class Format(Protocol):
    """One format of files."""

    @property
    def name(self) -> str:
        """What ``--from`` takes."""
        ...

    @property
    def files(self) -> str:
        """In words, the names of the files that it reads."""
        ...

    @property
    def exchange(self) -> str | None:
        """The only exchange that publishes it; None when any may."""
        ...

    def wants(self, path: Path) -> bool:
        """Whether a file may be one of its own, by its place."""
        ...

    def read(self, source: Source) -> Iterator[Recording]:
        """The rows in a file. Raises ``DataError`` for a file that is wrong, ``NotUsedError`` for another content."""
        ...
