"""What a single value can be at all, whatever came before and whatever others say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.gate.limits import GateSettings
from engine.market.data import Floats

Flags = NDArray[np.bool_]

PRICES = frozenset({"price", "fill_price", "mark_price", "index_price", "last_price", "bid_price", "ask_price"})
RATE, INTERVAL, SPREAD = "funding_rate", "funding_interval_hours", "bid_ask_spread"


def bounds(kind: str, limits: GateSettings, cap: float) -> tuple[float, float]:
    """Lowest and highest value of a kind; ``cap`` is the exchange's highest rate. Intervals are a set besides."""
    if kind in PRICES:
        return limits.lowest_price_usd, limits.highest_price_usd
    if kind == RATE:
        return -cap, cap
    if kind == INTERVAL:
        return min(limits.interval_hours), max(limits.interval_hours)
    if kind == SPREAD:
        return 0.0, limits.max_spread
    return 0.0, limits.max_volume_usd


def can_be(kind: str, value: float, limits: GateSettings, cap: float) -> bool:
    """Whether one number may be true; nan is none."""
    low, high = bounds(kind, limits, cap)
    return low <= value <= high and (kind != INTERVAL or value in limits.interval_hours)


def out_of_range(kind: str, values: Floats, limits: GateSettings, cap: float) -> Flags:
    """The same for arrays, the other way round: which values cannot be true. nan is unknown, and never wrong."""
    low, high = bounds(kind, limits, cap)
    wrong = (values < low) | (values > high)
    if kind == INTERVAL:
        wrong |= ~np.isin(values, limits.interval_hours) & ~np.isnan(values)
    return np.asarray(wrong)


def range_text(kind: str, limits: GateSettings, cap: float) -> str:
    """The limit in words."""
    low, high = bounds(kind, limits, cap)
    if kind == INTERVAL:
        return f"an interval is {', '.join(map(str, limits.interval_hours))} hours"
    if kind == RATE:
        return f"at most {high:g} in one settlement there"
    return f"from {low:g} to {high:g}"
