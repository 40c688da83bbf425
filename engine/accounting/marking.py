"""What is open and what it is worth at the prices known at an hour (step 2). Nothing here changes anything."""

from __future__ import annotations

from engine.accounting.books import Books
from engine.accounting.codes import OPEN
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly


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
def plus_unrealised(tape: TapeArrays, books: Books, b: int, t: int, amount: float) -> float:
    """An amount and the unrealised price P&L of what is open, slot after slot, USD."""
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            amount += unrealised_price_pnl(tape, books, b, s, t)
    return float(amount)


@hourly
def mark_to_market(tape: TapeArrays, books: Books, b: int, t: int) -> float:
    """Equity of the portfolio in USD: its cash and the unrealised price P&L of what is open."""
    # Funding and fees are in the cash already: ``position_pnl`` would count them twice.
    return float(plus_unrealised(tape, books, b, t, books.portfolios[b].cash))


@hourly
def stale_hours(tape: TapeArrays, books: Books, b: int, s: int, t: int) -> int:
    """Hours since the older of the prices of the open legs in slot s."""
    slot = books.slots[b, s]
    pair = tape.pairs[slot.pair]
    # A leg that has left may be stale for ever; it is no reason for anything any more.
    long_stale = tape.quotes[pair.long, t].stale if slot.long_held > 0 else 0
    short_stale = tape.quotes[pair.short, t].stale if slot.short_held > 0 else 0
    return int(max(long_stale, short_stale))


@hourly
def is_alone(books: Books, b: int, s: int) -> bool:
    """Whether a position has one leg only."""
    return bool(books.slots[b, s].long_held == 0 or books.slots[b, s].short_held == 0)


@hourly
def open_notional(books: Books, b: int, s: int) -> float:
    """2N of the position in slot s, or N when one leg of it is open, USD."""
    slot = books.slots[b, s]
    return float(slot.notional if is_alone(books, b, s) else 2.0 * slot.notional)


@hourly
def committed_notional(books: Books, b: int) -> float:
    """Sum of N over open legs, USD."""
    total = 0.0
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            total += open_notional(books, b, s)
    return total


@hourly
def open_positions(books: Books, b: int) -> int:
    """How many slots hold an open position; a pending entry is none."""
    count = 0
    for s in range(books.slots.shape[1]):
        if books.slots[b, s].status == OPEN:
            count += 1
    return count
