"""What one unit of a pair costs takers to open and brings when it is left, at any hour, by the kernel's own cost of a
fill, and the funding that it gets.

Per unit of base quantity: USD paid for the long leg less USD got for the short one, fees, spread and slippage
included. ``notional`` is N of the position.
"""

from __future__ import annotations

import numpy as np

from engine.accounting.codes import LONG, SHORT
from engine.accounting.costs import fill_cost
from engine.accounting.settling import is_charged
from engine.accounting.tape import TapeArrays
from engine.compiled import compiled, hourly
from engine.market.data import Floats
from engine.market.schedule import ACTUAL


@hourly
def raw_fill(tape: TapeArrays, leg: int, t: int) -> float:
    """The first trade after t, or the last known price where it is unknown."""
    quote = tape.quotes[leg, t]
    return float(quote.price if np.isnan(quote.fill) else quote.fill)


@hourly
def spread_of_fills(tape: TapeArrays, pair: int, t: int) -> float:
    """(short - long) / mid of the raw fills at t: high is good to enter and bad to leave."""
    long_fill, short_fill = raw_fill(tape, tape.pairs[pair].long, t), raw_fill(tape, tape.pairs[pair].short, t)
    return float((short_fill - long_fill) / ((long_fill + short_fill) / 2.0))


@hourly
def worse_hour(tape: TapeArrays, pair: int, t: int, last: int, entering: bool) -> int:
    """Of t and t+1 the hour whose fills have the worse spread for an entry (or exit); t where t+1 is after ``last``."""
    if t >= last:
        return t
    now, next_hour = spread_of_fills(tape, pair, t), spread_of_fills(tape, pair, t + 1)
    is_worse = next_hour < now if entering else next_hour > now
    return t + 1 if is_worse else t


@hourly
def fills(tape: TapeArrays, pair: int, t: int, source: int) -> tuple[float, float]:
    """Raw fills (long, short) with the spread of hour ``source``, at the level of prices of hour t."""
    long_leg, short_leg = tape.pairs[pair].long, tape.pairs[pair].short
    long_fill, short_fill = raw_fill(tape, long_leg, source), raw_fill(tape, short_leg, source)
    if source == t:
        return long_fill, short_fill
    # Only the spread is taken from the other hour. Its level would bring price risk in that the legs do not have.
    level = (raw_fill(tape, long_leg, t) + raw_fill(tape, short_leg, t)) / (long_fill + short_fill)
    return long_fill * level, short_fill * level


@hourly
def entry_cost(tape: TapeArrays, pair: int, t: int, source: int, notional: float) -> float:
    """USD per unit to open the pair at t."""
    long_leg, short_leg = tape.pairs[pair].long, tape.pairs[pair].short
    long_fill, short_fill = fills(tape, pair, t, source)
    long_quote, short_quote, rules = tape.quotes[long_leg, t], tape.quotes[short_leg, t], tape.rules[0]
    bought = long_fill * (1.0 + fill_cost(long_quote, rules, notional, 0.0))
    sold = short_fill * (1.0 - fill_cost(short_quote, rules, notional, 0.0))
    fees = bought * long_quote.fee_rate + sold * short_quote.fee_rate
    return float(bought - sold + fees)


@hourly
def exit_value(tape: TapeArrays, pair: int, t: int, source: int, notional: float, outage: bool) -> float:
    """USD per unit from leaving the pair at t; in an outage a silent leg is filled at its last known price."""
    long_leg, short_leg = tape.pairs[pair].long, tape.pairs[pair].short
    long_fill, short_fill = fills(tape, pair, t, source)
    long_quote, short_quote, rules = tape.quotes[long_leg, t], tape.quotes[short_leg, t], tape.rules[0]
    extra = 0.0
    if outage:
        extra = rules.outage_slippage
        if long_quote.stale > 0:
            long_fill = long_quote.price
        if short_quote.stale > 0:
            short_fill = short_quote.price
    sold = long_fill * (1.0 - fill_cost(long_quote, rules, notional, extra))
    bought = short_fill * (1.0 + fill_cost(short_quote, rules, notional, extra))
    fees = sold * long_quote.fee_rate + bought * short_quote.fee_rate
    return float(sold - bought - fees)


@compiled
def funding_received(tape: TapeArrays, first: int, last: int) -> Floats:
    """USD that a unit long or short of each leg has received by row ``first + k``, ``[LONG and SHORT, legs, rows]``.

    Counted by the hour of the settlement, for those that are booked by ``last``, however late.
    """
    received = np.zeros((2, tape.quotes.shape[0], last - first + 1))
    for leg in range(tape.quotes.shape[0]):
        for t in range(first, last + 1):
            quote = tape.quotes[leg, t]
            for k in range(quote.booking_start, quote.booking_start + quote.booking_count):
                booking = tape.bookings[k]
                # Settlements from before the first price have no mark; no position can be open yet.
                if booking.settle_hour > first and not np.isnan(booking.mark):
                    gain = booking.mark * booking.rate
                    for side, signed in ((LONG, -gain), (SHORT, gain)):
                        if booking.kind == ACTUAL or is_charged(signed, booking.kind):
                            received[side, leg, booking.settle_hour - first] += signed
        # Summed up: what a position gets is then one difference of two rows, whatever its length.
        for t in range(1, received.shape[2]):
            for side in (LONG, SHORT):
                received[side, leg, t] += received[side, leg, t - 1]
    return received
