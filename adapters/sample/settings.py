"""Typed parameters of the sample generator (``configs/sample.yaml``)."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Self

from pydantic import Field, model_validator

from adapters.configuration.settings import CONFIGS, read_yaml
from engine.settings import NotNegative, Positive, Seed, Settings, parse_settings

SAMPLE_CONFIG = CONFIGS / "sample.yaml"
BASELINE_BPS = 1.0
"""The interest part of funding: 0.01 % per 8 h, at which most settlements of calm coins stand exactly."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Interval = Annotated[int, Field(ge=1, le=8)]
HoursRange = tuple[NotNegative, NotNegative]


class TierSettings(Settings):
    """What coins of one size have in common; each coin is drawn around it."""

    hourly_volatility_bps: Positive
    market_correlation: Share
    volume_24h_usd: Positive
    bid_ask_spread_bps: Positive
    bounce_bps: NotNegative
    """Standard deviation between the last trade before an hour and the first after it, on the thinnest exchange."""
    basis_noise: Positive
    """Multiplies the basis noise of every exchange."""


class CoinSettings(Settings):
    """One coin: its size, first price, and regular funding intervals per exchange."""

    symbol: str
    tier: str
    price_usd: Positive
    interval_hours: dict[str, Interval]


FundingQuantiles = tuple[tuple[Share, float], ...]


class ExchangeSettings(Settings):
    """Funding, basis and liquidity of one exchange."""

    funding_quantiles: dict[Interval, FundingQuantiles]
    """Per regular interval: (probability, bps per settlement); linear in the normal score between the points."""
    funding_shares: dict[str, Share]
    """Share of the latent variance that each common component explains; the rest is the exchange's own."""
    own_half_life_hours: Positive
    rate_cap_bps: Positive
    extreme_factor: tuple[NotNegative, NotNegative]
    """Range of this exchange's share of an extreme episode."""
    extreme_interval_hours: Interval
    basis_offset_bps: float
    basis_slow_bps: NotNegative
    basis_fast_bps: NotNegative
    basis_fast_half_life_hours: Positive
    bounce_multiple: NotNegative
    volume_share: Positive
    spread_multiple: Positive
    depth_share: Positive

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if sum(self.funding_shares.values()) > 1:
            raise ValueError("funding_shares add up to more than 1")
        for points in self.funding_quantiles.values():
            for (low, rate), (high, next_rate) in pairwise(points):
                # Equal rates are allowed: they are the share of settlements that stands exactly at the baseline.
                if low >= high or rate > next_rate:
                    raise ValueError(f"funding_quantiles must ascend: {low}: {rate} before {high}: {next_rate}")
            # Their normal scores are needed, and those of 0 and 1 are infinite.
            if not 0 < points[0][0] < points[-1][0] < 1:
                raise ValueError("funding_quantiles need probabilities strictly between 0 and 1")
        return self

    def scores(self, interval_hours: int) -> tuple[list[float], list[float]]:
        """Normal scores and bps per 8 h of the quantile points of one regular interval."""
        points = self.funding_quantiles[interval_hours]
        normal = NormalDist()
        return [normal.inv_cdf(p) for p, _ in points], [bps * 8 / interval_hours for _, bps in points]


class ReturnSettings(Settings):
    """Hourly returns: stochastic volatility with heavy-tailed shocks and one market factor."""

    degrees_of_freedom: Annotated[float, Field(gt=2, allow_inf_nan=False)]
    fast_log_volatility: NotNegative
    fast_half_life_hours: Positive
    slow_log_volatility: NotNegative
    slow_half_life_hours: Positive
    coin_spread: NotNegative
    """Standard deviation of log traits (volatility, volume, spread) between coins of a tier."""


class BasisSettings(Settings):
    """How prices of exchanges differ."""

    premium_per_funding: NotNegative
    """bps of price premium per bps of 8 h funding above the baseline; funding is the mean premium, so about 1."""
    slow_half_life_hours: Positive
    noise_degrees_of_freedom: Annotated[float, Field(gt=2, allow_inf_nan=False)]
    bounce_degrees_of_freedom: Annotated[float, Field(gt=2, allow_inf_nan=False)]


