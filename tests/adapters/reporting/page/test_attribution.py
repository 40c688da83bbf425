"""Where the money came from: every split adds up to the P&L, on random markets with every kind of entry."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_report import cut, nothing, played, save

from adapters.reporting.page import attribution
from adapters.reporting.page.attribution import FEES, PAID, RECEIVED, SLIPPAGE, UNREALISED
from adapters.reporting.page.funding_calendar import OTHERS, by_coin, by_hour
from adapters.reporting.page.positions import lanes, positions
from adapters.storage.saved_run import SavedRun
from engine.accounting.books import Kind

SEEDS = tuple(range(2, 16))


@pytest.fixture(scope="module", params=SEEDS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SavedRun:
    """Every other one is cut in the middle, with positions open."""
    seed = request.param
    records, tape = played(seed)
    if seed % 2:
        records = cut(records, int(records.hours["hour"][len(records.hours) // 2]))
    return save(tmp_path_factory.mktemp("run"), records, tape)


def exact(value: float) -> object:
    return pytest.approx(value, rel=1e-10, abs=1e-8)


def test_every_split_adds_up_to_the_pnl(run: SavedRun) -> None:
    pnl = float(run.metrics["pnl_usd"] or 0.0)
    assert math.fsum(attribution.totals(run).values()) == exact(pnl)
    for groups in (attribution.pairs_of(run), attribution.coins_of(run)):
        table = attribution.by_group(run, groups)
        assert table["pnl"].sum() == exact(pnl)
        assert table.drop(columns=["pnl", "trades"]).to_numpy().sum() == exact(pnl)
        assert table["trades"].sum() == len(run.trades)
        assert (table["pnl"].abs().diff().dropna() <= 1e-9).all()
        for part, usd in attribution.totals(run).items():
            assert table[part].sum() == exact(usd), part


def test_parts_agree_with_the_metrics(run: SavedRun) -> None:
    parts, metrics = attribution.totals(run), run.metrics
    assert -parts[FEES] == exact(float(metrics["fees_usd"] or 0))
    assert parts[RECEIVED] + parts[PAID] == exact(float(metrics["funding_usd"] or 0))
    assert parts["price_before_slippage"] + parts[SLIPPAGE] == exact(float(metrics["price_pnl_usd"] or 0))
    assert -parts[SLIPPAGE] == exact(float(metrics["slippage_usd"] or 0))
    assert (parts[RECEIVED] >= -1e-9, parts[PAID] <= 1e-9, parts[SLIPPAGE] <= 0) == (True, True, True)
    assert parts.get("liquidation_fee", 0.0) == exact(-float(metrics["liquidation_fees_usd"] or 0))
    assert parts.get("transfer_fee", 0.0) == exact(-float(metrics["transfer_costs_usd"] or 0))
    assert parts.get("transfer", 0.0) == exact(0.0)
    assert parts.get(UNREALISED, 0.0) == exact(float(run.equity["unrealised_usd"].iloc[-1]))


def test_over_time_the_parts_add_up_at_every_hour(run: SavedRun) -> None:
    table = attribution.over_time(run)
    assert len(table) == run.hours
    parts = table.drop(columns="pnl").sum(axis=1)
    assert np.abs(parts - table["pnl"]).max() <= 1e-8 * run.initial_capital_usd
    assert table["pnl"].iloc[-1] == exact(float(run.metrics["pnl_usd"] or 0))
    assert table[FEES].iloc[-1] == exact(attribution.totals(run)[FEES])


def test_the_calendar_adds_up_to_the_funding(run: SavedRun) -> None:
    funding = float(run.metrics["funding_usd"] or 0)
    hours, coins = by_hour(run), by_coin(run)
    assert hours.shape[0] == 24
    assert hours.to_numpy().sum() == exact(funding)
    assert coins.to_numpy().sum() == exact(funding)
    assert list(hours.columns) == list(coins.columns)
    assert len(hours.columns) == run.equity["time"].dt.floor("D").nunique()


def test_beyond_the_largest_coins_the_calendar_has_one_row_for_the_rest(run: SavedRun) -> None:
    few = by_coin(run, most=2)
    assert len(few) <= 2
    if len(by_coin(run)) > 2:
        assert few.index[-1] == OTHERS
    assert few.to_numpy().sum() == exact(by_coin(run).to_numpy().sum())


def test_every_position_stands_on_the_timeline(run: SavedRun) -> None:
    table = positions(run)
    closed = table[table["exit"].notna()].set_index("position_id")
    trades = run.trades.set_index("position_id")
    assert sorted(closed.index) == sorted(trades.index)
    assert (closed["entry"] == trades["entry_time"].reindex(closed.index)).all()
    assert (closed["pnl_usd"] == trades["pnl_usd"].reindex(closed.index)).all()
    still_open = table["exit"].isna().sum()
    assert still_open == run.equity["open_positions"].iloc[-1]
    for _, lane in table.groupby("lane"):
        assert (lane["entry"].iloc[1:].to_numpy() >= lane["exit"].iloc[:-1].to_numpy()).all()


def test_there_are_random_runs_with_every_kind_of_entry() -> None:
    kinds: set[Kind] = set()
    for seed in SEEDS:
        kinds |= {Kind(kind) for kind in played(seed)[0].ledger["kind"]}
    assert {*(Kind.FEE, Kind.FUNDING, Kind.PRICE, Kind.TRANSFER, Kind.TRANSFER_FEE, Kind.LIQUIDATION_FEE)} <= kinds


def test_a_reversal_is_no_income() -> None:
    """Funding that was assumed as paid and taken back later was never received."""
    ledger = pd.DataFrame(
        {
            "position_id": 1,
            "leg": "long",
            "kind": ["fee", "funding", "funding", "funding", "price", "transfer"],
            "amount_usd": [-1.0, -5.0, 5.0, -4.0, 3.0, 0.5],
            "assumed": [False, True, True, False, False, False],
        }
    )
    assert attribution.parts_of(ledger).tolist() == [FEES, PAID, PAID, PAID, "price", "transfer"]


def test_a_kind_that_is_not_known_stands_under_its_own_name(tmp_path: Path) -> None:
    run = save(tmp_path / "run", *played(4))
    run.ledger.loc[run.ledger.index[0], "kind"] = "stamp_duty"
    assert "stamp_duty" in attribution.totals(run)
    assert math.fsum(attribution.totals(run).values()) == exact(float(run.metrics["pnl_usd"] or 0))
    assert attribution.label("stamp_duty") == "Stamp duty"


def test_a_run_without_a_trade_has_empty_tables(tmp_path: Path) -> None:
    _, tape = played(4)
    run = save(tmp_path / "run", nothing(tape), tape)
    assert set(attribution.totals(run).values()) == {0.0}
    assert attribution.by_group(run, attribution.pairs_of(run)).empty
    assert positions(run).empty
    assert by_hour(run).to_numpy().sum() == 0
    assert (attribution.over_time(run)["pnl"] == 0).all()


def test_lanes_are_reused_as_soon_as_they_are_free() -> None:
    hour = [pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(hours=h) for h in range(10)]
    assert lanes([hour[0], hour[1], hour[3], hour[4]], [hour[3], hour[5], pd.NaT, hour[6]]) == [0, 1, 0, 2]
    assert lanes([], []) == []
