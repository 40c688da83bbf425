"""Entries: how large, whether the rules allow them, and how they are filled (step 6).

An entry of which one leg fails leaves the other one alone, to be closed in the next hour's step 3; one of which both
fail is refused.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.accounting.booking import note
from engine.accounting.books import STILL_OPEN, Books
from engine.accounting.codes import (
    ALREADY_HELD,
    BELOW_EXCHANGE_MINIMUM,
    BELOW_MIN_NOTIONAL,
    BY_FILTER,
    CANCELLED,
    DELISTING,
    ENTER,
    FAILED,
    FREE,
    LEG_FAILURE,
    LONG,
    MARGIN,
    NO_FREE_SLOT,
    NO_SUCH_OPPORTUNITY,
    NO_VOLUME,
    NOT_FILLED,
    OPEN,
    PENDING,
    REFUSED,
    SHORT,
    SIGNAL,
    SILENT_LEG,
    STALE_LEG,
    THIN_BOOK,
    TOO_YOUNG,
)
from engine.accounting.costs import Fill, Taking, pay_fee, take
from engine.accounting.instruments import against_instruments, are_known, common_lot, in_lots
from engine.accounting.leg_failure import OPENING, leg_fails
from engine.accounting.margin import FILLABLE, ROUNDING, against_wallets, free_at_wallets
from engine.accounting.marking import committed_notional
from engine.accounting.order_books import books_are_known, fitting
from engine.accounting.tape import FILTERED, LEAVES_BY_NOTICE, SILENT, TapeArrays
from engine.compiled import hourly, seldom


class Entry(NamedTuple):
    """A position to be opened: index of its pair, base quantity of both legs, N in USD.

    ``is_cut``: it was to be larger, and the order books are too thin for that.
    """

    pair: int
    quantity: float
    notional: float
    is_cut: bool


class Failed(NamedTuple):
    """Of which legs the order failed."""

    long: bool
    short: bool


@hourly
def _lowest_free_slot(books: Books, b: int) -> int:
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == FREE:
            return s
    return -1


@hourly
def is_held(tape: TapeArrays, books: Books, b: int, pair: int) -> bool:
    """Whether the pair or its mirror is held or has a pending entry."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        # The mirror would cancel the position and pay four fills for it. A pending entry counts, or two could be sent.
        if slot.status != FREE and (slot.pair == pair or slot.pair == tape.pairs[pair].mirror):
            return True
    return False


@hourly
def size(tape: TapeArrays, books: Books, b: int, pair: int) -> float:
    """N: notional per leg of a new position, USD; one that lacks margin may shrink to what is free, not to dust."""
    rules = tape.rules[0]
    # As of step 3, so that what was filled before it in this hour does not change the size of an entry.
    equity = books.portfolios[b].equity_protected
    wanted = rules.position_size
    if np.isnan(wanted):
        # The fraction is of both legs together, N is one leg.
        wanted = equity * rules.position_fraction / 2.0 * rules.leverage
    if rules.fit > 0:
        free = (equity * rules.leverage - committed_notional(books, b)) / 2.0
        if rules.by_exchange > 0:
            free = min(free, free_at_wallets(tape, books, b, pair))
        # Where less than the least size is free, the full size goes on and is refused for margin: dust is never opened.
        if rules.min_notional <= free < wanted:
            return float(free)
    return float(wanted)


@seldom
def fitting_both(tape: TapeArrays, t: int, pair: int, quantity: float) -> float:
    """As much of an entry as neither leg walks too far for at row t: both have the same quantity."""
    legs = tape.pairs[pair]
    return float(min(fitting(tape, legs.long, t, 1.0, quantity), fitting(tape, legs.short, t, -1.0, quantity)))


