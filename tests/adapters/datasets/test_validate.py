"""``arb data validate``: every kind of finding, each at its place, and none where nothing is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from support_datasets import info_of, opportunity, prices_frame, small_market, window, write_frame, write_older

from adapters.datasets.findings import Finding
from adapters.datasets.validate import validate
from adapters.datasets.write import write_dataset
from engine.errors import DataError
from engine.market.data import MarketData

LEGS = [("BTCUSDT", "binanceusdm"), ("BTCUSDT", "bybit"), ("BTCUSDT", "okx")]
BINANCE, BYBIT, OKX = range(3)


@pytest.fixture
def market() -> MarketData:
    """Three exchanges that agree for 48 hours."""
    market = small_market(48, LEGS)
    for kind in ("price", "fill_price", "mark_price"):
        getattr(market, kind)[:] = 100.0
    return market


def found(tmp_path: Path, market: MarketData, **changes: object) -> list[Finding]:
    write_dataset(market, tmp_path / "set", info_of(market, **changes))
    return validate(tmp_path / "set")


def summary(findings: list[Finding]) -> list[tuple[str, str, str, str, str]]:
    return [(f.severity, f.kind, f.coin, f.exchange, f.hour) for f in findings]


def test_a_sound_data_set_has_no_findings(tmp_path: Path, market: MarketData) -> None:
    assert found(tmp_path, market, windows={"train": window(0, 10), "test": window(40, 47)}) == []


def test_gaps_between_prices_are_found_once_each(tmp_path: Path, market: MarketData) -> None:
    # Before the first and after the last price a leg does not exist; that is no gap.
    market.price[BYBIT, [0, 1, 5, 20, 21, 22, 46, 47]] = np.nan
    findings = found(tmp_path, market)
    assert summary(findings) == [
        ("warning", "gap in prices", "BTCUSDT", "bybit", "2024-05-01T05:00Z"),
        ("warning", "gap in prices", "BTCUSDT", "bybit", "2024-05-01T20:00Z"),
    ]
    assert findings[1].message == "no price for 3 h"
    assert findings[0].file.endswith("BTCUSDT.parquet")


def test_a_spike_that_others_contradict_is_an_error(tmp_path: Path, market: MarketData) -> None:
    market.price[BYBIT, 10] = 160.0
    findings = found(tmp_path, market)
    assert ("error", "absurd price", "BTCUSDT", "bybit", "2024-05-01T10:00Z") in summary(findings)
    assert findings[0].message == "100, 160, 100 in three hours"


def test_a_spike_that_others_share_is_a_move_of_the_market(tmp_path: Path, market: MarketData) -> None:
    for kind in ("price", "fill_price", "mark_price"):
        getattr(market, kind)[:, 10] = 160.0
    assert found(tmp_path, market) == []


def test_a_lasting_jump_is_no_spike(tmp_path: Path, market: MarketData) -> None:
    for kind in ("price", "fill_price", "mark_price"):
        getattr(market, kind)[:, 10:] = 160.0
    assert found(tmp_path, market) == []


def test_a_spike_without_witness_is_a_warning(tmp_path: Path) -> None:
    market = small_market(24, [("BTCUSDT", "bybit")])
    for kind in ("price", "fill_price", "mark_price"):
        getattr(market, kind)[0, 10] /= 1.8
    assert [(f.severity, f.kind) for f in found(tmp_path, market)] == [("warning", "absurd price")]


def test_exchanges_that_disagree_are_found_with_the_worst_hour(tmp_path: Path, market: MarketData) -> None:
    market.price[OKX, 7:10] = [104.0, 106.0, 108.0]
    market.fill_price[OKX, 7:10] = [104.0, 106.0, 108.0]
    findings = found(tmp_path, market)
    assert [(f.kind, f.exchange, f.hour, f.message) for f in findings] == [
        ("exchanges disagree", "binanceusdm", "2024-05-01T08:00Z", "okx is up to 8.0 % apart for 2 h"),
        ("exchanges disagree", "bybit", "2024-05-01T08:00Z", "okx is up to 8.0 % apart for 2 h"),
    ]


def test_a_next_trade_far_away_is_found(tmp_path: Path, market: MarketData) -> None:
    market.fill_price[OKX, 7] = 94.0
    assert summary(found(tmp_path, market)) == [
        ("warning", "next trade far away", "BTCUSDT", "okx", "2024-05-01T07:00Z")
    ]


@pytest.mark.parametrize("stated", [True, False])
def test_missing_settlements_are_counted(tmp_path: Path, market: MarketData, stated: bool) -> None:
    market.funding_rate[BYBIT, [12, 16]] = np.nan
    market.funding_interval_hours[BYBIT, [12, 16]] = np.nan
    if not stated:
        market.funding_interval_hours[:] = np.nan
    findings = found(tmp_path, market)
    assert summary(findings) == [("warning", "missing settlements", "BTCUSDT", "bybit", "2024-05-01T08:00Z")]
    assert findings[0].message == "after it 2 are missing (due every 4 h)"


@pytest.mark.trap(5)
@pytest.mark.parametrize("stated", [True, False])
def test_trap_05_a_changed_interval_is_nothing_missing(tmp_path: Path, market: MarketData, stated: bool) -> None:
    hours = np.arange(48)
    later = (hours >= 24) & (hours % 8 != 0)
    market.funding_rate[BYBIT, later] = np.nan
    market.funding_interval_hours[BYBIT] = np.where(np.isnan(market.funding_rate[BYBIT]), np.nan, 4.0)
    market.funding_interval_hours[BYBIT, 32::8] = 8.0
    if not stated:
        market.funding_interval_hours[:] = np.nan
    assert found(tmp_path, market) == []


def test_settlements_that_stop_before_the_prices_are_found(tmp_path: Path, market: MarketData) -> None:
    market.funding_rate[BYBIT, 36:] = np.nan
    market.funding_rate[OKX] = np.nan
    assert [(f.kind, f.exchange, f.message) for f in found(tmp_path, market)] == [
        ("missing settlements", "bybit", "is the last, 15 h before the last price"),
        ("no settlements", "okx", "nothing ever settles"),
    ]


def test_unusual_rates_are_warned_about_and_absurd_ones_are_errors(tmp_path: Path, market: MarketData) -> None:
    market.funding_rate[BYBIT, 8] = -0.05
    write_dataset(market, tmp_path / "unusual", info_of(market))
    assert summary(validate(tmp_path / "unusual")) == [
        ("warning", "unusual rate", "BTCUSDT", "bybit", "2024-05-01T08:00Z")
    ]
    market.funding_rate[BYBIT, 8] = -0.2
    market.funding_rate[OKX, 12] = 0.3
    write_dataset(market, tmp_path / "absurd", info_of(market))
    assert summary(validate(tmp_path / "absurd")) == [
        ("error", "impossible funding_rate", "BTCUSDT", "bybit", "2024-05-01T08:00Z"),
        ("error", "impossible funding_rate", "BTCUSDT", "okx", "2024-05-01T12:00Z"),
    ]


def test_every_wrong_file_is_listed(tmp_path: Path) -> None:
    two = small_market(12)
    write_dataset(two, tmp_path / "set", info_of(two))
    folder = tmp_path / "set" / "price_history"
    (folder / "BTCUSDT.parquet").write_bytes(b"")
    frame = pd.read_parquet(folder / "ETHUSDT.parquet").iloc[[0, 1, 1, 3, 2, 4]]
    frame.to_parquet(folder / "ETHUSDT.parquet", index=False)
    assert summary(validate(tmp_path / "set")) == [
        ("error", "unreadable file", "", "", ""),
        ("error", "duplicate hour", "ETHUSDT", "", "2024-05-01T01:00Z"),
        ("error", "out of order", "ETHUSDT", "", "2024-05-01T02:00Z"),
    ]


def test_naive_times_are_found(tmp_path: Path) -> None:
    frame = prices_frame()
    frame["timestamp"] = frame["timestamp"].dt.tz_localize(None)
    findings = validate(write_older(tmp_path, {"BTCUSDT": frame, "ETHUSDT": prices_frame()}))
    assert [(f.severity, f.kind) for f in findings] == [("error", "unreadable file")]
    assert "has no time zone" in findings[0].message


@pytest.mark.trap(17)
def test_trap_17_overlapping_or_wandering_windows_are_errors(tmp_path: Path, market: MarketData) -> None:
    cases = {
        "overlap": ({"train": window(0, 20), "test": window(20, 30)}, "error"),
        "outside": ({"train": window(0, 20), "test": window(46, 90)}, "error"),
        "embargo": ({"train": window(0, 10), "test": window(20, 30)}, "warning"),
    }
    for name, (windows, severity) in cases.items():
        write_dataset(market, tmp_path / name, info_of(market, windows=windows))
        assert [(f.severity, f.kind) for f in validate(tmp_path / name)] == [(severity, "windows")], name


def test_dataset_yaml_that_does_not_fit_the_files_is_an_error(tmp_path: Path, market: MarketData) -> None:
    write_dataset(market, tmp_path / "set", info_of(market))
    file = tmp_path / "set" / "dataset.yaml"
    values = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(values | {"exchanges": ["binanceusdm", "bybit"]}))
    findings = validate(tmp_path / "set")
    assert [f.kind for f in findings] == ["data set"]
    assert "has okx, which dataset.yaml does not list" in findings[0].message
    file.write_text("name: x")
    assert [f.kind for f in validate(tmp_path / "set")] == ["dataset.yaml"]


def test_opportunities_are_checked_too(tmp_path: Path) -> None:
    path = write_older(tmp_path, {"BTCUSDT": prices_frame()})
    rows = [opportunity("2024-05-01T02:00Z"), opportunity("2024-05-02T02:00Z")]
    write_frame(pd.DataFrame(rows), path / "opportunities.csv")
    assert [(f.severity, f.kind) for f in validate(path)] == [("warning", "opportunities")]
    write_frame(pd.DataFrame([*rows, opportunity("2024-05-01T02:00Z", symbol="X")]), path / "opportunities.csv")
    strange, outside = validate(path)
    assert (strange.severity, strange.kind, outside.kind) == ("warning", "opportunities", "opportunities")
    assert strange.message.startswith("1 opportunities of pairs without price history: left out, the first: ")
    assert strange.message.endswith(
        "X, 2024-05-01T02:00Z: is an opportunity on binanceusdm, but the price history has no X there"
    )


def test_validating_nothing_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is it a data set"):
        validate(tmp_path)


def test_a_market_of_one_hour_can_be_validated(tmp_path: Path, market: MarketData) -> None:
    hour = slice(0, 1)
    short = replace(
        market,
        hours=market.hours[hour],
        **{kind: getattr(market, kind)[:, hour].copy() for kind in ("price", "fill_price", "mark_price")},
        **{kind: getattr(market, kind)[:, hour].copy() for kind in ("funding_rate", "funding_interval_hours")},
        **{kind: getattr(market, kind)[:, hour].copy() for kind in ("volume_24h_usd", "bid_ask_spread", "depth_usd")},
    )
    assert found(tmp_path, short) == []
