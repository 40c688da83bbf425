"""Step 1: book the funding that became known, for open positions and for closed ones that still await it."""

from __future__ import annotations

from typing import Any

from engine.accounting.booking import Movement, book
from engine.accounting.books import Books
from engine.accounting.codes import FUNDING, LONG, OPEN, SHORT
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly
from engine.market.schedule import ACTUAL, IMPUTED


@hourly
def is_charged(gain: float, kind: int) -> bool:
    """Whether an assumed settlement moves money: one that would pay is worth nothing, and neither is its reversal."""
    return bool(gain < 0) if kind == IMPUTED else bool(gain > 0)


@hourly
def _settle_leg(
    tape: TapeArrays, books: Books, b: int, t: int, position: Any, side: int, leg: int, closed: int
) -> float:
    """Book what is due at t on one leg of a position that was open in (opened, closed]; returns the sum in USD.

    ``position`` is a slot, or a closed one of ``books.awaiting_settlement``.
    """
    quote = tape.quotes[leg, t]
    total = 0.0
    for k in range(quote.booking_start, quote.booking_start + quote.booking_count):
        booking = tape.bookings[k]
        # Strictly after the entry: one of the hour of the entry was past when the entry was filled.
        if position.opened < booking.settle_hour <= closed:
            # A positive rate is paid by longs to shorts.
            signed = -position.quantity if side == LONG else position.quantity
            rate = booking.rate
            # Booked at a rate of 0 instead of left out: the assumption is seen and counted, and its reversal finds it.
            if booking.kind != ACTUAL and not is_charged(signed * rate, booking.kind):
                rate = 0.0
            # At the mark of the settlement's own hour, however late it is booked, and never at the entry price.
            amount = signed * booking.mark * rate + 0.0  # no -0.0
            exchange, kind = tape.legs[leg].exchange, booking.kind
            quantity, mark = position.quantity, booking.mark
            movement = Movement(position.id, FUNDING, side, leg, exchange, kind, quantity, mark, rate, amount)
            book(books, b, t, movement)
            total += amount
            if booking.kind == IMPUTED:
                books.portfolios[b].missing_settlements += 1
    return total


@hourly
def settle(tape: TapeArrays, books: Books, b: int, t: int) -> None:
    """Book every settlement that became known in (t-1, t] for whoever held the leg when it was due."""
    for s in range(books.slots.shape[1]):
        slot = books.slots[b, s]
        if slot.status == OPEN:
            pair = tape.pairs[slot.pair]
            for side, leg, closed in ((LONG, pair.long, slot.long_closed), (SHORT, pair.short, slot.short_closed)):
                slot.funding += _settle_leg(tape, books, b, t, slot, side, leg, closed)
    for k in range(books.awaiting_settlement.shape[1]):
        late = books.awaiting_settlement[b, k]
        if late.id > 0:
            pair = tape.pairs[late.pair]
            for side, leg, closed in ((LONG, pair.long, late.long_closed), (SHORT, pair.short, late.short_closed)):
                # Not added to a slot: the trade has been written, and ``records.join`` adds it there.
                _settle_leg(tape, books, b, t, late, side, leg, closed)