@hourly
def sized(tape: TapeArrays, books: Books, b: int, t: int, pair: int) -> Entry:
    """A new position by the prices of row t: one base quantity for both legs, whole lots where these are known."""
    notional = size(tape, books, b, pair)
    # From each leg's own price the quantities would differ, and the rest would be a bet on the price.
    mid = (tape.quotes[tape.pairs[pair].long, t].price + tape.quotes[tape.pairs[pair].short, t].price) / 2.0
    quantity, is_cut = notional / mid, False
    if books_are_known(tape):
        most = fitting_both(tape, t, pair, quantity)
        if most < quantity:
            quantity, notional, is_cut = most, most * mid, True
    if are_known(tape):
        lot = common_lot(tape, tape.pairs[pair], t)
        if lot > 0.0:
            quantity = in_lots(quantity, lot)
            notional = quantity * mid
    return Entry(pair, quantity, notional, is_cut)


@hourly
def against_entry(tape: TapeArrays, books: Books, b: int, t: int, entry: Entry) -> int:
    """The first reason that forbids filling an entry at t, or FILLABLE."""
    rules, pair, notional = tape.rules[0], entry.pair, entry.notional
    long_quote, short_quote = tape.quotes[tape.pairs[pair].long, t], tape.quotes[tape.pairs[pair].short, t]
    if long_quote.stale != 0 or short_quote.stale != 0:
        return STALE_LEG
    if min(long_quote.fresh_hours, short_quote.fresh_hours) < rules.min_history:
        return TOO_YOUNG
    flags = long_quote.flags | short_quote.flags
    if flags & SILENT > 0:
        return SILENT_LEG
    if flags & LEAVES_BY_NOTICE > 0:
        return DELISTING
    if flags & FILTERED > 0:
        return BY_FILTER
    # Unknown volume taken for no impact would make the thinnest coins the cheapest.
    if rules.impact > 0 and (np.isnan(long_quote.volume) or np.isnan(short_quote.volume)):
        return NO_VOLUME
    if are_known(tape):
        reason = against_instruments(tape, tape.pairs[pair], t, entry.quantity)
        if reason == BELOW_EXCHANGE_MINIMUM and entry.is_cut:
            return THIN_BOOK
        if reason != FILLABLE:
            return int(reason)
    if notional < rules.min_notional:
        return THIN_BOOK if entry.is_cut else BELOW_MIN_NOTIONAL
    available = books.portfolios[b].equity_protected * (1.0 + ROUNDING)
    if (committed_notional(books, b) + 2.0 * notional) / rules.leverage > available:
        return MARGIN
    return int(against_wallets(tape, books, b, pair, notional)) if rules.by_exchange > 0 else FILLABLE


@hourly
def _hold(books: Books, b: int, t: int, s: int, entry: Entry) -> None:
    """Give slot s to a new position of both legs, to which nothing has happened yet."""
    portfolio, slot = books.portfolios[b], books.slots[b, s]
    slot.status, slot.pair, slot.id, slot.opened, slot.due = OPEN, entry.pair, portfolio.next_id, t, -1
    slot.quantity, slot.notional, slot.funding, slot.entry_fees = entry.quantity, entry.notional, 0.0, 0.0
    slot.long_held = slot.short_held = slot.quantity
    slot.long_closed, slot.short_closed, slot.reason = STILL_OPEN, STILL_OPEN, SIGNAL
    slot.exit_fees, slot.liquidation_fees, slot.price_pnl, slot.realised = 0.0, 0.0, 0.0, 0.0
    portfolio.next_id += 1


@hourly
def open_at(
    tape: TapeArrays, books: Books, b: int, t: int, s: int, entry: Entry, fills: tuple[Fill, Fill], failed: Failed
) -> None:
    """Buy the long leg and sell the short one at the fills of (long, short), book the entry fees.

    A leg of which the order failed leaves the other one alone.
    """
    slot, (long_fill, short_fill) = books.slots[b, s], fills
    _hold(books, b, t, s, entry)
    slippage = 0.0
    if failed.long:
        # Closed in the hour of the entry: no settlement can fall between the two, so none is booked on it.
        slot.long_held, slot.long_closed, slot.long_entry = 0.0, t, 0.0
    else:
        slot.long_entry = long_fill.price
        slippage += slot.quantity * (slot.long_entry - long_fill.raw)
    if failed.short:
        slot.short_held, slot.short_closed, slot.short_entry = 0.0, t, 0.0
    else:
        slot.short_entry = short_fill.price
        slippage += slot.quantity * (short_fill.raw - slot.short_entry)
    slot.slippage = slippage
    if not failed.long:
        slot.entry_fees += pay_fee(tape, books, b, t, slot, long_fill, slot.quantity)
    if not failed.short:
        slot.entry_fees += pay_fee(tape, books, b, t, slot, short_fill, slot.quantity)
    if failed.long or failed.short:
        # The failure is known only after the hour: the other leg leaves in step 3 of the next one.
        slot.reason, slot.due = LEG_FAILURE, t + 1
        note(books, b, t, FAILED, LEG_FAILURE, ENTER, entry.pair)


