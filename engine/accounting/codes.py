"""The kernel of money: settle, mark, protect, fill, book, for B portfolios at once.

Every cash movement of arb is made in this module and nowhere else (docs/design.md sections 3 and 4). Portfolios do not
see each other, so the result of one does not depend on how many are stepped together. No fast-math: the same
numbers come out in the same order wherever the kernel is called from.

Step 3 with ``account: by_exchange``, in this order (``engine.accounting.margin`` says what wallets are worth):

1. Liquidation, exchange by exchange, since an exchange acts by itself and before anyone else: while a wallet is below
   its maintenance margin, its leg with the largest loss is closed at once, filled as protective exits are, with the
   liquidation fee on top. A loss beyond the wallet is charged in full and the wallet goes below zero: whether an
   insurance fund would have paid is not known, and a gift would reward the positions that need it. The other leg stays
   open alone, is marked, settled, margined and may be liquidated too.
2. Protective exits, slot by slot. A leg that was left alone by a liquidation or by a failed entry leaves in the hour
   after (it is known only then); while its price is stale it waits, until the outage rule takes it.
3. A transfer that is due arrives; then, when none is under way, one may leave (``margin.plan_transfer``). It
   arrives ``transfer_hours`` later, after the liquidations of that hour.

A strategy's order of which one leg fails: an entry leaves the other leg alone, to be closed in the next hour's step 3;
an exit is tried again in the next hour's step 6, where it may fail again. An entry of which both fail is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.accounting.books import IN_TRANSIT, STILL_OPEN, Books, Kind, Leg, NoteKind, OrderKind, Reason, Status
from engine.accounting.leg_failure import CLOSING, OPENING, leg_fails
from engine.accounting.margin import (
    FILLABLE,
    NOWHERE,
    ROUNDING,
    against_wallets,
    free_at_wallets,
    must_liquidate,
    plan_transfer,
    value_wallets,
    weakest_leg,
)
from engine.accounting.tape import FILTERED, LEAVES_BY_NOTICE, SILENT, TapeArrays
from engine.compiled import hourly, seldom
from engine.market.data import Floats, Ints
from engine.market.schedule import ACTUAL, IMPUTED

# Compiled code sees plain integers.
FREE, PENDING, OPEN = int(Status.FREE), int(Status.PENDING), int(Status.OPEN)
ENTER, EXIT = int(OrderKind.ENTER), int(OrderKind.EXIT)
FEE, FUNDING, PRICE = int(Kind.FEE), int(Kind.FUNDING), int(Kind.PRICE)
LIQUIDATION_FEE, TRANSFER, TRANSFER_FEE = int(Kind.LIQUIDATION_FEE), int(Kind.TRANSFER), int(Kind.TRANSFER_FEE)
LONG, SHORT, NO_SIDE = int(Leg.LONG), int(Leg.SHORT), int(Leg.NONE)
REFUSED, CANCELLED, FAILED = int(NoteKind.REFUSED), int(NoteKind.CANCELLED), int(NoteKind.FAILED)
SIGNAL, STOP_LOSS, DATA_OUTAGE = int(Reason.SIGNAL), int(Reason.STOP_LOSS), int(Reason.DATA_OUTAGE)
DELISTING, END_OF_DATA = int(Reason.DELISTING), int(Reason.END_OF_DATA)
LIQUIDATION, LEG_FAILURE = int(Reason.LIQUIDATION), int(Reason.LEG_FAILURE)
NO_SUCH_OPPORTUNITY, NO_FREE_SLOT = int(Reason.NO_SUCH_OPPORTUNITY), int(Reason.NO_FREE_SLOT)
ALREADY_HELD, STALE_LEG, TOO_YOUNG = int(Reason.ALREADY_HELD), int(Reason.STALE_LEG), int(Reason.TOO_YOUNG)
SILENT_LEG = int(Reason.SILENT_LEG)
BY_FILTER, NO_VOLUME = int(Reason.FILTERED), int(Reason.NO_VOLUME)
BELOW_MIN_NOTIONAL, MARGIN = int(Reason.BELOW_MIN_NOTIONAL), int(Reason.MARGIN)
NO_POSITION, ALREADY_PENDING = int(Reason.NO_POSITION), int(Reason.ALREADY_PENDING)


@hourly
def _book(
    books: Books, b: int, t: int, position_id: int, kind: int, side: int, leg: int, exchange: int, booking: int,
    quantity: float, price: float, rate: float, amount: float,
) -> None:  # fmt: skip
    """Move cash of the wallet at an exchange (or IN_TRANSIT) and write the ledger entry of the movement."""
    portfolio = books.portfolios[b]
    if kind != TRANSFER:  # its two entries cancel
        portfolio.cash += amount
    if exchange == IN_TRANSIT:
        portfolio.in_transit += amount
    elif books.wallets.shape[1] > 0:
        books.wallets[b, exchange].balance += amount
    capacity = books.ledger.shape[1]
    if capacity == 0:
        return
    if portfolio.ledger_rows == capacity:
        portfolio.overflow = 1
        return
    entry = books.ledger[b, portfolio.ledger_rows]
    entry.hour, entry.position_id, entry.kind, entry.side = t, position_id, kind, side
    entry.leg, entry.exchange, entry.booking, entry.quantity = leg, exchange, booking, quantity
    entry.price, entry.rate, entry.amount = price, rate, amount
    portfolio.ledger_rows += 1


@hourly
def _note(books: Books, b: int, t: int, kind: int, reason: int, order: int, target: int) -> None:
    """Record that an order was refused or cancelled."""
    portfolio = books.portfolios[b]
    if kind == REFUSED:
        portfolio.refused += 1
    capacity = books.notes.shape[1]
    if capacity == 0:
        return
    if portfolio.note_rows == capacity:
        portfolio.overflow = 1
        return
    note = books.notes[b, portfolio.note_rows]
    note.hour, note.kind, note.reason, note.order, note.target = t, kind, reason, order, target
    portfolio.note_rows += 1


@hourly
def unrealised_price_pnl(tape: TapeArrays, books: Books, b: int, s: int, t: int) -> float:
    """Price P&L in USD of the open legs in slot s at the prices known at t; funding and fees not included."""
    slot = books.slots[b, s]
    pair = tape.pairs[slot.pair]
    long_pnl = slot.long_held * (tape.quotes[pair.long, t].price - slot.long_entry)
    short_pnl = slot.short_held * (slot.short_entry - tape.quotes[pair.short, t].price)
    return float(long_pnl + short_pnl)


@hourly
def position_pnl(tape: TapeArrays, books: Books, b: int, s: int, t: int) -> float:
    """P&L in USD so far of the position in slot s: price, realised by a leg that has left too, funding, fees paid."""
    slot = books.slots[b, s]
    still_open = unrealised_price_pnl(tape, books, b, s, t) + slot.funding - slot.entry_fees
    return float(still_open + slot.realised)


@hourly
def _mark_to_market(tape: TapeArrays, books: Books, b: int, t: int) -> float:
    equity = books.portfolios[b].cash
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            equity += unrealised_price_pnl(tape, books, b, s, t)
    return float(equity)


@hourly
def _is_charged(gain: float, kind: int) -> bool:
    """Whether an assumed settlement moves money: one that would pay is worth nothing, and neither is its reversal."""
    return bool(gain < 0) if kind == IMPUTED else bool(gain > 0)


@hourly
def _settle_leg(
    tape: TapeArrays, books: Books, b: int, t: int, leg: int, side: int,
    position_id: int, quantity: float, opened: int, closed: int,
) -> float:  # fmt: skip
    """Book what is due on one leg at t for a position that was open in (opened, closed]; returns the sum in USD."""
    quote = tape.quotes[leg, t]
    total = 0.0
    for k in range(quote.booking_start, quote.booking_start + quote.booking_count):
        booking = tape.bookings[k]
        if opened < booking.settle_hour <= closed:
            signed = -quantity if side == LONG else quantity
            rate = booking.rate
            if booking.kind != ACTUAL and not _is_charged(signed * rate, booking.kind):
                rate = 0.0
            amount = signed * booking.mark * rate + 0.0  # no -0.0
            _book(
                books, b, t, position_id, FUNDING, side, leg, tape.legs[leg].exchange, booking.kind,
                quantity, booking.mark, rate, amount,
            )  # fmt: skip
            total += amount
            if booking.kind == IMPUTED:
                books.portfolios[b].missing_settlements += 1
    return total


@hourly
def _settle(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN:
            pair = tape.pairs[slot.pair]
            for side, leg, closed in ((LONG, pair.long, slot.long_closed), (SHORT, pair.short, slot.short_closed)):
                slot.funding += _settle_leg(tape, books, b, t, leg, side, slot.id, slot.quantity, slot.opened, closed)
    for g in range(books.ghosts.shape[1]):
        ghost = books.ghosts[b, g]
        if ghost.id > 0:
            pair = tape.pairs[ghost.pair]
            for side, leg, closed in ((LONG, pair.long, ghost.long_closed), (SHORT, pair.short, ghost.short_closed)):
                _settle_leg(tape, books, b, t, leg, side, ghost.id, ghost.quantity, ghost.opened, closed)


@hourly
def _keep_ghost(books: Books, b: int, s: int) -> None:
    """Remember a closed position; when there is no place left the one that was closed first is forgotten."""
    capacity = books.ghosts.shape[1]
    if capacity == 0:
        return
    if books.ghosts[b, capacity - 1].id > 0:
        for g in range(1, capacity):
            books.ghosts[b, g - 1] = books.ghosts[b, g]
        books.ghosts[b, capacity - 1].id = 0
    free = 0
    while books.ghosts[b, free].id > 0:
        free += 1
    slot, ghost = books.slots[b, s], books.ghosts[b, free]
    ghost.id, ghost.pair, ghost.quantity, ghost.opened = slot.id, slot.pair, slot.quantity, slot.opened
    ghost.long_closed, ghost.short_closed = slot.long_closed, slot.short_closed


@hourly
def _cost(tape: TapeArrays, leg: int, t: int, notional: float, extra: float) -> float:
    """h + i (+ extra), as a fraction of the fill price before it, cost multiple included."""
    quote, rules = tape.quotes[leg, t], tape.rules[0]
    impact = 0.0
    if rules.impact > 0:
        impact = rules.impact * np.sqrt(notional / quote.volume)
    return float((quote.half_spread + rules.slippage + impact + extra) * rules.cost_multiple)


@hourly
def _raw_fill(tape: TapeArrays, books: Books, b: int, leg: int, t: int, at_last_known: bool) -> float:
    """The first trade after t; where it is unknown (or must not be used) the last known price, counted."""
    quote = tape.quotes[leg, t]
    if np.isnan(quote.fill) or at_last_known:
        books.portfolios[b].fills_at_last_trade += 1
        return float(quote.price)
    return float(quote.fill)


@hourly
def _pay_fee(tape: TapeArrays, books: Books, b: int, t: int, s: int, side: int, leg: int, price: float) -> float:
    """Book the fee of one fill; returns it in USD, positive."""
    slot = books.slots[b, s]
    rate = tape.quotes[leg, t].fee_rate
    fee = rate * slot.quantity * price
    _book(books, b, t, slot.id, FEE, side, leg, tape.legs[leg].exchange, 0, slot.quantity, price, rate, -fee)
    return float(fee)


@hourly
def _pay_liquidation_fee(
    tape: TapeArrays, books: Books, b: int, t: int, s: int, side: int, leg: int, price: float
) -> None:
    slot, rate = books.slots[b, s], tape.rules[0].liquidation_fee
    fee = rate * slot.quantity * price
    exchange = tape.legs[leg].exchange
    _book(books, b, t, slot.id, LIQUIDATION_FEE, side, leg, exchange, 0, slot.quantity, price, rate, -fee)
    slot.liquidation_fees += fee


@hourly
def _realise(
    tape: TapeArrays, books: Books, b: int, t: int, s: int, side: int, leg: int, price: float, amount: float
) -> None:
    """Book the price P&L of a leg that has left."""
    slot = books.slots[b, s]
    exchange = tape.legs[leg].exchange
    _book(books, b, t, slot.id, PRICE, side, leg, exchange, 0, slot.quantity, price, np.nan, amount)
    slot.price_pnl += amount


@hourly
def _write_trade(books: Books, b: int, t: int, s: int, reason: int) -> None:
    portfolio, slot = books.portfolios[b], books.slots[b, s]
    capacity = books.trades.shape[1]
    if capacity == 0:
        return
    if portfolio.trade_rows == capacity:
        portfolio.overflow = 1
        return
    trade = books.trades[b, portfolio.trade_rows]
    trade.position_id, trade.pair, trade.opened, trade.closed = slot.id, slot.pair, slot.opened, t
    trade.long_closed, trade.short_closed = slot.long_closed, slot.short_closed
    trade.reason, trade.quantity, trade.notional = reason, slot.quantity, slot.notional
    trade.long_entry, trade.short_entry = slot.long_entry, slot.short_entry
    trade.long_exit, trade.short_exit = slot.long_exit, slot.short_exit
    if slot.long_closed == slot.opened:
        trade.long_entry = trade.long_exit = np.nan
    if slot.short_closed == slot.opened:
        trade.short_entry = trade.short_exit = np.nan
    trade.entry_fees, trade.exit_fees, trade.funding = slot.entry_fees, slot.exit_fees, slot.funding
    trade.liquidation_fees, trade.price_pnl, trade.slippage = slot.liquidation_fees, slot.price_pnl, slot.slippage
    portfolio.trade_rows += 1


@hourly
def _leave(
    tape: TapeArrays, books: Books, b: int, t: int, s: int, reason: int, long_leaves: bool, short_leaves: bool
) -> None:
    """Sell the long leg, buy back the short one, or one of them; book fees and price P&L.

    When no leg is left write the trade and free the slot. LIQUIDATION as the reason charges its fee.
    """
    slot, rules = books.slots[b, s], tape.rules[0]
    pair = tape.pairs[slot.pair]
    outage = reason == DATA_OUTAGE
    extra = rules.outage_slippage if outage else 0.0
    slippage = 0.0
    if long_leaves:
        raw_long = _raw_fill(tape, books, b, pair.long, t, outage and tape.quotes[pair.long, t].stale > 0)
        slot.long_exit = raw_long * (1.0 - _cost(tape, pair.long, t, slot.notional, extra))
        slippage += slot.quantity * (raw_long - slot.long_exit)
    if short_leaves:
        raw_short = _raw_fill(tape, books, b, pair.short, t, outage and tape.quotes[pair.short, t].stale > 0)
        slot.short_exit = raw_short * (1.0 + _cost(tape, pair.short, t, slot.notional, extra))
        slippage += slot.quantity * (slot.short_exit - raw_short)
    slot.slippage += slippage
    if long_leaves:
        slot.exit_fees += _pay_fee(tape, books, b, t, s, LONG, pair.long, slot.long_exit)
    if short_leaves:
        slot.exit_fees += _pay_fee(tape, books, b, t, s, SHORT, pair.short, slot.short_exit)
    if reason == LIQUIDATION:
        side, leg = (LONG, pair.long) if long_leaves else (SHORT, pair.short)
        _pay_liquidation_fee(tape, books, b, t, s, side, leg, slot.long_exit if long_leaves else slot.short_exit)
    if long_leaves:
        long_pnl = slot.quantity * (slot.long_exit - slot.long_entry)
        _realise(tape, books, b, t, s, LONG, pair.long, slot.long_exit, long_pnl)
        slot.long_held, slot.long_closed = 0.0, t
    if short_leaves:
        short_pnl = slot.quantity * (slot.short_entry - slot.short_exit)
        _realise(tape, books, b, t, s, SHORT, pair.short, slot.short_exit, short_pnl)
        slot.short_held, slot.short_closed = 0.0, t
    slot.realised = slot.price_pnl - slot.exit_fees - slot.liquidation_fees
    if slot.long_held == 0 and slot.short_held == 0:
        _write_trade(books, b, t, s, reason if slot.reason == SIGNAL else slot.reason)
        _keep_ghost(books, b, s)
        slot.status, slot.due = FREE, -1


@hourly
def _close(tape: TapeArrays, books: Books, b: int, t: int, s: int, reason: int) -> None:
    """Close what is open of the position in slot s."""
    _leave(tape, books, b, t, s, reason, books.slots[b, s].long_held > 0, books.slots[b, s].short_held > 0)


@hourly
def _stale_hours(tape: TapeArrays, books: Books, b: int, s: int, t: int) -> int:
    """Hours since the older of the prices of the open legs in slot s."""
    slot = books.slots[b, s]
    pair = tape.pairs[slot.pair]
    long_stale = tape.quotes[pair.long, t].stale if slot.long_held > 0 else 0
    short_stale = tape.quotes[pair.short, t].stale if slot.short_held > 0 else 0
    return int(max(long_stale, short_stale))


@hourly
def _flags_held(tape: TapeArrays, books: Books, b: int, s: int, t: int) -> int:
    """Flags of the open legs in slot s."""
    slot = books.slots[b, s]
    pair = tape.pairs[slot.pair]
    long_flags = tape.quotes[pair.long, t].flags if slot.long_held > 0 else 0
    short_flags = tape.quotes[pair.short, t].flags if slot.short_held > 0 else 0
    return int(long_flags | short_flags)


@hourly
def _protective_reason(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> int:
    """Why an open position must leave now, or SIGNAL (0) when it need not."""
    slot, rules = books.slots[b, s], tape.rules[0]
    if 100.0 * position_pnl(tape, books, b, s, t) / (2.0 * slot.notional) <= rules.stop_loss_pct:
        return STOP_LOSS
    pair = tape.pairs[slot.pair]
    long_quote, short_quote = tape.quotes[pair.long, t], tape.quotes[pair.short, t]
    # What is seldom is asked first: most positions have two legs and nothing the matter with them.
    is_stale = long_quote.stale > 0 or short_quote.stale > 0
    if is_stale and _stale_hours(tape, books, b, s, t) > rules.max_stale:
        return DATA_OUTAGE
    if long_quote.flags | short_quote.flags == 0:
        return SIGNAL
    flags = _flags_held(tape, books, b, s, t)
    if flags & SILENT > 0:
        return DATA_OUTAGE
    return DELISTING if flags & LEAVES_BY_NOTICE > 0 else SIGNAL


@hourly
def _is_alone(books: Books, b: int, s: int) -> bool:
    """Whether a position has one leg only."""
    return bool(books.slots[b, s].long_held == 0 or books.slots[b, s].short_held == 0)


@seldom
def _unwind(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> None:
    """Close a leg that was left alone in an hour before, as soon as its price is fresh or dead, or its funding is."""
    slot = books.slots[b, s]
    stale = _stale_hours(tape, books, b, s, t)
    if slot.due > t:
        return
    if stale > tape.rules[0].max_stale or _flags_held(tape, books, b, s, t) & SILENT > 0:
        _close(tape, books, b, t, s, DATA_OUTAGE)
    elif stale > 0:
        slot.due = t + 1
    else:
        _close(tape, books, b, t, s, SIGNAL)


@hourly
def _protect(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN:
            pair = tape.pairs[slot.pair]
            for leg, held in ((pair.long, slot.long_held), (pair.short, slot.short_held)):
                if tape.quotes[leg, t].stale > 0 and held > 0:
                    books.portfolios[b].stale_hours += 1
            if slot.reason != SIGNAL:
                _unwind(tape, books, b, t, s)
                continue
            reason = _protective_reason(tape, books, b, t, s)
            if reason != SIGNAL:
                _close(tape, books, b, t, s, reason)


@seldom
def _liquidate(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Close legs of wallets that are below their maintenance margin, until none is."""
    value_wallets(tape, books, b, t)
    for e in range(books.wallets.shape[1]):
        while must_liquidate(tape, books, b, e):
            s, side = weakest_leg(tape, books, b, t, e)
            books.slots[b, s].reason, books.slots[b, s].due = LIQUIDATION, t + 1
            _leave(tape, books, b, t, s, LIQUIDATION, side == LONG, side == SHORT)
            value_wallets(tape, books, b, t)


