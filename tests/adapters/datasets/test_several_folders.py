"""A data set of several raw folders: rows add up, the same row counts once, what contradicts itself is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import assert_same_market, write_raw
from support_raw import Tables, clean

from adapters.datasets.layout import read_info
from adapters.datasets.load import load_dataset
from engine.market.data import MarketData

HOURS = 120
LEG = ("ETH", "bybit")


def folder(path: Path, prices: Tables, funding: Tables) -> Path:
    return write_raw(path, list(prices.values()), list(funding.values()))


def built(out: Path, *raws: Path) -> MarketData:
    assert arb("data", "build", *raws, "--out", out) == 0
    return load_dataset(out, cache=False).market


def part(tables: Tables, exchange: str) -> Tables:
    return {leg: table for leg, table in tables.items() if leg[1] == exchange}


@pytest.fixture
def whole(tmp_path: Path) -> MarketData:
    return built(tmp_path / "whole_set", folder(tmp_path / "whole", *clean(HOURS)))


def test_folders_of_one_exchange_each_add_up(tmp_path: Path, whole: MarketData) -> None:
    raws = [
        folder(tmp_path / name, *(part(tables, name) for tables in clean(HOURS)))
        for name in ("binance", "bybit", "okx")
    ]
    assert_same_market(built(tmp_path / "out", *raws), whole)
    assert_same_market(built(tmp_path / "again", *raws[::-1], raws[0]), whole)
    infos = [read_info(tmp_path / name) for name in ("out", "again", "whole_set")]
    assert len({info.raw_sha256 for info in infos}) == 3
    assert infos[0].source == " and ".join(map(str, raws))
    built(tmp_path / "turned", *raws[::-1])
    assert read_info(tmp_path / "turned").raw_sha256 == infos[0].raw_sha256


def test_what_one_folder_lacks_the_other_tells(tmp_path: Path, whole: MarketData) -> None:
    prices, funding = clean(HOURS)
    prices[LEG] = prices[LEG].assign(volume=np.nan).drop(columns=["high", "low"])
    funding[LEG] = funding[LEG].assign(interval_hours=np.nan)
    poor = folder(tmp_path / "poor", {LEG: prices[LEG]}, {LEG: funding[LEG]})
    rich = tmp_path / "whole"
    for name, raws in (("one", [poor, rich]), ("two", [rich, poor])):
        assert_same_market(built(tmp_path / name, *raws), whole)
    # Alone it does as well, without a volume.
    alone = built(tmp_path / "alone", poor)
    assert np.isnan(alone.volume_24h_usd).all()
    np.testing.assert_array_equal(alone.price[0], whole.price[whole.leg("ETHUSDT", "bybit")])


def test_the_same_row_with_fewer_digits_counts_once(tmp_path: Path, whole: MarketData) -> None:
    prices, funding = clean(HOURS)
    prices = {leg: table.assign(volume=(table["volume"] * (1 + 1e-8))) for leg, table in prices.items()}
    raws = [tmp_path / "whole", folder(tmp_path / "other", prices, funding)]
    market = built(tmp_path / "out", *raws)
    np.testing.assert_array_equal(market.price, whole.price)
    np.testing.assert_allclose(market.volume_24h_usd, whole.volume_24h_usd, rtol=1e-7)


def test_rows_that_contradict_each_other_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = built(tmp_path / "whole_set", folder(tmp_path / "whole", *clean(HOURS, every=1)))
    prices, funding = clean(HOURS, every=1)
    for tables, column, row in ((prices, "close", 50), (funding, "funding_rate", 10)):
        changed = tables[LEG].copy()
        changed.loc[row, column] *= 1.0001
        changed.loc[row, "high"] = 1e9
        tables[LEG] = changed if tables is prices else changed.drop(columns="high")
    raws = [tmp_path / "whole", folder(tmp_path / "other", prices, funding)]
    capsys.readouterr()
    market = built(tmp_path / "out", *raws)
    said = capsys.readouterr().out
    # The table of prices is twice as long as one; the file names of both are told.
    assert "left out of ETHUSDT on bybit: two different bars on bybit (2 of 121 rows; first 2024-05-03T02:00Z)" in said
    assert "left out of ETHUSDT on bybit: two different settlements on bybit (2 of 121 rows" in said
    leg, row = market.leg("ETHUSDT", "bybit"), 51
    assert np.isnan(market.price[leg, row])
    assert not np.isnan(whole.price[whole.leg("ETHUSDT", "bybit"), row])
    assert arb("data", "build", *raws, "--out", tmp_path / "strict", "--strict") == 2
    line = capsys.readouterr().err
    assert f"{raws[0]}/prices_1h.parquet and {raws[1]}/prices_1h.parquet" in line


def test_a_contract_in_two_spellings_is_one(tmp_path: Path) -> None:
    prices, funding = (part(tables, "bybit") for tables in clean(HOURS))
    leg = ("PEPE", "bybit")
    first = folder(tmp_path / "a", {leg: prices[leg][:80].assign(symbol="kPEPE/USDC:USDC")}, {leg: funding[leg][:20]})
    other = folder(tmp_path / "b", {leg: prices[leg][70:].assign(symbol="KPEPE/USDC:USDC")}, {leg: funding[leg][15:]})
    wanted = built(tmp_path / "wanted", folder(tmp_path / "c", {leg: prices[leg]}, {leg: funding[leg]}))
    assert_same_market(built(tmp_path / "out", first, other), wanted)


def test_a_folder_that_is_missing_is_named(
    tmp_path: Path, whole: MarketData, capsys: pytest.CaptureFixture[str]
) -> None:
    assert whole.legs == 9
    assert arb("data", "build", tmp_path / "whole", tmp_path / "no", "--out", tmp_path / "out") == 2
    assert f"{tmp_path / 'no'}/prices_1h.parquet: is missing" in capsys.readouterr().err
    assert pd.read_parquet(tmp_path / "whole" / "funding.parquet").shape[0] > 0
