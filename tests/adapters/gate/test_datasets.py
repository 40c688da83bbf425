"""Data sets of every layout through the gate: absent, told of, part of the fingerprint and of the cache's key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import (
    FIRST,
    bars,
    info_of,
    opportunity,
    prices_frame,
    settlements,
    small_market,
    write_frame,
    write_older,
    write_raw,
)

from adapters.datasets.build import build_dataset
from adapters.datasets.load import load_dataset, load_pieces
from adapters.datasets.validate import validate
from adapters.datasets.write import write_dataset
from adapters.gate.limits import GateSettings
from engine.market.data import MarketData

SPOILT = 20
WIDE = GateSettings(max_price_disagreement=0.9, max_lone_move=1e6, max_mark_distance=0.9)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))


def market(factor: float = 1.0, hours: int = 48) -> MarketData:
    """BTC on two exchanges whose prices stay together, one of them times a factor in one hour."""
    found = small_market(hours, [("BTCUSDT", "binanceusdm"), ("BTCUSDT", "bybit")])
    for kind in ("price", "fill_price", "mark_price"):
        getattr(found, kind)[1] = getattr(found, kind)[0]
        getattr(found, kind)[1, SPOILT] *= factor
    return found


def stored(folder: Path, factor: float) -> Path:
    found = market(factor)
    write_dataset(found, folder, info_of(found))
    return folder


def test_what_is_refused_is_absent_and_the_notes_say_so(tmp_path: Path) -> None:
    good, bad = load_dataset(stored(tmp_path / "good", 1.0)), load_dataset(stored(tmp_path / "bad", 100.0))
    assert good.notes == ()
    for kind in ("price", "fill_price", "mark_price"):
        assert np.isnan(getattr(bad.market, kind)[1, SPOILT])
        assert np.isnan(getattr(bad.market, kind)).sum() == 1
    assert bad.notes[0] == (
        "3 values are not believed and count as unknown: bybit fill_price 1, bybit mark_price 1, bybit price 1"
    )
    assert bad.notes[1].startswith("BTCUSDT on bybit, 2024-05-01T20:00Z: price 1")


def test_fingerprint_and_cache_know_the_limits(tmp_path: Path) -> None:
    path = stored(tmp_path / "bad", 1.5)
    for _ in range(2):  # the second time from the cache
        strict, wide = load_dataset(path), load_dataset(path, WIDE)
        assert np.isnan(strict.market.price[1, SPOILT])
        assert wide.market.price[1, SPOILT] > 140
        assert strict.notes[0].startswith("3 values")
        assert wide.notes == ()
        assert strict.fingerprint != wide.fingerprint
        assert len(strict.fingerprint) == len(wide.fingerprint) == 32


def test_without_refusals_the_fingerprint_is_that_of_the_files_whatever_the_limits(tmp_path: Path) -> None:
    path = stored(tmp_path / "good", 1.0)
    assert load_dataset(path).fingerprint == load_dataset(path, WIDE).fingerprint


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_older_layouts_pass_the_same_gate(tmp_path: Path, suffix: str) -> None:
    frame = prices_frame(hours=48)
    frame.loc[SPOILT, "bybit_price"] *= 100
    frame.loc[SPOILT, "binance_funding_rate"] = 0.06
    path = write_older(tmp_path / "older", {"BTCUSDT": frame}, suffix)
    for loaded in (load_dataset(path), load_pieces(None, path / "price_history")):
        assert np.isnan(loaded.market.price[1, SPOILT])
        assert np.isnan(loaded.market.funding_rate[0, SPOILT])
        assert loaded.notes[0].startswith("2 values are not believed")


ABSURD_FEATURES: dict[str, tuple[float, float]] = {
    "long_funding_rate": (2.0, 2.1),
    "short_funding_rate": (-2.0, -300.0),
    "long_funding_interval_hours": (8.0, 480.0),
    "short_funding_interval_hours": (1.0, 0.0),
    "fund_profit_8h": (30.0, 40.0),
    "fundProfit8h24hProj": (-30.0, -1e9),
    "fundProfit8h3dProj": (0.0, 33.0),
    "fund_apr": (30_000.0, 40_000.0),
    "fundApr24hProj": (-30_000.0, -40_000.0),
    "fundApr3dProj": (1.0, 1e9),
    "estimatedProfitPercentage": (12.0, 1e6),
    "spread30SampleAvg": (0.2, 0.3),
    "priceSpread24hAvg": (-0.2, -0.3),
    "priceSpread3dAvg": (0.0, 60.0),
    "spread_volatility_stddev": (0.01, -0.01),
    "volume_24h": (1e9, -1.0),
    "bidAskSpreadPercent": (9.0, 11.0),
    "orderbookDepthUsd": (0.0, 1e13),
    "positionCostPercent": (0.2, 20.0),
}


@pytest.mark.parametrize("name", sorted(ABSURD_FEATURES))
def test_recorded_features_that_cannot_be_fall_back_to_derived_ones(tmp_path: Path, name: str) -> None:
    good, bad = ABSURD_FEATURES[name]
    rows: list[dict[str, Any]] = [
        opportunity("2024-05-01T02:00Z", **{name: good}),
        opportunity("2024-05-01T03:00Z", **{name: bad}),
    ]
    path = write_older(tmp_path / "older", {"BTCUSDT": prices_frame()})
    write_frame(pd.DataFrame(rows), path / "opportunities.csv")
    loaded = load_dataset(path, cache=False)
    assert loaded.market.recorded is not None
    column = loaded.market.recorded.features[:, loaded.market.recorded.columns.index(name)]
    assert column[0] == good
    assert np.isnan(column[1])
    assert loaded.notes[0] == f"1 values are not believed and count as unknown: binanceusdm and bybit {name} 1"
    assert "BTCUSDT on binanceusdm and bybit, 2024-05-01T03:00Z" in loaded.notes[1]


def raw(folder: Path, factor: float) -> Path:
    """Three exchanges, one of whose bars closes and the next opens at a factor."""
    closes = {name: [100 + 0.1 * (i % 7) for i in range(100)] for name in ("binance", "bybit", "okx")}
    closes["bybit"][SPOILT] *= factor
    rates = dict.fromkeys(range(0, 100, 4), 1e-4)
    funding = [settlements(name, "BTC", {**rates, **({40: 0.006} if name == "okx" else {})}) for name in closes]
    return write_raw(folder, [bars(name, "BTC", closes[name]) for name in closes], funding)


def test_build_leaves_out_what_is_not_believed_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("data", "build", raw(tmp_path / "raw", 60.0), "--out", tmp_path / "out") == 0
    told = capsys.readouterr().err
    # The open of the next bar is the very close that is refused: it goes with it.
    assert (
        "warning: 3 values are not believed and count as unknown: bybit high 1, bybit price 1, okx funding_rate 1"
        in told
    )
    built = load_dataset(tmp_path / "out")
    assert built.notes == ()
    assert np.isnan(built.market.price[1, SPOILT + 1])
    assert np.isnan(built.market.fill_price[1, SPOILT + 1])
    assert np.isnan(built.market.funding_rate[2, 40])
    assert np.isnan(built.market.price).sum() == 3 + 1  # and the hour at which the first bars open


def test_limits_of_build_can_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = ("--set", "gate.max_price_disagreement=0.99", "--set", "gate.usual_rate=0.01")
    wide += (
        "--set",
        "gate.usual_rate_per_hour=0.01",
        "--set",
        "gate.max_lone_move=100",
        "--set",
        "gate.max_spread=0.5",
    )
    folder = raw(tmp_path / "raw", 1.9)
    assert arb("data", "build", folder, "--out", tmp_path / "wide", *wide) == 0
    assert "not believed" not in capsys.readouterr().err
    assert arb("data", "build", folder, "--out", tmp_path / "strict") == 0
    assert "not believed" in capsys.readouterr().err
    assert arb("data", "build", folder, "--out", tmp_path / "x", "--set", "gate.max_spreed=1") == 2
    assert "did you mean 'gate.max_spread'" in capsys.readouterr().err


def test_a_whole_exchange_of_raw_tables_that_moves_away_is_left_out(tmp_path: Path) -> None:
    coins, hours = ("AAA", "BBB", "CCC"), 60
    prices, funding = [], []
    for name in ("binance", "bybit"):
        for number, coin in enumerate(coins, start=1):
            closes = [
                number * (100 + 0.1 * (i % 7)) * (1.1 if name == "bybit" and i >= 50 else 1) for i in range(hours)
            ]
            prices.append(bars(name, coin, closes))
            funding.append(settlements(name, coin, dict.fromkeys(range(0, hours, 4), 1e-4)))
    info, told = build_dataset(write_raw(tmp_path / "raw", prices, funding), tmp_path / "out", name="x", source="x")
    assert info.exchanges == ("binanceusdm", "bybit")
    built = load_dataset(tmp_path / "out").market
    bybit = built.leg_exchange == 1
    assert np.isnan(built.price[bybit, 51:]).all()
    assert not np.isnan(built.price[~bybit, 1:]).any()
    assert "bybit price 30" in told[0]


def test_validate_lists_what_will_not_be_believed(tmp_path: Path) -> None:
    found = market()
    found.mark_price[1, SPOILT] *= 2
    write_dataset(found, tmp_path / "set", info_of(found))
    (finding,) = validate(tmp_path / "set")
    assert (finding.severity, finding.kind) == ("warning", "mark_price not believed")
    assert (finding.coin, finding.exchange, finding.hour) == ("BTCUSDT", "bybit", "2024-05-01T20:00Z")


def test_a_leg_far_from_the_others_is_not_offered_in_a_backtest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entered at every hour that is offered: nothing fills at a price of another coin, and the table is told why."""
    for name, factor in (("same", 1.0), ("other", 3.0)):
        found = small_market(120, [("BTCUSDT", "binanceusdm"), ("BTCUSDT", "bybit")])
        for kind in ("price", "fill_price", "mark_price"):
            getattr(found, kind)[1] = getattr(found, kind)[0] * factor
        write_dataset(found, tmp_path / name, info_of(found))
        out = tmp_path / f"run-{name}"
        strategy = ("--strategy", "plugin_strategies:Churn", "--set", "min_history_hours=1")
        assert arb("backtest", *strategy, "--data", tmp_path / name, "--out", out, "--no-report") == 0
        trades = pd.read_csv(out / "trades.csv")
        assert (len(trades) > 5) == (name == "same")
        assert ("not believed" in capsys.readouterr().out) == (name == "other")


def test_first_is_a_whole_day() -> None:
    """The hours in the messages above count from it."""
    assert FIRST % 24 == 0
