"""CSV files in which no cell is run by the spreadsheet that opens them.

A spreadsheet takes a text that begins with one of ``RUN`` for a formula, be it the name of a coin. Such a text is
written behind an apostrophe, which spreadsheets hide; so is one that begins with an apostrophe itself, so that reading
gives back what was written. Numbers are untouched, negative ones too.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import pandas as pd

RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Beginnings of formulas, and of commands that hide behind white space; the last four are full-width."""
QUOTE = "'"


def write_table(path: Path, table: pd.DataFrame) -> None:
    """A table with its headings and without its index, at full precision; what is not known is an empty cell."""
    # As objects first: a column of numbers turns None back into nan, which would be written as a word.
    cells = table.astype(object).where(table.notna(), None)
    write_rows(path, [str(name) for name in table.columns], cells.itertuples(index=False, name=None))


def write_rows(path: Path, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows under headings; None is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        _write(file, headings, rows)


def rows_text(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """What ``write_rows`` would write."""
    text = io.StringIO()
    _write(text, headings, rows)
    return text.getvalue()


def _write(file: TextIO, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(_Lines(file))
    for row in (headings, *rows):
        writer.writerow(["" if cell is None else quoted(cell) for cell in row])


class _Lines:
    """Ends lines with a line feed alone. The writer knows of both line ends, or it would not quote cells that hold a
    carriage return, which many readers take for the end of the row."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.removesuffix("\r\n") + "\n")


def quoted(cell: Any) -> Any:
    """A text that no spreadsheet runs; anything else as it is."""
    return QUOTE + cell if isinstance(cell, str) and cell.startswith((*RUN, QUOTE)) else cell


def unquoted(cell: str) -> str:
    """The text that was written."""
    return cell.removeprefix(QUOTE)
