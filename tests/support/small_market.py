"""Markets of a few hours, written out leg by leg, for cases computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from engine.market.data import NEVER, MarketData
from engine.settings import EngineSettings, FeeRow
from engine.windows import hour_of

START = hour_of(datetime(2024, 1, 1, tzinfo=UTC))
NAN = float("nan")

Hourly = float | Sequence[float]
"""One value for every hour, or one per hour."""


@dataclass(frozen=True)
class LegSketch:
    """One leg; ``rates`` by row of settlement, ``delisting`` as (row of the delisting, row of the notice)."""

    price: Hourly = 100.0
    fill: Hourly = NAN
    mark: Hourly = NAN
    rates: Mapping[int, float] = field(default_factory=dict)
    interval: Hourly = NAN
    volume: Hourly = NAN
    spread: Hourly = NAN
    depth: Hourly = NAN
    high: Hourly = NAN
    low: Hourly = NAN
    known: Mapping[int, int] = field(default_factory=dict)
    delisting: tuple[int, int] | None = None


def small_market(legs: Mapping[tuple[str, str], LegSketch], hours: int, grace: int = 0) -> MarketData:
    """A market of ``hours`` rows from 2024-01-01T00Z on, with the legs by (symbol, exchange)."""
    names = sorted(legs)
    symbols = sorted({symbol for symbol, _ in names})
    exchanges = sorted({exchange for _, exchange in names})
    sketches = [legs[name] for name in names]
    notices = [sketch.delisting for sketch in sketches]
    known = np.array([[START + sketch.known.get(t, t) for t in range(hours)] for sketch in sketches], np.int64)

    def rows(name: str) -> Any:
        values = [getattr(sketch, name) for sketch in sketches]
        return np.array([np.broadcast_to(np.asarray(value, float), hours) for value in values])

    return MarketData(
        hours=np.arange(START, START + hours, dtype=np.int64),
        symbols=tuple(symbols),
        exchanges=tuple(exchanges),
        leg_symbol=np.array([symbols.index(symbol) for symbol, _ in names], np.int64),
        leg_exchange=np.array([exchanges.index(exchange) for _, exchange in names], np.int64),
        price=rows("price"),
        fill_price=rows("fill"),
        mark_price=rows("mark"),
        funding_rate=np.array([[sketch.rates.get(t, NAN) for t in range(hours)] for sketch in sketches]),
        funding_interval_hours=rows("interval"),
        volume_24h_usd=rows("volume"),
        bid_ask_spread=rows("spread"),
        depth_usd=rows("depth"),
        funding_known_hour=known if any(sketch.known for sketch in sketches) else None,
        delisting_hour=np.array([NEVER if n is None else START + n[0] for n in notices], np.int64),
        delisting_known_hour=np.array([NEVER if n is None else START + n[1] for n in notices], np.int64),
        settlement_grace_hours=grace,
        high=None if np.isnan(rows("high")).all() else rows("high"),
        low=None if np.isnan(rows("low")).all() else rows("low"),
    )


def plain_settings(**changes: Any) -> EngineSettings:
    """One position of 5,000 USD per leg, alpha at 0.05 % and beta at 0.06 %, no slippage, no history needed."""
    since = date(2020, 1, 1)
    values: dict[str, Any] = {
        "initial_capital_usd": 10_000.0,
        "max_positions": 1,
        "max_position_loss_pct": None,
        "slippage_bps": 0.0,
        "min_history_hours": 1,
        "fees": {
            "alpha": (FeeRow(since=since, maker=0.0002, taker=0.0005),),
            "beta": (FeeRow(since=since, maker=0.0001, taker=0.0006),),
            "gamma": (FeeRow(since=since, maker=0.0, taker=0.0),),
        },
    }
    return EngineSettings(**(values | changes))


def wandering_market(hours: int, seed: int = 8) -> MarketData:
    """Two coins whose funding changes its sign now and then, with prices that wander."""
    rng = np.random.default_rng(seed)
    legs = {}
    for symbol in ("AAAUSDT", "BBBUSDT"):
        price = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, hours)))
        for exchange in ("binanceusdm", "bybit"):
            own = price * (1 + 0.0005 * rng.normal(0, 1, hours))
            level = np.repeat(rng.normal(0, 0.002, 1 + hours // 60), 60)
            rates = {t: float(level[t]) for t in range(0, hours, 8)}
            legs[symbol, exchange] = LegSketch(price=own.tolist(), rates=rates, interval=8)
    return small_market(legs, hours)
