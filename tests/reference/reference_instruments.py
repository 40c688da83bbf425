"""What exchanges demand of orders, in exact fractions: lots, ticks, minima and the most leverage (docs/design.md 4).

Steps are the decimal numbers that exchanges publish, not the floats that stand for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor, gcd, isnan, lcm
from typing import NamedTuple

from reference_legs import LegHistory
from reference_records import Leg

from engine.settings import EngineSettings

SLACK = Fraction(1, 10**9)
MOST_LOTS = 1000


class Demands(NamedTuple):
    """Of one exchange for one coin; None where it is not known."""

    tick: Fraction | None = None
    lot: Fraction | None = None
    least_usd: Fraction | None = None
    leverage: Fraction | None = None


def demands(settings: EngineSettings, history: LegHistory, t: int) -> Demands:
    """Of the latest row dated at or before the hour, else of the earliest."""
    if settings.instruments == "ignore" or not history.instruments:
        return Demands()
    begun = [row for row in history.instruments if row[0] <= history.first_hour + t]
    _, *values = max(begun) if begun else min(history.instruments)
    return Demands(*(None if isnan(value) else Fraction(repr(value)) for value in values))


def whole_lots(settings: EngineSettings, legs: Sequence[Leg], quantity: Fraction, t: int) -> Fraction:
    """The quantity rounded down to what both legs can have; itself where no lot is known."""
    lots = [lot for leg in legs if (lot := demands(settings, leg.history, t).lot) is not None]
    if not lots:
        return quantity
    both = Fraction(lcm(*(lot.numerator for lot in lots)), gcd(*(lot.denominator for lot in lots)))
    if both > MOST_LOTS * max(lots):
        return Fraction(0)
    return floor(quantity / both * (1 + SLACK)) * both


def no_order_for(settings: EngineSettings, legs: Sequence[Leg], quantity: Fraction, t: int) -> str | None:
    """Why one of the exchanges takes no order of that size."""
    wanted = [demands(settings, leg.history, t) for leg in legs]
    limits = [one.leverage for one in wanted if one.leverage is not None]
    if any(Fraction(settings.leverage) > limit * (1 + SLACK) for limit in limits):
        return "leverage_limit"
    for leg, one in zip(legs, wanted, strict=True):
        too_little = one.least_usd is not None and quantity * leg.price(t) < one.least_usd * (1 - SLACK)
        if quantity == 0 or too_little:
            return "below_exchange_minimum"
    return None


def limit_on_tick(settings: EngineSettings, history: LegHistory, limit: Fraction, buys: int, t: int) -> Fraction:
    """Away from the market."""
    tick = demands(settings, history, t).tick
    if tick is None:
        return limit
    return (floor(limit / tick * (1 + SLACK)) if buys > 0 else ceil(limit / tick * (1 - SLACK))) * tick


def is_a_tick_beyond(settings: EngineSettings, history: LegHistory, limit: Fraction, beyond: Fraction, t: int) -> bool:
    tick = demands(settings, history, t).tick
    return tick is None or beyond >= tick - SLACK * limit
