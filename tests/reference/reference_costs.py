"""Spreads, impact, fee rates and sizes of the slow second implementation (see ``reference_engine``)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from math import isnan

from reference_legs import LegHistory

from engine.settings import EngineSettings

GRAIN = 2**160


def spread_and_slippage(settings: EngineSettings, history: LegHistory, t: int) -> Fraction:
    """Half a quoted spread and the slippage; without a quote the slippage, or the assumed half-spread if more."""
    quoted, slippage = history.spread[t], Fraction(settings.slippage_bps) / 10_000
    if not isnan(quoted):
        return Fraction(quoted) / 2 + slippage
    if settings.spread_model == "fixed":
        return slippage
    return max(slippage, _assumed_half_spread(settings, history, t))


def _assumed_half_spread(settings: EngineSettings, history: LegHistory, t: int) -> Fraction:
    """Of the table's row at the day of the fill the bin of the last known volume; the first where none is known."""
    rows = settings.spreads.get(history.exchange, settings.spreads.get("elsewhere", ()))
    day = date(1970, 1, 1) + timedelta(hours=history.first_hour + t)
    begun = [row for row in rows if row.since <= day]
    row = max(begun, key=lambda r: r.since) if begun else min(rows, key=lambda r: r.since)
    volume = history.volume[t]
    reached = [one for one in row.half_spread if volume is not None and one.from_usd <= volume]
    widest = reached[-1] if reached else row.half_spread[0]
    return Fraction(widest.bps) / 10_000


def impact(settings: EngineSettings, history: LegHistory, notional: Fraction, t: int) -> Fraction:
    volume = history.traded_volume[t]
    if settings.impact_coefficient == 0 or volume is None:
        return Fraction(0)
    return Fraction(settings.impact_coefficient) * square_root(notional / Fraction(volume))


def fee_rate(settings: EngineSettings, exchange: str, day: date) -> Fraction:
    """Of the latest row dated at or before the day, else of the earliest; the cost multiple included."""
    tier = settings.fee_tier.get(exchange)
    rows = [row for row in settings.fees[exchange] if row.tier == tier]
    begun = [row for row in rows if row.since <= day]
    row = max(begun, key=lambda r: r.since) if begun else min(rows, key=lambda r: r.since)
    return Fraction(row.taker) * Fraction(settings.cost_multiple)


def notional_per_leg(settings: EngineSettings, equity: Fraction) -> Fraction:
    """The fixed size, or the position's share of equity split over two legs."""
    if settings.position_size_usd is not None:
        return Fraction(settings.position_size_usd)
    share = settings.position_fraction
    fraction = Fraction(1, settings.max_positions) if share is None else Fraction(share)
    return grained(equity * fraction / 2 * Fraction(settings.leverage))


def grained(value: Fraction) -> Fraction:
    """Rounded to 2**-160, so that fractions stay short however often a run compounds."""
    return Fraction(round(value * GRAIN), GRAIN)


def square_root(value: Fraction) -> Fraction:
    """To forty digits."""
    with localcontext() as context:
        context.prec = 40
        root = (Decimal(value.numerator) / Decimal(value.denominator)).sqrt()
    return grained(Fraction(root))
