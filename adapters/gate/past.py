"""What a leg's own past says: last values, hourly moves, and the distance of settlements. No look beyond ``memory``."""

from __future__ import annotations

import numpy as np

from engine.market.data import Floats, Ints

GAPS = 3
"""Of so many distances between settlements the shortest counts: a missing one can only make a distance longer."""


def before(values: Floats, column: int, memory: int) -> tuple[Floats, Floats]:
    """Last known value of each row before a column ``[rows]``, at most ``memory`` columns back, and its distance."""
    # A negative start would count from the end of the array, which is the future.
    window = values[:, max(0, column - memory) : column]
    known = ~np.isnan(window)
    any_known = known.any(axis=1)
    hours = np.where(any_known, known[:, ::-1].argmax(axis=1) + 1.0, np.nan) if window.shape[1] else _nothing(values)
    rows = np.flatnonzero(any_known)
    value = _nothing(values)
    value[rows] = window[rows, window.shape[1] - hours[rows].astype(np.int64)]
    return value, hours


def carried(values: Floats, memory: int) -> tuple[Floats, Floats]:
    """Last known value at or before each column, at most ``memory`` columns back, and its age in columns."""
    columns = np.arange(values.shape[1], dtype=np.float64)
    last = np.maximum.accumulate(np.where(np.isnan(values), -1.0, columns), axis=1)
    age = np.where((last >= 0) & (columns - last <= memory), columns - last, np.nan)
    index = np.where(np.isnan(age), 0, last).astype(np.int64)
    return np.where(np.isnan(age), np.nan, np.take_along_axis(values, index, axis=1)), age


def largest_move(prices: Floats, column: int, hours: int) -> float:
    """Largest hourly move of the rows in the ``hours`` up to a column, as a logarithm; nan when none is known."""
    window = np.log(prices[:, max(0, column - hours) : column + 1])
    moves = np.abs(np.diff(window, axis=1))
    known = moves[~np.isnan(moves)]
    return float(known.max()) if known.size else float("nan")


def distances(settled: Ints, upto: int) -> Ints:
    """Distances of the last settlements of a leg: between the columns ``settled`` (ascending) and ``upto``."""
    times = np.append(settled[settled < upto], upto)[-GAPS - 1 :]
    return np.diff(times)


def _nothing(values: Floats) -> Floats:
    return np.full(len(values), np.nan)
