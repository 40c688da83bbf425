"""Columns of times: read as UTC milliseconds, or refused in one line that says what they seem to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from adapters.storage.stamps import likely_unit
from engine.errors import DataError
from engine.market.data import Ints

MILLISECONDS_PER_UNIT = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_WRITE = "write times as UTC, 2024-05-01T08:00:00Z"
_STORE = "store times with their zone, in UTC"


EMPTY = np.iinfo(np.int64).min
"""Stands for an empty time where some may be empty."""


def milliseconds_of(
    table: pa.Table, column: str, path: Path, *, text: bool = True, empty_allowed: bool = False
) -> Ints:
    """A time column as UTC milliseconds since 1970; ``text`` that states a zone is read where it is allowed.

    Raises ``DataError`` for absent, naive and unreadable times, and for numbers: their unit is never guessed.
    """
    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if values.null_count and empty_allowed:
        filled = milliseconds_of(pa.table({column: values.drop_null()}), column, path, text=text)
        times = np.full(len(values), EMPTY)
        times[values.is_valid().to_numpy()] = filled
        return times
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy()))
        raise DataError(f"{column} is empty in row {row + 1}", file=str(path))
    if pa.types.is_timestamp(values.type):
        # Nothing says whether these are UTC or local; hours off, funding would be settled at the wrong prices.
        if values.type.tz is None:
            raise _naive(column, path, str(values[0]), _WRITE if text else _STORE)
        return _in_milliseconds(values)
    if text and (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return _parse(values.to_pandas(), column, path)
    raise DataError(f"{column} {_instead(values)}; {_WRITE if text else _STORE}", file=str(path))


def _in_milliseconds(values: pa.ChunkedArray) -> Ints:
    """Whole milliseconds; what does not fit is cut, never rounded up into a later hour, and what is too far is far."""
    raw = np.asarray(values.cast(pa.int64()).to_numpy(), np.int64)
    per_unit = MILLISECONDS_PER_UNIT[values.type.unit]
    if per_unit <= 1:
        # Floor division also cuts times before 1970 towards the past.
        return raw // round(1 / per_unit)
    # Without the bounds a far time would overflow and come back as one that looks true.
    most = np.iinfo(np.int64).max // int(per_unit)
    return np.clip(raw, -most, most) * int(per_unit)


def _parse(values: pd.Series, column: str, path: Path) -> Ints:
    naive = ~values.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$", regex=True)
    if naive.any():
        first = str(values[naive].iloc[0])
        if _number(first) is not None:
            raise DataError(f"{column} holds numbers, not times ({_first(first)}); {_WRITE}", file=str(path))
        raise _naive(column, path, first, _WRITE)
    try:
        times = pd.to_datetime(values, format="ISO8601", utc=True)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{column} is not a time: {str(error).splitlines()[0]}", file=str(path)) from None
    return times.to_numpy("datetime64[ms]").astype(np.int64)


def _naive(column: str, path: Path, example: str, advice: str) -> DataError:
    return DataError(f"{column} has no time zone ({example}); {advice}", file=str(path))


def _instead(values: pa.ChunkedArray) -> str:
    """What a column holds that are no times, with its first value and the unit that this would be in."""
    return f"holds {values.type}, not times ({_first(str(values[0]))})"


def _first(text: str) -> str:
    number = _number(text)
    unit = None if number is None else likely_unit(number)
    return f"first: {text[:40]}{f', likely {unit} since 1970' if unit else ''}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
