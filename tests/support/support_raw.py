"""Raw tables of three exchanges and three coins, one leg of which a test spoils, through ``arb data build``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_datasets import FIRST, bars, settlements, write_raw

from adapters.cli import main
from adapters.datasets.load import load_dataset
from engine.market.data import PER_LEG_FLOATS, MarketData

HOURS = 240
LEVELS = {"BTC": 30_000.0, "ETH": 2_000.0, "PEPE": 0.00001}
EXCHANGES = ("binance", "bybit", "okx")
Tables = dict[tuple[str, str], pd.DataFrame]
"""By (base, exchange)."""
Edit = Callable[[Tables, Tables], None]


def clean(hours: int = HOURS, *, every: int = 4) -> tuple[Tables, Tables]:
    """Bars and settlements of nine legs that agree; PEPE is listed per 1000 on binance and bybit."""
    prices, funding = _clean(hours, every)
    return {leg: table.copy() for leg, table in prices.items()}, {leg: table.copy() for leg, table in funding.items()}


@lru_cache
def _clean(hours: int, every: int) -> tuple[Tables, Tables]:
    prices: Tables = {}
    funding: Tables = {}
    for number, (base, level) in enumerate(LEVELS.items()):
        moves = np.random.default_rng(number).normal(0, 0.003, hours)
        close = level * np.exp(np.cumsum(moves))
        for exchange in EXCHANGES:
            unit = 1000 if base == "PEPE" and exchange != "okx" else 1
            prices[base, exchange] = bars(exchange, base, close * unit, multiplier=unit)
            rates = dict.fromkeys(range(0, hours, every), 1e-4)
            funding[base, exchange] = settlements(exchange, base, rates, interval=float(every), multiplier=unit)
    return prices, funding


@dataclass
class Build:
    """What a build did: its exit code, what it printed, and the market it wrote (None: nothing)."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def market(self) -> MarketData:
        return load_dataset(self.folder, cache=False).market

    @property
    def told(self) -> list[str]:
        """The lines about what is left out or worth knowing."""
        starts = ("left out", "joined", "unknown for", "note", "delistings.parquet")
        return [line for line in self.out.splitlines() if line.startswith(starts)]


class Builder:
    """Writes raw tables, runs the command on them in this process, and keeps what it said."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._runs = folder, 0

    def __call__(self, edit: Edit, *options: str, hours: int = HOURS) -> Build:
        prices, funding = clean(hours)
        edit(prices, funding)
        return self.of(list(prices.values()), list(funding.values()), *options)

    def of(self, prices: list[pd.DataFrame], funding: list[pd.DataFrame], *options: str) -> Build:
        self._runs += 1
        raw = write_raw(self._folder / f"raw{self._runs}", prices, funding)
        return self.on(raw, *options)

    def on(self, raw: Path, *options: str) -> Build:
        self._runs += 1
        out = self._folder / f"set{self._runs}"
        said, complained = StringIO(), StringIO()
        with redirect_stdout(said), redirect_stderr(complained), pytest.raises(SystemExit) as ended:
            main(["data", "build", str(raw), "--out", str(out), *options])
        return Build(int(ended.value.code or 0), said.getvalue(), complained.getvalue(), out)


def legs_of(market: MarketData) -> set[tuple[str, str]]:
    """(symbol, exchange) of every leg."""
    return {market.leg_name(leg) for leg in range(market.legs)}


def assert_same_but_for(built: MarketData, wanted: MarketData, *touched: tuple[str, str]) -> None:
    """Every leg of ``wanted`` that is not among ``touched`` is there as it was, hour by hour."""
    for leg in range(wanted.legs):
        name = wanted.leg_name(leg)
        if name in touched:
            continue
        mine = built.leg(*name)
        for kind in PER_LEG_FLOATS:
            theirs, ours = getattr(wanted, kind)[leg], getattr(built, kind)[mine]
            before = int(built.hours[0]) - int(wanted.hours[0])
            rows = np.arange(len(wanted.hours)) - before
            inside = (rows >= 0) & (rows < len(ours))
            np.testing.assert_array_equal(ours[rows[inside]], theirs[inside], err_msg=f"{name} {kind}")
            assert np.isnan(theirs[~inside]).all()


def row_of(market: MarketData, hour: int) -> int:
    """Row of the hour ``FIRST + hour``."""
    return FIRST + hour - int(market.hours[0])
