"""Older layouts: CSV or parquet without dataset.yaml, with recorded opportunities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_datasets import FIRST, assert_same_market, opportunity, prices_frame, write_frame, write_older

from adapters.datasets.load import Dataset, load_dataset, load_pieces
from engine.errors import DataError
from engine.market import directed_pairs


def older(tmp_path: Path, rows: list[dict[str, object]] | None = None, suffix: str = ".parquet") -> Path:
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame(), "ETHUSDT": prices_frame()}, suffix)
    if rows is not None:
        write_frame(pd.DataFrame(rows), path / f"opportunities{suffix}")
    return path


def listed(dataset: Dataset) -> list[tuple[int, str, str, str, float]]:
    """(hours after the first, symbol, long, short, fund_apr) of every recorded opportunity, in stored order."""
    market = dataset.market
    recorded = market.recorded
    assert recorded is not None
    pairs = directed_pairs(market)
    rows = []
    for hour in range(len(market.hours)):
        for row in range(recorded.offsets[hour], recorded.offsets[hour + 1]):
            symbol, long_name = market.leg_name(int(pairs.long_leg[recorded.pair[row]]))
            short_name = market.leg_name(int(pairs.short_leg[recorded.pair[row]]))[1]
            apr = float(recorded.features[row, recorded.columns.index("fund_apr")])
            rows.append((hour, symbol, long_name, short_name, apr))
    return rows


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.trap(4)
def test_trap_04_zero_rates_of_older_files_mean_that_nothing_settled(tmp_path: Path, suffix: str) -> None:
    loaded = load_dataset(older(tmp_path, suffix=suffix), cache=False)
    market = loaded.market
    assert market.exchanges == ("binanceusdm", "bybit")
    assert market.symbols == ("BTCUSDT", "ETHUSDT")
    assert np.flatnonzero(~np.isnan(market.funding_rate[0])).tolist() == [0, 4]
    assert market.price[0].tolist() == [100.0 + i for i in range(8)]
    assert int(market.hours[0]) == FIRST
    assert loaded.windows == {}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_opportunities_are_indexed_by_hour_and_pair(tmp_path: Path, suffix: str) -> None:
    rows = [
        opportunity("2024-05-01T02:00:00Z", symbol="ETHUSDT", fund_apr=3.0),
        opportunity("2024-05-01T02:00:00Z", long="bybit", short="binance", fund_apr=2.0),
        opportunity("2024-05-01T01:00:00Z", fund_apr=1.0),
    ]
    loaded = load_dataset(older(tmp_path, rows, suffix), cache=False)
    assert listed(loaded) == [
        (1, "BTCUSDT", "binanceusdm", "bybit", 1.0),
        (2, "BTCUSDT", "bybit", "binanceusdm", 2.0),
        (2, "ETHUSDT", "binanceusdm", "bybit", 3.0),
    ]
    recorded = loaded.market.recorded
    assert recorded is not None
    # Recorded entry prices are never used.
    assert recorded.columns == ("long_funding_rate", "fund_apr")
    assert len(recorded.offsets) == len(loaded.market.hours) + 1


@pytest.mark.trap(9)
def test_trap_09_an_opportunity_within_an_hour_belongs_to_the_next(tmp_path: Path) -> None:
    rows = [
        opportunity("2024-05-01T02:00:00.001Z", fund_apr=1.0),
        opportunity("2024-05-01T03:59:59Z", symbol="ETHUSDT", fund_apr=2.0),
        opportunity("2024-05-01T05:00:00Z", fund_apr=3.0),
    ]
    loaded = load_dataset(older(tmp_path, rows), cache=False)
    assert [(row[0], row[4]) for row in listed(loaded)] == [(3, 1.0), (4, 2.0), (5, 3.0)]


@pytest.mark.trap(10)
def test_trap_10_of_duplicate_opportunities_the_latest_wins(tmp_path: Path) -> None:
    rows = [
        opportunity("2024-05-01T01:50:00Z", fund_apr=3.0),
        opportunity("2024-05-01T01:20:00Z", fund_apr=1.0),
        opportunity("2024-05-01T03:00:00Z", fund_apr=5.0),
        opportunity("2024-05-01T03:00:00Z", fund_apr=6.0),
    ]
    loaded = load_dataset(older(tmp_path, rows), cache=False)
    assert [(row[0], row[4]) for row in listed(loaded)] == [(2, 3.0), (3, 6.0)]
    assert loaded.notes == ("2 opportunities were replaced by a later one of the same pair and hour",)


def test_opportunities_outside_the_prices_are_left_out_and_said(tmp_path: Path) -> None:
    times = ("2024-04-30T22:59Z", "2024-04-30T23:01Z", "2024-05-01T07:00Z", "2024-05-01T07:01Z")
    loaded = load_dataset(older(tmp_path, [opportunity(time) for time in times]), cache=False)
    assert [row[0] for row in listed(loaded)] == [0, 7]
    assert loaded.notes == ("2 opportunities lie outside the hours of the price history: left out",)


def test_opportunities_that_are_all_outside_leave_an_empty_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))
    path = older(tmp_path, [opportunity("2023-05-01T00:00Z")])
    assert listed(load_dataset(path)) == listed(load_dataset(path)) == []


def test_pieces_are_the_same_as_the_folder(tmp_path: Path) -> None:
    path = older(tmp_path, [opportunity("2024-05-01T02:00Z")])
    moved = path.rename(tmp_path / "elsewhere")
    opportunities = (moved / "opportunities.parquet").rename(tmp_path / "found.parquet")
    pieces = load_pieces(opportunities, moved / "price_history", cache=False)
    folder = load_dataset(older(tmp_path, [opportunity("2024-05-01T02:00Z")]), cache=False)
    assert pieces.fingerprint == folder.fingerprint
    assert_same_market(pieces.market, folder.market)
    assert listed(pieces) == listed(folder)
    assert load_pieces(None, moved / "price_history", cache=False).market.recorded is None
    with pytest.raises(DataError, match=r"absent.csv: is missing"):
        load_pieces(tmp_path / "absent.csv", moved / "price_history", cache=False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (opportunity("2024-05-01T02:00Z", symbol="SOLUSDT"), "SOLUSDT, 2024-05-01T02:00Z: .* has no SOLUSDT there"),
        (opportunity("2024-05-01T02:00Z", short="okx"), "BTCUSDT, .*: is an opportunity on okx"),
        (opportunity("2024-05-01T02:00Z", short="binance"), "both legs are on binanceusdm"),
        (opportunity("2024-05-01T02:00Z", fund_apr=np.inf), "BTCUSDT, 2024-05-01T02:00Z: fund_apr is infinite"),
        (opportunity("2024-05-01T02:00Z", fund_apr="high"), "column fund_apr holds"),
        (opportunity("2024-05-01T02:00"), "entry_time has no time zone"),
        (opportunity("2024-05-01T02:00Z", symbol=""), "symbol is empty in row 1"),
        ({"symbol": "BTCUSDT", "long_exchange": "bybit"}, "column entry_time, short_exchange is missing"),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_wrong_opportunities_are_refused(tmp_path: Path, row: dict[str, object], message: str, suffix: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(older(tmp_path, [row], suffix), cache=False)
    assert f"opportunities{suffix}" in str(caught.value)


def test_two_opportunity_files_are_refused(tmp_path: Path) -> None:
    path = older(tmp_path, [opportunity("2024-05-01T02:00Z")])
    write_frame(pd.DataFrame([opportunity("2024-05-01T02:00Z")]), path / "opportunities.csv")
    with pytest.raises(DataError, match=r"holds opportunities.parquet and opportunities.csv; keep one"):
        load_dataset(path, cache=False)


def test_foreign_columns_and_empty_exchanges_of_older_files_are_passed_over(tmp_path: Path) -> None:
    path = older(tmp_path)
    frame = prices_frame().assign(index=1, okx_price=np.nan, okx_funding_rate=0.0)
    write_older(path, {"BTCUSDT": frame})
    loaded = load_dataset(path, cache=False)
    assert loaded.market.exchanges == ("binanceusdm", "bybit")
    assert loaded.notes == ("price history columns not used: index",)


def test_naive_csv_times_are_refused(tmp_path: Path) -> None:
    frame = prices_frame()
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    path = write_older(tmp_path / "older", {"BTCUSDT": frame}, ".csv")
    with pytest.raises(DataError, match=r"BTCUSDT.csv: timestamp has no time zone \(2024-05-01"):
        load_dataset(path, cache=False)


@pytest.mark.parametrize("text", ["yesterdayZ", "2024-13-01T00:00Z", "99999-01-01T00:00Z"])
def test_unreadable_csv_times_are_refused(tmp_path: Path, text: str) -> None:
    frame = prices_frame().astype({"timestamp": str})
    frame.loc[3, "timestamp"] = text
    path = write_older(tmp_path / "older", {"BTCUSDT": frame}, ".csv")
    with pytest.raises(DataError, match="timestamp is not a time"):
        load_dataset(path, cache=False)


def test_text_and_ragged_lines_in_csv_are_refused(tmp_path: Path) -> None:
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame()}, ".csv")
    file = path / "price_history" / "BTCUSDT.csv"
    whole = file.read_text()
    file.write_text(whole.replace("103.0", "a lot", 1))
    with pytest.raises(DataError, match="column binance_price holds string, not numbers"):
        load_dataset(path, cache=False)
    file.write_text(whole + "2024-05-01 08:00:00+00:00,1\n")
    with pytest.raises(DataError, match="is not CSV as expected"):
        load_dataset(path, cache=False)
    file.write_text(whole.replace("103.0", "nan", 1))
    assert np.isnan(load_dataset(path, cache=False).market.price[0, 3])


def test_binance_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    frame = prices_frame(exchanges=("binance", "binanceusdm"))
    path = write_older(tmp_path / "older", {"BTCUSDT": frame})
    with pytest.raises(DataError, match="two columns hold price of binanceusdm"):
        load_dataset(path, cache=False)