class ExtremeSettings(Settings):
    """The regime of extreme coins: days of strongly negative funding with the matching discount."""

    episodes: Annotated[int, Field(ge=0)]
    symbols: tuple[str, ...]
    bps_per_day: tuple[Positive, Positive]
    ramp_hours: HoursRange
    plateau_hours: HoursRange
    decay_half_life_hours: Positive
    shorten_after_hours: HoursRange
    restore_after_hours: HoursRange
    noise: NotNegative
    """Standard deviation of the episode's size relative to itself."""
    noise_half_life_hours: Positive
    basis_noise: NotNegative
    """Extra price noise relative to the discount: what makes catching the spread risky."""
    widening: Positive
    """Multiplies volatility, bounce, spread and volume at the height of an episode."""


class Listing(Settings):
    """A coin that starts trading on all its exchanges at this share of the span."""

    symbol: str
    at: Share


class Vanishing(Settings):
    """A coin whose data ends on all exchanges without notice."""

    symbol: str
    at: Share


class NoticedDelisting(Settings):
    """A coin that one exchange delists after a notice."""

    symbol: str
    exchange: str
    at: Share
    notice_hours: Annotated[int, Field(ge=1)]


class IntervalChange(Settings):
    """A lasting change of a funding interval."""

    symbol: str
    exchange: str
    at: Share
    interval_hours: Interval


class IncidentSettings(Settings):
    """Everything irregular."""

    listings: tuple[Listing, ...]
    vanishings: tuple[Vanishing, ...]
    delistings: tuple[NoticedDelisting, ...]
    interval_changes: tuple[IntervalChange, ...]
    exchange_outages: Annotated[int, Field(ge=0)]
    exchange_outage_hours: tuple[int, int]
    leg_outages: Annotated[int, Field(ge=0)]
    leg_outage_hours: tuple[int, int]
    missing_settlements: Annotated[int, Field(ge=0)]
    late_settlements: Annotated[int, Field(ge=0)]


class SampleSettings(Settings):
    """The whole generator: a data set is a pure function of these settings."""

    seed: Seed
    first_day: date
    days: Annotated[int, Field(ge=10, le=3650)]
    price_digits: Annotated[int, Field(ge=4, le=12)]
    level_share: Share
    """Share of the latent funding variance that is the coin's own lasting level."""
    component_half_life_hours: dict[str, Positive]
    """Common latent components: ``market`` is shared by all coins, the others by the exchanges of one coin."""
    tiers: dict[str, TierSettings]
    exchanges: dict[str, ExchangeSettings]
    coins: Annotated[tuple[CoinSettings, ...], Field(min_length=1)]
    returns: ReturnSettings
    basis: BasisSettings
    extremes: ExtremeSettings
    incidents: IncidentSettings

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for coin in self.coins:
            if coin.tier not in self.tiers:
                raise ValueError(f"{coin.symbol}: tier {coin.tier} is not defined")
            for exchange, interval in coin.interval_hours.items():
                if exchange not in self.exchanges:
                    raise ValueError(f"{coin.symbol}: exchange {exchange} is not defined")
                if interval not in self.exchanges[exchange].funding_quantiles:
                    raise ValueError(f"{coin.symbol}: {exchange} has no funding_quantiles for {interval} h")
        for name, exchange_settings in self.exchanges.items():
            unknown = set(exchange_settings.funding_shares) - set(self.component_half_life_hours)
            if unknown:
                raise ValueError(f"{name}: component {min(unknown)} has no half-life")
        return self


def read_sample_settings(path: Path = SAMPLE_CONFIG) -> SampleSettings:
    """Read and validate generator settings. Raises ``SettingsError`` in one line."""
    return parse_settings(SampleSettings, read_yaml(path), origin=path.name)
