"""Prices: a common index per coin, the premium and noise of each exchange, and the bounce of trades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapters.sample.coins import Coin
from adapters.sample.processes import noise_with_memory, ornstein_uhlenbeck, student
from adapters.sample.settings import BASELINE_BPS, ReturnSettings, SampleSettings
from engine.market.data import Floats


@dataclass(frozen=True, eq=False)
class Quotes:
    """Prices of one coin, ``[exchanges, hours]`` in USD."""

    last: Floats
    first_after: Floats
    mark: Floats


def volatility_path(rng: np.random.Generator, settings: ReturnSettings, hours: int) -> Floats:
    """Stochastic volatility ``[hours]`` with mean square 1: calm and wild spells."""
    fast, slow = settings.fast_log_volatility, settings.slow_log_volatility
    log = fast * ornstein_uhlenbeck(rng, 1, hours, settings.fast_half_life_hours)[0]
    log += slow * ornstein_uhlenbeck(rng, 1, hours, settings.slow_half_life_hours)[0]
    # The mean of exp(2 x) is exp(2 variance): without the two squares the wild spells would raise the mean square.
    return np.asarray(np.exp(log - fast**2 - slow**2))


def shocks(rng: np.random.Generator, settings: ReturnSettings, volatility: Floats) -> Floats:
    """Heavy-tailed returns of unit variance that follow a volatility path, ``[hours]``."""
    return volatility * student(rng, volatility.shape, settings.degrees_of_freedom)


def index_path(
    rng: np.random.Generator, settings: SampleSettings, coin: Coin, market: Floats, course: Floats
) -> tuple[Floats, Floats]:
    """Fair price ``[hours]`` in USD and the coin's own volatility path; an extreme episode widens the returns."""
    volatility = volatility_path(rng, settings.returns, len(market))
    own = shocks(rng, settings.returns, volatility)
    share = coin.market_correlation
    returns = share * market + np.sqrt(1 - share**2) * own
    widened = 1 + (settings.extremes.widening - 1) * course
    log = np.cumsum(returns * widened * coin.hourly_volatility_bps / 1e4)
    return coin.price_usd * np.exp(log - log[0]), volatility


def quotes(
    rng: np.random.Generator,
    settings: SampleSettings,
    coin: Coin,
    index: Floats,
    premium_bps: Floats,
    episode_bps: Floats,
) -> Quotes:
    """Last trade, first trade after, and mark of every exchange.

    ``premium_bps`` is the whole funding pressure in bps per 8 h (episodes included). Funding is the mean premium of the
    price, so an exchange whose shorts pay is cheap by as much: who collects it loses when the discount widens.
    """
    basis, rows, hours = settings.basis, len(coin.exchanges), len(index)
    traits = [settings.exchanges[name] for name in coin.exchanges]
    slow = ornstein_uhlenbeck(rng, rows, hours, basis.slow_half_life_hours)
    fair = basis.premium_per_funding * (premium_bps - BASELINE_BPS)
    fair += _column([t.basis_offset_bps + rng.normal(0, 0.7) for t in traits])
    fair += _column([t.basis_slow_bps * coin.basis_noise for t in traits]) * slow
    fast = np.concatenate(
        [noise_with_memory(rng, 1, hours, t.basis_fast_half_life_hours, basis.noise_degrees_of_freedom) for t in traits]
    )
    fast_sd = _column([t.basis_fast_bps * coin.basis_noise for t in traits])
    middle = fair + fast * np.hypot(fast_sd, settings.extremes.basis_noise * np.abs(episode_bps))
    # What is measured in real markets is the way from one trade to the next, and each of the two has its bounce.
    bounce_sd = _column([t.bounce_multiple * coin.bounce_bps for t in traits]) / np.sqrt(2)
    height = np.abs(episode_bps) / (np.abs(episode_bps).max() + 1e-9)
    bounce_sd = bounce_sd * (1 + (settings.extremes.widening - 1) * height)
    last, after = (student(rng, (rows, hours), basis.bounce_degrees_of_freedom) * bounce_sd for _ in range(2))
    return Quotes(
        last=index * np.exp((middle + last) / 1e4),
        first_after=index * np.exp((middle + after) / 1e4),
        mark=index * np.exp(fair / 1e4),
    )


def _column(values: list[float]) -> Floats:
    return np.array(values)[:, None]
