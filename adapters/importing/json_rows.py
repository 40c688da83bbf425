"""JSON of other programs: whole, not too deep, and rows of numbers in it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from adapters.importing.source_files import Source
from engine.errors import LONGEST_VALUE, DataError, cut
from engine.market.data import Floats


def json_of(source: Source) -> Any:
    """What a JSON file says. Raises ``DataError`` for one that is none."""
    try:
        return json.loads(source.content)
    except (ValueError, RecursionError) as error:
        problem = f"is no JSON, or only a part of it: {cut(str(error), LONGEST_VALUE)}"
        raise DataError(problem, file=source.file) from None


def rows_of(value: Any, width: int, source: Source) -> Floats:
    """A list of rows of at least ``width`` numbers, the rest dropped; what is no finite number is nan.

    Raises ``DataError`` for anything else.
    """
    if not isinstance(value, list) or not value:
        raise DataError("holds no rows: a list of lists of numbers is expected", file=source.file)
    if not all(isinstance(row, list) and len(row) >= width for row in value):
        raise DataError(f"holds rows that are no lists of {width} numbers", file=source.file)
    return np.array([[number_of(cell) for cell in row[:width]] for row in value], np.float64)


def number_of(value: Any) -> float:
    """A finite number as float64, else nan. A truth value is none."""
    try:
        number = float("nan") if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
    return number if np.isfinite(number) else float("nan")
