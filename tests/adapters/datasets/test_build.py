"""From raw tables to a market: which bar is known when, settlements on their rows, contracts of one coin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_datasets import FIRST, bars, raw_pair, settlements, stamp, write_raw

from adapters.datasets.build import build_dataset, market_from_raw, trailing_sum
from adapters.datasets.layout import read_info
from adapters.datasets.load import load_dataset
from adapters.datasets.raw_tables import read_bars, read_settlements
from adapters.datasets.windows import WindowEdges
from engine.errors import DataError, UserError
from engine.market.data import MarketData
from engine.windows import hour_of


def market_from(folder: Path, prices: list[pd.DataFrame], funding: list[pd.DataFrame]) -> MarketData:
    raw = write_raw(folder, prices, funding)
    return market_from_raw(
        read_bars(raw / "prices_1h.parquet"), read_settlements(raw / "funding.parquet"), origin="raw"
    )


def row(market: MarketData, hour: int) -> int:
    return FIRST + hour - int(market.hours[0])


@pytest.mark.trap(9)
def test_trap_09_a_bar_is_seen_only_when_it_is_finished(tmp_path: Path) -> None:
    market = market_from(tmp_path, [bars("bybit", "BTC", [10, 11, 12])], [settlements("bybit", "BTC", {1: 1e-4})])
    price, fill = market.price[0], market.fill_price[0]
    assert np.isnan(price[row(market, 0)])
    assert price[row(market, 1)] == 10
    assert price[row(market, 3)] == 12
    # The open of the bar that starts at the hour is what an order decided then gets.
    assert fill[row(market, 0)] == 10
    assert fill[row(market, 2)] == 11
    assert np.isnan(fill[row(market, 3)])


@settings(max_examples=40, deadline=None)
@given(
    cut=st.integers(0, 30),
    seed=st.integers(0, 2**32 - 1),
    present=st.lists(st.booleans(), min_size=30, max_size=30),
)
@pytest.mark.trap(9)
def test_trap_09_build_uses_no_unfinished_bar(cut: int, seed: int, present: list[bool]) -> None:
    """Noise in every bar that is not finished at the cut, and in every later rate, changes nothing up to it.

    Intervals are announced before the hours for which they hold, so those are facts of the hours before the cut too.
    """
    rng = np.random.default_rng(seed)
    opened = np.array([i for i in range(30) if present[i] or i == 0], np.int64) + FIRST
    legs = [("BTCUSDT", "bybit"), ("BTCUSDT", "okx")]
    table = pd.concat(
        [
            pd.DataFrame(
                {
                    "coin": coin,
                    "exchange": exchange,
                    "contract": "BTC",
                    "opened_hour": opened,
                    "open": rng.uniform(90, 110, len(opened)),
                    "high": 120.0,
                    "low": 80.0,
                    "close": rng.uniform(90, 110, len(opened)),
                    "volume_usd": rng.uniform(0, 1e6, len(opened)),
                }
            )
            for coin, exchange in legs
        ],
        ignore_index=True,
    )
    paid = table[["coin", "exchange", "contract"]].assign(
        row_hour=table["opened_hour"], minute=table["opened_hour"] * 60, funding_rate=1e-4, interval_hours=1.0
    )
    noisy, noisy_paid = table.copy(), paid.copy()
    later = noisy["opened_hour"] >= FIRST + cut
    noisy.loc[later, ["close", "volume_usd"]] = rng.uniform(1, 1e9, (int(later.sum()), 2))
    noisy.loc[noisy["opened_hour"] > FIRST + cut, ["open", "high", "low"]] = 5.0
    noisy_paid.loc[noisy_paid["row_hour"] > FIRST + cut, "funding_rate"] = 0.05

    one = market_from_raw(table, paid, origin="raw")
    two = market_from_raw(noisy, noisy_paid, origin="raw")
    known = one.hours <= FIRST + cut
    for kind in ("price", "fill_price", "high", "low", "volume_24h_usd", "funding_rate", "funding_interval_hours"):
        np.testing.assert_array_equal(getattr(one, kind)[:, known], getattr(two, kind)[:, known], err_msg=kind)


def test_scaled_contracts_are_one_coin_in_its_own_unit(tmp_path: Path) -> None:
    market = market_from(
        tmp_path,
        [bars("binance", "PEPE", [0.012, 0.013], multiplier=1000), bars("okx", "PEPE", [0.000012, 0.000013])],
        [settlements("binance", "PEPE", {0: 1e-4}, multiplier=1000), settlements("okx", "PEPE", {0: 2e-4})],
    )
    assert market.symbols == ("PEPEUSDT",)
    assert market.exchanges == ("binanceusdm", "okx")
    np.testing.assert_allclose(market.price[0], market.price[1], rtol=1e-12)
    np.testing.assert_allclose(market.fill_price[0], market.fill_price[1], rtol=1e-12)
    # The multiplier cancels in USD: ten contracts at 0.012.
    assert market.volume_24h_usd[0, row(market, 1)] == pytest.approx(0.12)


def test_volume_sums_the_finished_bars_of_24_clock_hours(tmp_path: Path) -> None:
    closes = [1.0] * 30
    table = bars("bybit", "BTC", closes, volume=np.arange(30, dtype=float))
    table = table.drop(index=[20, 21])
    market = market_from(tmp_path, [table], [settlements("bybit", "BTC", {0: 1e-4})])
    volume = market.volume_24h_usd[0]
    assert np.isnan(volume[row(market, 0)])
    assert volume[row(market, 1)] == 0.0
    assert volume[row(market, 24)] == sum(range(24)) - 20 - 21
    assert volume[row(market, 30)] == sum(range(6, 30)) - 20 - 21


def test_volume_is_unknown_where_no_bar_lies_in_the_window() -> None:
    values = np.full((1, 60), np.nan)
    values[0, 5] = 3.0
    sums = trailing_sum(values, 24)[0]
    assert np.flatnonzero(~np.isnan(sums)).tolist() == list(range(5, 29))
    assert set(sums[5:29]) == {3.0}


@pytest.mark.trap(6)
@pytest.mark.parametrize(
    ("time", "hour"),
    [
        ("2024-05-01T08:00:00.011Z", 8),
        ("2024-05-01T07:59:59.950Z", 8),
        ("2024-05-01T08:00:42Z", 8),
        ("2024-05-01T08:04:59Z", 8),
        ("2024-05-01T07:55:01Z", 8),
        ("2024-05-01T08:05:01Z", 9),
        ("2024-05-01T08:30:00Z", 9),
    ],
)
def test_trap_06_jittering_settlements_land_on_their_row(tmp_path: Path, time: str, hour: int) -> None:
    market = market_from(tmp_path, [bars("bybit", "BTC", [1.0] * 12)], [settlements("bybit", "BTC", {time: 3e-4})])
    assert np.flatnonzero(~np.isnan(market.funding_rate[0])).tolist() == [row(market, hour)]
    assert market.funding_interval_hours[0, row(market, hour)] == 4.0


@pytest.mark.trap(4)
def test_trap_04_a_zero_rate_in_raw_data_is_a_settlement(tmp_path: Path) -> None:
    market = market_from(tmp_path, [bars("bybit", "BTC", [1.0] * 9)], [settlements("bybit", "BTC", {0: 1e-4, 4: 0.0})])
    assert market.funding_rate[0, row(market, 4)] == 0.0
    assert np.isnan(market.funding_rate[0, row(market, 5)])


@pytest.mark.trap(10)
def test_trap_10_repeated_rows_are_merged_and_contradictions_refused(tmp_path: Path) -> None:
    price, funding = bars("bybit", "BTC", [10, 11]), settlements("bybit", "BTC", {0: 1e-4})
    market = market_from(tmp_path / "a", [price, price], [funding, funding])
    assert market.price[0, row(market, 2)] == 11
    with pytest.raises(DataError, match=r"BTCUSDT, 2024-05-01T01:00Z: two different bars on bybit"):
        market_from(tmp_path / "b", [price, bars("bybit", "BTC", [10, 12])], [funding])
    with pytest.raises(DataError, match=r"BTCUSDT, 2024-05-01T00:00Z: two different settlements on bybit"):
        market_from(tmp_path / "c", [price], [funding, settlements("bybit", "BTC", {0: 2e-4})])


def test_high_and_low_are_carried_and_unknown_where_sources_disagree(tmp_path: Path) -> None:
    price, funding = bars("bybit", "PEPE", [10, 11, 12], multiplier=1000), settlements("bybit", "PEPE", {0: 1e-4})
    other = price.assign(high=price["high"] * [1.0, 1.5, 1.0])
    silent = price.assign(low=np.nan)
    market = market_from(tmp_path, [price, other, silent], [funding])
    assert market.high is not None
    assert market.low is not None
    opened = row(market, 0)
    assert market.high[0, opened : opened + 3] == pytest.approx(
        [price["high"][0] / 1000, np.nan, price["high"][2] / 1000], nan_ok=True
    )
    assert market.low[0, opened : opened + 3] == pytest.approx((price["low"] / 1000).tolist())
    # Of the hour at which the last bar has ended nothing is known yet.
    assert np.isnan([market.high[0, opened + 3], market.low[0, opened + 3]]).all()


def test_two_settlements_within_an_hour_are_refused(tmp_path: Path) -> None:
    funding = settlements("bybit", "BTC", {"2024-05-01T01:10Z": 1e-4, "2024-05-01T02:00Z": 1e-4})
    with pytest.raises(DataError, match=r"BTCUSDT, 2024-05-01T02:00Z: two settlements within one hour on bybit"):
        market_from(tmp_path, [bars("bybit", "BTC", [1.0] * 4)], [funding])


def test_a_coin_under_two_contracts_is_refused_unless_they_agree(tmp_path: Path) -> None:
    scaled = bars("binance", "PEPE", [0.012, 0.013], multiplier=1000)
    plain = bars("binance", "PEPE", [0.000012, 0.000013])
    funding = settlements("binance", "PEPE", {0: 1e-4})
    market = market_from(tmp_path / "same", [scaled, plain], [funding])
    assert market.legs == 1
    other = bars("binance", "PEPE", [0.000012, 0.000014])
    with pytest.raises(DataError, match=r"PEPEUSDT: binanceusdm lists it as 1000PEPE/USDT:USDT and as PEPE/USDT:USDT"):
        market_from(tmp_path / "other", [scaled, other], [funding])
    longer = [bars("binance", "PEPE", [0.012] * 3, multiplier=1000), bars("binance", "PEPE", [0.000012], first=1)]
    with pytest.raises(DataError, match="with different data"):
        market_from(tmp_path / "longer", longer, [funding])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("close", -1.0, "close is not a positive price"),
        ("open", 0.0, "open is not a positive price"),
        ("high", -1.0, "high is not a positive price"),
        ("close", np.nan, "close is not a positive price"),
        ("low", np.inf, "low is not a positive price"),
        ("volume", -1.0, "volume is negative"),
        ("multiplier", 0, "multiplier is not positive"),
        ("timestamp", pd.Timestamp("2024-05-01T00:30Z"), "does not open at a whole hour"),
    ],
)
def test_impossible_bars_are_refused(tmp_path: Path, column: str, value: object, message: str) -> None:
    table = bars("bybit", "BTC", [10.0, 11.0], multiplier=1)
    table.loc[1, column] = value
    with pytest.raises(DataError, match=message) as caught:
        market_from(tmp_path, [table], [settlements("bybit", "BTC", {0: 1e-4})])
    assert "prices_1h.parquet, BTC/USDT:USDT on bybit, 2024-05-01T0" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("funding_rate", np.nan, "funding_rate is not within"),
        ("funding_rate", 0.2, "funding_rate is not within"),
        ("interval_hours", -8.0, "interval_hours is not a whole number"),
        ("interval_hours", 2.5, "interval_hours is not a whole number"),
    ],
)
def test_impossible_settlements_are_refused(tmp_path: Path, column: str, value: float, message: str) -> None:
    table = settlements("bybit", "BTC", {0: 1e-4})
    table.loc[0, column] = value
    with pytest.raises(DataError, match=f"funding.parquet, BTC/USDT:USDT on bybit, 2024-05-01T00:00Z: {message}"):
        market_from(tmp_path, [bars("bybit", "BTC", [1.0])], [table])


def test_naive_raw_times_are_refused(tmp_path: Path) -> None:
    table = bars("bybit", "BTC", [1.0])
    table["timestamp"] = table["timestamp"].dt.tz_localize(None)
    with pytest.raises(
        DataError, match=r"timestamp has no time zone \(2024-05-01 00:00:00\); store times with their zone"
    ):
        market_from(tmp_path, [table], [settlements("bybit", "BTC", {0: 1e-4})])


def test_legs_without_prices_or_settlements_are_refused(tmp_path: Path) -> None:
    price, funding = bars("bybit", "BTC", [1.0]), settlements("bybit", "BTC", {0: 1e-4})
    with pytest.raises(DataError, match="ETHUSDT: bybit has no bars of it"):
        market_from(tmp_path / "a", [price], [funding, settlements("bybit", "ETH", {0: 1e-4})])
    with pytest.raises(DataError, match="ETHUSDT: bybit has no settlements of it"):
        market_from(tmp_path / "b", [price, bars("bybit", "ETH", [1.0])], [funding])


def test_missing_and_wrong_raw_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"prices_1h.parquet: is missing; a raw folder holds"):
        read_bars(tmp_path / "prices_1h.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not parquet as expected"):
        read_bars(tmp_path / "broken.parquet")
    bars("bybit", "BTC", [1.0]).drop(columns="close").to_parquet(tmp_path / "short.parquet")
    with pytest.raises(DataError, match="column close is missing; it has exchange"):
        read_bars(tmp_path / "short.parquet")
    bars("bybit", "BTC", []).to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(DataError, match="has no rows"):
        read_bars(tmp_path / "empty.parquet")


def test_built_data_set_has_windows_with_an_embargo(tmp_path: Path) -> None:
    raw = raw_pair(tmp_path / "raw", hours=1000)
    info, warnings = build_dataset(raw, tmp_path / "out", name="pair", source="a test")
    assert warnings == []
    assert info == read_info(tmp_path / "out")
    train, validation, test = (info.windows[name] for name in ("train", "validation", "test"))
    assert train.start == info.first_hour
    for earlier, later in ((train, validation), (validation, test)):
        assert hour_of(later.start) - hour_of(earlier.end) - 1 == 48
    lengths = [hour_of(w.end) - hour_of(w.start) + 1 for w in (train, validation, test)]
    usable = 1001 - 2 * 48
    assert lengths == [int(usable * 0.7), int(usable * 0.15), int(usable * 0.15)]
    assert test.end <= info.last_hour


def test_built_data_set_takes_stated_windows_and_skips_them_when_too_short(tmp_path: Path) -> None:
    raw = raw_pair(tmp_path / "raw", hours=200)
    assert build_dataset(raw, tmp_path / "short", name="n", source="s")[0].windows == {}
    edges = WindowEdges(
        train_to=stamp(99).to_pydatetime(),
        validate_from=stamp(110).to_pydatetime(),
        validate_to=stamp(120).to_pydatetime(),
        test_from=stamp(170).to_pydatetime(),
    )
    info, warnings = build_dataset(raw, tmp_path / "out", name="n", source="s", windows=edges)
    assert info.windows["train"].start == info.first_hour
    assert info.windows["test"].end == info.last_hour
    assert len(warnings) == 1
    assert "only 10 h lie between train and validation" in warnings[0]


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    raw = raw_pair(tmp_path / "raw")
    late = WindowEdges(train_to=stamp(5000).to_pydatetime())
    with pytest.raises(UserError, match=r"window train .* leaves the data"):
        build_dataset(raw, tmp_path / "out" / "deep", name="n", source="s", windows=late)

    def fail(_market: MarketData, _folder: Path) -> None:
        raise DataError("the opportunities cannot be written")

    with pytest.raises(DataError, match="cannot be written"):
        build_dataset(raw, tmp_path / "out" / "deep", name="n", source="s", also_write=fail)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_build_replaces_data_sets_only(tmp_path: Path) -> None:
    raw, out = raw_pair(tmp_path / "raw"), tmp_path / "out"
    build_dataset(raw, out, name="one", source="s")
    with pytest.raises(UserError, match="exists already"):
        build_dataset(raw, out, name="two", source="s")
    build_dataset(raw, out, name="two", source="s", replace=True)
    assert load_dataset(out, cache=False).info.name == "two"
    with pytest.raises(UserError, match="is not a data set"):
        build_dataset(raw, raw, name="three", source="s", replace=True)
    assert (raw / "prices_1h.parquet").exists()
