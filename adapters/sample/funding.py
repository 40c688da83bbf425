"""Funding: latent scores, the premium in bps per 8 h, interval schedules and settled rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.sample.coins import Coin
from adapters.sample.extremes import Episode
from adapters.sample.processes import ornstein_uhlenbeck, standardised
from adapters.sample.settings import ExchangeSettings, SampleSettings
from engine.market.data import Floats, Ints

MARKET = "market"
RATE_DECIMALS = 8


def market_component(rng: np.random.Generator, settings: SampleSettings, hours: int) -> Floats:
    """Latent funding level that all coins share, ``[hours]``."""
    path = ornstein_uhlenbeck(rng, 1, hours, settings.component_half_life_hours[MARKET])
    return np.asarray(standardised(path)[0])


def ordinary_funding(rng: np.random.Generator, settings: SampleSettings, coin: Coin, market: Floats) -> Floats:
    """bps per 8 h that each exchange would settle at each hour without an episode, ``[exchanges, hours]``.

    A Gaussian copula: latent scores carry the dependence over time, coins and exchanges; the quantile points of each
    exchange and regular interval carry the distribution with its mass at the baseline.
    """
    hours = len(market)
    components = {
        name: ornstein_uhlenbeck(rng, 1, hours, half_life)[0]
        # Sorted: draws must not hang on the order of keys in the settings.
        for name, half_life in sorted(settings.component_half_life_hours.items())
        if name != MARKET
    }
    components[MARKET] = market
    rows = []
    for exchange in coin.exchanges:
        traits = settings.exchanges[exchange]
        own = ornstein_uhlenbeck(rng, 1, hours, traits.own_half_life_hours)[0]
        within = _mixture(traits, components, own)
        score = np.sqrt(settings.level_share) * coin.funding_level + np.sqrt(1 - settings.level_share) * within
        rows.append(np.interp(score, *traits.scores(coin.interval_hours[exchange])))
    return np.array(rows)


def _mixture(traits: ExchangeSettings, components: dict[str, Floats], own: Floats) -> Floats:
    # Shares are of variance: the rest is the exchange's own, and the score keeps the unit variance of the quantiles.
    score = np.sqrt(1 - sum(traits.funding_shares.values())) * own
    for name, share in traits.funding_shares.items():
        score = score + np.sqrt(share) * components[name]
    return np.asarray(score)


def interval_schedule(
    rng: np.random.Generator,
    settings: SampleSettings,
    coin: Coin,
    exchange: str,
    episodes: Sequence[Episode],
    hours: int,
) -> Ints:
    """Interval in force from each hour on until the next settlement, ``[hours]``.

    Exchanges shorten the interval some hours into an extreme episode and restore it days after its end.
    """
    regular = coin.interval_hours[exchange]
    schedule = np.full(hours, regular, np.int64)
    for change in settings.incidents.interval_changes:
        if (change.symbol, change.exchange) == (coin.symbol, exchange):
            schedule[_common_settlement(change.at * hours, regular, change.interval_hours) :] = change.interval_hours
    short = settings.exchanges[exchange].extreme_interval_hours
    for episode in episodes:
        if episode.symbol != coin.symbol:
            continue
        start = _common_settlement(episode.start + rng.uniform(*settings.extremes.shorten_after_hours), regular, short)
        end = _common_settlement(episode.end + rng.uniform(*settings.extremes.restore_after_hours), regular, short)
        schedule[start:end] = np.minimum(schedule[start:end], short)
    return schedule


def _common_settlement(hour: float, interval: int, other: int) -> int:
    """First row at or after ``hour`` at which both intervals settle (rows start at midnight)."""
    longest = max(interval, other)
    return int(np.ceil(hour / longest)) * longest


def settled_rates(premium_bps: Floats, episode_bps: Floats, schedule: Ints, cap_bps: float) -> Floats:
    """Decimal rates at settlement hours, nan elsewhere.

    ``premium_bps`` (ordinary) counts as it stands at the settlement; an episode counts with its mean over the interval
    that ends there, so prices move before funding does. Both are bps per 8 h ``[hours]``.
    """
    hours = len(schedule)
    rates = np.full(hours, np.nan)
    # A settlement ends the interval that was in force before it, also where another one begins.
    in_force = np.concatenate([schedule[:1], schedule[:-1]])
    for hour in np.flatnonzero(np.arange(hours) % in_force == 0):
        interval = int(in_force[hour])
        extreme = episode_bps[max(hour - interval + 1, 0) : hour + 1].mean()
        bps = (premium_bps[hour] + extreme) * interval / 8
        rates[hour] = round(float(np.clip(bps, -cap_bps, cap_bps)) / 1e4, RATE_DECIMALS)
    return rates