@seldom
def _send(books: Books, b: int, t: int, sender: int, receiver: int, amount: float) -> None:
    """The two entries that take an amount out of one wallet and put it into another."""
    _book(books, b, t, 0, TRANSFER, NO_SIDE, -1, sender, 0, 0.0, np.nan, np.nan, -amount)
    _book(books, b, t, 0, TRANSFER, NO_SIDE, -1, receiver, 0, 0.0, np.nan, np.nan, amount)


@seldom
def _transfer(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Credit the transfer that is due, then begin one when none is under way; wallets are valued afterwards."""
    portfolio, rules = books.portfolios[b], tape.rules[0]
    if portfolio.transit_due >= 0 and t >= portfolio.transit_due:
        _send(books, b, t, IN_TRANSIT, portfolio.transit_to, portfolio.in_transit)
        portfolio.transit_due = -1
    value_wallets(tape, books, b, t)
    if portfolio.transit_due < 0:
        sender, receiver, amount = plan_transfer(tape, books, b)
        if sender != NOWHERE:
            _send(books, b, t, sender, IN_TRANSIT, amount)
            cost = rules.transfer_cost
            _book(books, b, t, 0, TRANSFER_FEE, NO_SIDE, -1, sender, 0, 0.0, np.nan, np.nan, -cost)
            portfolio.transit_to, portfolio.transit_due = receiver, t + rules.transfer_hours
            value_wallets(tape, books, b, t)


@hourly
def open_hour(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Steps 1 to 3 of hour t: settle, mark, protect."""
    _settle(tape, books, b, t)
    if tape.rules[0].by_exchange > 0:
        _liquidate(tape, books, b, t)
    _protect(tape, books, b, t)
    if tape.rules[0].by_exchange > 0:
        _transfer(tape, books, b, t)
    portfolio = books.portfolios[b]
    portfolio.equity = _mark_to_market(tape, books, b, t)
    portfolio.equity_protected = portfolio.equity


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
        if slot.status != FREE and (slot.pair == pair or slot.pair == tape.pairs[pair].mirror):
            return True
    return False


@hourly
def open_notional(books: Books, b: int, s: int) -> float:
    """2N of the position in slot s, or N when one leg of it is open, USD."""
    slot = books.slots[b, s]
    return float(slot.notional if _is_alone(books, b, s) else 2.0 * slot.notional)


@hourly
def _committed_notional(books: Books, b: int) -> float:
    """Sum of N over open legs, USD."""
    total = 0.0
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            total += open_notional(books, b, s)
    return total


@hourly
def _open_positions(books: Books, b: int) -> int:
    count = 0
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            count += 1
    return count


@hourly
def _size(tape: TapeArrays, books: Books, b: int, pair: int) -> float:
    """N: notional per leg of a new position, USD; one that lacks margin may shrink to what is free, not to dust."""
    rules = tape.rules[0]
    equity = books.portfolios[b].equity_protected
    wanted = rules.position_size
    if np.isnan(wanted):
        wanted = equity * rules.position_fraction / 2.0 * rules.leverage
    if rules.fit > 0:
        free = (equity * rules.leverage - _committed_notional(books, b)) / 2.0
        if rules.by_exchange > 0:
            free = min(free, free_at_wallets(tape, books, b, pair))
        if rules.min_notional <= free < wanted:
            return float(free)
    return float(wanted)


@hourly
def _against_entry(tape: TapeArrays, books: Books, b: int, t: int, pair: int, notional: float) -> int:
    """The first reason that forbids filling an entry at t, or FILLABLE."""
    rules = tape.rules[0]
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
    if rules.impact > 0 and (np.isnan(long_quote.volume) or np.isnan(short_quote.volume)):
        return NO_VOLUME
    if notional < rules.min_notional:
        return BELOW_MIN_NOTIONAL
    available = books.portfolios[b].equity_protected * (1.0 + ROUNDING)
    if (_committed_notional(books, b) + 2.0 * notional) / rules.leverage > available:
        return MARGIN
    return int(against_wallets(tape, books, b, pair, notional)) if rules.by_exchange > 0 else FILLABLE


@hourly
def _open(
    tape: TapeArrays, books: Books, b: int, t: int, s: int, pair_index: int, notional: float,
    long_fails: bool, short_fails: bool,
) -> None:  # fmt: skip
    """Buy the long leg, sell the short one, book the entry fees; when one fails the other is left alone."""
    portfolio, slot, pair = books.portfolios[b], books.slots[b, s], tape.pairs[pair_index]
    mid = (tape.quotes[pair.long, t].price + tape.quotes[pair.short, t].price) / 2.0
    slot.status, slot.pair, slot.id, slot.opened, slot.due = OPEN, pair_index, portfolio.next_id, t, -1
    slot.quantity, slot.notional, slot.funding, slot.entry_fees = notional / mid, notional, 0.0, 0.0
    slot.long_held = slot.short_held = slot.quantity
    slot.long_closed, slot.short_closed, slot.reason = STILL_OPEN, STILL_OPEN, SIGNAL
    slot.exit_fees, slot.liquidation_fees, slot.price_pnl, slot.realised, slippage = 0.0, 0.0, 0.0, 0.0, 0.0
    portfolio.next_id += 1
    if long_fails:
        slot.long_held, slot.long_closed, slot.long_entry = 0.0, t, 0.0
    else:
        raw_long = _raw_fill(tape, books, b, pair.long, t, False)
        slot.long_entry = raw_long * (1.0 + _cost(tape, pair.long, t, notional, 0.0))
        slippage += slot.quantity * (slot.long_entry - raw_long)
    if short_fails:
        slot.short_held, slot.short_closed, slot.short_entry = 0.0, t, 0.0
    else:
        raw_short = _raw_fill(tape, books, b, pair.short, t, False)
        slot.short_entry = raw_short * (1.0 - _cost(tape, pair.short, t, notional, 0.0))
        slippage += slot.quantity * (raw_short - slot.short_entry)
    slot.slippage = slippage
    if not long_fails:
        slot.entry_fees += _pay_fee(tape, books, b, t, s, LONG, pair.long, slot.long_entry)
    if not short_fails:
        slot.entry_fees += _pay_fee(tape, books, b, t, s, SHORT, pair.short, slot.short_entry)
    if long_fails or short_fails:
        slot.reason, slot.due = LEG_FAILURE, t + 1
        _note(books, b, t, FAILED, LEG_FAILURE, ENTER, pair_index)


@hourly
def _fill_entry(tape: TapeArrays, books: Books, b: int, t: int, s: int, pair: int, refusal: int) -> None:
    """Fill an entry into slot s, or record why not (``refusal``: REFUSED, or CANCELLED for one that was pending)."""
    notional = _size(tape, books, b, pair)
    reason = _against_entry(tape, books, b, t, pair, notional)
    long_fails = short_fails = False
    if tape.rules[0].leg_failure > 0 and reason == FILLABLE:
        long_fails = leg_fails(tape, tape.pairs[pair].long, t, LONG, OPENING)
        short_fails = leg_fails(tape, tape.pairs[pair].short, t, SHORT, OPENING)
        if long_fails and short_fails:
            reason = LEG_FAILURE
    if reason == FILLABLE:
        _open(tape, books, b, t, s, pair, notional, long_fails, short_fails)
        return
    books.slots[b, s].status, books.slots[b, s].due = FREE, -1
    _note(books, b, t, refusal, reason, ENTER, pair)


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
            slot.due = t + 1
            _note(books, b, t, FAILED, LEG_FAILURE, EXIT, s)
    if long_leaves or short_leaves:
        _leave(tape, books, b, t, s, SIGNAL, long_leaves, short_leaves)


@hourly
def _fill_due_exits(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN and slot.due == t:
            if _stale_hours(tape, books, b, s, t) == 0:
                slot.due = -1
                _fill_exit(tape, books, b, t, s)
            elif _is_alone(books, b, s):
                slot.due = t + 1
            else:
                slot.due = -1
                _note(books, b, t, CANCELLED, STALE_LEG, EXIT, s)


@hourly
def _fill_due_entries(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == PENDING and slot.due == t:
            _fill_entry(tape, books, b, t, s, slot.pair, CANCELLED)


@hourly
def _take_exit(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> None:
    if not 0 <= s < books.slots.shape[1] or books.slots[b, s].status != OPEN:
        _note(books, b, t, REFUSED, NO_POSITION, EXIT, s)
    elif books.slots[b, s].due >= 0:
        _note(books, b, t, REFUSED, ALREADY_PENDING, EXIT, s)
    elif tape.rules[0].latency > 0:
        books.slots[b, s].due = t + tape.rules[0].latency
    else:
        _fill_exit(tape, books, b, t, s)


@hourly
def _take_entry(tape: TapeArrays, books: Books, b: int, t: int, pair: int) -> None:
    s = _lowest_free_slot(books, b)
    if not 0 <= pair < tape.pairs.shape[0]:
        _note(books, b, t, REFUSED, NO_SUCH_OPPORTUNITY, ENTER, pair)
    elif s < 0:
        _note(books, b, t, REFUSED, NO_FREE_SLOT, ENTER, pair)
    elif is_held(tape, books, b, pair):
        _note(books, b, t, REFUSED, ALREADY_HELD, ENTER, pair)
    elif tape.rules[0].latency > 0:
        slot = books.slots[b, s]
        slot.status, slot.pair, slot.due = PENDING, pair, t + tape.rules[0].latency
    else:
        _fill_entry(tape, books, b, t, s, pair, REFUSED)


@hourly
def _store_equity(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    portfolio = books.portfolios[b]
    portfolio.equity = _mark_to_market(tape, books, b, t)
    portfolio.peak = max(portfolio.peak, portfolio.equity)
    capacity = books.hours.shape[1]
    if capacity == 0:
        return
    if portfolio.hour_rows == capacity:
        portfolio.overflow = 1
        return
    row = books.hours[b, portfolio.hour_rows]
    row.hour, row.equity, row.cash = t, portfolio.equity, portfolio.cash
    row.committed, row.open_positions = _committed_notional(books, b), _open_positions(books, b)
    portfolio.hour_rows += 1


@hourly
def fill_hour(tape: TapeArrays, books: Books, b: int, t: int, orders: Any) -> None:
    """Steps 6 and 7 of hour t: orders that fall due, then exits, then entries; store equity."""
    if tape.rules[0].latency > 0 or tape.rules[0].leg_failure > 0:
        _fill_due_exits(tape, books, b, t)
        _fill_due_entries(tape, books, b, t)
    for k in range(orders.shape[0]):
        if orders[k].kind == EXIT:
            _take_exit(tape, books, b, t, orders[k].target)
    for k in range(orders.shape[0]):
        if orders[k].kind == ENTER:
            _take_entry(tape, books, b, t, orders[k].target)
    _store_equity(tape, books, b, t)


@hourly
def close_hour(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """End of data at hour t: cancel what is pending, close what is open, store equity."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == PENDING:
            _note(books, b, t, CANCELLED, END_OF_DATA, ENTER, slot.pair)
            slot.status, slot.due = FREE, -1
        elif slot.status == OPEN:
            if slot.due >= 0 and slot.reason == SIGNAL:
                _note(books, b, t, CANCELLED, END_OF_DATA, EXIT, s)
            _close(tape, books, b, t, s, END_OF_DATA)
    _store_equity(tape, books, b, t)


@hourly
def begin(tape: TapeArrays, books: Books, blank: Books, rows: Ints, which: Ints) -> None:
    """Open hour ``rows[b]`` of every portfolio b in ``which`` with the state of the only portfolio of ``blank``."""
    for b in which:
        books.portfolios[b] = blank.portfolios[0]
        for s in range(books.slots.shape[1]):
            books.slots[b, s] = blank.slots[0, s]
        for g in range(books.ghosts.shape[1]):
            books.ghosts[b, g] = blank.ghosts[0, g]
        for e in range(books.wallets.shape[1]):
            books.wallets[b, e] = blank.wallets[0, e]
        open_hour(tape, books, b, rows[b])


@hourly
def fill(tape: TapeArrays, books: Books, rows: Ints, orders: Any) -> None:
    """Steps 6 and 7 of the open hour ``rows[b]`` of every portfolio b; ``orders`` is ``[B, M]``."""
    for b in range(rows.shape[0]):
        fill_hour(tape, books, b, rows[b], orders[b])


@hourly
def close(tape: TapeArrays, books: Books, rows: Ints) -> None:
    """End of data at the open hour ``rows[b]`` of every portfolio b."""
    for b in range(rows.shape[0]):
        close_hour(tape, books, b, rows[b])


@hourly
def advance(
    tape: TapeArrays,
    books: Books,
    rows: Ints,
    last_rows: Ints,
    close_at_end: bool,
    orders: Any,
    gains: Floats,
) -> None:
    """One step of every portfolio: fill the orders of its hour, open the next one, at the last hour close.

    ``rows`` ``[B]`` moves on by one; ``orders`` is ``[B, M]``; ``gains`` ``[B]`` receives the change of
    mark-to-market equity in USD from one observation to the next, costs included.
    """
    for b in range(rows.shape[0]):
        before = books.portfolios[b].equity_protected
        fill_hour(tape, books, b, rows[b], orders[b])
        rows[b] += 1
        open_hour(tape, books, b, rows[b])
        if close_at_end and rows[b] == last_rows[b]:
            close_hour(tape, books, b, rows[b])
        gains[b] = books.portfolios[b].equity - before
