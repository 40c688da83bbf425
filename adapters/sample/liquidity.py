"""Volume, quoted spread and depth of each exchange."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapters.sample.coins import Coin
from adapters.sample.processes import ornstein_uhlenbeck, significant
from adapters.sample.settings import SampleSettings
from engine.market.data import Floats

DIGITS = 3
SMOOTH_HALF_LIFE_HOURS = 24.0


@dataclass(frozen=True, eq=False)
class Liquidity:
    """``[exchanges, hours]``: USD traded in 24 h, whole quoted spread as a fraction, USD in the book."""

    volume_24h_usd: Floats
    bid_ask_spread: Floats
    depth_usd: Floats


def liquidity(
    rng: np.random.Generator, settings: SampleSettings, coin: Coin, volatility: Floats, course: Floats
) -> Liquidity:
    """Volume rises and books widen with volatility and in extreme episodes."""
    rows, hours = len(coin.exchanges), len(volatility)
    traits = [settings.exchanges[name] for name in coin.exchanges]
    widened = 1 + (settings.extremes.widening - 1) * course
    heat = _smooth(np.log(volatility))
    shared, own = ornstein_uhlenbeck(rng, 1, hours, 60.0), ornstein_uhlenbeck(rng, rows, hours, 30.0)
    volume = np.array([t.volume_share for t in traits])[:, None] * coin.volume_24h_usd
    volume = volume * np.exp(0.35 * shared + 0.15 * own + heat) * _smooth(widened)
    width = np.array([t.spread_multiple for t in traits])[:, None] * coin.bid_ask_spread_bps / 1e4
    width = width * np.exp(0.25 * ornstein_uhlenbeck(rng, rows, hours, 3.0)) * np.sqrt(volatility) * widened
    depth = np.array([t.depth_share for t in traits])[:, None] * volume / widened
    depth = depth * np.exp(0.4 * ornstein_uhlenbeck(rng, rows, hours, 6.0))
    return Liquidity(significant(volume, DIGITS), significant(width, DIGITS), significant(depth, DIGITS))


def _smooth(path: Floats) -> Floats:
    """Trailing exponential mean: 24 h volume cannot jump."""
    keep = 0.5 ** (1 / SMOOTH_HALF_LIFE_HOURS)
    smooth = np.empty_like(path)
    smooth[0] = path[0]
    for hour in range(1, len(path)):
        smooth[hour] = keep * smooth[hour - 1] + (1 - keep) * path[hour]
    return smooth
