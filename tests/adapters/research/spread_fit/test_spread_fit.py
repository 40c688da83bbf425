"""``arb data fit-spreads``: coins from quotes and turnovers, and a table in which thinner is never narrower."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_cli import arb

from adapters.configuration.settings import CONFIGS, load_settings
from adapters.research.spread_fit.fit import (
    EDGES_USD,
    FEWEST_COINS,
    FEWEST_OF_AN_EXCHANGE,
    WIDEST_BPS,
    fit_one,
    fit_spreads,
    spread_rows,
)
from adapters.research.spread_fit.measured import MANY_SCANS, read_measured
from adapters.research.spread_fit.table_file import write_table
from engine.settings import ELSEWHERE

WIDE = Path(__file__).resolve().parents[5] / "shared" / "wide"
START = pd.Timestamp("2026-03-01T10:00Z")


def quote(exchange: str, ticker: str, half_bps: float, hour: int = 0, **more: Any) -> dict[str, Any]:
    bid, ask = 100 * (1 - half_bps / 1e4), 100 * (1 + half_bps / 1e4)
    time = START + pd.Timedelta(hours=hour)
    return {"timestamp": time, "exchange": exchange, "ticker": ticker, "best_bid": bid, "best_ask": ask, **more}


def turnover(venue: str, base: str, musd: float, scan: int = 0) -> dict[str, Any]:
    return {"ts": START + pd.Timedelta(hours=scan), "venue": venue, "base": base, "turnover_musd": musd}


def saved(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / f"{name}.parquet"
    pd.DataFrame(rows).to_parquet(path, index=False)
    return path


def coins_of(
    folder: Path, quotes: list[dict[str, Any]], turnovers: list[dict[str, Any]]
) -> dict[tuple[str, str], tuple]:
    found = read_measured(saved(folder, "quotes", quotes), saved(folder, "volumes", turnovers)).coins
    names = zip(found["exchange"], found["coin"], strict=True)
    values = zip(found["half_bps"].round(6), found["volume_usd"], strict=True)
    return dict(zip(names, values, strict=True))


# --- what is measured ---


def test_each_coin_counts_once_with_medians_whatever_the_names(tmp_path: Path) -> None:
    quotes = [quote("Binance", "1000PEPE", half, k) for k, half in enumerate((1, 2, 9))]
    quotes += [quote("hyperliquid", "kPEPE", 4)]
    turnovers = [turnover("binance", "PEPE", musd, k) for k, musd in enumerate((5, 7, 100))]
    turnovers += [turnover("binance", "1000PEPE", 6, 0), turnover("hyperliquid", "PEPE", 2)]
    assert coins_of(tmp_path, quotes, turnovers) == {
        ("binanceusdm", "PEPE"): (2.0, 7e6),
        ("hyperliquid", "PEPE"): (4.0, 2e6),
    }


def test_a_coin_that_most_scans_do_not_list_trades_next_to_nothing(tmp_path: Path) -> None:
    quotes = [quote("mexc", name, 3) for name in ("OFTEN", "SELDOM", "NEVER")]
    turnovers = [turnover("mexc", "OFTEN", 4, k) for k in range(MANY_SCANS)]
    turnovers += [turnover("mexc", "SELDOM", 4, k) for k in range(MANY_SCANS // 2 - 1)]
    found = coins_of(tmp_path, quotes, turnovers)
    assert [found["mexc", name][1] for name in ("OFTEN", "SELDOM", "NEVER")] == [4e6, 0, 0]


def test_a_coin_that_few_scans_lack_is_of_unknown_volume_and_so_is_a_whole_exchange(tmp_path: Path) -> None:
    quotes = [quote("mexc", "GONE", 3), quote("lighter", "BTC", 3), quote("mexc", "BTC", 1)]
    path = saved(tmp_path, "quotes", quotes)
    found = read_measured(path, saved(tmp_path, "volumes", [turnover("mexc", "BTC", 4)]))
    assert found.coins["volume_usd"].isna().tolist() == [True, False, True]
    assert found.unknown == 2


def test_quotes_that_name_no_spread_are_dropped_and_counted(tmp_path: Path) -> None:
    bad = [quote("mexc", "BTC", -1), quote("mexc", "BTC", 501), quote("mexc", "BTC", 5) | {"best_bid": 0.0}]
    bad += [quote("mexc", "BTC", 5) | {"timestamp": pd.NaT}, quote("mexc", "BTC", 5) | {"best_ask": np.nan}]
    quotes = saved(tmp_path, "quotes", [*bad, quote("mexc", "BTC", 2, 30)])
    found = read_measured(quotes, saved(tmp_path, "volumes", [turnover("mexc", "BTC", 4)]))
    assert found.coins["half_bps"].round(6).tolist() == [2.0]
    assert found.dropped == 5
    assert str(found.first) == str(found.last) == "2026-03-02"


def test_quotes_may_bring_their_volume_and_their_source(tmp_path: Path) -> None:
    quotes = [quote("mexc", "BTC", 2, k, volume_24h_usd=usd, source=f"recorder {k}") for k, usd in enumerate((1, 3, 8))]
    found = read_measured(saved(tmp_path, "quotes", quotes), None)
    assert found.coins["volume_usd"].tolist() == [3.0]
    assert found.sources == {"mexc": "recorder 0, recorder 1, recorder 2"}


# --- the fit ---


@settings(max_examples=60, deadline=None, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(FEWEST_COINS, 200))
def test_a_fit_is_monotone_bounded_and_counts_every_coin(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    volume, half = 10 ** rng.uniform(3, 10, count), rng.lognormal(1, 2, count)
    bins = fit_one(volume, half)
    assert bins[0].from_usd == 0
    assert sum(len(one.measured_bps) for one in bins) == count
    assert all(len(one.measured_bps) >= FEWEST_COINS for one in bins)
    assert all(0 <= one.fitted_bps <= WIDEST_BPS for one in bins)
    for thinner, thicker in pairwise(bins):
        assert thinner.from_usd < thicker.from_usd
        assert thinner.fitted_bps >= thicker.fitted_bps


def test_a_fit_is_the_median_of_each_bin_and_one_dead_book_moves_nothing() -> None:
    volume = np.repeat([1e5, 5e6, 5e8], 7)
    half = np.concatenate([[1, 2, 3, 9, 10, 11, 400], [1, 2, 3, 4, 5, 6, 7], [0.1] * 7])
    bins = fit_one(volume, half)
    assert [(one.from_usd, one.fitted_bps) for one in bins] == [(0, 9), (3e6, 4), (1e8, 0.1)]


def test_bins_that_run_the_wrong_way_are_pooled_and_thin_ones_joined_to_the_thinner() -> None:
    volume, half = np.repeat([1e5, 5e6], 6), np.repeat([2.0, 5.0], 6)
    assert [one.fitted_bps for one in fit_one(volume, half)] == [3.5, 3.5]
    lonely = fit_one(np.array([1e5] * 6 + [5e8]), np.array([4.0] * 6 + [0.1]))
    assert [(one.from_usd, one.fitted_bps) for one in lonely] == [(0, 4.0)]
    only_thick = fit_one(np.array([1e5] + [5e8] * 6), np.array([9.0] + [0.1] * 6))
    assert [(one.from_usd, one.fitted_bps) for one in only_thick] == [(0, 0.1)]


def many(exchange: str, half: dict[float, float]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Thirty coins over the given volumes in million USD, each with the half-spread beside it."""
    quotes, turnovers = [], []
    for k in range(FEWEST_OF_AN_EXCHANGE):
        musd, bps = list(half.items())[k % len(half)]
        quotes.append(quote(exchange, f"COIN{k}", bps))
        turnovers.append(turnover(exchange, f"COIN{k}", musd))
    return quotes, turnovers


