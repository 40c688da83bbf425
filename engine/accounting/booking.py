"""The only place that moves cash, and the only writer of records: ledger, trades, notes, hours.

Whoever has money to move describes the movement and calls ``book``: cash, the wallet it lies in and the ledger change
together or not at all, so that equity is always the initial capital, all ledger entries and what is unrealised. A
record buffer of capacity 0 records nothing; the money moves all the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.accounting.books import IN_TRANSIT, Books
from engine.accounting.codes import REFUSED, TRANSFER
from engine.accounting.marking import committed_notional, mark_to_market, open_positions
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly


class Movement(NamedTuple):
    """One movement of cash: an entry of the ledger but for its hour (``books.LEDGER`` has units and signs)."""

    position_id: int  # 0: of a wallet and no position
    kind: int
    side: int
    leg: int
    exchange: int
    booking: int
    quantity: float
    price: float
    rate: float
    amount: float


@hourly
def book(books: Books, b: int, t: int, movement: Movement) -> None:
    """Move cash of the wallet at an exchange (or IN_TRANSIT) and write the ledger entry of the movement."""
    portfolio = books.portfolios[b]
    if movement.kind != TRANSFER:  # its two entries cancel
        portfolio.cash += movement.amount
    if movement.exchange == IN_TRANSIT:
        portfolio.in_transit += movement.amount
    elif books.wallets.shape[1] > 0:
        books.wallets[b, movement.exchange].balance += movement.amount
    capacity = books.ledger.shape[1]
    if capacity == 0:
        return
    # The cash has moved; what does not fit is only the record, and ``HourlyLoop.drain`` makes an error of the flag.
    if portfolio.ledger_rows == capacity:
        portfolio.overflow = 1
        return
    entry = books.ledger[b, portfolio.ledger_rows]
    entry.hour, entry.position_id, entry.kind, entry.side = t, movement.position_id, movement.kind, movement.side
    entry.leg, entry.exchange, entry.booking = movement.leg, movement.exchange, movement.booking
    entry.quantity, entry.price = movement.quantity, movement.price
    entry.rate, entry.amount = movement.rate, movement.amount
    portfolio.ledger_rows += 1


@hourly
def note(books: Books, b: int, t: int, kind: int, reason: int, order: int, target: int) -> None:
    """Record that an order was refused or cancelled, or that one of its legs failed."""
    portfolio = books.portfolios[b]
    if kind == REFUSED:
        portfolio.refused += 1
    capacity = books.notes.shape[1]
    if capacity == 0:
        return
    if portfolio.note_rows == capacity:
        portfolio.overflow = 1
        return
    row = books.notes[b, portfolio.note_rows]
    row.hour, row.kind, row.reason, row.order, row.target = t, kind, reason, order, target
    portfolio.note_rows += 1


@hourly
def write_trade(books: Books, b: int, t: int, s: int, reason: int) -> None:
    """Record the position of slot s, of which the last leg has just left."""
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
    # No price is 0: the order of that leg failed. One that rested may be opened and closed in the same hour.
    if slot.long_entry == 0.0:
        trade.long_entry = trade.long_exit = np.nan
    if slot.short_entry == 0.0:
        trade.short_entry = trade.short_exit = np.nan
    trade.entry_fees, trade.exit_fees, trade.funding = slot.entry_fees, slot.exit_fees, slot.funding
    trade.liquidation_fees, trade.price_pnl, trade.slippage = slot.liquidation_fees, slot.price_pnl, slot.slippage
    portfolio.trade_rows += 1


@hourly
def keep_awaiting_settlement(books: Books, b: int, s: int) -> None:
    """Remember a closed position, whose funding may become known later.

    When there is no place left the one that was closed first is forgotten.
    """
    capacity = books.awaiting_settlement.shape[1]
    if capacity == 0:
        return
    if books.awaiting_settlement[b, capacity - 1].id > 0:
        for k in range(1, capacity):
            books.awaiting_settlement[b, k - 1] = books.awaiting_settlement[b, k]
        books.awaiting_settlement[b, capacity - 1].id = 0
    free = 0
    while books.awaiting_settlement[b, free].id > 0:
        free += 1
    slot, closed = books.slots[b, s], books.awaiting_settlement[b, free]
    closed.id, closed.pair, closed.quantity, closed.opened = slot.id, slot.pair, slot.quantity, slot.opened
    closed.long_closed, closed.short_closed = slot.long_closed, slot.short_closed


@hourly
def store_equity(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Mark the portfolio after the fills of row t, raise its peak and record the hour."""
    portfolio = books.portfolios[b]
    portfolio.equity = mark_to_market(tape, books, b, t)
    portfolio.peak = max(portfolio.peak, portfolio.equity)
    capacity = books.hours.shape[1]
    if capacity == 0:
        return
    if portfolio.hour_rows == capacity:
        portfolio.overflow = 1
        return
    row = books.hours[b, portfolio.hour_rows]
    row.hour, row.equity, row.cash = t, portfolio.equity, portfolio.cash
    row.committed, row.open_positions = committed_notional(books, b), open_positions(books, b)
    portfolio.hour_rows += 1
