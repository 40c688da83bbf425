"""What an hour makes of an order that rests in it: the slow second implementation of ``maker_then_hedge``.

Made from the formulas of docs/design.md section 4, in exact fractions; nothing is imported from the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import isnan

from reference_costs import spread_and_slippage
from reference_fills import Size, cost_before_fees
from reference_instruments import is_a_tick_beyond, limit_on_tick, whole_lots
from reference_legs import LegHistory
from reference_records import Leg

from engine.settings import EngineSettings

TIE = Fraction(1, 10**12)
BPS = Fraction(1, 10_000)


@dataclass(frozen=True)
class RestedFill:
    """Price paid or got, the price before what goes against us, and the rate of the fee."""

    price: Fraction
    base: Fraction
    rate: Fraction


@dataclass(frozen=True)
class Rested:
    """``quantity`` is what was filled, perhaps 0; ``fills`` go by the side of the leg."""

    rests: str
    quantity: Fraction
    fills: dict[str, RestedFill]


def rested(
    settings: EngineSettings,
    legs: Sequence[Leg],
    rates: dict[str, tuple[Fraction, Fraction]],
    t: int,
    *,
    opening: bool,
    quantity: Fraction,
    notional: Fraction,
) -> Rested:
    """An order for both ``legs`` (long, short) that was given at row ``t``; ``rates``: (maker, taker) by side."""
    maker = _resting_leg(settings, legs, rates, t)
    hedge = next(leg for leg in legs if leg is not maker)
    nothing = Rested(maker.side, Fraction(0), {})
    # Who fills at the price that is seen knows no trade after it.
    if settings.fill_at == "last_trade" or not (_is_known(maker.history, t) and _is_known(hedge.history, t)):
        return nothing
    rules, worse = settings.maker, Fraction(settings.cost_multiple)
    buys = maker.sign if opening else -maker.sign
    opened, other = Fraction(maker.history.fill_price[t]), Fraction(hedge.history.fill_price[t])
    away = max(Fraction(rules.offset_bps) * BPS, _half_spread(settings, maker.history, t))
    limit = limit_on_tick(settings, maker.history, opened * (1 - buys * away), buys, t)
    filled = min(quantity, _most(settings, maker.history, t, buys, limit))
    if filled < quantity:
        filled = whole_lots(settings, legs, filled, t)
    if filled <= 0:
        return nothing
    paid = limit * (1 + buys * Fraction(rules.adverse_bps) * BPS * worse)
    top, bottom = Fraction(hedge.history.high[t]), Fraction(hedge.history.low[t])
    base = max(bottom, min(top, other * limit / opened))
    costs = cost_before_fees(settings, hedge.history, Size(filled, notional), -buys, t)
    taken = base * (1 - buys * (costs + Fraction(rules.hedge_bps) * BPS) * worse)
    fills = {
        maker.side: RestedFill(paid, limit, rates[maker.side][0]),
        hedge.side: RestedFill(taken, base, rates[hedge.side][1]),
    }
    return Rested(maker.side, filled, fills)


def maker_rate(settings: EngineSettings, exchange: str, day: date) -> Fraction:
    """Of the latest row dated at or before the day, else of the earliest; the cost multiple included."""
    rows = sorted(settings.fees[exchange], key=lambda row: row.since)
    begun = [row for row in rows if row.since <= day] or rows[:1]
    return Fraction(begun[-1].maker) * Fraction(settings.cost_multiple)


def _resting_leg(
    settings: EngineSettings, legs: Sequence[Leg], rates: dict[str, tuple[Fraction, Fraction]], t: int
) -> Leg:
    long_leg, short_leg = legs
    if settings.maker.leg != "auto":
        return long_leg if settings.maker.leg == "long" else short_leg
    worse = Fraction(settings.cost_multiple)
    fees = [rates[leg.side][1] - rates[leg.side][0] for leg in legs]
    saved = [fee + _half_spread(settings, leg.history, t) * worse for fee, leg in zip(fees, legs, strict=True)]
    if abs(saved[0] - saved[1]) > TIE:
        return long_leg if saved[0] > saved[1] else short_leg
    volumes = [leg.history.traded_volume[t] for leg in legs]
    if volumes[0] is None or volumes[1] is None:
        return long_leg
    return short_leg if volumes[1] < volumes[0] else long_leg


def _is_known(history: LegHistory, t: int) -> bool:
    opened, high, low = history.fill_price[t], history.high[t], history.low[t]
    if history.stale[t] != 0 or isnan(opened) or isnan(high) or isnan(low):
        return False
    return low <= opened <= high


def _half_spread(settings: EngineSettings, history: LegHistory, t: int) -> Fraction:
    return spread_and_slippage(settings, history, t) - Fraction(settings.slippage_bps) * BPS


def _most(settings: EngineSettings, history: LegHistory, t: int, buys: int, limit: Fraction) -> Fraction:
    """The largest quantity that the bar fills at the limit."""
    high, low = Fraction(history.high[t]), Fraction(history.low[t])
    through = Fraction(settings.maker.through_bps) * BPS
    if buys > 0 and not low < limit * (1 - through):
        return Fraction(0)
    if buys < 0 and not high > limit * (1 + through):
        return Fraction(0)
    beyond = limit - low if buys > 0 else high - limit
    if not is_a_tick_beyond(settings, history, limit, beyond, t):
        return Fraction(0)
    share = min(Fraction(1), beyond / (high - low))
    volume = history.traded_volume[t]
    turnover = Fraction(0) if volume is None else Fraction(volume) / 24
    return Fraction(settings.maker.volume_share) * turnover * share / limit
