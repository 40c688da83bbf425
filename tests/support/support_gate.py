"""Markets for the tests of the gate: plausible ones, and what can be wrong in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from adapters.datasets.arrays import market_of
from engine.market.data import PER_LEG_FLOATS, MarketData, select

FIRST = 480_000
COINS, EXCHANGES = ("AAAUSDT", "BBBUSDT", "CCCUSDT"), ("binanceusdm", "bybit", "hyperliquid")
PRICES = ("price", "fill_price", "mark_price")


def plausible(
    rng: np.random.Generator,
    hours: int,
    coins: Sequence[str] = COINS,
    exchanges: Sequence[str] = EXCHANGES,
    moves: float = 0.005,
) -> MarketData:
    """Coins that wander, with a basis of a few bps, small rates every 8 h (1 h on hyperliquid) and everything known."""
    legs = [(c, e) for c in range(len(coins)) for e in range(len(exchanges))]
    shape = (len(legs), hours)
    paths = 100 * np.exp(np.cumsum(rng.normal(0, moves, (len(coins), hours)), axis=1))
    price = paths[[c for c, _ in legs]] * np.exp(rng.normal(0, 3e-4, shape))
    interval = np.array([1.0 if exchanges[e] == "hyperliquid" else 8.0 for _, e in legs])[:, None] + np.zeros(shape)
    settles = (FIRST + np.arange(hours)) % interval == 0
    kinds = {
        "price": price,
        "fill_price": price * np.exp(rng.normal(0, 1e-4, shape)),
        "mark_price": price * np.exp(rng.normal(0, 2e-4, shape)),
        "funding_rate": np.where(settles, rng.normal(1e-5, 5e-6, shape) * interval, np.nan),
        "funding_interval_hours": interval,
        "volume_24h_usd": rng.uniform(1e6, 1e8, shape),
        "bid_ask_spread": rng.uniform(1e-4, 1e-3, shape),
        "depth_usd": rng.uniform(1e4, 1e5, shape),
    }
    indexes = np.array([c for c, _ in legs], np.int64), np.array([e for _, e in legs], np.int64)
    return market_of(kinds, hours=np.arange(FIRST, FIRST + hours), legs=indexes, symbols=coins, exchanges=exchanges)


def changed(market: MarketData, kind: str, leg: Any, rows: Any, values: Any) -> MarketData:
    """The market with other values of one kind."""
    array = getattr(market, kind).copy()
    array[leg, rows] = values
    return replace(market, **{kind: array})


def scaled(market: MarketData, leg: Any, rows: Any, factor: float, kinds: Sequence[str] = PRICES) -> MarketData:
    """The market with prices of legs times a factor."""
    for kind in kinds:
        market = changed(market, kind, leg, rows, getattr(market, kind)[leg, rows] * factor)
    return market


def only(market: MarketData, legs: Sequence[tuple[str, str]]) -> MarketData:
    """The market with unknown prices everywhere but on some legs."""
    keep = [market.leg(*leg) for leg in legs]
    others = [leg for leg in range(market.legs) if leg not in keep]
    for kind in PRICES:
        market = changed(market, kind, others, slice(None), np.nan)
    return market


def two_exchanges(market: MarketData) -> MarketData:
    """The market without its third exchange."""
    return select(market, exchanges=EXCHANGES[:2])


ABSURD: dict[str, tuple[float, ...]] = {
    "price": (np.nan, 0.0, -1.0, np.inf, 1e9, 60.0, 1e-3, 1.3, 0.7, 0.98),
    "fill_price": (np.nan, 0.0, -1.0, 1e9, 60.0, 1.3),
    "mark_price": (np.nan, 0.0, -1.0, 1e9, 60.0, 1.15),
    "funding_rate": (np.nan, 60.0, 1e9, -60.0, 1000.0, 5.0),
    "funding_interval_hours": (np.nan, 0.0, -1.0, 60.0, 0.125, 0.5, 2.0, 3.0),
    "volume_24h_usd": (np.nan, -1.0, 1e9, 60.0),
    "bid_ask_spread": (np.nan, -1.0, 1e4, 300.0),
    "depth_usd": (np.nan, -1.0, 1e9),
}
"""Factors that make a value of a kind absurd, or just move it."""


def disturb(rng: np.random.Generator, market: MarketData, count: int) -> MarketData:
    """The market with so many spells in which one leg, one coin or one exchange is wrong, or unknown, in one kind."""
    for _ in range(count):
        kind = str(rng.choice(list(ABSURD)))
        factor = float(rng.choice(ABSURD[kind]))
        start = int(rng.integers(len(market.hours)))
        rows = slice(start, start + int(rng.choice([1, 1, 1, 2, 5, 30])))
        of_exchange = market.leg_exchange == rng.integers(len(market.exchanges))
        one = np.arange(market.legs) == rng.integers(market.legs)
        of_coin = market.leg_symbol == rng.integers(len(market.symbols))
        legs = [one, one, of_exchange, of_coin][int(rng.integers(4))]
        kinds = PRICES[:2] if kind == "price" and rng.random() < 0.5 else (kind,)
        for each in kinds:
            with np.errstate(invalid="ignore", over="ignore"):
                values = getattr(market, each)[legs, rows] * factor
            market = changed(market, each, legs, rows, values)
    return market


def first_rows(market: MarketData, count: int) -> MarketData:
    """The market up to a row."""
    kinds: dict[str, Any] = {name: getattr(market, name)[:, :count] for name in PER_LEG_FLOATS}
    return replace(market, hours=market.hours[:count], **kinds)
