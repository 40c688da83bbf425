"""Loading: what is written comes back, what must not be used is refused with its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from support_datasets import (
    FIRST,
    as_loaded,
    assert_same_market,
    info_of,
    markets,
    prices_frame,
    small_market,
    stamp,
    window,
    write_older,
)

from adapters.datasets.layout import Delisting
from adapters.datasets.load import load_dataset
from adapters.datasets.pickles import refuse_pickle
from adapters.datasets.write import write_dataset
from engine.errors import DataError, UserError
from engine.market.data import NEVER, PER_LEG_FLOATS, MarketData
from engine.windows import time_of


def stored(tmp_path: Path, market: MarketData | None = None, **changes: Any) -> Path:
    market = market or small_market()
    path = tmp_path / "stored"
    write_dataset(market, path, info_of(market, **changes), replace=path.exists())
    return path


def edit_coin(path: Path, edit: Callable[[pd.DataFrame], object], coin: str = "BTCUSDT") -> Path:
    """Change one price history file in place; ``edit`` works on the frame or returns a new one."""
    file = path / "price_history" / f"{coin}.parquet"
    frame = pd.read_parquet(file)
    changed = edit(frame)
    (changed if isinstance(changed, pd.DataFrame) else frame).to_parquet(file, index=False)
    return path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(market=markets())
def test_a_market_comes_back_from_files_as_it_was(tmp_path: Path, market: MarketData) -> None:
    """But for the intervals: those stated for settlements hold for the hours that they cover."""
    loaded = load_dataset(stored(tmp_path, market), cache=False)
    assert_same_market(loaded.market, as_loaded(market))
    assert loaded.info == info_of(market)


def test_windows_and_delistings_come_back(tmp_path: Path) -> None:
    notice = Delisting(exchange="bybit", symbol="ETHUSDT", time=time_of(FIRST + 9), known_at=time_of(FIRST + 5))
    windows = {"train": window(0, 3), "test": window(30, 33)}
    market = small_market(40)
    loaded = load_dataset(stored(tmp_path, market, delistings=(notice,), windows=windows), cache=False)
    leg = market.leg("ETHUSDT", "bybit")
    assert loaded.market.delisting_hour[leg] == FIRST + 9
    assert loaded.market.delisting_known_hour[leg] == FIRST + 5
    assert (np.delete(loaded.market.delisting_hour, leg) == NEVER).all()
    assert loaded.window("test") == (time_of(FIRST + 30), time_of(FIRST + 33))
    with pytest.raises(UserError, match=r"has no window 'validation' \(it has: train, test\)"):
        loaded.window("validation")


def test_of_two_notices_the_earlier_end_counts(tmp_path: Path) -> None:
    early, late = (
        Delisting(exchange="bybit", symbol="ETHUSDT", time=time_of(FIRST + end), known_at=time_of(FIRST + known))
        for end, known in ((7, 6), (9, 2))
    )
    for name, notices in (("one", (early, late)), ("two", (late, early))):
        market = load_dataset(stored(tmp_path / name, delistings=notices), cache=False).market
        leg = market.leg("ETHUSDT", "bybit")
        assert (market.delisting_hour[leg], market.delisting_known_hour[leg]) == (FIRST + 7, FIRST + 6)


def test_loaded_arrays_cannot_be_changed(tmp_path: Path) -> None:
    market = load_dataset(stored(tmp_path), cache=False).market
    for name in (*PER_LEG_FLOATS, "hours", "leg_symbol", "delisting_hour"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(market, name)[:] = 0


def test_hours_without_rows_are_unknown(tmp_path: Path) -> None:
    path = edit_coin(stored(tmp_path), lambda frame: frame.drop(index=[3, 4]))
    market = load_dataset(path, cache=False).market
    leg = market.leg("BTCUSDT", "bybit")
    assert np.flatnonzero(np.isnan(market.price[leg])).tolist() == [3, 4]


def put(column: str, row: int, value: object) -> Callable[[pd.DataFrame], object]:
    def edit(frame: pd.DataFrame) -> None:
        frame[column] = frame[column].astype(type(value)) if isinstance(value, str) else frame[column]
        frame.loc[row, column] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (put("bybit_price", 3, -1.0), r"BTCUSDT on bybit, 2024-05-01T03:00Z: price is -1, not a positive price"),
        (put("bybit_price", 0, 0.0), r"BTCUSDT on bybit, 2024-05-01T00:00Z: price is 0, not a positive price"),
        (put("bybit_fill_price", 3, np.inf), r"2024-05-01T03:00Z: fill_price is inf"),
        (put("bybit_mark_price", 3, -np.inf), r"mark_price is -inf"),
        (put("binanceusdm_funding_rate", 8, 0.11), r"on binanceusdm, 2024-05-01T08:00Z: funding_rate is 0.11, beyond"),
        (put("bybit_funding_rate", 8, -np.inf), r"funding_rate is -inf"),
        (put("bybit_funding_interval_hours", 8, 0.0), r"funding_interval_hours is 0"),
        (put("bybit_funding_interval_hours", 8, 2.5), r"funding_interval_hours is 2.5"),
        (put("bybit_volume_24h_usd", 2, -5.0), r"volume_24h_usd is -5"),
        (put("bybit_bid_ask_spread", 2, 1.5), r"bid_ask_spread is 1.5"),
        (put("bybit_depth_usd", 2, np.inf), r"depth_usd is inf"),
        (lambda f: f.assign(bybit_price=np.nan), r"BTCUSDT on bybit: every price is empty"),
        (lambda f: f.assign(bybit_price="12"), r"column bybit_price holds (large_)?string, not numbers"),
        (lambda f: f.drop(columns="timestamp"), r"BTCUSDT.parquet: column timestamp is missing"),
        (lambda f: f.drop(columns="bybit_price"), r"column bybit_price is missing"),
        (lambda f: f.drop(columns="bybit_funding_rate"), r"column bybit_funding_rate is missing"),
        (lambda f: f.assign(note=1.0), r"column note is none of"),
        (lambda f: f.rename(columns=lambda c: c.replace("bybit", "okx")), r"has okx, which dataset.yaml does not list"),
        (lambda f: f.iloc[:0], r"BTCUSDT.parquet: has no rows"),
        (lambda f: f.iloc[[0, 2, 1, 3]], r"2024-05-01T01:00Z: timestamp is out of order \(after 2024-05-01T02:00Z\)"),
        (lambda f: f.iloc[[0, 1, 1, 2]], r"2024-05-01T01:00Z: timestamp is there twice"),
        (lambda f: f.assign(timestamp=f.timestamp.dt.tz_localize(None)), r"timestamp has no time zone"),
        (lambda f: f.assign(timestamp=f.timestamp + pd.Timedelta("5s")), r"timestamp is not a whole hour"),
        (lambda f: f.assign(timestamp=range(len(f))), r"timestamp holds int64, not times"),
        (lambda f: f.assign(timestamp=f.timestamp + pd.Timedelta("1D")), r"lies outside the span in dataset.yaml"),
        (lambda f: f.assign(timestamp=f.timestamp.where(f.index != 3)), r"timestamp is empty in row 4"),
    ],
)
def test_wrong_price_history_is_refused_with_its_place(
    tmp_path: Path, edit: Callable[[pd.DataFrame], object], message: str
) -> None:
    path = edit_coin(stored(tmp_path), edit)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(path, cache=False)
    assert "BTCUSDT" in str(caught.value)


def test_times_of_another_zone_are_the_same_instants(tmp_path: Path) -> None:
    path = stored(tmp_path)
    expected = load_dataset(path, cache=False).market
    edit_coin(path, lambda f: f.assign(timestamp=f.timestamp.dt.tz_convert("Asia/Tokyo")))
    assert_same_market(load_dataset(path, cache=False).market, expected)


def test_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder; give a data set"):
        load_dataset(tmp_path / "nowhere", cache=False)
    with pytest.raises(DataError, match="is it a data set"):
        load_dataset(tmp_path, cache=False)
    path = stored(tmp_path)
    coin = path / "price_history" / "BTCUSDT.parquet"
    whole = coin.read_bytes()
    coin.write_bytes(b"")
    with pytest.raises(DataError, match=r"BTCUSDT.parquet: the file is empty"):
        load_dataset(path, cache=False)
    coin.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"BTCUSDT.parquet: is not parquet as expected"):
        load_dataset(path, cache=False)
    for file in coin.parent.iterdir():
        file.unlink()
    with pytest.raises(DataError, match="price_history: holds no parquet or CSV file"):
        load_dataset(path, cache=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first_hour": "2024-05-01T00:00:00"}, "first_hour"),
        ({"first_hour": "2024-05-01T00:30:00Z"}, "must be a whole hour"),
        ({"exchanges": ["binanceusdm", "bybit", "okx"]}, "lists okx, but no file has a price of it"),
        ({"colour": "blue"}, "unknown key 'colour'"),
        ({"windows": {"tset": {"from": "2024-05-01T00:00Z", "to": "2024-05-01T05:00Z"}}}, "tset"),
        ({"windows": {"test": {"from": "2024-05-01T05:00Z", "to": "2024-05-01T05:00Z"}}}, "start before it ends"),
        ({"windows": {"test": {"from": "2024-05-01T05:00Z", "to": "2024-05-09T05:00Z"}}}, "leaves the data"),
        (
            {
                "windows": {
                    "train": {"from": "2024-05-01T00:00Z", "to": "2024-05-01T05:00Z"},
                    "test": {"from": "2024-05-01T05:00Z", "to": "2024-05-01T07:00Z"},
                }
            },
            "window test starts .* before or at the end of train",
        ),
        (
            {
                "delistings": [
                    {"exchange": "okx", "symbol": "X", "time": "2024-05-01T05:00Z", "known_at": "2024-05-01T05:00Z"}
                ]
            },
            "X: dataset.yaml delists it on okx",
        ),
    ],
)
def test_wrong_dataset_yaml_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = stored(tmp_path)
    file = path / "dataset.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | change))
    with pytest.raises(DataError, match=message):
        load_dataset(path, cache=False)


@pytest.mark.parametrize("content", ["", "- 1", "name: [", "name: x"])
def test_dataset_yaml_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = stored(tmp_path)
    (path / "dataset.yaml").write_text(content)
    with pytest.raises(DataError, match=r"dataset\.yaml"):
        load_dataset(path, cache=False)


@pytest.mark.trap(25)
def test_trap_25_pickled_scalers_are_refused(tmp_path: Path) -> None:
    refuse_pickle(tmp_path / "absent.json")
    (tmp_path / "scaler.json").write_text("{}")
    refuse_pickle(tmp_path / "scaler.json")
    refuse_pickle(tmp_path)
    disguised = tmp_path / "disguised.json"
    disguised.write_bytes(b"\x80\x04\x95abc")
    old = tmp_path / "feature_scaler.pkl"
    old.write_bytes(b"anything")
    for path in (disguised, old, tmp_path):
        with pytest.raises(UserError, match=r"is a pickle and is never loaded; refit with `arb data fit-scaler`"):
            refuse_pickle(path)


def test_live_recordings_are_not_written(tmp_path: Path) -> None:
    market = small_market()
    with pytest.raises(DataError, match="settlement delays"):
        write_dataset(replace(market, settlement_grace_hours=1), tmp_path / "out", info_of(market))
    with pytest.raises(DataError, match=r"dataset.yaml would say otherwise"):
        write_dataset(market, tmp_path / "out", info_of(market, last_hour=stamp(99).to_pydatetime()))
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_coin_are_refused(tmp_path: Path) -> None:
    path = write_older(tmp_path, {"BTCUSDT": prices_frame()})
    write_older(tmp_path, {"BTCUSDT": prices_frame()}, ".csv")
    with pytest.raises(DataError, match=r"BTCUSDT\.(csv|parquet) and BTCUSDT\.(csv|parquet) are the same coin"):
        load_dataset(path, cache=False)
