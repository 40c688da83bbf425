"""What an import does not take, and what a person should know of the rest: one line each, with file and contract."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.errors import DataError


@dataclass(frozen=True)
class Refused:
    """A file, or rows of one contract in it, that are not taken. ``rows`` of ``of``; 0 is all of the file."""

    file: str
    why: str
    contract: str = ""
    rows: int = 0
    of: int = 0
    first: str = ""

    def as_error(self) -> DataError:
        """The exception for it."""
        return DataError(self.why, file=self.file, coin=self.contract or None, hour=self.first or None)

    def __str__(self) -> str:
        count = f"{self.rows:,} of {self.of:,} rows" if self.rows else ""
        told = ", ".join(part for part in (count, f"first {self.first}" if self.first else "") if part)
        place = ", ".join(part for part in (self.file, self.contract) if part)
        return f"{place}: {self.why}{f' ({told})' if told else ''}"


@dataclass
class Refusals:
    """Collects them. With ``strict`` nothing may be refused: the first thing is a ``DataError``."""

    strict: bool = False
    files: list[Refused] = field(default_factory=list)
    rows: list[Refused] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    """By what is remarked, the files."""
    unused: list[tuple[str, str]] = field(default_factory=list)
    """Files that hold something else, and what."""

    def file(self, file: str, why: str, contract: str = "") -> None:
        """A whole file, or all rows of a contract in it."""
        self._add(self.files, Refused(file, why, contract))

    def some(self, refused: Refused) -> None:
        """Rows; all of a contract in a file are as good as the file."""
        self._add(self.files if refused.rows == refused.of else self.rows, refused)

    def remark(self, what: str, file: str) -> None:
        """Something to know that refuses nothing; once for a file."""
        files = self.remarks.setdefault(what, [])
        if file not in files:
            files.append(file)

    def first(self) -> Refused | None:
        """The first thing that was refused."""
        return next(iter([*self.files, *self.rows]), None)

    def _add(self, to: list[Refused], refused: Refused) -> None:
        if self.strict:
            raise refused.as_error()
        to.append(refused)
