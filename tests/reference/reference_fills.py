"""What takers pay or get, as the slow second implementation works it out (see ``reference_engine``)."""

from __future__ import annotations

from fractions import Fraction
from math import isnan
from typing import NamedTuple

from reference_books import walk
from reference_costs import impact, spread_and_slippage
from reference_legs import LegHistory

from engine.settings import EngineSettings


class Fill(NamedTuple):
    """Price paid or got, the price before spread and slippage, and whether the last trade had to stand in."""

    price: Fraction
    base: Fraction
    at_last_trade: bool


class Size(NamedTuple):
    """Base quantity, and N in USD."""

    quantity: Fraction
    notional: Fraction


def fill(
    settings: EngineSettings, history: LegHistory, size: Size, direction: int, t: int, *, outage: bool = False
) -> Fill:
    """A buy (+1) or sell (-1) decided at ``t``: the first trade after ``t``, moved against the trader."""
    base, at_last_trade = _base_price(settings, history, t, dead=outage and history.stale[t] > 0)
    cost = cost_before_fees(settings, history, size, direction, t)
    if outage:
        cost += Fraction(settings.outage_slippage_bps) / 10_000
    return Fill(base * (1 + direction * cost * Fraction(settings.cost_multiple)), base, at_last_trade)


def cost_before_fees(settings: EngineSettings, history: LegHistory, size: Size, direction: int, t: int) -> Fraction:
    """Of the price, cost multiple not included: by the book of the hour, else by spread and impact."""
    walked = walk(settings, history, size.quantity, direction, t)
    if walked is not None:
        return walked + Fraction(settings.slippage_bps) / 10_000
    return spread_and_slippage(settings, history, t) + impact(settings, history, size.notional, t)


def _base_price(settings: EngineSettings, history: LegHistory, t: int, *, dead: bool) -> tuple[Fraction, bool]:
    carried = history.price[t]
    assert carried is not None
    if settings.fill_at == "last_trade":
        return Fraction(carried), True
    if dead or isnan(history.fill_price[t]):
        return Fraction(carried), True
    return Fraction(history.fill_price[t]), False
