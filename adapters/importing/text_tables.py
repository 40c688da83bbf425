"""Text tables as they are published: with or without a head, perhaps cut off, numbers and times as text."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from adapters.importing.recordings import NotUsedError
from adapters.importing.source_files import Source
from adapters.storage.stamps import EARLIEST_MS, LATEST_MS, is_plausible
from adapters.storage.time_columns import EMPTY, MILLISECONDS_PER_UNIT
from engine.errors import LONGEST_REASON, DataError, cut
from engine.market.data import Floats, Ints

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
STATED_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})$"
MOST_COLUMNS = 1_000
ENCODINGS = ("utf-8-sig", "gb18030")
"""okx wrote the heads of older files in Chinese."""


@dataclass(frozen=True, eq=False)
class TextTable:
    """Columns of text by the names in the head (in small letters), or as they are known to be without one."""

    file: str
    columns: Mapping[str, pa.Array]
    has_head: bool
    remarks: tuple[str, ...]
    """What was left out of it; nothing where it is whole."""

    def require_whole(self, times: Ints) -> None:
        """Raise ``DataError`` unless every line was read and has a time: of trades and tickers every one counts."""
        if self.remarks:
            raise DataError(f"{self.remarks[0]}: of ticks every line counts, download it again", file=self.file)
        wrong = ~is_plausible(times)
        if wrong.any():
            problem = f"row {int(wrong.argmax()) + 1} has no time that can be ({int(wrong.sum()):,} such rows)"
            raise DataError(f"{problem}: of ticks every row counts", file=self.file)

    def numbers(self, *names: str, shift: int = 0) -> Floats:
        """The first of these columns that is there times ``10 ** shift``, nan where it holds no number.

        Raises ``DataError`` where none is.
        """
        found = self.numbers_if_any(*names, shift=shift)
        if found is None:
            here = ", ".join(self.columns)
            raise DataError(f"column {names[0]} is missing; it has {cut(here, LONGEST_REASON)}", file=self.file)
        return found

    def numbers_if_any(self, *names: str, shift: int = 0) -> Floats | None:
        """The same, None where there is no such column."""
        name = next((name for name in names if name in self.columns), None)
        return None if name is None else floats_of_text(self.columns[name], shift)

    def text(self, name: str) -> np.ndarray:
        """A column of text. Raises ``DataError`` when it is missing."""
        if name not in self.columns:
            raise DataError(f"column {name} is missing; it has {', '.join(self.columns)}", file=self.file)
        return np.asarray(self.columns[name].to_numpy(zero_copy_only=False), object)


def read_text_table(
    source: Source, without_head: Sequence[Sequence[str]] = (), *, delimiter: str = ",", has_head: bool | None = None
) -> TextTable:
    """The table in a text file. ``without_head``: the columns it may have where no head says so.

    A first line without any number is a head (None: look). A line that ends in the middle, at the end of the file or
    with other fields than the first one, is left out and remarked. Raises ``DataError`` for what is no such table.
    """
    text, remarks = _whole_lines(_decoded(source), source)
    first = text[: text.index("\n")].rstrip("\r").split(delimiter)
    is_head = not any(_is_number(cell) for cell in first) if has_head is None else has_head
    names = [cell.strip().strip('"').lower() for cell in first] if is_head else _names(len(first), without_head, source)
    if len(set(names)) != len(names) or len(names) > MOST_COLUMNS:
        raise DataError("has two columns of the same name, or too many", file=source.file)
    table, odd = _parsed(text, names, delimiter, source, skip=int(is_head))
    if odd:
        remarks.append(f"{odd} lines have other fields than the first one and are left out")
    if not table.num_rows:
        raise DataError("has no rows", file=source.file)
    columns = {name: pc.utf8_trim_whitespace(table[name].combine_chunks()) for name in names}
    return TextTable(source.file, columns, is_head, tuple(remarks))


def floats_of_text(column: pa.Array, shift: int = 0) -> Floats:
    """Numbers times ``10 ** shift``, nan for text that is none: the nearest float64 of the decimal that is written."""
    written = pc.if_else(pc.match_substring_regex(column, NUMBER), column, None)
    if shift:
        # By the point and not by a division, which would round a second time: 0.0108 % is the number 0.000108.
        shifted = [None if each is None else str(Decimal(each).scaleb(shift)) for each in written.to_pylist()]
        written = pa.array(shifted, pa.string())
    values = np.array(written.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def times_of_numbers(values: Floats, units: Collection[str]) -> Ints:
    """Milliseconds of numbers since 1970; of several units (``s``, ``ms``, ``us``, ``ns``) the one that fits.

    One that fits none is read in the first unit, and will be told as implausible; nan is ``EMPTY``.
    """
    scaled = [values * MILLISECONDS_PER_UNIT[unit] for unit in units]
    # Between 2010 and 2100 no number is a time in two of these units.
    fits = [(each >= EARLIEST_MS) & (each < LATEST_MS) for each in scaled]
    chosen = np.select(fits, scaled, scaled[0])
    # What is too far away for an int64 stays too far away.
    return np.where(np.isnan(values), EMPTY, np.floor(np.clip(np.nan_to_num(chosen), -9e18, 9e18)).astype(np.int64))


def times_of_text(column: pa.Array, pattern: str, zone: str) -> tuple[Ints, int]:
    """Times as UTC milliseconds, and how many of them a change of clocks makes unclear.

    ``pattern`` as of ``strptime``, or ``ISO8601``; times that state no zone are those of ``zone``. Unclear and
    unreadable ones are ``EMPTY``. Raises ``ValueError`` for a pattern that is none.
    """
    written = column.to_pandas()
    aware = written.str.contains(STATED_ZONE, regex=True) & (pattern == "ISO8601" or "%z" in pattern)
    # Read apart: pandas refuses a column in which only some state their zone, or several do.
    utc = pd.to_datetime(written[aware], format=pattern, errors="coerce", utc=True)
    read = pd.to_datetime(written[~aware], format=pattern, errors="coerce")
    local = read.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    times = np.full(len(written), EMPTY)
    for part in (utc, local.dt.tz_convert("UTC")):
        known = part.dropna()
        times[known.index] = known.dt.tz_localize(None).to_numpy("datetime64[ms]").astype(np.int64)
    return times, int(local.isna().sum() - read.isna().sum())


def _decoded(source: Source) -> str:
    for encoding in ENCODINGS:
        try:
            text = source.content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text
    raise DataError("is no text", file=source.file)


def _whole_lines(text: str, source: Source) -> tuple[str, list[str]]:
    """The lines that have an end: of a last one without, nobody knows whether a digit is missing."""
    if text.endswith(("\n", "\r")):
        return text.rstrip("\r\n") + "\n", []
    whole = text[: text.rfind("\n") + 1]
    if not whole.strip():
        raise DataError("its only line has no end: the file is cut off", file=source.file)
    return whole, ["the last line has no end and is left out: the file may be cut off"]


def _parsed(text: str, names: list[str], delimiter: str, source: Source, *, skip: int) -> tuple[pa.Table, int]:
    odd: list[object] = []

    def leave_out(row: object) -> str:
        odd.append(row)
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=skip, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=leave_out, ignore_empty_lines=False
            ),
            convert_options=pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in names}),
        )
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"is no table of text: {cut(str(error), LONGEST_REASON)}", file=source.file) from None
    return table, len(odd)


def _names(width: int, without_head: Sequence[Sequence[str]], source: Source) -> list[str]:
    fitting = next((names for names in without_head if len(names) == width), None)
    if not without_head:
        raise NotUsedError("a table without a head")
    if fitting is None:
        raise DataError(f"has no head, and {width} columns are none that are known", file=source.file)
    return list(fitting)


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        # 2024.01.01 00:00 is a value too, and no name.
        return cell.strip().strip('"')[:4].isdigit()
    return True
