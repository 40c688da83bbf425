"""The coins of a sample: which ones, and the traits drawn for each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from adapters.sample.processes import normal_scores
from adapters.sample.settings import CoinSettings, SampleSettings
from engine.market.data import Floats

LEADERS = "leader"
"""Traits of this tier are taken as they are: its coins are the market factor."""


@dataclass(frozen=True, eq=False)
class Coin:
    """One coin with its drawn traits; units as in ``TierSettings``."""

    symbol: str
    price_usd: float
    interval_hours: dict[str, int]
    hourly_volatility_bps: float
    market_correlation: float
    volume_24h_usd: float
    bid_ask_spread_bps: float
    bounce_bps: float
    basis_noise: float
    funding_level: float
    """Normal score of the coin's lasting funding level."""

    @property
    def exchanges(self) -> tuple[str, ...]:
        return tuple(self.interval_hours)


def choose_coins(settings: SampleSettings, count: int) -> tuple[CoinSettings, ...]:
    """The first ``count`` coins; beyond the list, unnamed coins (``SYN021USDT``) made like the listed ones."""
    listed = settings.coins[:count]
    extra = (
        settings.coins[i % len(settings.coins)].model_copy(update={"symbol": f"SYN{i + 1:03d}USDT"})
        for i in range(len(settings.coins), count)
    )
    return (*listed, *extra)


def draw_coins(rng: np.random.Generator, settings: SampleSettings) -> list[Coin]:
    """Traits of every coin, drawn around those of its tier."""
    spread = settings.returns.coin_spread
    factors = np.exp(spread * rng.standard_normal((len(settings.coins), 4)))
    levels = _funding_levels(rng, settings)
    coins = []
    for listed, factor, level in zip(settings.coins, factors, levels, strict=True):
        tier = settings.tiers[listed.tier]
        volatility, volume, width, bounce = np.ones(4) if listed.tier == LEADERS else factor
        coins.append(
            Coin(
                symbol=listed.symbol,
                price_usd=listed.price_usd,
                interval_hours=dict(listed.interval_hours),
                hourly_volatility_bps=tier.hourly_volatility_bps * volatility,
                market_correlation=tier.market_correlation,
                volume_24h_usd=tier.volume_24h_usd * volume**2,
                bid_ask_spread_bps=tier.bid_ask_spread_bps * width,
                bounce_bps=tier.bounce_bps * bounce,
                basis_noise=tier.basis_noise,
                funding_level=float(level),
            )
        )
    return coins


def _funding_levels(rng: np.random.Generator, settings: SampleSettings) -> Floats:
    """Evenly spread levels within each class of coins with equal regular intervals; thin coins tend to be lower."""
    volumes = np.log([settings.tiers[coin.tier].volume_24h_usd for coin in settings.coins])
    rank_by = volumes + 2.0 * rng.standard_normal(len(volumes))
    classes: dict[tuple[tuple[str, int], ...], list[int]] = defaultdict(list)
    for index, coin in enumerate(settings.coins):
        classes[tuple(sorted(coin.interval_hours.items()))].append(index)
    levels = np.empty(len(volumes))
    for members in classes.values():
        ordered = sorted(members, key=lambda index: float(rank_by[index]))
        levels[ordered] = normal_scores(len(ordered))
    return levels
