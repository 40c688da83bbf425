"""The kernel of money: settle, mark, protect, fill, book, for B portfolios at once.

Every cash movement of arb is made in this module and nowhere else (DESIGN.md sections 3 and 4). Portfolios do not
see each other, so the result of one does not depend on how many are stepped together. No fast-math: the same
numbers come out in the same order wherever the kernel is called from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.books import Books, Kind, Leg, NoteKind, OrderKind, Reason, Status
from engine.compiled import hourly
from engine.market import Floats, Ints
from engine.settlements import IMPUTED
from engine.tape import TapeArrays

# Compiled code sees plain integers.
FREE, PENDING, OPEN = int(Status.FREE), int(Status.PENDING), int(Status.OPEN)
ENTER, EXIT = int(OrderKind.ENTER), int(OrderKind.EXIT)
FEE, FUNDING, PRICE = int(Kind.FEE), int(Kind.FUNDING), int(Kind.PRICE)
LONG, SHORT = int(Leg.LONG), int(Leg.SHORT)
REFUSED, CANCELLED = int(NoteKind.REFUSED), int(NoteKind.CANCELLED)
SIGNAL, STOP_LOSS, DATA_OUTAGE = int(Reason.SIGNAL), int(Reason.STOP_LOSS), int(Reason.DATA_OUTAGE)
DELISTING, END_OF_DATA = int(Reason.DELISTING), int(Reason.END_OF_DATA)
NO_SUCH_OPPORTUNITY, NO_FREE_SLOT = int(Reason.NO_SUCH_OPPORTUNITY), int(Reason.NO_FREE_SLOT)
ALREADY_HELD, STALE_LEG, TOO_YOUNG = int(Reason.ALREADY_HELD), int(Reason.STALE_LEG), int(Reason.TOO_YOUNG)
FILTERED, NO_VOLUME = int(Reason.FILTERED), int(Reason.NO_VOLUME)
BELOW_MIN_NOTIONAL, MARGIN = int(Reason.BELOW_MIN_NOTIONAL), int(Reason.MARGIN)
NO_POSITION, ALREADY_PENDING = int(Reason.NO_POSITION), int(Reason.ALREADY_PENDING)

ROUNDING = 1e-9
"""Relative slack of the margin check, so that full use of capital in equal parts is not refused by a last bit."""
FILLABLE = -1
"""No reason against an entry."""


@hourly
def _book(
    books: Books, b: int, t: int, position_id: int, kind: int, side: int, leg: int, booking: int,
    quantity: float, price: float, rate: float, amount: float,
) -> None:  # fmt: skip
    """Move cash and write the ledger entry of the movement."""
    portfolio = books.portfolios[b]
    portfolio.cash += amount
    capacity = books.ledger.shape[1]
    if capacity == 0:
        return
    if portfolio.ledger_rows == capacity:
        portfolio.overflow = 1
        return
    entry = books.ledger[b, portfolio.ledger_rows]
    entry.hour, entry.position_id, entry.kind, entry.side = t, position_id, kind, side
    entry.leg, entry.booking, entry.quantity = leg, booking, quantity
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
    """Price P&L in USD of the open position in slot s at the prices known at t; funding and fees not included."""
    slot = books.slots[b, s]
    pair = tape.pairs[slot.pair]
    long_pnl = slot.quantity * (tape.quotes[pair.long, t].price - slot.long_entry)
    short_pnl = slot.quantity * (slot.short_entry - tape.quotes[pair.short, t].price)
    return float(long_pnl + short_pnl)


@hourly
def _mark_to_market(tape: TapeArrays, books: Books, b: int, t: int) -> float:
    equity = books.portfolios[b].cash
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            equity += unrealised_price_pnl(tape, books, b, s, t)
    return float(equity)


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
            amount = signed * booking.mark * booking.rate
            _book(
                books, b, t, position_id, FUNDING, side, leg, booking.kind,
                quantity, booking.mark, booking.rate, amount,
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
            for side, leg in ((LONG, pair.long), (SHORT, pair.short)):
                slot.funding += _settle_leg(tape, books, b, t, leg, side, slot.id, slot.quantity, slot.opened, t)
    for g in range(books.ghosts.shape[1]):
        ghost = books.ghosts[b, g]
        if ghost.id > 0:
            pair = tape.pairs[ghost.pair]
            for side, leg in ((LONG, pair.long), (SHORT, pair.short)):
                _settle_leg(tape, books, b, t, leg, side, ghost.id, ghost.quantity, ghost.opened, ghost.closed)


@hourly
def _keep_ghost(books: Books, b: int, t: int, s: int) -> None:
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
    ghost.id, ghost.pair, ghost.quantity = slot.id, slot.pair, slot.quantity
    ghost.opened, ghost.closed = slot.opened, t


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
    _book(books, b, t, slot.id, FEE, side, leg, 0, slot.quantity, price, rate, -fee)
    return float(fee)


@hourly
def _close(tape: TapeArrays, books: Books, b: int, t: int, s: int, reason: int) -> None:
    """Sell the long leg, buy back the short one, book fees and price P&L, write the trade, free the slot."""
    slot, rules = books.slots[b, s], tape.rules[0]
    pair = tape.pairs[slot.pair]
    outage = reason == DATA_OUTAGE
    extra = rules.outage_slippage if outage else 0.0
    raw_long = _raw_fill(tape, books, b, pair.long, t, outage and tape.quotes[pair.long, t].stale > 0)
    raw_short = _raw_fill(tape, books, b, pair.short, t, outage and tape.quotes[pair.short, t].stale > 0)
    long_exit = raw_long * (1.0 - _cost(tape, pair.long, t, slot.notional, extra))
    short_exit = raw_short * (1.0 + _cost(tape, pair.short, t, slot.notional, extra))
    fees = _pay_fee(tape, books, b, t, s, LONG, pair.long, long_exit)
    fees += _pay_fee(tape, books, b, t, s, SHORT, pair.short, short_exit)
    long_pnl = slot.quantity * (long_exit - slot.long_entry)
    short_pnl = slot.quantity * (slot.short_entry - short_exit)
    _book(books, b, t, slot.id, PRICE, LONG, pair.long, 0, slot.quantity, long_exit, np.nan, long_pnl)
    _book(books, b, t, slot.id, PRICE, SHORT, pair.short, 0, slot.quantity, short_exit, np.nan, short_pnl)
    slot.slippage += slot.quantity * (raw_long - long_exit) + slot.quantity * (short_exit - raw_short)
    _write_trade(books, b, t, s, reason, long_exit, short_exit, fees, long_pnl + short_pnl)
    _keep_ghost(books, b, t, s)
    slot.status, slot.due = FREE, -1


@hourly
def _write_trade(
    books: Books,
    b: int,
    t: int,
    s: int,
    reason: int,
    long_exit: float,
    short_exit: float,
    fees: float,
    price_pnl: float,
) -> None:
    portfolio, slot = books.portfolios[b], books.slots[b, s]
    capacity = books.trades.shape[1]
    if capacity == 0:
        return
    if portfolio.trade_rows == capacity:
        portfolio.overflow = 1
        return
    trade = books.trades[b, portfolio.trade_rows]
    trade.position_id, trade.pair, trade.opened, trade.closed = slot.id, slot.pair, slot.opened, t
    trade.reason, trade.quantity, trade.notional = reason, slot.quantity, slot.notional
    trade.long_entry, trade.short_entry = slot.long_entry, slot.short_entry
    trade.long_exit, trade.short_exit = long_exit, short_exit
    trade.entry_fees, trade.exit_fees, trade.funding = slot.entry_fees, fees, slot.funding
    trade.price_pnl, trade.slippage = price_pnl, slot.slippage
    portfolio.trade_rows += 1


@hourly
def _protective_reason(tape: TapeArrays, books: Books, b: int, t: int, s: int) -> int:
    """Why an open position must leave now, or SIGNAL (0) when it need not."""
    slot, rules = books.slots[b, s], tape.rules[0]
    pair = tape.pairs[slot.pair]
    long_quote, short_quote = tape.quotes[pair.long, t], tape.quotes[pair.short, t]
    pnl = unrealised_price_pnl(tape, books, b, s, t) + slot.funding - slot.entry_fees
    if 100.0 * pnl / (2.0 * slot.notional) <= rules.stop_loss_pct:
        return STOP_LOSS
    if max(long_quote.stale, short_quote.stale) > rules.max_stale:
        return DATA_OUTAGE
    if long_quote.delisting + short_quote.delisting > 0:
        return DELISTING
    return SIGNAL


@hourly
def _protect(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            pair = tape.pairs[books.slots[b, s].pair]
            for leg in (pair.long, pair.short):
                if tape.quotes[leg, t].stale > 0:
                    books.portfolios[b].stale_hours += 1
            reason = _protective_reason(tape, books, b, t, s)
            if reason != SIGNAL:
                _close(tape, books, b, t, s, reason)


@hourly
def open_hour(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Steps 1 to 3 of hour t: settle, mark, protect."""
    _settle(tape, books, b, t)
    _protect(tape, books, b, t)
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
def _committed_notional(books: Books, b: int) -> float:
    """Sum of 2N over open positions, USD."""
    total = 0.0
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            total += 2.0 * books.slots[b, s].notional
    return total


