"""JSON of other programs: whole, not too deep, and rows of numbers in it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np

from adapters.importing.source_files import Source
from adapters.importing.text_tables import NUMBER
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
    """A finite number as float64, also where it stands in quotes, else nan. A truth value is none."""
    # Python reads 1_000 and digits of any script as numbers; no program writes them so.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and re.fullmatch(NUMBER, value)):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan
