"""Orders of which one leg rests in the book for an hour (``execution: maker_then_hedge``).

Leg M rests at a limit off the first trade of its hour, leg H is taken at the moment of M's fill. All is judged by the
bar of the hour of the order, and booked at its end, after the settlements of that hour. What was not filled goes on
as an order of takers that is an hour late. docs/design.md section 4 has the formulas.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.accounting.booking import note
from engine.accounting.books import Books
from engine.accounting.codes import (
    CANCELLED,
    ENTER,
    EXIT,
    LONG,
    NOT_FILLED,
    OPEN,
    PARTLY_FILLED,
    PENDING,
    RESTED,
    SHORT,
    SIGNAL,
    WHOLLY_FILLED,
)
from engine.accounting.costs import Fill, Taking, pay_fee, take, taker_cost
from engine.accounting.entries import Entry, Failed, against_entry, fitting_both, open_at, sized
from engine.accounting.exits import Leaves, leave_at
from engine.accounting.instruments import (
    against_instruments,
    are_known,
    common_lot,
    in_lots,
    is_a_tick_beyond,
    on_tick,
)
from engine.accounting.leg_failure import CLOSING, OPENING, leg_fails
from engine.accounting.margin import FILLABLE
from engine.accounting.marking import is_alone
from engine.accounting.order_books import books_are_known
from engine.accounting.tape import EITHER, TapeArrays
from engine.compiled import hourly, seldom

HOURS_OF_A_DAY = 24.0


class Look(NamedTuple):
    """What an hour made of an order: the leg that rested in it, the base quantity, and both fills (none for 0)."""

    rested: int
    quantity: float
    long: Fill
    short: Fill


@hourly
def _saved(tape: TapeArrays, leg: int, t: int) -> float:
    """What a leg saves by resting, as a fraction: the difference of the fees, and the spread that it does not cross."""
    quote = tape.quotes[leg, t]
    return float(quote.fee_rate - tape.bars[leg, t].maker_fee + quote.half_spread * tape.rules[0].cost_multiple)


@hourly
def _resting_side(tape: TapeArrays, pair: Any, t: int) -> int:
    """The leg that rests: as the settings say, else the one that saves more, then the one of the thinner market."""
    rules = tape.rules[0]
    if rules.resting_side != EITHER:
        return int(rules.resting_side)
    long_saves, short_saves = _saved(tape, pair.long, t), _saved(tape, pair.short, t)
    # Beyond rounding: the same fees in another order of sums are the same.
    if abs(long_saves - short_saves) > 1e-12:
        return LONG if long_saves > short_saves else SHORT
    return SHORT if tape.quotes[pair.short, t].volume < tape.quotes[pair.long, t].volume else LONG


@hourly
def _bar_is_known(tape: TapeArrays, leg: int, t: int) -> bool:
    """Whether a resting order can be judged by the bar after t: a fresh leg, trades, and extremes that hold them."""
    quote, bar = tape.quotes[leg, t], tape.bars[leg, t]
    # Not ``low > fill`` reversed: with nan every comparison is false, and what is unknown fills nothing.
    return bool(quote.stale == 0 and bar.low <= quote.fill <= bar.high)


@hourly
def _filled(tape: TapeArrays, leg: int, t: int, direction: float, limit: float, quantity: float) -> float:
    """How much of an order for ``quantity`` at ``limit`` was filled in the bar after t."""
    rules, bar = tape.rules[0], tape.bars[leg, t]
    # Beyond and not at the limit: at it there was a queue, and nobody knows our place in it.
    if direction > 0:
        is_through, beyond = bar.low < limit * (1.0 - rules.through), limit - bar.low
    else:
        is_through, beyond = bar.high > limit * (1.0 + rules.through), bar.high - limit
    if not is_through or (are_known(tape) and not is_a_tick_beyond(tape, leg, t, limit, beyond)):
        return 0.0
    share = min(1.0, beyond / (bar.high - bar.low))
    # The mean hour of the last day, known at t, and none where no turnover is known.
    turnover = tape.quotes[leg, t].volume / HOURS_OF_A_DAY
    most = rules.volume_share * turnover * share / limit
    return float(min(quantity, most)) if most > 0 else 0.0


@seldom
def look(tape: TapeArrays, t: int, pair: Any, direction: float, quantity: float, notional: float) -> Look:
    """What the bar after t makes of an order; ``direction``: 1.0 opens the pair, -1.0 closes it."""
    rules = tape.rules[0]
    side = _resting_side(tape, pair, t)
    nothing = Look(side, 0.0, Fill(LONG, pair.long, 0.0, 0.0, 0.0), Fill(SHORT, pair.short, 0.0, 0.0, 0.0))
    if not (_bar_is_known(tape, pair.long, t) and _bar_is_known(tape, pair.short, t)):
        return nothing
    maker, hedger = (pair.long, pair.short) if side == LONG else (pair.short, pair.long)
    # The long leg is bought to open; whatever M does, H does the opposite.
    buys = direction if side == LONG else -direction
    quote, other = tape.quotes[maker, t], tape.quotes[hedger, t]
    limit = quote.fill * (1.0 - buys * max(rules.offset, quote.half_spread))
    if are_known(tape):
        limit = on_tick(tape, maker, t, limit, buys)
    filled = _filled(tape, maker, t, buys, limit, quantity)
    # What is filled wholly stays whole: a position may be older than the lots are.
    if filled < quantity and are_known(tape):
        filled = in_lots(filled, common_lot(tape, pair, t))
    if filled == 0.0:
        return nothing
    price = limit * (1.0 + buys * rules.adverse * rules.cost_multiple)
    rested = Fill(side, maker, price, limit, tape.bars[maker, t].maker_fee)
    # H stands where M does: it has moved as M has on its way to the limit, but not out of its own bar.
    moved = other.fill * (limit / quote.fill)
    raw = max(moved, tape.bars[hedger, t].low) if buys > 0 else min(moved, tape.bars[hedger, t].high)
    taking = Taking(SHORT if side == LONG else LONG, hedger, -buys, filled, notional)
    paid = raw * (1.0 - buys * taker_cost(tape, t, taking, rules.hedge))
    taken = Fill(taking.side, hedger, paid, raw, other.fee_rate)
    return Look(side, filled, rested, taken) if side == LONG else Look(side, filled, taken, rested)


@seldom
def _add(tape: TapeArrays, books: Books, b: int, t: int, s: int, entry: Entry) -> None:
    """Take more of a position that has just been opened, at row t; its entry prices become the means of both parts."""
    portfolio, slot, pair = books.portfolios[b], books.slots[b, s], tape.pairs[entry.pair]
    long_fill = take(tape, portfolio, t, Taking(LONG, pair.long, 1.0, entry.quantity, entry.notional), False)
    short_fill = take(tape, portfolio, t, Taking(SHORT, pair.short, -1.0, entry.quantity, entry.notional), False)
    whole = slot.quantity + entry.quantity
    slot.long_entry = (slot.quantity * slot.long_entry + entry.quantity * long_fill.price) / whole
    slot.short_entry = (slot.quantity * slot.short_entry + entry.quantity * short_fill.price) / whole
    slot.slippage += entry.quantity * (long_fill.price - long_fill.raw + (short_fill.raw - short_fill.price))
    slot.quantity, slot.notional = whole, slot.notional + entry.notional
    slot.long_held = slot.short_held = whole
    slot.entry_fees += pay_fee(tape, books, b, t, slot, long_fill, entry.quantity)
    slot.entry_fees += pay_fee(tape, books, b, t, slot, short_fill, entry.quantity)


@seldom
def _cut_to_books(tape: TapeArrays, t: int, entry: Entry) -> Entry:
    """What of an entry fits into the books of row t, in whole lots."""
    most = fitting_both(tape, t, entry.pair, entry.quantity)
    if not most < entry.quantity:
        return entry
    if are_known(tape):
        most = in_lots(most, common_lot(tape, tape.pairs[entry.pair], t))
    return Entry(entry.pair, most, entry.notional * (most / entry.quantity), True)


@seldom
def _take_the_rest(tape: TapeArrays, books: Books, b: int, t: int, s: int, entry: Entry) -> None:
    """What was not filled of an entry is taken at row t where that is allowed and no dust, else it is cancelled."""
    rules = tape.rules[0]
    if books_are_known(tape):
        entry = _cut_to_books(tape, t, entry)
    if rules.gives_up > 0 or against_entry(tape, books, b, t, entry) != FILLABLE:
        note(books, b, t, CANCELLED, NOT_FILLED, ENTER, entry.pair)
    else:
        _add(tape, books, b, t, s, entry)


@seldom
def _fill_resting_entry(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> None:
    """Book what became of an entry that rested since t - 1; one of which nothing was filled stays pending."""
    posted, slot, rules = t - 1, books.slots[b, s], tape.rules[0]
    index = slot.pair
    pair = tape.pairs[index]
    # Sized and checked as it was posted: by the equity of then, which step 3 of t has not replaced yet.
    entry = sized(tape, books, b, posted, index)
    if against_entry(tape, books, b, posted, entry) != FILLABLE:
        return
    quantity, notional = entry.quantity, entry.notional
    seen = look(tape, posted, pair, 1.0, quantity, notional)
    part = notional if seen.quantity == quantity else notional * (seen.quantity / quantity)
    failed = Failed(False, False)
    if rules.leg_failure > 0:
        failed = Failed(
            leg_fails(tape, pair.long, posted, LONG, OPENING), leg_fails(tape, pair.short, posted, SHORT, OPENING)
        )
    is_too_small = part < rules.min_notional
    if are_known(tape) and against_instruments(tape, pair, posted, seen.quantity) != FILLABLE:
        is_too_small = True
    # An order that failed does not rest. So little that no exchange takes it as an order was not filled either.
    if is_too_small or (failed.long if seen.rested == LONG else failed.short):
        note(books, b, t, RESTED, NOT_FILLED, ENTER, index)
        return
    note(books, b, t, RESTED, WHOLLY_FILLED if seen.quantity == quantity else PARTLY_FILLED, ENTER, index)
    open_at(tape, books, b, t, s, Entry(index, seen.quantity, part, False), (seen.long, seen.short), failed)
    if seen.quantity < quantity and not (failed.long or failed.short):
        _take_the_rest(tape, books, b, t, s, Entry(index, quantity - seen.quantity, notional - part, False))


@seldom
def _fill_resting_exit(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> None:
    """Book what became of an exit that rested since t - 1; one that was not wholly filled stays due."""
    posted, slot = t - 1, books.slots[b, s]
    pair = tape.pairs[slot.pair]
    seen = look(tape, posted, pair, -1.0, slot.quantity, slot.notional)
    long_fails = short_fails = False
    if tape.rules[0].leg_failure > 0:
        long_fails = leg_fails(tape, pair.long, posted, LONG, CLOSING)
        short_fails = leg_fails(tape, pair.short, posted, SHORT, CLOSING)
    # All or nothing: what is left of a position that shrank by less than that would pay as a taker in any case.
    if seen.quantity < slot.quantity or (long_fails if seen.rested == LONG else short_fails):
        note(books, b, t, RESTED, NOT_FILLED, EXIT, s)
        return
    note(books, b, t, RESTED, WHOLLY_FILLED, EXIT, s)
    leaves = Leaves(not long_fails, not short_fails)
    if leaves.long and leaves.short:
        slot.due = -1
    # Else the other leg stays due, and is taken in step 6 of this hour.
    leave_at(tape, books, b, t, s, SIGNAL, (seen.long, seen.short), leaves)


@seldom
def fill_resting(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Book what rested since t - 1, exits before entries: they free the margin that entries need."""
    if t == 0:  # a first row has no bar before it, and nothing that was ordered in one
        return
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        # A leg that is alone does not wait for a price.
        if slot.status == OPEN and slot.due == t and slot.reason == SIGNAL and not is_alone(books, b, s):
            _fill_resting_exit(tape, books, b, t, s)
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == PENDING and slot.due == t:
            _fill_resting_entry(tape, books, b, t, s)
