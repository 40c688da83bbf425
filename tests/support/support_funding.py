"""Raw tables of one coin on two exchanges, whose funding record or bars are spoiled before they become a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from reference_records import Enter
from scripted import Scripted
from support_datasets import bars, settlements, write_raw

from adapters.configuration.settings import load_settings
from adapters.datasets.build import build_dataset
from adapters.datasets.load import load_dataset
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder

LONG, SHORT = "binance", "bybit"
ENTERED = 80
"""Row at which ``held`` enters: history enough."""


def calm_prices(hours: int, seed: int = 3) -> tuple[list[float], list[float]]:
    """Closes of both exchanges: a slow walk, and another one a basis point around it."""
    rng = np.random.default_rng(seed)
    coin = 100 * np.exp(np.cumsum(rng.normal(0, 0.0005, hours)))
    return coin.tolist(), (coin * (1 + 0.0001 * rng.normal(0, 1, hours))).tolist()


def both_bars(hours: int) -> list[pd.DataFrame]:
    """Calm bars of both exchanges, opening from hour 0 on."""
    return [bars(exchange, "BTC", closes) for exchange, closes in zip((LONG, SHORT), calm_prices(hours), strict=True)]


def record(exchange: str, rates: Mapping[int, float], intervals: Mapping[int, float] | None = None) -> pd.DataFrame:
    """Raw settlements by hour, with the interval of each beside it; None: the source does not say."""
    table = settlements(exchange, "BTC", rates)
    table["interval_hours"] = [np.nan if intervals is None else float(intervals[hour]) for hour in rates]
    return table


def built(folder: Path, prices: Sequence[pd.DataFrame], funding: Sequence[pd.DataFrame]) -> tuple[Path, list[str]]:
    """The data set of raw tables, and what building it had to say."""
    raw, out = write_raw(folder / "raw", prices, funding), folder / "set"
    _, warnings = build_dataset(raw, out, name="made", source="a test")
    return out, warnings


def held(dataset: Path, *overrides: str, entered: int = ENTERED) -> Records:
    """Long binance, short bybit from a row on, to the end of the data, under the shipped settings."""
    market = load_dataset(dataset, cache=False).market
    builder = OpportunityBuilder(prepare(market, load_settings(None, overrides)))
    strategy = Scripted(market, {entered: [Enter("BTCUSDT", "binanceusdm", "bybit")]})
    return run_backtest(builder, strategy, entered, len(market.hours) - 1)
