"""The hour protocol of money (docs/design.md section 3) for B portfolios at once: open, fill its orders, close.

========  =================================================  ======================================
step      what happens                                       where
========  =================================================  ======================================
1 settle  funding that became known is booked                ``settling``
          what rested since the hour before is booked        ``resting``
2 mark    legs are worth the prices known now                ``marking``, wallets in ``margin``
3 protect liquidation, stop-loss, outages; transfers         ``protection``, rules in ``margin``
4, 5      observe and decide                                 outside: ``engine.observation``, strategies
6 fill    orders that fall due, then exits, then entries     ``exits``, ``entries``, prices in ``costs``
7 record  equity is stored                                   ``booking``, the only place that moves cash
========  =================================================  ======================================

Portfolios do not see each other, so the result of one does not depend on how many are stepped together. No fast-math:
the same numbers come out in the same order wherever this is called from.
"""

from __future__ import annotations

from typing import Any

from engine.accounting.booking import note, store_equity
from engine.accounting.books import Books
from engine.accounting.codes import CANCELLED, END_OF_DATA, ENTER, EXIT, FREE, OPEN, PENDING, SIGNAL
from engine.accounting.entries import fill_due_entries, take_entry
from engine.accounting.exits import close_position, fill_due_exits, take_exit
from engine.accounting.marking import mark_to_market
from engine.accounting.protection import liquidate, protect, transfer
from engine.accounting.resting import fill_resting
from engine.accounting.settling import settle
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly
from engine.market.data import Floats, Ints


@hourly
def open_hour(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Steps 1 to 3 of hour t: settle, book what rested, mark, protect."""
    settle(tape, books, b, t)
    if tape.rules[0].resting > 0:
        # After the settlement: nobody knows when in the hour it was filled, and an entry must not collect it.
        fill_resting(tape, books, b, t)
    if tape.rules[0].by_exchange > 0:
        # Before our own exits: an exchange does not wait, and a stop-loss of this hour would come too late.
        liquidate(tape, books, b, t)
    protect(tape, books, b, t)
    if tape.rules[0].by_exchange > 0:
        # After the liquidations: money that arrives at t was not there when the exchange looked.
        transfer(tape, books, b, t)
    portfolio = books.portfolios[b]
    portfolio.equity = mark_to_market(tape, books, b, t)
    portfolio.equity_protected = portfolio.equity


@hourly
def fill_hour(tape: TapeArrays, books: Books, b: int, t: int, orders: Any) -> None:
    """Steps 6 and 7 of hour t: orders that fall due, then exits, then entries; store equity."""
    # Without latency nothing is pending; a failed exit is tried again as if it were.
    if tape.rules[0].latency > 0 or tape.rules[0].leg_failure > 0:
        fill_due_exits(tape, books, b, t)
        fill_due_entries(tape, books, b, t)
    # Exits before entries, however they are listed: they free the slots and the margin that entries need.
    for k in range(orders.shape[0]):
        if orders[k].kind == EXIT:
            take_exit(tape, books, b, t, orders[k].target)
    for k in range(orders.shape[0]):
        if orders[k].kind == ENTER:
            take_entry(tape, books, b, t, orders[k].target)
    store_equity(tape, books, b, t)


@hourly
def close_hour(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """End of data at hour t: cancel what is pending, close what is open, store equity."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == PENDING:
            note(books, b, t, CANCELLED, END_OF_DATA, ENTER, slot.pair)
            slot.status, slot.due = FREE, -1
        elif slot.status == OPEN:
            # A leg that was left alone is due too, but nobody ordered that: there is nothing to cancel.
            if slot.due >= 0 and slot.reason == SIGNAL:
                note(books, b, t, CANCELLED, END_OF_DATA, EXIT, s)
            close_position(tape, books, b, t, s, END_OF_DATA)
    store_equity(tape, books, b, t)


@hourly
def begin(tape: TapeArrays, books: Books, blank: Books, rows: Ints, which: Ints) -> None:
    """Open hour ``rows[b]`` of every portfolio b in ``which`` with the state of the only portfolio of ``blank``."""
    for b in which:
        books.portfolios[b] = blank.portfolios[0]
        for s in range(books.slots.shape[1]):
            books.slots[b, s] = blank.slots[0, s]
        for k in range(books.awaiting_settlement.shape[1]):
            books.awaiting_settlement[b, k] = blank.awaiting_settlement[0, k]
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
def next_hour(
    tape: TapeArrays, books: Books, b: int, rows: Ints, last_rows: Ints, close_at_end: bool, orders: Any
) -> float:
    """Fill ``orders`` ``[M]`` of one portfolio at its hour and open the next one, at the last hour close.

    ``rows[b]`` moves on by one. Returns the change of mark-to-market equity in USD from one observation to the next,
    costs included.
    """
    # As it was seen: the fills come after it, so that their costs lie in the gain of the action that caused them.
    before = books.portfolios[b].equity_protected
    fill_hour(tape, books, b, rows[b], orders)
    rows[b] += 1
    open_hour(tape, books, b, rows[b])
    if close_at_end and rows[b] == last_rows[b]:
        close_hour(tape, books, b, rows[b])
    return float(books.portfolios[b].equity - before)


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
    """``next_hour`` of every portfolio; ``orders`` is ``[B, M]``, ``gains`` ``[B]`` receives what they return."""
    for b in range(rows.shape[0]):
        gains[b] = next_hour(tape, books, b, rows, last_rows, close_at_end, orders[b])
