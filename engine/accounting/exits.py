"""Exits: how legs leave, whoever wants it, and the exits that a strategy orders (step 6).

An exit of which one leg fails is tried again in the next hour's step 6, where it may fail again.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.accounting.booking import keep_awaiting_settlement, note, write_trade
from engine.accounting.books import Books
from engine.accounting.codes import (
    ALREADY_PENDING,
    CANCELLED,
    DATA_OUTAGE,
    EXIT,
    FAILED,
    FREE,
    LEG_FAILURE,
    LIQUIDATION,
    LONG,
    NO_POSITION,
    OPEN,
    REFUSED,
    SHORT,
    SIGNAL,
    STALE_LEG,
)
from engine.accounting.costs import Fill, Taking, pay_fee, pay_liquidation_fee, realise, take
from engine.accounting.leg_failure import CLOSING, leg_fails
from engine.accounting.marking import is_alone, stale_hours
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly


class Leaves(NamedTuple):
    """Which legs of a position leave."""

    long: bool
    short: bool


@hourly
def leave_at(
    tape: TapeArrays, books: Books, b: int, t: int, s: int, reason: int, fills: tuple[Fill, Fill], leaves: Leaves
) -> None:
    """Let the long leg, the short one, or both leave at the fills of (long, short); book fees and price P&L.

    When no leg is left write the trade and free the slot. LIQUIDATION as the reason charges its fee.
    """
    slot, (long_fill, short_fill) = books.slots[b, s], fills
    slippage = 0.0
    if leaves.long:
        slot.long_exit = long_fill.price
        slippage += slot.quantity * (long_fill.raw - slot.long_exit)
    if leaves.short:
        slot.short_exit = short_fill.price
        slippage += slot.quantity * (slot.short_exit - short_fill.raw)
    slot.slippage += slippage
    if leaves.long:
        slot.exit_fees += pay_fee(tape, books, b, t, slot, long_fill, slot.quantity)
    if leaves.short:
        slot.exit_fees += pay_fee(tape, books, b, t, slot, short_fill, slot.quantity)
    if reason == LIQUIDATION:
        # Liquidations take one leg at a time, so one of the two is the leg.
        pay_liquidation_fee(tape, books, b, t, slot, long_fill if leaves.long else short_fill)
    if leaves.long:
        long_pnl = slot.quantity * (slot.long_exit - slot.long_entry)
        realise(tape, books, b, t, slot, long_fill, long_pnl)
        slot.long_held, slot.long_closed = 0.0, t
    if leaves.short:
        short_pnl = slot.quantity * (slot.short_entry - slot.short_exit)
        realise(tape, books, b, t, slot, short_fill, short_pnl)
        slot.short_held, slot.short_closed = 0.0, t
    slot.realised = slot.price_pnl - slot.exit_fees - slot.liquidation_fees
    if slot.long_held == 0 and slot.short_held == 0:
        # What left a leg alone (a liquidation, a failure) is the reason, not how the other one went afterwards.
        write_trade(books, b, t, s, reason if slot.reason == SIGNAL else slot.reason)
        keep_awaiting_settlement(books, b, s)
        slot.status, slot.due = FREE, -1


@hourly
def leave(
    tape: TapeArrays, books: Books, b: int, t: int, s: int, reason: int, long_leaves: bool, short_leaves: bool
) -> None:
    """Sell the long leg, buy back the short one, or one of them, as a taker at row t (``leave_at``)."""
    portfolio, slot = books.portfolios[b], books.slots[b, s]
    pair, outage = tape.pairs[slot.pair], reason == DATA_OUTAGE
    long_fill, short_fill = Fill(LONG, pair.long, 0.0, 0.0, 0.0), Fill(SHORT, pair.short, 0.0, 0.0, 0.0)
    if long_leaves:
        long_fill = take(tape, portfolio, t, Taking(LONG, pair.long, -1.0, slot.quantity, slot.notional), outage)
    if short_leaves:
        short_fill = take(tape, portfolio, t, Taking(SHORT, pair.short, 1.0, slot.quantity, slot.notional), outage)
    leave_at(tape, books, b, t, s, reason, (long_fill, short_fill), Leaves(long_leaves, short_leaves))


@hourly
def close_position(tape: TapeArrays, books: Books, b: int, t: int, s: int, reason: int) -> None:
    """Close what is open of the position in slot s."""
    leave(tape, books, b, t, s, reason, books.slots[b, s].long_held > 0, books.slots[b, s].short_held > 0)


@hourly
def _fill_exit(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> None:
    """Close what is open in slot s for the strategy; a leg that fails stays and is tried again in the next hour."""
    slot = books.slots[b, s]
    long_leaves, short_leaves = slot.long_held > 0, slot.short_held > 0
    if tape.rules[0].leg_failure > 0:
        pair = tape.pairs[slot.pair]
        long_fails = long_leaves and leg_fails(tape, pair.long, t, LONG, CLOSING)
        short_fails = short_leaves and leg_fails(tape, pair.short, t, SHORT, CLOSING)
        long_leaves, short_leaves = long_leaves and not long_fails, short_leaves and not short_fails
        if long_fails or short_fails:
            # The reason stays SIGNAL: until the leg has gone, stop-loss and outage rules watch it like any position.
            slot.due = t + 1
            note(books, b, t, FAILED, LEG_FAILURE, EXIT, s)
    if long_leaves or short_leaves:
        leave(tape, books, b, t, s, SIGNAL, long_leaves, short_leaves)


@hourly
def fill_due_exits(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Fill the pending exits that fall due at t; a stale leg cancels one, and a leg that is alone waits."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN and slot.due == t:
            if stale_hours(tape, books, b, s, t) == 0:
                slot.due = -1
                _fill_exit(tape, books, b, t, s)
            elif is_alone(books, b, s):
                # To cancel would keep one leg without the other, with all of the price risk.
                slot.due = t + 1
            else:
                slot.due = -1
                note(books, b, t, CANCELLED, STALE_LEG, EXIT, s)


@hourly
def take_exit(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> None:
    """Take an order to close slot s: fill it now, let it wait for the latency, or refuse it."""
    if not 0 <= s < books.slots.shape[1] or books.slots[b, s].status != OPEN:
        note(books, b, t, REFUSED, NO_POSITION, EXIT, s)
    elif books.slots[b, s].due >= 0:
        note(books, b, t, REFUSED, ALREADY_PENDING, EXIT, s)
    elif tape.rules[0].latency > 0:
        books.slots[b, s].due = t + tape.rules[0].latency
    else:
        _fill_exit(tape, books, b, t, s)
