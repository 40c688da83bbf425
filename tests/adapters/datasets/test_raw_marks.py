"""Mark prices beside raw tables: of whole hours, of one coin, judged by the prices, and never more than a help."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import FIRST, stamp, write_raw
from support_raw import clean

from adapters.datasets.load import load_dataset
from engine.market.data import MarketData

HOURS = 100
LEG = ("PEPE", "bybit")


def marks(**changes: object) -> pd.DataFrame:
    prices = clean(HOURS)[0][LEG]
    table = prices[["exchange", "symbol", "base", "multiplier", "timestamp"]].assign(mark_price=prices["open"] * 1.001)
    return table.assign(**changes)


class Build:
    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys

    def __call__(self, *tables: pd.DataFrame, code: int = 0, options: tuple[str, ...] = ()) -> MarketData | None:
        raws = []
        for number, table in enumerate(tables):
            raw = self._folder / f"raw{number}"
            write_raw(raw, *([*each.values()] for each in clean(HOURS)))
            table.to_parquet(raw / "marks_1h.parquet")
            raws.append(raw)
        assert arb("data", "build", *raws, "--out", self._folder / "out", "--replace", *options) == code
        read = self._capsys.readouterr()
        self.said = read.out + read.err
        return None if code else load_dataset(self._folder / "out", cache=False).market


@pytest.fixture
def build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Build:
    return Build(tmp_path, capsys)


def leg_of(market: MarketData | None) -> np.ndarray:
    assert market is not None
    assert market.hours[0] == FIRST
    others = [leg for leg in range(market.legs) if market.leg_name(leg) != ("PEPEUSDT", "bybit")]
    assert np.isnan(market.mark_price[others]).all()
    return market.mark_price[market.leg("PEPEUSDT", "bybit")]


def test_marks_stand_at_their_hours_per_coin(build: Build) -> None:
    table = marks()
    np.testing.assert_array_equal(leg_of(build(table))[:-1], table["mark_price"] / 1000)


def test_marks_that_contradict_each_other_are_unknown(build: Build) -> None:
    other = marks()
    other.loc[7, "mark_price"] *= 1.01
    known = leg_of(build(marks(), other))
    assert np.isnan(known[7])
    assert not np.isnan(known[8])


def test_what_cannot_be_a_mark_takes_nothing_else_out(build: Build) -> None:
    table = marks()
    table.loc[3, "mark_price"] = -1.0
    table.loc[4, "timestamp"] = stamp(4) + pd.Timedelta(minutes=3)
    table.loc[5, "mark_price"] *= 1.5
    known = leg_of(build(table))
    assert np.isnan(known[[3, 4, 5]]).all()
    assert not np.isnan(known[[2, 6]]).any()
    assert "marks_1h.parquet: left out of PEPEUSDT on bybit: mark_price is not a positive price (1 of 100" in build.said
    assert "marks_1h.parquet: left out of PEPEUSDT on bybit: the mark is not of a whole hour (1 of 100" in build.said
    assert "bybit mark_price 1" in build.said
    build(table, code=2, options=("--strict",))
    assert "marks_1h.parquet, 1000PEPE/USDT:USDT on bybit" in build.said


def test_marks_of_coins_without_prices_are_not_used(build: Build) -> None:
    strange = build(marks(base="DOGE", symbol="DOGE/USDT:USDT"))
    assert strange is not None
    assert np.isnan(strange.mark_price).all()