@hourly
def _open_positions(books: Books, b: int) -> int:
    count = 0
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            count += 1
    return count


@hourly
def _size(tape: TapeArrays, books: Books, b: int) -> float:
    """N: notional per leg of a new position, USD."""
    rules = tape.rules[0]
    if not np.isnan(rules.position_size):
        return float(rules.position_size)
    return float(books.portfolios[b].equity_protected * rules.position_fraction / 2.0 * rules.leverage)


@hourly
def _against_entry(tape: TapeArrays, books: Books, b: int, t: int, pair: int, notional: float) -> int:
    """The first reason that forbids filling an entry at t, or FILLABLE."""
    rules = tape.rules[0]
    long_quote, short_quote = tape.quotes[tape.pairs[pair].long, t], tape.quotes[tape.pairs[pair].short, t]
    if long_quote.stale != 0 or short_quote.stale != 0:
        return STALE_LEG
    if min(long_quote.fresh_hours, short_quote.fresh_hours) < rules.min_history:
        return TOO_YOUNG
    if long_quote.delisting + short_quote.delisting > 0:
        return DELISTING
    if long_quote.filtered + short_quote.filtered > 0:
        return FILTERED
    if rules.impact > 0 and (np.isnan(long_quote.volume) or np.isnan(short_quote.volume)):
        return NO_VOLUME
    if notional < rules.min_notional:
        return BELOW_MIN_NOTIONAL
    available = books.portfolios[b].equity_protected * (1.0 + ROUNDING)
    if (_committed_notional(books, b) + 2.0 * notional) / rules.leverage > available:
        return MARGIN
    return FILLABLE


