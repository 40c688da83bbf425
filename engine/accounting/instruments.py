"""What exchanges demand of orders, as the kernel reads it: lots, ticks, the least order, the most leverage.

Nothing of this is called where no instruments are known. Whatever compares two numbers of which one is a product does
it with a slack: 3 lots of 0.1 are 0.30000000000000004.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.accounting.codes import BELOW_EXCHANGE_MINIMUM, LEVERAGE_LIMIT
from engine.accounting.margin import FILLABLE
from engine.accounting.tape import TapeArrays
from engine.compiled import hourly, seldom

SLACK = 1e-9
"""Relative, of sizes, limits and minima."""
MOST_LOTS = 1000
"""Of the coarser lot in a size that both legs can have; where it takes more there is none within reason."""
NO_ROW = -1


@hourly
def are_known(tape: TapeArrays) -> bool:
    """Whether anything is known of any leg."""
    return bool(tape.instruments.shape[0] > 0)


@seldom
def _in_force(tape: TapeArrays, leg: int, t: int) -> int:
    """The row of a leg that is in force at row t of the tape: the latest one by then, else the earliest."""
    one = tape.legs[leg]
    if one.instruments == 0:
        return NO_ROW
    row, last = one.first_instrument, one.first_instrument + one.instruments - 1
    while row < last and tape.instruments[row + 1].since <= t:
        row += 1
    return int(row)


@seldom
def _lot(tape: TapeArrays, leg: int, t: int) -> float:
    """In coins; 0 where it is unknown."""
    row = _in_force(tape, leg, t)
    return 0.0 if row == NO_ROW or np.isnan(tape.instruments[row].lot) else float(tape.instruments[row].lot)


@seldom
def _tick(tape: TapeArrays, leg: int, t: int) -> float:
    """In USD; 0 where it is unknown."""
    row = _in_force(tape, leg, t)
    return 0.0 if row == NO_ROW or np.isnan(tape.instruments[row].tick) else float(tape.instruments[row].tick)


@seldom
def common_lot(tape: TapeArrays, pair: Any, t: int) -> float:
    """The smallest size of which both legs can have multiples, coins; 0: any, inf: there is none within reason."""
    long_lot, short_lot = _lot(tape, pair.long, t), _lot(tape, pair.short, t)
    coarse, fine = max(long_lot, short_lot), min(long_lot, short_lot)
    if fine == 0.0:
        return float(coarse)
    for count in range(1, MOST_LOTS + 1):
        times = count * coarse / fine
        if abs(times - np.floor(times + 0.5)) <= SLACK * times:
            return float(count * coarse)
    return np.inf


@seldom
def in_lots(quantity: float, lot: float) -> float:
    """A size rounded down to lots."""
    if lot == 0.0:
        return quantity
    return 0.0 if lot == np.inf else float(np.floor(quantity / lot * (1.0 + SLACK)) * lot)


@seldom
def on_tick(tape: TapeArrays, leg: int, t: int, limit: float, buys: float) -> float:
    """A limit rounded to ticks away from the market: down where it buys, up where it sells."""
    tick = _tick(tape, leg, t)
    if tick == 0.0:
        return limit
    if buys > 0:
        return float(np.floor(limit / tick * (1.0 + SLACK)) * tick)
    return float(np.ceil(limit / tick * (1.0 - SLACK)) * tick)


@seldom
def is_a_tick_beyond(tape: TapeArrays, leg: int, t: int, limit: float, beyond: float) -> bool:
    """Whether the market traded a whole tick beyond a limit, by ``beyond`` in USD."""
    return bool(beyond >= _tick(tape, leg, t) - SLACK * limit)


@seldom
def against_instruments(tape: TapeArrays, pair: Any, t: int, quantity: float) -> int:
    """Why the exchanges of a pair take no order for ``quantity`` coins at row t, or FILLABLE."""
    rows = _in_force(tape, pair.long, t), _in_force(tape, pair.short, t)
    for row in rows:
        # Unknown limits are nan, and nothing is above or below nan.
        if row != NO_ROW and tape.rules[0].leverage > tape.instruments[row].max_leverage * (1.0 + SLACK):
            return LEVERAGE_LIMIT
    if quantity == 0.0:
        return BELOW_EXCHANGE_MINIMUM
    for row, leg in zip(rows, (pair.long, pair.short)):  # noqa: B905  # numba's zip has no ``strict``
        worth = quantity * tape.quotes[leg, t].price
        if row != NO_ROW and worth < tape.instruments[row].min_notional * (1.0 - SLACK):
            return BELOW_EXCHANGE_MINIMUM
    return FILLABLE