def everything(folder: Path) -> tuple[Path, Path]:
    sets = [
        many("mexc", {0.1: 9, 5: 3, 500: 1}),
        many("hyperliquid", {0.1: 4, 5: 2, 500: 0.5}),
        many("aster", {0.1: 40, 5: 1}),
        ([quote("bybit", "BTC", 0.1)], [turnover("bybit", "BTC", 500)]),
        ([quote("lighter", "BTC", 0.1)], []),
    ]
    quotes, turnovers = ([row for one in sets for row in one[part]] for part in (0, 1))
    return saved(folder, "quotes", quotes), saved(folder, "volumes", turnovers)


def test_elsewhere_is_the_middle_exchange_at_every_volume(tmp_path: Path) -> None:
    measured = read_measured(*everything(tmp_path))
    fit = fit_spreads(measured)
    assert sorted(fit.fitted) == ["aster", "hyperliquid", "mexc"]
    assert sorted(fit.too_few) == ["bybit"]
    assert dict(fit.elsewhere) == {edge: 9 if edge < 3e6 else 2 if edge < 1e8 else 1 for edge in EDGES_USD}
    rows = spread_rows(fit, measured)
    assert [(one.from_usd, one.bps) for one in rows[ELSEWHERE].half_spread] == [(0, 9), (3e6, 2), (1e8, 1)]
    assert str(rows["mexc"].since) == "2026-03-01"