@hourly
def _open(tape: TapeArrays, books: Books, b: int, t: int, s: int, pair_index: int, notional: float) -> None:
    """Buy the long leg, sell the short one, book the entry fees."""
    portfolio, slot, pair = books.portfolios[b], books.slots[b, s], tape.pairs[pair_index]
    mid = (tape.quotes[pair.long, t].price + tape.quotes[pair.short, t].price) / 2.0
    raw_long = _raw_fill(tape, books, b, pair.long, t, False)
    raw_short = _raw_fill(tape, books, b, pair.short, t, False)
    slot.status, slot.pair, slot.id, slot.opened, slot.due = OPEN, pair_index, portfolio.next_id, t, -1
    slot.quantity, slot.notional, slot.funding = notional / mid, notional, 0.0
    slot.long_entry = raw_long * (1.0 + _cost(tape, pair.long, t, notional, 0.0))
    slot.short_entry = raw_short * (1.0 - _cost(tape, pair.short, t, notional, 0.0))
    long_slippage = slot.quantity * (slot.long_entry - raw_long)
    slot.slippage = long_slippage + slot.quantity * (raw_short - slot.short_entry)
    portfolio.next_id += 1
    fees = _pay_fee(tape, books, b, t, s, LONG, pair.long, slot.long_entry)
    slot.entry_fees = fees + _pay_fee(tape, books, b, t, s, SHORT, pair.short, slot.short_entry)


@hourly
def _fill_entry(tape: TapeArrays, books: Books, b: int, t: int, s: int, pair: int, refusal: int) -> None:
    """Fill an entry into slot s, or record why not (``refusal``: REFUSED, or CANCELLED for one that was pending)."""
    notional = _size(tape, books, b)
    reason = _against_entry(tape, books, b, t, pair, notional)
    if reason == FILLABLE:
        _open(tape, books, b, t, s, pair, notional)
        return
    books.slots[b, s].status, books.slots[b, s].due = FREE, -1
    _note(books, b, t, refusal, reason, ENTER, pair)


@hourly
def _fill_due_exits(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN and slot.due == t:
            pair = tape.pairs[slot.pair]
            slot.due = -1
            if max(tape.quotes[pair.long, t].stale, tape.quotes[pair.short, t].stale) > 0:
                _note(books, b, t, CANCELLED, STALE_LEG, EXIT, s)
            else:
                _close(tape, books, b, t, s, SIGNAL)


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
        _close(tape, books, b, t, s, SIGNAL)


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
def fill_hour(tape: TapeArrays, books: Books, b: int, t: int, orders: Any) -> None:
    """Steps 6 and 7 of hour t: orders that fall due, then exits, then entries; store equity."""
    if tape.rules[0].latency > 0:
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
def close_hour(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """End of data at hour t: cancel what is pending, close what is open, store equity."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == PENDING:
            _note(books, b, t, CANCELLED, END_OF_DATA, ENTER, slot.pair)
            slot.status, slot.due = FREE, -1
        elif slot.status == OPEN:
            if slot.due >= 0:
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
