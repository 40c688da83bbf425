"""Another market out of a recorded one: funding that runs away and comes back, prices that deviate with it.

Give it the hours of training alone, for example ``rows_of(market, first, last + 1)``: it reads nothing else. What it
makes of an hour depends on that hour and those before it alone, as what is recorded does; a settlement that was known
late counts from its own hour on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from engine.market.data import BAR_EXTREMES, Floats, Ints, MarketData
from rl_training.worlds.settings import AugmentationSettings

DAY = 24
BPS = 1e4
Rng = np.random.Generator


def augmented(
    market: MarketData, settings: AugmentationSettings, rng: Rng, rate_cap: Callable[[str], float]
) -> MarketData:
    """The same coins and hours with other funding and other price deviations; equal seeds make equal markets.

    A factor of each coin and hour (``factors``) multiplies the rates of all its legs; ``rate_cap`` tells the highest
    rate of a settlement by exchange, which is exceeded only where the recorded rate exceeds it. To the power
    ``deviation_exponent`` it multiplies the log deviation of each price, fill and mark from the geometric mean of those
    that the coin has at the hour, which stays. Fills are scaled by their own deviations: what a last trade bounced is
    gone at the next fill, as it was. High and low go with the fill; quoted spreads grow and never shrink.

    What is missing stays missing, and settlements keep their hours and intervals. Order books and rules of orders are
    kept as they are: of books only distances from their own mid are read. Recorded opportunities are dropped, since
    they tell of the recorded market.
    """
    factor = factors(market, settings, rng)[market.leg_symbol]
    wider = factor**settings.deviation_exponent
    changes: dict[str, Any] = {
        name: _deviating(getattr(market, name), market.leg_symbol, wider) for name in ("price", "mark_price")
    }
    moved = _deviation_ratio(market.fill_price, market.leg_symbol, wider)
    changes["fill_price"] = market.fill_price * moved
    for name in BAR_EXTREMES:
        if getattr(market, name) is not None:
            changes[name] = getattr(market, name) * moved
    changes["bid_ask_spread"] = market.bid_ask_spread * np.maximum(wider, 1.0)
    changes["funding_rate"] = _scaled_rates(market, factor, rate_cap)
    return replace(market, recorded=None, **changes)


def factors(market: MarketData, settings: AugmentationSettings, rng: Rng) -> Floats:
    """What the rates of every coin are multiplied by, ``[symbols, hours]``."""
    daily = _best_daily_net(market)
    paths = np.array([_path(row, settings, rng) for row in daily]).reshape(daily.shape)
    return _smoothed(paths, settings.smoothing_hours)


def _best_daily_net(market: MarketData) -> Floats:
    """Highest less lowest sum of the rates of a coin's legs in the last 24 h, ``[symbols, hours]``, bps."""
    hours = len(market.hours)
    sums = np.zeros((market.legs, hours))
    np.cumsum(np.nan_to_num(market.funding_rate), axis=1, out=sums)
    sums[:, DAY:] -= sums[:, :-DAY].copy()
    best = np.zeros((len(market.symbols), hours))
    for symbol in range(len(market.symbols)):
        legs = market.leg_symbol == symbol
        if legs.any():
            best[symbol] = BPS * np.ptp(sums[legs], axis=0)
    return best


def _path(daily_net: Floats, settings: AugmentationSettings, rng: Rng) -> Floats:
    """Factors of one coin before they are smoothed, segment after segment, ``[hours]``."""
    hours = len(daily_net)
    path, start = np.empty(hours), 0
    floors = np.array([row.from_bps for row in settings.decay])
    while start < hours:
        # Every segment takes the same draws, whatever it becomes: what is recorded later changes nothing before it.
        length = DAY * int(rng.integers(*settings.segment_days, endpoint=True))
        is_spike = rng.random() < settings.spike_share
        spike = float(np.exp(rng.uniform(*np.log(settings.spike_factors))))
        calm = float(rng.uniform(*settings.calm_factors))
        spread = float(np.exp(settings.half_life_spread * rng.standard_normal()))
        height = max(spike, calm) if is_spike else calm
        size = settings.decay[int(np.searchsorted(floors, height * daily_net[start], side="right")) - 1]
        age = np.arange(min(length, hours - start))
        path[start : start + length] = calm + (height - calm) * 0.5 ** (age / (size.half_life_hours * spread))
        start += length
    return path


def _smoothed(paths: Floats, hours: int) -> Floats:
    """Mean of the last ``hours`` hours; before the first row the first value is taken to have held."""
    if not paths.shape[1]:
        return paths
    padded = np.concatenate([np.repeat(paths[:, :1], hours - 1, axis=1), paths], axis=1)
    # Of each window alone: a running sum would leave a factor of exactly 1 a little off.
    return np.asarray(sliding_window_view(padded, hours, axis=1).mean(axis=-1))


def _scaled_rates(market: MarketData, factor: Floats, rate_cap: Callable[[str], float]) -> Floats:
    caps = np.array([rate_cap(name) for name in market.exchanges])[market.leg_exchange]
    rates = market.funding_rate
    most = np.maximum(caps[:, None], np.abs(rates))
    return np.asarray(np.clip(rates * factor, -most, most))


def _deviating(values: Floats, coin: Ints, wider: Floats) -> Floats:
    return np.asarray(values * _deviation_ratio(values, coin, wider))


def _deviation_ratio(values: Floats, coin: Ints, wider: Floats) -> Floats:
    """What scales each value's log deviation from the mean of its coin at the hour by ``wider``; 1 where unknown."""
    known = ~np.isnan(values)
    logs = np.log(np.where(known, values, 1.0))
    ratio = np.ones_like(values)
    for each in np.unique(coin):
        legs = coin == each
        count = known[legs].sum(axis=0)
        mean = logs[legs].sum(axis=0) / np.maximum(count, 1)
        ratio[legs] = np.where(known[legs], np.exp((wider[legs] - 1.0) * (logs[legs] - mean)), 1.0)
    return ratio
