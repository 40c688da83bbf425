"""From funding rates as recorded to the bookings that positions receive.

The schedule of a leg does not depend on any portfolio, so it is worked out once per market. A settlement is due
at the last one plus the interval then in force; when it is absent the last rate is booked and flagged, and when it
turns up late the assumed booking is reversed (DESIGN.md section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from engine.errors import CapacityError
from engine.market import Floats, Ints, MarketData

ACTUAL, IMPUTED, REVERSAL = 0, 1, 2

BOOKING = np.dtype(
    [("settle_hour", "i8"), ("rate", "f8"), ("mark", "f8"), ("kind", "i8")],
    align=True,
)
"""One funding payment of one leg: row of its instant, rate (decimal), mark price (USD), ACTUAL/IMPUTED/REVERSAL."""


NOT_YET = -(2**62)
"""The row of a settlement that has not happened. Any other row may be negative: before the first one of a window."""


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


SCHEDULE = np.dtype(
    [
        ("interval", "i8"),  # in force, hours; 0: not known yet
        ("stated", "i8"),  # 1 once the source has stated an interval
        ("candidate", "i8"),  # a longer gap that was seen once
        ("last", "i8"),  # row of the last settlement, actual or assumed; NOT_YET: none
        ("last_actual", "i8"),
        ("last_rate", "f8"),
        ("assumed", "i8"),  # how many assumed settlements have not been replaced by actual ones
    ]
)
ASSUMED = np.dtype([("settle_hour", "i8"), ("interval", "i8"), ("rate", "f8")])


@njit(cache=True)
def _put(out: Any, n: int, settle_hour: int, rate: float, mark: float, kind: int) -> int:
    """Write booking n; returns the number of the next one."""
    booking = out[n]
    booking.settle_hour, booking.rate, booking.mark, booking.kind = settle_hour, rate, mark, kind
    return n + 1


@njit(cache=True)
def _replaced(assumed: Any, count: int, s: int, interval: int, settled: Any) -> int:
    """The assumed settlement that an actual one at s stands for; -1: none.

    It is the one right before s when s comes late within its interval and no other actual one has come since; else
    the first one that s pre-empts because the interval got shorter.
    """
    newest = -1
    for k in range(count):
        if assumed[k].settle_hour <= s and (newest < 0 or assumed[k].settle_hour > assumed[newest].settle_hour):
            newest = k
    if newest >= 0 and s < assumed[newest].settle_hour + assumed[newest].interval:
        is_followed = False
        for t in range(assumed[newest].settle_hour + 1, s):
            is_followed = is_followed or settled[t]
        if not is_followed:
            return newest
    for k in range(count):
        if s < assumed[k].settle_hour < s + interval:
            return k
    return -1


@njit(cache=True)
def _settle_actual(state: Any, assumed: Any, settled: Any, s: int, rate: float, mark: Floats, out: Any, n: int) -> int:
    """Book the actual settlement of row s, reverse the assumed one it replaces, move the schedule on."""
    n = _put(out, n, s, rate, mark[s], ACTUAL)
    k = _replaced(assumed, state.assumed, s, state.interval, settled)
    settled[s] = True
    if k >= 0:
        n = _put(out, n, assumed[k].settle_hour, -assumed[k].rate, mark[assumed[k].settle_hour], REVERSAL)
        for later in range(k + 1, state.assumed):
            assumed[later - 1] = assumed[later]
        state.assumed -= 1
    if s > state.last_actual:
        if state.stated == 0 and state.last_actual != NOT_YET:
            gap = s - state.last_actual
            state.interval, state.candidate = _believed_interval(state.interval, state.candidate, gap)
        state.last_actual, state.last_rate = s, rate
    latest_assumed = assumed[state.assumed - 1].settle_hour if state.assumed > 0 else NOT_YET
    state.last = max(state.last_actual, latest_assumed)
    return n


@njit(cache=True)
def _assume_due(state: Any, assumed: Any, t: int, grace: int, mark: Floats, out: Any, n: int) -> int:
    """Book the last rate once when a settlement is due and its hour, and the grace, are over."""
    due = state.last + state.interval
    if state.last == NOT_YET or state.interval == 0 or t < due + grace:
        return n
    settle = max(due, t - grace)
    n = _put(out, n, settle, state.last_rate, mark[settle], IMPUTED)
    entry = assumed[state.assumed]
    entry.settle_hour, entry.interval, entry.rate = settle, state.interval, state.last_rate
    state.assumed += 1
    state.last = settle
    return n


@njit(cache=True)
def _pass_over_due(state: Any, t: int, grace: int) -> None:
    """A silent leg: what falls due is charged to nobody, and the schedule runs on in its phase."""
    while state.last != NOT_YET and state.interval > 0 and t >= state.last + state.interval + grace:
        state.last += state.interval


@njit(cache=True)
def _sort_by_settle_hour(out: Any, start: int, stop: int) -> None:
    """Stable; at the same instant a reversal comes before the actual settlement that replaces it."""
    for i in range(start + 1, stop):
        k = i
        while k > start and _sort_key(out[k]) < _sort_key(out[k - 1]):
            settle, rate, mark, kind = out[k].settle_hour, out[k].rate, out[k].mark, out[k].kind
            above = out[k - 1]
            _put(out, k, above.settle_hour, above.rate, above.mark, above.kind)
            _put(out, k - 1, settle, rate, mark, kind)
            k -= 1


@njit(cache=True)
def _sort_key(booking: Any) -> int:
    return int(2 * booking.settle_hour + (0 if booking.kind == REVERSAL else 1))


@njit(cache=True)
def _walk_leg(
    rate: Floats, known_at: Ints, stated: Floats, mark: Floats, stale: Ints, max_stale: int, grace: int,
    state: Any, assumed: Any, walked: int,
    out: Any, counts: Ints, interval_out: Floats, rate_out: Floats, start: int,
) -> int:  # fmt: skip
    """Write the bookings of one leg to ``out`` from ``start`` on, their number per hour to ``counts``.

    ``state`` and ``assumed`` are those after the first ``walked`` rows, whose bookings are not wanted; they move on.
    """
    hours, n, queue = rate.shape[0], start, 0
    order = np.argsort(known_at, kind="mergesort")
    settled = np.zeros(hours, np.bool_)
    while queue < hours and known_at[order[queue]] < walked:
        settled[order[queue]] = not np.isnan(rate[order[queue]])
        queue += 1
    for t in range(walked, hours):
        before = n
        if not np.isnan(stated[t]):
            state.interval, state.stated = int(stated[t]), 1
        while queue < hours and known_at[order[queue]] <= t:
            s = order[queue]
            queue += 1
            if not np.isnan(rate[s]):
                n = _settle_actual(state, assumed, settled, s, rate[s], mark, out, n)
        if 0 <= stale[t] <= max_stale:
            n = _assume_due(state, assumed, t, grace, mark, out, n)
        else:
            _pass_over_due(state, t, grace)
        _sort_by_settle_hour(out, before, n)
        counts[t] = n - before
        interval_out[t] = state.interval if state.interval > 0 else np.nan
        rate_out[t] = state.last_rate
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
    states: Any,
    held: Any,
    walked: int,
    out: Any,
) -> tuple[int, Ints, Floats, Floats]:
    counts = np.zeros(rate.shape, np.int64)
    interval = np.full_like(rate, np.nan)
    last_rate = np.full_like(rate, np.nan)
    assumed = np.zeros(rate.shape[1], ASSUMED)
    n = 0
    for leg in range(rate.shape[0]):
        assumed[: held.shape[1]] = held[leg]
        n = _walk_leg(
            rate[leg], known_at[leg], stated[leg], mark[leg], stale[leg], max_stale, grace,
            states[leg], assumed, walked, out, counts[leg], interval[leg], last_rate[leg], n,
        )  # fmt: skip
        held[leg] = assumed[: held.shape[1]]
    return n, counts, interval, last_rate


@dataclass(frozen=True, eq=False)
class Schedules:
    """Where the settlements of every leg stand after the first ``walked`` rows of a market.

    ``states`` is ``[legs]`` of ``SCHEDULE``, ``assumed`` ``[legs, n]`` of ``ASSUMED``: settlements that were booked by
    the last rate and may still be replaced, the first ``states["assumed"]`` of each leg.
    """

    walked: int
    states: NDArray[Any]
    assumed: NDArray[Any]


def no_schedules(legs: int, *, walked: int = 0, places: int = 0) -> Schedules:
    """Nothing has settled yet. ``places`` is how many assumed settlements of a leg can be held."""
    states: NDArray[Any] = np.zeros(legs, SCHEDULE)
    states["last"], states["last_actual"], states["last_rate"] = NOT_YET, NOT_YET, np.nan
    return Schedules(walked, states, np.zeros((legs, places), ASSUMED))


class Settlements:
    """Bookings of every leg and hour, and what was known about rate and interval.

    ``bookings[starts[leg, t] : starts[leg, t] + counts[leg, t]]`` are the payments booked at row ``t``.
    ``interval_hours`` and ``last_rate`` ``[legs, hours]`` are the interval in force and the last settled rate, nan
    before any is known. ``before``: the rows that were walked earlier and have no bookings here.
    """

    def __init__(
        self, market: MarketData, mark: Floats, stale: Ints, max_stale_hours: int, before: Schedules | None = None
    ) -> None:
        begin = no_schedules(market.legs) if before is None else before
        rows = np.broadcast_to(np.arange(len(market.hours)), market.funding_rate.shape)
        size = market.funding_rate.size + 2 * int(np.count_nonzero(~np.isnan(market.funding_rate))) + 1
        out: NDArray[np.void] = np.zeros(size, BOOKING)
        states, held = begin.states.copy(), begin.assumed.copy()
        n, self.counts, self.interval_hours, self.last_rate = _walk(
            np.ascontiguousarray(market.funding_rate),
            np.ascontiguousarray(_known_rows(market, rows)),
            np.ascontiguousarray(market.funding_interval_hours),
            mark,
            stale,
            max_stale_hours,
            market.settlement_grace_hours,
            states,
            held,
            begin.walked,
            out,
        )
        self._after = Schedules(len(market.hours), states, held)
        self.bookings = out[:n].copy()
        ends = np.cumsum(self.counts.ravel())
        self.starts: Ints = (ends - self.counts.ravel()).reshape(self.counts.shape)
        lateness = self._booked_rows() - self.bookings["settle_hour"]
        self.max_delay_hours = int(lateness.max()) if n else 0

    @property
    def last_rows(self) -> Ints:
        """Row of each leg's last settlement, actual or assumed, as of the last row; ``NOT_YET``: none."""
        rows: Ints = self._after.states["last"]
        return rows

    @property
    def after(self) -> Schedules:
        """Where the schedules stand after the last row, when ``before`` had places for that many assumed ones."""
        if self._after.states["assumed"].max(initial=0) > self._after.assumed.shape[1]:
            raise CapacityError("more assumed settlements than places for them")
        return self._after

    def _booked_rows(self) -> Ints:
        """Row at which each booking is booked."""
        hours = np.broadcast_to(np.arange(self.counts.shape[1]), self.counts.shape)
        return np.repeat(hours.ravel(), self.counts.ravel())


def _known_rows(market: MarketData, rows: Ints) -> Ints:
    """Row at which each settlement is known, never before its own."""
    if market.funding_known_hour is None:
        return rows
    return np.maximum(market.funding_known_hour - int(market.hours[0]), rows)
