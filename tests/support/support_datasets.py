"""Small markets, raw tables and older files for the tests of data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from adapters.datasets.arrays import market_of
from adapters.datasets.hourly_intervals import hourly_intervals
from adapters.datasets.layout import DatasetInfo, NamedWindow
from engine.market.data import PER_LEG_FLOATS, MarketData
from engine.windows import hour_of, time_of

START = "2024-05-01T00:00Z"
FIRST = hour_of(pd.Timestamp(START).to_pydatetime())


def stamp(hour: int) -> pd.Timestamp:
    """Aware time of the hour ``FIRST + hour``."""
    return pd.Timestamp(time_of(FIRST + hour))


def small_market(hours: int = 12, legs: Sequence[tuple[str, str]] | None = None, seed: int = 1) -> MarketData:
    """A market with every kind known, settling every fourth hour."""
    legs = sorted(legs or [(s, e) for s in ("BTCUSDT", "ETHUSDT") for e in ("binanceusdm", "bybit")])
    rng = np.random.default_rng(seed)
    shape = (len(legs), hours)
    settles = np.arange(FIRST, FIRST + hours) % 4 == 0
    price = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, shape), axis=1))
    kinds = {
        "price": price,
        "fill_price": price * (1 + rng.normal(0, 1e-4, shape)),
        "mark_price": price * (1 + rng.normal(0, 1e-4, shape)),
        "funding_rate": np.where(settles, rng.normal(0, 1e-4, shape), np.nan),
        "funding_interval_hours": np.where(settles, 4.0, np.nan) + np.zeros(shape),
        "volume_24h_usd": rng.uniform(1e6, 1e7, shape),
        "bid_ask_spread": rng.uniform(0, 1e-3, shape),
        "depth_usd": rng.uniform(1e4, 1e5, shape),
    }
    symbols, exchanges = sorted({s for s, _ in legs}), sorted({e for _, e in legs})
    indexes = (
        np.array([symbols.index(s) for s, _ in legs], np.int64),
        np.array([exchanges.index(e) for _, e in legs], np.int64),
    )
    return market_of(kinds, hours=np.arange(FIRST, FIRST + hours), legs=indexes, symbols=symbols, exchanges=exchanges)


def info_of(market: MarketData, **changes: Any) -> DatasetInfo:
    """``dataset.yaml`` that fits a market."""
    values: dict[str, Any] = {
        "name": "small",
        "source": "a test",
        "exchanges": market.exchanges,
        "first_hour": time_of(int(market.hours[0])),
        "last_hour": time_of(int(market.hours[-1])),
        "how_made": "by hand",
    }
    return DatasetInfo(**(values | changes))


def window(start: int, end: int) -> NamedWindow:
    """A window by hours counted from ``FIRST``."""
    return NamedWindow(start=time_of(FIRST + start), end=time_of(FIRST + end))


def as_loaded(market: MarketData) -> MarketData:
    """The market that comes back when this one was written: intervals hold for the hours that they cover."""
    return replace(market, funding_interval_hours=hourly_intervals(market.funding_rate, market.funding_interval_hours))


def assert_same_market(one: MarketData, two: MarketData) -> None:
    """Bit for bit, nan being equal to nan."""
    assert (one.symbols, one.exchanges) == (two.symbols, two.exchanges)
    names = ("hours", "leg_symbol", "leg_exchange", "delisting_hour", "delisting_known_hour", *PER_LEG_FLOATS)
    for name in names:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name, strict=True)


def bars(
    exchange: str, base: str, closes: Sequence[float], *, first: int = 0, multiplier: int = 1, **columns: Any
) -> pd.DataFrame:
    """Raw candles from ``FIRST + first`` on; each opens at the close of the one before (the first at its own)."""
    close = np.asarray(closes, np.float64)
    open_ = np.concatenate((close[:1], close[:-1]))
    name = f"{multiplier if multiplier > 1 else ''}{base}/USDT:USDT"
    table = {
        "exchange": exchange,
        "symbol": name,
        "base": base,
        "multiplier": multiplier,
        "timestamp": [stamp(first + i) for i in range(len(close))],
        "open": open_,
        "high": np.maximum(open_, close),
        "low": np.minimum(open_, close),
        "close": close,
        "volume": 10.0,
    }
    return pd.DataFrame(table | columns)


def settlements(
    exchange: str, base: str, rates: Mapping[Any, float], *, interval: float = 4.0, multiplier: int = 1
) -> pd.DataFrame:
    """Raw settlements by hour counted from ``FIRST`` or by time."""
    name = f"{multiplier if multiplier > 1 else ''}{base}/USDT:USDT"
    times = [stamp(key) if isinstance(key, int) else pd.Timestamp(key) for key in rates]
    return pd.DataFrame(
        {
            "exchange": exchange,
            "symbol": name,
            "base": base,
            "multiplier": multiplier,
            "settlement_time": times,
            "funding_rate": list(rates.values()),
            "interval_hours": interval,
        }
    )


def write_raw(folder: Path, prices: Sequence[pd.DataFrame], funding: Sequence[pd.DataFrame]) -> Path:
    """A raw folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pd.concat(prices, ignore_index=True).to_parquet(folder / "prices_1h.parquet")
    pd.concat(funding, ignore_index=True).to_parquet(folder / "funding.parquet")
    return folder


