"""From funding rates as recorded to the bookings that positions receive.

The schedule of a leg does not depend on any portfolio, so it is worked out once per market. A settlement is due
at the last one plus the interval then in force; when it is absent the last rate is booked and flagged, and when it
turns up late the assumed booking is reversed (DESIGN.md section 4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.market import Floats, Ints, MarketData

ACTUAL, IMPUTED, REVERSAL = 0, 1, 2

BOOKING = np.dtype(
    [("settle_hour", "i8"), ("rate", "f8"), ("mark", "f8"), ("kind", "i8")],
    align=True,
)
"""One funding payment of one leg: row of its instant, rate (decimal), mark price (USD), ACTUAL/IMPUTED/REVERSAL."""


@njit(cache=True)
def carry_forward(values: Floats) -> Floats:
    """Last value that is not nan at or before each hour; ``[legs, hours]``."""
    carried = np.empty_like(values)
    for leg in range(values.shape[0]):
        last = np.nan
        for t in range(values.shape[1]):
            if not np.isnan(values[leg, t]):
                last = values[leg, t]
            carried[leg, t] = last
    return carried


@njit(cache=True)
def staleness(price: Floats) -> tuple[Ints, Ints]:
    """Hours since the last own price (-1: none so far) and number of hours with an own price up to t."""
    stale = np.empty(price.shape, np.int64)
    fresh_hours = np.empty(price.shape, np.int64)
    for leg in range(price.shape[0]):
        since, count = -1, 0
        for t in range(price.shape[1]):
            if not np.isnan(price[leg, t]):
                since, count = 0, count + 1
            elif since >= 0:
                since += 1
            stale[leg, t] = since
            fresh_hours[leg, t] = count
    return stale, fresh_hours


@njit(cache=True)
def _believed_interval(interval: int, candidate: int, gap: int) -> tuple[int, int]:
    """Interval inferred from one more gap: shorter gaps are believed at once, longer ones when repeated."""
    if interval == 0 or gap < interval:
        return gap, 0
    if gap == interval:
        return interval, 0
    if gap == candidate:
        return gap, 0
    return interval, gap


@njit(cache=True)
def _walk_leg(
    rate: Floats,
    known_at: Ints,
    stated: Floats,
    mark: Floats,
    stale: Ints,
    max_stale: int,
    grace: int,
    out: Any,
    counts: Ints,
    interval_out: Floats,
    rate_out: Floats,
    start: int,
) -> int:
    """Write the bookings of one leg to ``out`` from ``start`` on, their number per hour to ``counts``."""
    hours = rate.shape[0]
    n = start
    order = np.argsort(known_at, kind="mergesort")
    queue = 0
    interval, candidate, is_stated = 0, 0, False
    last, last_actual, last_rate = -1, -1, np.nan
    assumed, assumed_interval = -1, 0
    for t in range(hours):
        if not np.isnan(stated[t]):
            interval, is_stated = int(stated[t]), True
        if stale[t] > max_stale:
            last, assumed = -1, -1
        while queue < hours and known_at[order[queue]] <= t:
            s = order[queue]
            queue += 1
            if np.isnan(rate[s]):
                continue
            if assumed >= 0 and s < assumed + assumed_interval:
                out[n].settle_hour, out[n].rate = assumed, -last_rate
                out[n].mark, out[n].kind = mark[assumed], REVERSAL
                n += 1
                counts[t] += 1
            out[n].settle_hour, out[n].rate, out[n].mark, out[n].kind = s, rate[s], mark[s], ACTUAL
            n += 1
            counts[t] += 1
            if not is_stated and last_actual >= 0 and s > last_actual:
                interval, candidate = _believed_interval(interval, candidate, s - last_actual)
            last, last_actual, last_rate, assumed = s, s, rate[s], -1
        if last >= 0 and interval > 0 and t >= last + interval + grace and 0 <= stale[t] <= max_stale:
            settle = max(last + interval, t - grace)
            out[n].settle_hour, out[n].rate, out[n].mark, out[n].kind = (
                settle,
                last_rate,
                mark[settle],
                IMPUTED,
            )
            n += 1
            counts[t] += 1
            last, assumed, assumed_interval = settle, settle, interval
        interval_out[t] = interval if interval > 0 else np.nan
        rate_out[t] = last_rate
    return n


@njit(cache=True)
def _walk(
    rate: Floats,
    known_at: Ints,
    stated: Floats,
    mark: Floats,
    stale: Ints,
    max_stale: int,
    grace: int,
    out: Any,
) -> tuple[int, Ints, Floats, Floats]:
    counts = np.zeros(rate.shape, np.int64)
    interval = np.empty_like(rate)
    last_rate = np.empty_like(rate)
    n = 0
    for leg in range(rate.shape[0]):
        n = _walk_leg(
            rate[leg], known_at[leg], stated[leg], mark[leg], stale[leg], max_stale, grace,
            out, counts[leg], interval[leg], last_rate[leg], n,
        )  # fmt: skip
    return n, counts, interval, last_rate


class Settlements:
    """Bookings of every leg and hour, and what was known about rate and interval.

    ``bookings[starts[leg, t] : starts[leg, t] + counts[leg, t]]`` are the payments booked at row ``t``.
    ``interval_hours`` and ``last_rate`` ``[legs, hours]`` are the interval in force and the last settled rate, nan
    before any is known.
    """

    def __init__(self, market: MarketData, mark: Floats, stale: Ints, max_stale_hours: int) -> None:
        first = int(market.hours[0]) if len(market.hours) else 0
        rows = np.broadcast_to(np.arange(len(market.hours)), market.funding_rate.shape)
        known = rows if market.funding_known_hour is None else np.maximum(market.funding_known_hour - first, rows)
        size = market.funding_rate.size + 2 * int(np.count_nonzero(~np.isnan(market.funding_rate))) + 1
        out: NDArray[np.void] = np.zeros(size, BOOKING)
        n, self.counts, self.interval_hours, self.last_rate = _walk(
            np.ascontiguousarray(market.funding_rate),
            np.ascontiguousarray(known),
            np.ascontiguousarray(market.funding_interval_hours),
            mark,
            stale,
            max_stale_hours,
            market.settlement_grace_hours,
            out,
        )
        self.bookings = out[:n].copy()
        ends = np.cumsum(self.counts.ravel())
        self.starts: Ints = (ends - self.counts.ravel()).reshape(self.counts.shape)
        lateness = self._booked_rows() - self.bookings["settle_hour"]
        self.max_delay_hours = int(lateness.max()) if n else 0

    def _booked_rows(self) -> Ints:
        """Row at which each booking is booked."""
        hours = np.broadcast_to(np.arange(self.counts.shape[1]), self.counts.shape)
        return np.repeat(hours.ravel(), self.counts.ravel())
