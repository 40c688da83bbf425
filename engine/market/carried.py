"""The last known price of every leg and hour, and how old it is: nothing here looks back from a later hour."""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.market.data import Floats, Ints


def carry_forward(values: Floats, before: Floats | None = None) -> Floats:
    """Last value that is not nan at or before each hour; ``[legs, hours]``. ``before`` ``[legs]``: before the first."""
    return np.asarray(_carry_forward(values, np.full(len(values), np.nan) if before is None else before))


@njit(cache=True)
def _carry_forward(values: Floats, before: Floats) -> Floats:
    carried = np.empty_like(values)
    for leg in range(values.shape[0]):
        last = before[leg]
        for t in range(values.shape[1]):
            if not np.isnan(values[leg, t]):
                last = values[leg, t]
            carried[leg, t] = last
    return carried


def staleness(price: Floats, before: tuple[Ints, Ints] | None = None) -> tuple[Ints, Ints]:
    """Hours since the last own price (-1: none so far) and number of hours with an own price up to t.

    ``before``: both, ``[legs]``, as of the hour before the first row.
    """
    none = np.full(len(price), -1), np.zeros(len(price), np.int64)
    stale, fresh_hours = _staleness(price, *(none if before is None else before))
    return stale, fresh_hours


@njit(cache=True)
def _staleness(price: Floats, stale_before: Ints, fresh_before: Ints) -> tuple[Ints, Ints]:
    stale = np.empty(price.shape, np.int64)
    fresh_hours = np.empty(price.shape, np.int64)
    for leg in range(price.shape[0]):
        since, count = stale_before[leg], fresh_before[leg]
        for t in range(price.shape[1]):
            if not np.isnan(price[leg, t]):
                since, count = 0, count + 1
            elif since >= 0:
                # Before the first price it stays -1: a leg that does not exist yet must not grow stale.
                since += 1
            stale[leg, t] = since
            fresh_hours[leg, t] = count
    return stale, fresh_hours