def raw_pair(folder: Path, hours: int = 200) -> Path:
    """BTC on binance and bybit with a settlement every fourth hour."""
    closes = [100 + 0.1 * (i % 7) for i in range(hours)]
    rates = dict.fromkeys(range(0, hours, 4), 0.0001)
    exchanges = ("binance", "bybit")
    return write_raw(
        folder, [bars(e, "BTC", closes) for e in exchanges], [settlements(e, "BTC", rates) for e in exchanges]
    )


def prices_frame(hours: int = 8, exchanges: Sequence[str] = ("binance", "bybit")) -> pd.DataFrame:
    """A price history of the older layout: 0.0 where nothing settled."""
    rates = [1e-4 if i % 4 == 0 else 0.0 for i in range(hours)]
    columns: dict[str, Any] = {"timestamp": [stamp(i) for i in range(hours)]}
    for exchange in exchanges:
        columns[f"{exchange}_price"] = [100.0 + i for i in range(hours)]
        columns[f"{exchange}_funding_rate"] = rates
    return pd.DataFrame(columns)


def write_older(folder: Path, coins: Mapping[str, pd.DataFrame], suffix: str = ".parquet") -> Path:
    """A folder of the older layout."""
    prices = folder / "price_history"
    prices.mkdir(parents=True, exist_ok=True)
    for coin, frame in coins.items():
        write_frame(frame, prices / f"{coin}{suffix}")
    return folder


def write_frame(frame: pd.DataFrame, path: Path) -> Path:
    """A table by its suffix."""
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


def opportunity(
    time: str, *, symbol: str = "BTCUSDT", long: str = "binance", short: str = "bybit", **more: Any
) -> dict[str, Any]:
    """One row of an older opportunities file."""
    return {
        "entry_time": pd.Timestamp(time),
        "symbol": symbol,
        "long_exchange": long,
        "short_exchange": short,
        "entry_long_price": 1.0,
        "entry_short_price": 1.0,
        "long_funding_rate": 0.01,
        "fund_apr": 12.5,
        **more,
    }


@st.composite
def markets(draw: st.DrawFn) -> MarketData:
    """Markets with unknown values anywhere; each leg has at least one price."""
    coins = draw(st.lists(st.sampled_from(["BTCUSDT", "ETHUSDT", "1INCHUSDT"]), min_size=1, unique=True))
    legs = sorted(
        (coin, exchange)
        for coin in coins
        for exchange in draw(st.lists(st.sampled_from(["binanceusdm", "bybit", "okx"]), min_size=1, unique=True))
    )
    hours = draw(st.integers(1, 6))
    market = small_market(hours, legs, seed=draw(st.integers(0, 2**16)))
    holes = np.random.default_rng(draw(st.integers(0, 2**16)))
    for kind in PER_LEG_FLOATS:
        values = getattr(market, kind)
        values[holes.random(values.shape) < draw(st.sampled_from([0.0, 0.4, 1.0]))] = np.nan
    market.price[:, draw(st.integers(0, hours - 1))] = 99.5
    return market
