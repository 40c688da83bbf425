"""``instruments.parquet``: what is written comes back, what cannot be is refused, and where it is carried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_datasets import START, assert_same_market, info_of, raw_pair, small_market, stamp

from adapters.datasets.build import build_dataset
from adapters.datasets.inspect import inspect_dataset
from adapters.datasets.instruments import (
    InstrumentRow,
    read_instruments,
    rows_of,
    with_instruments,
    write_instruments,
)
from adapters.datasets.load import load_dataset
from adapters.datasets.validate import validate
from adapters.datasets.write import write_dataset
from engine.errors import DataError
from engine.market.data import MarketData

NAN = float("nan")
ROW: dict[str, Any] = {
    "exchange": "bybit", "symbol": "BTCUSDT", "since": stamp(3), "tick": 0.1, "lot": 0.001, "min_notional_usd": 5.0,
    "max_leverage": 100.0,
}  # fmt: skip


def table(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "instruments.parquet"
    pd.DataFrame([ROW | row for row in rows]).to_parquet(path, index=False)
    return path


def with_rules(folder: Path, *rows: dict[str, Any], market: MarketData | None = None) -> MarketData:
    return with_instruments(market or small_market(), [table(folder, *rows)])[0]


def same_rules(one: MarketData, two: MarketData) -> bool:
    return [repr(row) for row in rows_of(one)] == [repr(row) for row in rows_of(two)]


def test_rows_come_back_sorted_with_the_unknown_unknown(tmp_path: Path) -> None:
    path = table(tmp_path, {"since": stamp(5), "tick": NAN}, {}, {"exchange": "binance", "symbol": "btc"})
    rows = read_instruments(path, ("BTCUSDT",))
    assert [row[:2] for row in rows] == [("BTCUSDT", "binanceusdm"), ("BTCUSDT", "bybit"), ("BTCUSDT", "bybit")]
    assert rows[1].rules == (0.1, 0.001, 5.0, 100.0)
    assert np.isnan(rows[2].tick)
    again = tmp_path / "again.parquet"
    write_instruments(again, reversed(rows))
    assert [repr(row) for row in read_instruments(again)] == [repr(row) for row in rows]


def test_a_row_holds_from_the_first_whole_hour_on(tmp_path: Path) -> None:
    path = table(tmp_path, {"since": stamp(3) + pd.Timedelta(minutes=1)})
    assert read_instruments(path)[0].since_hour == read_instruments(table(tmp_path, {"since": stamp(4)}))[0].since_hour


def test_a_column_that_is_absent_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "instruments.parquet"
    pd.DataFrame([{name: ROW[name] for name in ("exchange", "symbol", "since", "lot")}]).to_parquet(path)
    (row,) = read_instruments(path)
    assert row.lot == 0.001
    assert np.isnan([row.tick, row.min_notional_usd, row.max_leverage]).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"lot": 0.0}, "BTCUSDT on bybit: lot is 0, not a positive number"),
        ({"tick": -0.1}, "tick is -0.1, not a positive number"),
        ({"min_notional_usd": float("inf")}, "min_notional_usd is inf, not a positive number"),
        ({"since": pd.Timestamp("1970-01-20T00:00Z")}, "BTCUSDT on bybit: since lies in the year 1970"),
        ({"since": pd.Timestamp("2024-05-01")}, "since has no time zone"),
        ({"exchange": "a/b"}, "BTCUSDT"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_place(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as refused:
        read_instruments(table(tmp_path, row))
    assert message in str(refused.value)
    assert "instruments.parquet" in str(refused.value)


def test_two_rows_of_one_date_and_missing_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"BTCUSDT on bybit.*two different rows of one date"):
        read_instruments(table(tmp_path, {}, {"lot": 0.01}))
    path = tmp_path / "instruments.parquet"
    pd.DataFrame([{"exchange": "bybit", "symbol": "BTCUSDT"}]).to_parquet(path)
    with pytest.raises(DataError, match="column since is missing"):
        read_instruments(path)


@pytest.mark.parametrize("cache", [False, True])
def test_a_data_set_keeps_them_and_its_fingerprint_changes_with_them(
    tmp_path: Path, cache: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain, known = small_market(), with_rules(tmp_path, {}, {"since": stamp(5), "lot": 0.01, "tick": NAN})
    prints = []
    for name, market in (("plain", plain), ("known", known)):
        path = tmp_path / name
        write_dataset(market, path, info_of(market))
        loaded = [load_dataset(path, cache=cache) for _ in range(2)]
        assert all(same_rules(one.market, market) for one in loaded)
        prints.append(loaded[1].fingerprint)
    assert prints[0] != prints[1]
    (tmp_path / "known" / "instruments.parquet").unlink()
    without = load_dataset(tmp_path / "known", cache=cache)
    assert without.fingerprint == prints[0]
    assert without.market.instruments is None
    assert_same_market(without.market, load_dataset(tmp_path / "plain", cache=cache).market)


def test_loading_notes_rows_of_legs_that_are_not_here(tmp_path: Path) -> None:
    market = small_market()
    write_dataset(market, tmp_path / "set", info_of(market))
    table(tmp_path / "set", {}, {"symbol": "DOGEUSDT"})
    loaded = load_dataset(tmp_path / "set", cache=False)
    assert loaded.notes == ("instruments.parquet: not used, since no price of it is here: DOGEUSDT on bybit",)
    assert [row[:2] for row in rows_of(loaded.market)] == [("BTCUSDT", "bybit")]
    assert any("DOGEUSDT" in finding.message for finding in validate(tmp_path / "set"))


def test_inspect_and_validate_tell_of_them(tmp_path: Path) -> None:
    market = with_rules(tmp_path, {}, {"exchange": "binanceusdm", "tick": NAN})
    write_dataset(market, tmp_path / "set", info_of(market))
    told = "instruments  2 of 4 legs: tick of 1, lot of 2, min_notional_usd of 2, max_leverage of 2"
    assert told in inspect_dataset(tmp_path / "set")
    table(tmp_path / "set", {"lot": -1.0})
    (error,) = [one for one in validate(tmp_path / "set") if one.severity == "error"]
    assert "lot is -1" in error.message
    with pytest.raises(DataError, match="lot is -1"):
        load_dataset(tmp_path / "set", cache=False)


def test_build_carries_them_from_the_raw_folder(tmp_path: Path) -> None:
    raw = raw_pair(tmp_path / "raw")
    plain, _ = build_dataset(raw, tmp_path / "plain", name="plain", source="a test")
    base = load_dataset(tmp_path / "plain", cache=False)
    symbol, exchange = base.market.leg_name(0)
    table(raw, {"symbol": symbol, "exchange": exchange, "since": pd.Timestamp(START)}, {"symbol": "DOGEUSDT"})
    build_dataset(raw, tmp_path / "set", name="plain", source="a test")
    built = load_dataset(tmp_path / "set", cache=False)
    assert [row[:2] for row in rows_of(built.market)] == [(symbol, exchange)]
    assert_same_market(replace(built.market, instruments=None), base.market)
    # What the command made may give way to what it makes.
    build_dataset(raw, tmp_path / "set", name="plain", source="a test", replace=True)
    table(raw, {"lot": 0.0})
    with pytest.raises(DataError, match="lot is 0"):
        build_dataset(raw, tmp_path / "other", name="plain", source="a test")
    assert not (tmp_path / "other").exists()
    assert plain.name == "plain"


def test_a_row_names_what_it_holds() -> None:
    assert InstrumentRow("BTCUSDT", "bybit", 1, 0.1, 0.001, 5.0, 100.0).rules == (0.1, 0.001, 5.0, 100.0)


def test_several_raw_folders_add_up_and_must_not_contradict_each_other(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    paths = [table(folders[0], {}), table(folders[1], {}, {"since": stamp(5), "lot": 0.01})]
    market, _ = with_instruments(small_market(), [*paths, tmp_path / "absent.parquet"])
    assert [row.lot for row in rows_of(market)] == [0.001, 0.01]
    table(folders[1], {"lot": 0.01})
    with pytest.raises(DataError, match="two different rows of one date"):
        with_instruments(small_market(), paths)
