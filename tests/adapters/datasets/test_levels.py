"""Findings over whole tables: level shifts by powers of ten, two coins under one name, rates that are no fractions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_datasets import FIRST, info_of, small_market
from support_raw import Builder, Tables, assert_same_but_for, legs_of

from adapters.datasets.findings import Finding
from adapters.datasets.grid import grids_of
from adapters.datasets.price_levels import level_findings
from adapters.datasets.rate_units import likely_unit, rate_levels, unit_findings
from adapters.datasets.validate import validate
from adapters.datasets.write import write_dataset
from engine.market.data import MarketData

RAW = Path(__file__).resolve().parents[4] / "shared" / "market2"
LEGS = [("BTCUSDT", "binanceusdm"), ("BTCUSDT", "bybit"), ("BTCUSDT", "okx")]
BINANCE, BYBIT, OKX = range(3)
PRICES = ("open", "high", "low", "close")


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def wandering(hours: int = 200, legs: list[tuple[str, str]] | None = None, seed: int = 3) -> MarketData:
    """Exchanges that agree on a wandering price."""
    market = small_market(hours, legs or LEGS)
    path = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.005, hours)))
    for kind in ("price", "fill_price", "mark_price"):
        getattr(market, kind)[:] = path
    return market


def found(market: MarketData) -> list[tuple[str, str, str, int | None]]:
    """(severity, kind, exchange, hour) of everything about levels."""
    grids = list(grids_of(market, "x"))
    return [(f.severity, f.kind, f.exchange, _hour(f)) for grid in grids for f in level_findings(grid)]


def _hour(finding: Finding) -> int | None:
    return int(pd.Timestamp(finding.hour).timestamp()) // 3600 - FIRST if finding.hour else None


def test_exchanges_that_agree_have_no_finding() -> None:
    assert found(wandering()) == []


@pytest.mark.parametrize("power", [-6, -3, -1, 1, 2, 3, 6])
def test_a_re_denomination_of_one_exchange_is_an_error_at_its_hour(power: int) -> None:
    market = wandering()
    market.price[BYBIT, 120:] *= 10.0**power
    assert found(market) == [("error", "level shift", "bybit", 120)]


def test_two_re_denominations_at_different_hours_are_two_errors() -> None:
    market = wandering()
    market.price[BYBIT, 100:] *= 1000
    market.price[OKX, 140:] *= 1000
    assert found(market) == [("error", "level shift", "bybit", 100), ("error", "level shift", "okx", 140)]


def test_a_re_denomination_behind_a_halt_is_found_where_trading_goes_on() -> None:
    market = wandering()
    market.price[BYBIT, 100:] *= 1000
    market.price[BYBIT, 90:140] = np.nan
    assert found(market) == [("error", "level shift", "bybit", 140)]


def test_all_exchanges_at_once_are_an_error_for_a_hundred_and_a_crash_for_ten() -> None:
    market = wandering()
    market.price[:, 100:] /= 10
    assert found(market) == []
    market.price[:, 100:] /= 100
    assert [row[:3] for row in found(market)] == [("error", "level shift", name) for _, name in LEGS]


def test_a_leg_alone_is_judged_by_itself() -> None:
    market = wandering(legs=LEGS[:1])
    market.price[0, 100:] *= 100
    assert found(market) == [("error", "level shift", "binanceusdm", 100)]
    market.price[0, 60:100] = np.nan  # across two days it may have moved so far
    assert [row[0] for row in found(market)] == ["warning"]


@pytest.mark.parametrize("factor", [4.3, 7.5, 14.0])
def test_real_moves_are_no_level_shifts(factor: float) -> None:
    market = wandering()
    market.price[:, 100:] /= factor
    assert found(market) == []


def test_a_spike_is_no_level_shift() -> None:
    market = wandering()
    market.price[BYBIT, 100] *= 1000
    assert found(market) == []


@pytest.mark.parametrize(
    ("factor", "words"), [(3.7, "two coins under one name"), (1000.0, "(x 1,000): its multiplier"), (0.01, "(/ 100)")]
)
def test_of_three_exchanges_the_stranger_is_told(factor: float, words: str) -> None:
    market = wandering()
    market.price[OKX] *= factor
    (finding,) = [f for grid in grids_of(market, "x") for f in level_findings(grid)]
    assert (finding.severity, finding.kind, finding.exchange) == ("error", "another coin", "okx")
    assert words in finding.message


def test_of_two_exchanges_that_never_agree_neither_is_believed() -> None:
    market = wandering(legs=LEGS[:2])
    market.price[BYBIT] *= 2
    assert [row[:3] for row in found(market)] == [
        ("error", "another coin", "binanceusdm"),
        ("error", "another coin", "bybit"),
    ]


def test_exchanges_that_part_for_some_days_are_no_strangers() -> None:
    market = wandering()
    market.price[OKX, :150] *= 1.3
    assert found(market) == []


def units(market: MarketData) -> list[tuple[str, str, str]]:
    levels = [level for grid in grids_of(market, "x") for level in rate_levels(grid)]
    return [(f.severity, f.coin, f.exchange) for f in unit_findings(levels)]


def many(hours: int = 40 * 24) -> MarketData:
    """Three coins on three exchanges with usual rates every fourth hour."""
    legs = [(coin, exchange) for coin in ("AAAUSDT", "BBBUSDT", "CCCUSDT") for _, exchange in LEGS]
    market = wandering(hours, legs)
    sizes = np.abs(np.random.default_rng(5).normal(0, 1e-4, market.funding_rate.shape)) + 1e-5
    market.funding_rate[:] = np.where(np.isnan(market.funding_rate), np.nan, sizes)
    return market


def test_usual_rates_have_no_finding() -> None:
    assert units(many()) == []


def test_an_exchange_in_per_cent_is_an_error_in_every_leg() -> None:
    market = many()
    okx = [leg for leg in range(market.legs) if market.leg_name(leg)[1] == "okx"]
    market.funding_rate[okx] *= 100
    assert units(market) == [("error", coin, "okx") for coin in market.symbols]


def test_a_whole_table_in_per_cent_is_an_error() -> None:
    market = many()
    market.funding_rate[:] *= 100
    assert len(units(market)) == 9
    assert {severity for severity, *_ in units(market)} == {"error"}


def test_a_month_is_needed_to_be_certain() -> None:
    market = many(20 * 24)
    market.funding_rate[:] *= 100
    assert {severity for severity, *_ in units(market)} == {"warning"}


def test_a_coin_that_is_extreme_on_other_exchanges_too_is_only_warned_about() -> None:
    market = many()
    market.funding_rate[:3] *= 60
    assert units(market) == [("warning", "AAAUSDT", exchange) for _, exchange in LEGS]
    market.funding_rate[:2] /= 60
    assert units(market) == [("error", "AAAUSDT", "okx")]


def test_weeks_of_extreme_rates_in_a_usual_record_are_no_finding() -> None:
    market = many()
    market.funding_rate[:, : 15 * 24] *= 60
    assert units(market) == []


@pytest.mark.parametrize(("usual", "unit"), [(1e-2, "per cent"), (0.11, "rates per year"), (1.0, "basis points")])
def test_the_likely_unit_is_named(usual: float, unit: str) -> None:
    assert likely_unit(usual) == unit


def test_validate_lists_them(tmp_path: Path) -> None:
    market = many()
    market.price[4, 500:] *= 1000
    market.fill_price[4, 499:] *= 1000
    market.funding_rate[8] *= 100
    write_dataset(market, tmp_path / "set", info_of(market))
    errors = [(f.kind, f.coin, f.exchange) for f in validate(tmp_path / "set") if f.severity == "error"]
    assert errors == [("level shift", "BBBUSDT", "bybit"), ("unit of the rates", "CCCUSDT", "okx")]


@pytest.mark.parametrize(
    ("rows", "factor", "reason"),
    [
        (slice(100, None), 1000.0, "level shift: the price goes from"),
        (slice(None), 3.7, "another coin: the price is 3.7 times that on binanceusdm"),
    ],
)
def test_build_leaves_out_what_is_certain(build: Builder, rows: slice, factor: float, reason: str) -> None:
    whole = build(lambda _, __: None).market

    def edit(prices: Tables, _: Tables) -> None:
        table = prices["ETH", "bybit"]
        table.loc[table.index[rows], list(PRICES)] *= factor

    built = build(edit)
    (line,) = built.told
    assert line.startswith(f"left out: ETHUSDT on bybit: {reason}")
    assert_same_but_for(built.market, whole, ("ETHUSDT", "bybit"))
    assert [f for f in validate(built.folder) if f.severity == "error"] == []
    assert build(edit, "--strict").code == 2


def test_build_leaves_out_rates_in_per_cent(build: Builder) -> None:
    def edit(_: Tables, funding: Tables) -> None:
        for base in ("BTC", "ETH", "PEPE"):
            funding[base, "okx"] = funding[base, "okx"].assign(funding_rate=lambda t: t.funding_rate * 100)

    built = build(edit, hours=32 * 24)
    assert [line.split(": ")[1:3] for line in built.told] == [
        [f"{coin}USDT on okx", "unit of the rates"] for coin in ("BTC", "ETH", "PEPE")
    ]
    assert "likely per cent" in built.told[0]
    assert {exchange for _, exchange in legs_of(built.market)} == {"binanceusdm", "bybit"}


def test_a_coin_that_two_exchanges_never_agree_on_is_left_out_whole(build: Builder) -> None:
    def edit(prices: Tables, funding: Tables) -> None:
        for tables in (prices, funding):
            del tables["ETH", "okx"]
        prices["ETH", "bybit"] = prices["ETH", "bybit"].assign(**{n: lambda t, n=n: t[n] * 40 for n in PRICES})

    built = build(edit)
    assert [line.split(":")[1] for line in built.told] == [" ETHUSDT on binanceusdm", " ETHUSDT on bybit"]
    assert built.market.symbols == ("BTCUSDT", "PEPEUSDT")


@pytest.mark.market
@pytest.mark.skipif(not RAW.is_dir(), reason="needs the real market data beside the checkout (../shared/market2)")
@pytest.mark.slow
def test_real_data_is_built_whole(build: Builder) -> None:
    built = build.on(RAW)
    assert (built.code, built.told) == (0, [])
    assert "0 errors" in built.out.splitlines()[-1]
