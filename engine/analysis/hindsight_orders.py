"""What an order comes to when everything after it is known: entries by size and cost, exits by what they bring.

Asked of the kernel's own functions, on books of one slot with more equity than any margin takes. An exit that rests is
filled wholly up to some size, so what it brings depends on the size of the position; ``Left`` keeps both and the limit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.accounting.books import Books
from engine.accounting.codes import FREE, OPEN, PENDING
from engine.accounting.entries import against_entry, fill_due_entries, sized
from engine.accounting.margin import FILLABLE
from engine.accounting.resting import fill_resting, look
from engine.accounting.tape import LEAVES_BY_NOTICE, SILENT, TapeArrays
from engine.analysis.hindsight_values import entry_cost, exit_value, fills, raw_fill, worse_hour
from engine.compiled import hourly, seldom

NO_WAY, BY_ORDER, FORCED, OUTAGE = 0, 1, 2, 3
NONE = -1.0
"""Limit of size of an order of which nothing is filled."""


class Trial(NamedTuple):
    """Where orders are tried: the tape, and for what is persistent and rests a copy that may be altered.

    ``notional`` is that of which exits pay the impact, USD per leg: of every position, or the least that there can be.
    """

    tape: TapeArrays
    altered: TapeArrays
    books: Books
    last: int
    notional: float
    persistent: bool


class Entered(NamedTuple):
    """What an entry opens: base quantity (0: nothing), notional, USD per unit with all costs, row of its fills."""

    quantity: float
    notional: float
    cost: float
    source: int


class Left(NamedTuple):
    """USD per unit from leaving, ``-inf`` where there is no such way.

    An order brings the worse of its own hour and, ``later``, the next one (the same where that is not asked): rested
    up to the limit of size, above it taken. ``forced`` is without an order. ``source``: row of what is taken.
    """

    limit: float
    rested: float
    taken: float
    later_limit: float
    later_rested: float
    later_taken: float
    forced: float
    source: int


@seldom
def alter(altered: TapeArrays, tape: TapeArrays, pair: int, t: int) -> None:
    """Give an order that falls due at t the bar and the fills of an hour later, at the prices of its own hours."""
    posted = t - 1
    long_leg, short_leg = tape.pairs[pair].long, tape.pairs[pair].short
    later = raw_fill(tape, long_leg, t) + raw_fill(tape, short_leg, t)
    level = (raw_fill(tape, long_leg, posted) + raw_fill(tape, short_leg, posted)) / later
    for leg in (long_leg, short_leg):
        # A first trade that is not known stays unknown: nothing rests in such an hour.
        altered.quotes[leg, posted].fill = tape.quotes[leg, t].fill * level
        altered.bars[leg, posted].high = tape.bars[leg, t].high * level
        altered.bars[leg, posted].low = tape.bars[leg, t].low * level
    altered.quotes[long_leg, t].fill, altered.quotes[short_leg, t].fill = fills(tape, pair, t, t + 1)


@seldom
def _restore(altered: TapeArrays, tape: TapeArrays, pair: int, t: int) -> None:
    for leg in (tape.pairs[pair].long, tape.pairs[pair].short):
        for row in (t - 1, t):
            altered.quotes[leg, row].fill = tape.quotes[leg, row].fill
            altered.bars[leg, row].high = tape.bars[leg, row].high
            altered.bars[leg, row].low = tape.bars[leg, row].low


@seldom
def _played(tape: TapeArrays, books: Books, pair: int, o: int, last: int) -> Entered:
    """What the kernel makes of an entry that rests in the hour before o."""
    slot = books.slots[0, 0]
    slot.status, slot.pair, slot.due = PENDING, pair, o
    fill_resting(tape, books, 0, o)
    if slot.status == PENDING and o < last:
        fill_due_entries(tape, books, 0, o)
    is_open = slot.status == OPEN
    slot.status = FREE
    if not is_open:
        return Entered(0.0, 0.0, 0.0, o)
    cost = slot.long_entry - slot.short_entry + slot.entry_fees / slot.quantity
    return Entered(float(slot.quantity), float(slot.notional), float(cost), o)


@seldom
def _entering_at_rest(trial: Trial, pair: int, o: int) -> Entered:
    tape, books, last = trial.tape, trial.books, trial.last
    now: Entered = _played(tape, books, pair, o, last)
    if not trial.persistent or now.quantity == 0.0 or o >= last:
        return now
    alter(trial.altered, tape, pair, o)
    later: Entered = _played(trial.altered, books, pair, o, last)
    _restore(trial.altered, tape, pair, o)
    if later.quantity == 0.0 or later.cost > now.cost:
        return Entered(later.quantity, later.notional, later.cost, o + 1)
    return now


@seldom
def entering(trial: Trial, pair: int, o: int) -> Entered:
    """What an entry that is filled at o opens, capital aside."""
    tape, books, last = trial.tape, trial.books, trial.last
    if tape.rules[0].resting > 0:
        rested: Entered = _entering_at_rest(trial, pair, o)
        return rested
    entry = sized(tape, books, 0, o, pair)
    if o >= last or against_entry(tape, books, 0, o, entry) != FILLABLE:
        return Entered(0.0, 0.0, 0.0, o)
    source = worse_hour(tape, pair, o, last, True) if trial.persistent else o
    return Entered(entry.quantity, entry.notional, entry_cost(tape, pair, o, source, entry.notional), source)


@hourly
def way_out(trial: Trial, pair: int, t: int) -> int:
    """How a position in the pair can leave in step 3 or, as a taker, in step 6 of t."""
    tape = trial.tape
    long_quote, short_quote = tape.quotes[tape.pairs[pair].long, t], tape.quotes[tape.pairs[pair].short, t]
    stale, flags = max(long_quote.stale, short_quote.stale), long_quote.flags | short_quote.flags
    if stale > tape.rules[0].max_stale or flags & SILENT > 0:
        return OUTAGE
    if flags & LEAVES_BY_NOTICE > 0 or t == trial.last:
        return FORCED
    # A stale leg cancels an exit that waits for the latency; one that is filled at once is not refused for it.
    return NO_WAY if tape.rules[0].latency > 0 and stale > 0 else BY_ORDER


@seldom
def _filled(tape: TapeArrays, pair: int, t: int, quantity: float) -> float:
    """How much of an exit of that size that rested in the hour before t was filled."""
    return float(look(tape, t - 1, tape.pairs[pair], -1.0, quantity, 0.0).quantity)


@seldom
def _rested(tape: TapeArrays, pair: int, t: int, quantity: float, notional: float) -> float:
    """USD per unit of an exit of that size that rested in the hour before t and was filled wholly."""
    seen = look(tape, t - 1, tape.pairs[pair], -1.0, quantity, notional)
    sold, bought = seen.long.price, seen.short.price
    return float(sold - bought - (sold * seen.long.rate + bought * seen.short.rate))


@seldom
def _limit_between(tape: TapeArrays, pair: int, t: int, low: float, high: float) -> float:
    """The largest size from ``low`` to ``high`` of which an exit that rested in the hour before t was filled wholly."""
    filled = _filled(tape, pair, t, high)
    if filled == high:
        return high
    if _filled(tape, pair, t, low) < low:
        return NONE
    if low < filled and _filled(tape, pair, t, filled) == filled:
        # What a larger order got is filled of a smaller one, too, and but for lots that is the limit.
        low, above = filled, np.nextafter(filled, high)
        if _filled(tape, pair, t, above) < above:
            return low
    # By halves down to neighbouring numbers: the limit is where the kernel's answer changes, and no formula of it.
    while True:
        middle = low + (high - low) / 2.0
        if not low < middle < high:
            return low
        if _filled(tape, pair, t, middle) == middle:
            low = middle
        else:
            high = middle


@seldom
def _leaving_at_rest(
    trial: Trial, pair: int, t: int, is_taken: bool, forced: float, sizes: tuple[float, float]
) -> Left:
    tape, notional = trial.tape, trial.notional
    taken = exit_value(tape, pair, t, t, notional, False) if is_taken else -np.inf
    limit = _limit_between(tape, pair, t, sizes[0], sizes[1])
    rested = _rested(tape, pair, t, limit, notional) if limit > 0.0 else -np.inf
    if not trial.persistent or t >= trial.last:
        return Left(limit, rested, taken, limit, rested, taken, forced, t)
    later_taken = exit_value(tape, pair, t, t + 1, notional, False) if is_taken else -np.inf
    alter(trial.altered, tape, pair, t)
    later_limit = _limit_between(trial.altered, pair, t, sizes[0], sizes[1])
    later_rested = _rested(trial.altered, pair, t, later_limit, notional) if later_limit > 0.0 else -np.inf
    _restore(trial.altered, tape, pair, t)
    return Left(limit, rested, taken, later_limit, later_rested, later_taken, forced, t)


@seldom
def leaving(trial: Trial, pair: int, t: int, way: int, by_order: bool, sizes: tuple[float, float]) -> Left:
    """What positions of quantities from ``sizes[0]`` to ``sizes[1]`` bring at t.

    ``way`` is ``way_out``; without ``by_order`` nothing that is ordered is allowed.
    """
    tape, notional, last = trial.tape, trial.notional, trial.last
    forced = exit_value(tape, pair, t, t, notional, way == OUTAGE) if way >= FORCED else -np.inf
    if not by_order:
        return Left(NONE, -np.inf, -np.inf, NONE, -np.inf, -np.inf, forced, t)
    if tape.rules[0].resting > 0:
        at_rest: Left = _leaving_at_rest(trial, pair, t, way == BY_ORDER, forced, sizes)
        return at_rest
    source = worse_hour(tape, pair, t, last, False) if trial.persistent else t
    taken = exit_value(tape, pair, t, source, notional, False) if way == BY_ORDER else -np.inf
    return Left(NONE, -np.inf, taken, NONE, -np.inf, taken, forced, source)


@hourly
def is_the_same(left: Left, low: float, high: float) -> bool:
    """Whether positions of two sizes and all between leave for the same price per unit."""
    return bool((low <= left.limit) == (high <= left.limit) and (low <= left.later_limit) == (high <= left.later_limit))


@hourly
def ordered(left: Left, quantity: float) -> tuple[float, bool]:
    """USD per unit that a position gets by an order, and whether it is that of an hour later."""
    now = left.rested if quantity <= left.limit else left.taken
    later = left.later_rested if quantity <= left.later_limit else left.later_taken
    return (later, True) if later < now else (now, False)


@hourly
def worth(left: Left, quantity: float) -> float:
    """USD per unit that a position leaves with at best."""
    return float(max(left.forced, ordered(left, quantity)[0]))


@hourly
def most(left: Left, low: float, high: float) -> float:
    """USD per unit that none of the positions of quantities from ``low`` to ``high`` leaves with more than."""
    if is_the_same(left, low, high):
        return float(worth(left, high))
    now, later = max(left.rested, left.taken), max(left.later_rested, left.later_taken)
    return float(max(left.forced, min(now, later)))
