"""The sample market as a pure function of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

import numpy as np

from adapters.datasets.arrays import market_of
from adapters.sample.bars import bar_extremes
from adapters.sample.coins import Coin, draw_coins
from adapters.sample.extremes import Episode, draw_episodes, premium_of_extremes
from adapters.sample.funding import interval_schedule, market_component, ordinary_funding, settled_rates
from adapters.sample.incidents import (
    Outage,
    delisting_of,
    disturb_settlements,
    draw_outages,
    row_of,
    trades_after,
    trading_mask,
)
from adapters.sample.liquidity import liquidity
from adapters.sample.prices import index_path, quotes, shocks, volatility_path
from adapters.sample.processes import significant
from adapters.sample.settings import SampleSettings
from engine.market.data import BAR_EXTREMES, NEVER, PER_LEG_FLOATS, Floats, MarketData
from engine.windows import hour_of

Leg = dict[str, Floats]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What all coins of one sample share."""

    hours: int
    market_returns: Floats
    market_funding: Floats
    episodes: Sequence[Episode]
    outages: Sequence[Outage]


def generate(settings: SampleSettings) -> MarketData:
    """The sample market. Equal settings (the seed is one of them) give equal arrays."""
    hours = settings.days * 24
    root = np.random.default_rng(settings.seed)
    # A stream for each coin: another draw for one of them must not change all that follow.
    shared_rng, traits_rng, incident_rng, *coin_rngs = root.spawn(3 + len(settings.coins))
    coins = draw_coins(traits_rng, settings)
    volatility = volatility_path(shared_rng, settings.returns, hours)
    surroundings = Surroundings(
        hours=hours,
        market_returns=shocks(shared_rng, settings.returns, volatility),
        market_funding=market_component(shared_rng, settings, hours),
        episodes=draw_episodes(shared_rng, settings, hours),
        outages=draw_outages(incident_rng, settings.incidents, coins, hours),
    )
    legs: dict[tuple[str, str], Leg] = {}
    # Streams of their own: the bars came later, and may not change what was drawn before.
    for coin, rng, bar_rng in zip(coins, coin_rngs, root.spawn(len(coins)), strict=True):
        legs.update(_coin_legs((rng, bar_rng), settings, coin, surroundings))
    return _market(settings, legs, incident_rng)


def _coin_legs(
    rngs: tuple[np.random.Generator, np.random.Generator], settings: SampleSettings, coin: Coin, around: Surroundings
) -> dict[tuple[str, str], Leg]:
    """Columns of every leg of one coin; nan where the leg has no data. ``rngs``: for its hours and for its bars."""
    hours, (rng, bar_rng) = around.hours, rngs
    episode_bps, course = premium_of_extremes(rng, settings, coin, around.episodes, hours)
    ordinary_bps = ordinary_funding(rng, settings, coin, around.market_funding)
    index, volatility = index_path(rng, settings, coin, around.market_returns, course)
    prices = quotes(rng, settings, coin, index, ordinary_bps + episode_bps, episode_bps)
    books = liquidity(rng, settings, coin, volatility, course)
    legs = {}
    luck = bar_rng.spawn(len(coin.exchanges))
    deviation = coin.hourly_volatility_bps / 1e4 * volatility * (1 + (settings.extremes.widening - 1) * course)
    for row, exchange in enumerate(coin.exchanges):
        schedule = interval_schedule(rng, settings, coin, exchange, around.episodes, hours)
        cap = settings.exchanges[exchange].rate_cap_bps
        alive = trading_mask(settings.incidents, around.outages, coin, exchange, hours)
        after = trades_after(settings.incidents, alive, coin, exchange)
        columns = {
            "price": significant(prices.last[row], settings.price_digits),
            "fill_price": np.where(after, significant(prices.first_after[row], settings.price_digits), np.nan),
            "mark_price": significant(prices.mark[row], settings.price_digits),
            "funding_rate": settled_rates(ordinary_bps[row], episode_bps[row], schedule, cap),
            "funding_interval_hours": schedule.astype(np.float64),
            "volume_24h_usd": books.volume_24h_usd[row],
            "bid_ask_spread": books.bid_ask_spread[row],
            "depth_usd": books.depth_usd[row],
        }
        leg = {name: np.where(alive, values, np.nan) for name, values in columns.items()}
        legs[coin.symbol, exchange] = leg | _extremes(luck[row], settings, leg, deviation)
    return legs


def _extremes(rng: np.random.Generator, settings: SampleSettings, leg: Leg, deviation: Floats) -> Leg:
    """High and low of the bars of a leg; of a bar that does not end within the sample nothing is known."""
    closed, during = (np.append(values[1:], np.nan) for values in (leg["price"], deviation))
    extremes = zip(BAR_EXTREMES, bar_extremes(rng, leg["fill_price"], closed, during), strict=True)
    # Rounding keeps order, so that no high comes to lie below the open, which has as many digits.
    return {name: significant(values, settings.price_digits) for name, values in extremes}


def _market(
    settings: SampleSettings, legs: dict[tuple[str, str], Leg], incident_rng: np.random.Generator
) -> MarketData:
    names = sorted(legs)
    symbols = sorted({symbol for symbol, _ in names})
    exchanges = sorted({exchange for _, exchange in names})
    arrays = {kind: np.stack([legs[name][kind] for name in names]) for kind in (*PER_LEG_FLOATS, *BAR_EXTREMES)}
    disturb_settlements(incident_rng, settings.incidents, arrays["funding_rate"])
    hours = settings.days * 24
    first = hour_of(datetime.combine(settings.first_day, time(), UTC))
    notices = [delisting_of(settings.incidents, *name) for name in names]
    ends = [NEVER if d is None else first + row_of(d.at, hours) for d in notices]
    known = [NEVER if d is None else end - d.notice_hours for d, end in zip(notices, ends, strict=True)]
    market = market_of(
        arrays,
        hours=np.arange(first, first + hours, dtype=np.int64),
        legs=(
            np.array([symbols.index(symbol) for symbol, _ in names], np.int64),
            np.array([exchanges.index(exchange) for _, exchange in names], np.int64),
        ),
        symbols=symbols,
        exchanges=exchanges,
    )
    return replace(market, delisting_hour=np.array(ends, np.int64), delisting_known_hour=np.array(known, np.int64))