def test_no_exchange_with_coins_enough_is_refused(tmp_path: Path) -> None:
    quotes, volumes = (
        saved(tmp_path, "quotes", [quote("mexc", "BTC", 1)]),
        saved(tmp_path, "v", [turnover("mexc", "BTC", 1)]),
    )
    assert arb("data", "fit-spreads", quotes, "--volumes", volumes) == 2


# --- the command ---


def test_the_command_shows_the_fit_and_writes_a_table_that_settings_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes, volumes = everything(tmp_path)
    out = tmp_path / "out" / "spreads.yaml"
    for _ in range(2):  # its own table gives way
        assert arb("data", "fit-spreads", quotes, "--volumes", volumes, "--out", out) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= max(100, len(f"written to {out}"))
    assert "bybit *" in told
    assert "1 coins of unknown volume" in told
    config = tmp_path / "mine.yaml"
    config.write_text("spreads:\n" + "".join(f"  {line}\n" for line in out.read_text().splitlines()))
    spreads = load_settings(config, ["spread_model=volume"]).spreads
    assert [one.bps for one in spreads["mexc"][0].half_spread] == [9, 3, 1]
    assert spreads["mexc"][0].source == "30 coins, 2026-03-01 to 2026-03-01: quotes.parquet"
    assert spreads[ELSEWHERE][0].source == "the middle one of aster, hyperliquid, mexc"


def other_columns(path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(path)


def one_row(path: Path) -> None:
    pd.read_parquet(path).tail(1).to_parquet(path)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("quotes.parquet", Path.unlink, "cannot be read"),
        ("quotes.parquet", other_columns, "has no column timestamp"),
        ("volumes.parquet", other_columns, "has no column ts"),
        ("quotes.parquet", one_row, "no exchange has 30 coins"),
        ("spreads.yaml", Path.touch, "is not a table of `arb data fit-spreads`"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    file: str, change: Callable[[Path], None], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotes, volumes = everything(tmp_path)
    out = tmp_path / "spreads.yaml"
    change(tmp_path / file)
    before = out.read_text() if out.exists() else None
    assert arb("data", "fit-spreads", quotes, "--volumes", volumes, "--out", out) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert (out.read_text() if out.exists() else None) == before


def test_quotes_without_volumes_need_their_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quotes, _ = everything(tmp_path)
    assert arb("data", "fit-spreads", quotes) == 2
    assert "has no column volume_24h_usd; give the volumes with --volumes FILE" in capsys.readouterr().err


@pytest.mark.market
@pytest.mark.skipif(not WIDE.is_dir(), reason="needs the recorded quotes beside the checkout (../shared/wide)")
def test_the_shipped_table_is_what_the_command_makes_of_the_recorded_quotes(tmp_path: Path) -> None:
    measured = read_measured(WIDE / "quotes.parquet", WIDE / "perp_snapshots.parquet")
    write_table(tmp_path / "spreads.yaml", spread_rows(fit_spreads(measured), measured))
    assert (tmp_path / "spreads.yaml").read_text() == (CONFIGS / "spreads.yaml").read_text()
