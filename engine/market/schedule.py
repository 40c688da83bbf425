"""When settlements of a leg are due, which of them are missing, and from when on the leg is silent.

A settlement is due at the last one plus the interval in force. When it is absent by the end of its hour (and of the
grace) it is assumed: booked at the last rate, flagged, and charged by the kernel only where it costs. An actual one
takes back every assumed one within its own interval. From the second missing in a row on, and not before the limit of
hours since the last actual one, the leg is silent until an actual one comes: nothing more is assumed, nobody may enter,
and who holds it leaves (docs/design.md section 4). The schedule of a leg does not depend on any portfolio.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.compiled import compiled
from engine.market.data import Floats, Ints

ACTUAL, IMPUTED, REVERSAL = 0, 1, 2

BOOKING = np.dtype(
    [("settle_hour", "i8"), ("rate", "f8"), ("mark", "f8"), ("kind", "i8")],
    align=True,
)
"""One funding payment of one leg: row of its instant, rate (decimal), mark price (USD), ACTUAL/IMPUTED/REVERSAL."""

LONGEST_INTERVAL_HOURS = 24
"""No exchange settles less often. A leg whose interval is not known counts as having this one, so that none is held
for ever without any funding; a longer distance between settlements is no interval."""
SILENT_AFTER = 2
"""Missing settlements in a row: one may be a hole in a record, exchanges do not skip two."""
NOT_YET = -(2**62)
"""The row of what has not happened. Any other row may be negative: before the first one of a window."""

SCHEDULE = np.dtype(
    [
        ("interval", "i8"),  # in force, hours; 0: not known yet
        ("stated", "i8"),  # 1 once the source has stated an interval
        ("candidate", "i8"),  # a longer gap that was seen once
        ("last", "i8"),  # row from which the next one is due: of the last one, whether actual, assumed or passed over
        ("known", "i8"),  # row of the last actual one; while there is none, of the first price; NOT_YET: neither
        ("last_rate", "f8"),  # of the last actual one, nan: none
        ("missed", "i8"),  # how many have been due since ``known`` and did not come
        ("silent", "i8"),  # 1 while the leg is silent
        ("assumed", "i8"),  # how many assumed settlements have not been taken back
    ]
)
ASSUMED = np.dtype([("settle_hour", "i8"), ("rate", "f8")])


@compiled
def _believed_interval(interval: int, candidate: int, gap: int) -> tuple[int, int]:
    """Interval inferred from one more gap: shorter gaps are believed at once, longer ones when repeated."""
    if gap > LONGEST_INTERVAL_HOURS:
        return interval, 0
    if interval == 0 or gap < interval:
        return gap, 0
    if gap == interval:
        return interval, 0
    # One missing row doubles a gap. Only a longer gap that comes twice is believed to be another interval.
    if gap == candidate:
        return gap, 0
    return interval, gap


@compiled
def _in_force(state: Any) -> int:
    return int(state.interval if state.interval > 0 else LONGEST_INTERVAL_HOURS)


@compiled
def _put(out: Any, n: int, settle_hour: int, rate: float, mark: float, kind: int) -> int:
    """Write booking n; returns the number of the next one."""
    booking = out[n]
    booking.settle_hour, booking.rate, booking.mark, booking.kind = settle_hour, rate, mark, kind
    return n + 1


@compiled
def _take_back(state: Any, assumed: Any, s: int, interval: int, mark: Floats, out: Any, n: int) -> int:
    """Reverse every assumed settlement within the interval of an actual one at s, before and after it."""
    kept = 0
    for k in range(state.assumed):
        hour, rate = assumed[k].settle_hour, assumed[k].rate
        # A whole interval away it is a payment of its own, which this one does not replace.
        if s - interval < hour < s + interval:
            # At the hour and the mark of what it takes back, so that the two cancel to the last bit.
            n = _put(out, n, hour, -rate, mark[hour], REVERSAL)
        else:
            assumed[kept].settle_hour, assumed[kept].rate = hour, rate
            kept += 1
    state.assumed = kept
    return n


@compiled
def _settle_actual(state: Any, assumed: Any, s: int, rate: float, stated: float, mark: Floats, out: Any, n: int) -> int:
    """Book the actual settlement of row s, reverse the assumed ones that it makes wrong, move the schedule on.

    ``stated`` is the interval that the source states for it, nan where it does not.
    """
    n = _put(out, n, s, rate, mark[s], ACTUAL)
    interval = _in_force(state) if np.isnan(stated) else int(stated)
    n = _take_back(state, assumed, s, interval, mark, out, n)
    # It became known late: it is booked like any other, but the schedule is past it.
    if not np.isnan(state.last_rate) and s <= state.known:
        return n
    # What the source states counts more than what its gaps look like.
    if not np.isnan(state.last_rate) and state.stated == 0:
        state.interval, state.candidate = _believed_interval(state.interval, state.candidate, s - state.known)
    state.known = state.last = s
    state.last_rate, state.silent, state.missed = rate, 0, 0
    for k in range(state.assumed):
        # It is still missing: it stays booked, and the next one is due after it.
        if assumed[k].settle_hour > s:
            state.missed += 1
            state.last = assumed[k].settle_hour
    return n


@compiled
def _assume_due(state: Any, assumed: Any, t: int, grace: int, mark: Floats, out: Any, n: int) -> int:
    """Book the last rate once when a settlement is due and its hour, and the grace, are over.

    Where nothing has ever settled there is no rate to assume: it only counts as missing.
    """
    due = state.last + _in_force(state)
    if state.last == NOT_YET or t < due + grace:
        return n
    # A shorter interval may put ``due`` hours back, where nothing was due at the time: only the present counts.
    settle = max(due, t - grace)
    state.missed += 1
    state.last = settle
    if np.isnan(state.last_rate):
        return n
    assumed[state.assumed].settle_hour, assumed[state.assumed].rate = settle, state.last_rate
    state.assumed += 1
    return int(_put(out, n, settle, state.last_rate, mark[settle], IMPUTED))


@compiled
def _pass_over_due(state: Any, t: int, grace: int) -> None:
    """Dark or silent: what falls due is charged to nobody, and the schedule runs on in its phase."""
    while state.last != NOT_YET and t >= state.last + _in_force(state) + grace:
        state.last += _in_force(state)
        state.missed += 1


@compiled
def _sort_key(booking: Any) -> int:
    return int(2 * booking.settle_hour + (0 if booking.kind == REVERSAL else 1))


@compiled
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


@compiled
def _walk_leg(
    rate: Floats, known_at: Ints, stated: Floats, mark: Floats, stale: Ints, max_stale: int, grace: int,
    state: Any, assumed: Any, walked: int,
    out: Any, counts: Ints, interval_out: Floats, rate_out: Floats, silent_out: Any, start: int,
) -> int:  # fmt: skip
    """Write the bookings of one leg to ``out`` from ``start`` on, their number per hour to ``counts``.

    ``state`` and ``assumed`` are those after the first ``walked`` rows, whose bookings are not wanted; they move on.
    """
    hours, n, queue = rate.shape[0], start, 0
    # Stable: of settlements that become known together the earlier one is booked first.
    order = np.argsort(known_at, kind="mergesort")
    while queue < hours and known_at[order[queue]] < walked:
        queue += 1
    for t in range(walked, hours):
        before = n
        if not np.isnan(stated[t]):
            state.interval, state.stated = int(stated[t]), 1
        while queue < hours and known_at[order[queue]] <= t:
            s = order[queue]
            queue += 1
            if not np.isnan(rate[s]):
                n = _settle_actual(state, assumed, s, rate[s], stated[s], mark, out, n)
        # Due from the first price on: a leg that trades and never settles must fall silent as well.
        if state.known == NOT_YET and stale[t] >= 0:
            state.known = state.last = t
        # Without a price for that long its holders have left, and nobody is charged for what nobody saw.
        if 0 <= stale[t] <= max_stale and state.silent == 0:
            n = _assume_due(state, assumed, t, grace, mark, out, n)
        else:
            _pass_over_due(state, t, grace)
        # Both are needed: with hourly settlements two are soon missing, which may be a record that is late.
        if state.missed >= SILENT_AFTER and t - state.known >= max_stale:
            state.silent = 1
        _sort_by_settle_hour(out, before, n)
        counts[t] = n - before
        interval_out[t] = state.interval if state.interval > 0 else np.nan
        rate_out[t] = state.last_rate
        silent_out[t] = state.silent > 0
    return n


@compiled
def walk(
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
) -> tuple[int, Ints, Floats, Floats, Any]:
    """All legs, ``[legs, hours]``: the number of bookings, and by leg and hour their counts, interval in force, last
    rate (nan: not known) and silence. ``states`` and ``held`` are moved on in place (see ``Schedules``)."""
    counts = np.zeros(rate.shape, np.int64)
    interval = np.full_like(rate, np.nan)
    last_rate = np.full_like(rate, np.nan)
    silent = np.zeros(rate.shape, np.bool_)
    # At most one is assumed in a row.
    assumed = np.zeros(held.shape[1] + rate.shape[1], ASSUMED)
    n = 0
    for leg in range(rate.shape[0]):
        assumed[: held.shape[1]] = held[leg]
        n = _walk_leg(
            rate[leg], known_at[leg], stated[leg], mark[leg], stale[leg], max_stale, grace,
            states[leg], assumed, walked, out, counts[leg], interval[leg], last_rate[leg], silent[leg], n,
        )  # fmt: skip
        held[leg] = assumed[: held.shape[1]]
    return n, counts, interval, last_rate, silent