@hourly
def _open(tape: TapeArrays, books: Books, b: int, t: int, s: int, entry: Entry, failed: Failed) -> None:
    """Take both legs at row t, but for one whose order failed."""
    portfolio, pair, quantity, notional = books.portfolios[b], tape.pairs[entry.pair], entry.quantity, entry.notional
    long_fill, short_fill = Fill(LONG, pair.long, 0.0, 0.0, 0.0), Fill(SHORT, pair.short, 0.0, 0.0, 0.0)
    if not failed.long:
        long_fill = take(tape, portfolio, t, Taking(LONG, pair.long, 1.0, quantity, notional), False)
    if not failed.short:
        short_fill = take(tape, portfolio, t, Taking(SHORT, pair.short, -1.0, quantity, notional), False)
    open_at(tape, books, b, t, s, entry, (long_fill, short_fill), failed)


@hourly
def _fill_entry(tape: TapeArrays, books: Books, b: int, t: int, s: int, pair: int, refusal: int) -> None:
    """Fill an entry into slot s, or record why not (``refusal``: REFUSED, or CANCELLED for one that was pending)."""
    # Sized and checked at the fill: with latency, equity and market are no longer those of the order.
    entry = sized(tape, books, b, t, pair)
    reason = against_entry(tape, books, b, t, entry)
    long_fails = short_fails = False
    if tape.rules[0].leg_failure > 0 and reason == FILLABLE:
        long_fails = leg_fails(tape, tape.pairs[pair].long, t, LONG, OPENING)
        short_fails = leg_fails(tape, tape.pairs[pair].short, t, SHORT, OPENING)
        if long_fails and short_fails:
            reason = LEG_FAILURE
    if reason == FILLABLE:
        _open(tape, books, b, t, s, entry, Failed(long_fails, short_fails))
        return
    books.slots[b, s].status, books.slots[b, s].due = FREE, -1
    note(books, b, t, refusal, reason, ENTER, pair)


@hourly
def fill_due_entries(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Fill the pending entries that fall due at t; one that may not be filled then is cancelled."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == PENDING and slot.due == t and tape.rules[0].gives_up > 0:
            slot.status, slot.due = FREE, -1
            note(books, b, t, CANCELLED, NOT_FILLED, ENTER, slot.pair)
        elif slot.status == PENDING and slot.due == t:
            _fill_entry(tape, books, b, t, s, slot.pair, CANCELLED)


@hourly
def take_entry(tape: TapeArrays, books: Books, b: int, t: int, pair: int) -> None:
    """Take an order to enter a pair: fill it now, let it wait for the latency in a slot, or refuse it."""
    s = _lowest_free_slot(books, b)
    if not 0 <= pair < tape.pairs.shape[0]:
        note(books, b, t, REFUSED, NO_SUCH_OPPORTUNITY, ENTER, pair)
    elif s < 0:
        note(books, b, t, REFUSED, NO_FREE_SLOT, ENTER, pair)
    elif is_held(tape, books, b, pair):
        note(books, b, t, REFUSED, ALREADY_HELD, ENTER, pair)
    elif tape.rules[0].latency > 0:
        slot = books.slots[b, s]
        # It takes the slot now. If it did so at the fill, more entries could wait than there are slots.
        slot.status, slot.pair, slot.due = PENDING, pair, t + tape.rules[0].latency
    else:
        _fill_entry(tape, books, b, t, s, pair, REFUSED)
