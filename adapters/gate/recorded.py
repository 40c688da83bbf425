"""Recorded opportunities through the gate: what no feature can be at these limits falls back to the derived value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.market import Gated
from adapters.gate.refusals import Refusal, as_given
from adapters.gate.values import Flags
from engine.market.data import Floats, MarketData, Pairs, directed_pairs

MAX_COST_PERCENT = 10.0
"""Of the four fills; the dearest fee table in use makes 0.4 %."""
SETTLEMENTS_IN_8H = 8
YEAR_IN_8H = 3 * 365

OWN_RATE = {"long_funding_rate": "long_leg", "short_funding_rate": "short_leg"}
INTERVALS = ("long_funding_interval_hours", "short_funding_interval_hours")
PER_8H = ("fund_profit_8h", "fundProfit8h24hProj", "fundProfit8h3dProj")
PER_YEAR = ("fund_apr", "fundApr24hProj", "fundApr3dProj", "estimatedProfitPercentage")
SPREADS = ("spread30SampleAvg", "priceSpread24hAvg", "priceSpread3dAvg")


def gate_recorded(market: MarketData, limits: GateSettings) -> Gated:
    """The market without the recorded features that are not believed; it must have recorded opportunities."""
    recorded = market.recorded
    assert recorded is not None
    pairs = directed_pairs(market)
    caps = np.array([limits.rate_cap(name) for name in market.exchanges])[market.leg_exchange]
    features, refusals = recorded.features.copy(), []
    hours = int(market.hours[0]) + np.repeat(np.arange(len(market.hours)), np.diff(recorded.offsets))
    for column, name in enumerate(recorded.columns):
        values = recorded.features[:, column]
        wrong, text = _wrong(name, values, recorded.pair, pairs, caps, limits)
        for row in np.flatnonzero(wrong):
            symbol, exchanges = _named(market, pairs, int(recorded.pair[row]))
            refusals.append(Refusal(exchanges, symbol, int(hours[row]), name, as_given(float(values[row])), text))
        features[wrong, column] = np.nan
    if not refusals:
        return Gated(market, ())
    return Gated(replace(market, recorded=replace(recorded, features=features)), tuple(refusals))


def _wrong(
    name: str, values: Floats, pair: np.ndarray, pairs: Pairs, caps: Floats, limits: GateSettings
) -> tuple[Flags, str]:
    """Which values of a feature cannot be, and the limit in words; rates and what follows from them are in %."""
    if name in INTERVALS:
        wrong = ~np.isin(values, limits.interval_hours) & ~np.isnan(values)
        return wrong, f"an interval is {', '.join(map(str, limits.interval_hours))} hours"
    if name in OWN_RATE:
        most: Floats | float = 100 * caps[getattr(pairs, OWN_RATE[name])][pair]
        return np.abs(values) > most, "beyond the highest rate of its exchange"
    if name in PER_8H or name in PER_YEAR:
        # Both legs at their caps in every single hour: more cannot be earned, whatever the intervals are.
        most = 100 * (caps[pairs.long_leg] + caps[pairs.short_leg])[pair] * SETTLEMENTS_IN_8H
        most = most * YEAR_IN_8H if name in PER_YEAR else most
        return np.abs(values) > most, "more than both exchanges can pay"
    low, high = _range(name, limits)
    return np.asarray((values < low) | (values > high)), f"from {low:g} to {high:g}"


def _range(name: str, limits: GateSettings) -> tuple[float, float]:
    # Of two prices that are as far apart as they may be one is this much above the other.
    spread = limits.max_price_disagreement / (1 - limits.max_price_disagreement)
    if name in SPREADS:
        return -spread, spread
    if name == "spread_volatility_stddev":
        return 0.0, spread
    if name == "bidAskSpreadPercent":
        return 0.0, 100 * limits.max_spread
    if name == "positionCostPercent":
        return 0.0, MAX_COST_PERCENT
    return 0.0, limits.max_volume_usd


def _named(market: MarketData, pairs: Pairs, pair: int) -> tuple[str, str]:
    symbol, long_exchange = market.leg_name(int(pairs.long_leg[pair]))
    return symbol, f"{long_exchange} and {market.leg_name(int(pairs.short_leg[pair]))[1]}"
