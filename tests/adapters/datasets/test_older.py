"""Older layouts: CSV or parquet without dataset.yaml, with recorded opportunities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_datasets import (
    FIRST,
    as_loaded,
    assert_same_market,
    info_of,
    opportunity,
    prices_frame,
    small_market,
    write_frame,
    write_older,
)

from adapters.datasets.load import Dataset, load_dataset, load_pieces
from adapters.datasets.write import write_dataset
from engine.errors import DataError
from engine.market.data import directed_pairs


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


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_exchanges_of_older_files_have_one_name_in_all_of_them(tmp_path: Path, suffix: str) -> None:
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame(exchanges=("Binance", "okex"))}, suffix)
    rows = [
        opportunity("2024-05-01T02:00Z", long="Binance", short="OKX", fund_apr=1.0),
        opportunity("2024-05-01T03:00Z", long="binance futures", short="okex-swap", fund_apr=2.0),
        opportunity("2024-05-01T04:00Z", symbol="BTC/USDT:USDT", long="binanceusdm", short="okx", fund_apr=3.0),
    ]
    write_frame(pd.DataFrame(rows), path / f"opportunities{suffix}")
    loaded = load_dataset(path, cache=False)
    assert loaded.market.exchanges == ("binanceusdm", "okx")
    assert listed(loaded) == [(hour, "BTCUSDT", "binanceusdm", "okx", hour - 1.0) for hour in (2, 3, 4)]
    assert loaded.notes == ()


def test_one_exchange_under_two_names_in_a_file_is_refused(tmp_path: Path) -> None:
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame(exchanges=("Binance", "binance"))})
    with pytest.raises(DataError, match="two columns hold price of binanceusdm under two of its names"):
        load_dataset(path, cache=False)


def test_opportunities_of_pairs_without_prices_do_not_stop_the_others(tmp_path: Path) -> None:
    rows = [
        opportunity("2024-05-01T02:00Z", fund_apr=1.0),
        opportunity("2024-05-01T03:00Z", symbol="SOLUSDT"),
        opportunity("2024-05-01T04:00Z", short="kraken"),
        opportunity("2024-05-01T05:00Z", short="binance"),
    ]
    loaded = load_dataset(older(tmp_path, rows), cache=False)
    assert [(row[0], row[4]) for row in listed(loaded)] == [(2, 1.0)]
    assert loaded.notes == (
        "3 opportunities of pairs without price history: left out, the first: SOLUSDT, 2024-05-01T03:00Z: "
        "is an opportunity on binanceusdm, but the price history has no SOLUSDT there",
    )


def test_an_exchange_that_lacks_a_column_is_left_out_and_said(tmp_path: Path) -> None:
    frame = prices_frame(exchanges=("binance", "bybit", "okx")).drop(columns="okx_funding_rate")
    loaded = load_dataset(write_older(tmp_path / "older", {"BTCUSDT": frame}), cache=False)
    assert loaded.market.exchanges == ("binanceusdm", "bybit")
    assert loaded.notes == ("left out: BTCUSDT: okx has no column okx_funding_rate",)


@pytest.mark.parametrize(
    ("stem", "message"),
    [
        ("=1+1", "begins with '='"),
        ("BTC USDT", "holds ' '"),
        ("x" * 45, "is longer than 44"),
        ("BTC\u202eUSDT", "U\\+202E"),
    ],
)
def test_files_named_after_no_coin_are_refused(tmp_path: Path, stem: str, message: str) -> None:
    path = write_older(tmp_path / "older", {stem: prices_frame()})
    with pytest.raises(DataError, match=f"is named after the coin .*{message}"):
        load_dataset(path, cache=False)


@pytest.mark.parametrize("column", ["../x_price", "=1+1_funding_rate", "a b_price"])
def test_columns_of_no_exchange_are_refused(tmp_path: Path, column: str) -> None:
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame().assign(**{column: 1.0})})
    with pytest.raises(DataError, match=r"BTCUSDT.parquet: column .*: exchange "):
        load_dataset(path, cache=False)


def test_coins_of_any_script_and_case_are_different_files(tmp_path: Path) -> None:
    market = small_market(4, [(coin, e) for coin in ("PEPEUSDT", "pepeUSDT", "币安人生USDT") for e in ("bybit", "okx")])
    write_dataset(market, tmp_path / "set", info_of(market))
    assert len({path.name.casefold() for path in (tmp_path / "set" / "price_history").iterdir()}) == 3
    assert_same_market(load_dataset(tmp_path / "set", cache=False).market, as_loaded(market))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.where(t.index != 3, pd.Timestamp("1970-01-01T00:00Z")), "timestamp lies in the year 1970"),
        (lambda t: t.where(t.index != 3, pd.Timestamp("1705-01-01T00:00Z")), "timestamp lies in the year 1705"),
        (
            lambda t: (t - pd.Timestamp(0, tz="UTC")) / 1e6 + pd.Timestamp(0, tz="UTC"),
            "milliseconds read as nanoseconds",
        ),
    ],
)
def test_times_that_cannot_be_true_are_refused_with_the_likely_unit(tmp_path: Path, edit: object, message: str) -> None:
    frame = prices_frame()
    frame["timestamp"] = edit(frame["timestamp"])  # type: ignore[operator]  # parameters are objects
    path = write_older(tmp_path / "older", {"BTCUSDT": frame})
    with pytest.raises(DataError, match=message):
        load_dataset(path, cache=False)
