"""The tables of a run from what the kernel recorded, on random markets; and what JSON may not hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from market_strategies import Case, random_case
from scripted import Scripted, pair_indexes

from adapters.storage.run_files import equity_frame, ledger_frame, notes_frame, trades_frame, write_json, write_run
from engine.accounting.books import OrderKind
from engine.accounting.records import NO_RECORDS, Records
from engine.accounting.tape import Tape, prepare
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import time_of

SEEDS = (2, 3, 4, 5, 6, 7, 8, 10)


def run(case: Case) -> tuple[Records, Tape]:
    tape = prepare(case.market, case.settings)
    builder = OpportunityBuilder(tape)
    return run_backtest(builder, Scripted(case.market, case.orders), case.first, case.last), tape


def seeded(seed: int) -> Case:
    return random_case(np.random.default_rng(seed), coins=3, exchanges=4, hours=150)


@pytest.mark.parametrize("seed", SEEDS)
def test_trades_and_ledger_tell_one_story_on_random_markets(seed: int) -> None:
    case = seeded(seed)
    records, tape = run(case)
    trades, ledger = trades_frame(records, tape), ledger_frame(records, tape)
    assert len(trades) == len(records.trades) > 0
    for trade in trades.itertuples():
        rows = ledger[ledger["position_id"] == trade.position_id]
        sums = rows.groupby("kind")["amount_usd"].sum()
        assert -sums["fee"] == pytest.approx(trade.entry_fees_usd + trade.exit_fees_usd, abs=1e-8)
        assert sums["price"] == pytest.approx(trade.price_pnl_usd, abs=1e-8)
        # Funding that was booked after the close is the trade's too.
        assert sums.get("funding", 0.0) == pytest.approx(trade.funding_usd, abs=1e-8)
        assert trade.pnl_usd == pytest.approx(sums.sum(), abs=1e-8)
        assert set(rows["symbol"]) == {trade.symbol}
        by_leg = rows.groupby("leg")["exchange"].unique()
        assert [list(by_leg["long"]), list(by_leg["short"])] == [[trade.long_exchange], [trade.short_exchange]]
        # Four fills, two price bookings at the close, all of one quantity.
        assert (rows["kind"].value_counts()[["fee", "price"]] == [4, 2]).all()
        assert set(rows["quantity"]) == {trade.quantity}
        fees = rows[rows["kind"] == "fee"]
        assert sorted(set(fees["time"])) == sorted({trade.entry_time, trade.exit_time})
        assert fees["price"].tolist() == [
            *(trade.entry_long_price, trade.entry_short_price),
            *(trade.exit_long_price, trade.exit_short_price),
        ]


@pytest.mark.parametrize("seed", SEEDS)
def test_equity_and_metrics_follow_from_the_ledger_on_random_markets(seed: int) -> None:
    case = seeded(seed)
    records, tape = run(case)
    ledger, hours = ledger_frame(records, tape), equity_frame(records, tape)
    capital = case.settings.initial_capital_usd
    metrics = compute_metrics(records, capital)
    window = tape.market.hours[case.first : case.last + 1]
    assert hours["time"].tolist() == [pd.Timestamp(time_of(int(hour))) for hour in window]
    booked = ledger.groupby("time")["amount_usd"].sum().reindex(hours["time"], fill_value=0.0).cumsum()
    scale = max(capital, hours["equity_usd"].abs().max())
    assert np.abs(hours["cash_usd"].to_numpy() - capital - booked.to_numpy()).max() <= 1e-9 * scale
    assert metrics["final_equity_usd"] == pytest.approx(capital + ledger["amount_usd"].sum(), rel=1e-9)
    assert metrics["pnl_usd"] == pytest.approx(
        float(metrics["funding_usd"] or 0) + float(metrics["price_pnl_usd"] or 0) - float(metrics["fees_usd"] or 0),
        abs=1e-6,
    )
    assert metrics["pnl_usd"] == pytest.approx(trades_frame(records, tape)["pnl_usd"].sum(), abs=1e-6)
    # An assumed settlement and its reversal are flagged; only the first counts as missing.
    assert ledger["assumed"].sum() >= metrics["missing_settlements"]
    assert set(ledger.loc[ledger["assumed"], "kind"]) <= {"funding"}


@pytest.mark.parametrize("seed", SEEDS)
def test_notes_name_what_was_refused(seed: int) -> None:
    case = seeded(seed)
    records, tape = run(case)
    notes = notes_frame(records, tape)
    assert len(notes) == len(records.notes)
    names = {"{} long {} short {}".format(*pair) for pair in pair_indexes(case.market)} | {""}
    entries = notes["order"] == OrderKind.ENTER.name.lower()
    assert set(notes.loc[entries, "target"]) <= names
    assert notes.loc[~entries, "target"].str.fullmatch(r"slot \d+").all()
    assert (notes.loc[notes["target"] == "", "reason"] == "no_such_opportunity").all()
    assert set(notes["what"]) <= {"refused", "cancelled"}


def test_a_run_without_records_writes_empty_tables_with_their_columns(tmp_path: Path) -> None:
    case = seeded(0)
    tape = prepare(case.market, case.settings)
    write_run(tmp_path / "run", NO_RECORDS, tape, {"trades": 0, "sharpe": None}, {"seed": 1})
    trades = pd.read_csv(tmp_path / "run" / "trades.csv")
    assert len(trades) == 0
    assert len(trades.columns) == 24
    assert pd.read_parquet(tmp_path / "run" / "ledger.parquet").empty
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == {"trades": 0, "sharpe": None}


def test_numbers_in_the_csv_are_exact(tmp_path: Path) -> None:
    records, tape = run(seeded(2))
    write_run(tmp_path, records, tape, {}, {})
    lines = (tmp_path / "trades.csv").read_text().splitlines()
    at = lines[0].split(",").index("quantity")
    assert [float(line.split(",")[at]) for line in lines[1:]] == records.trades["quantity"].tolist()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_written(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "metrics.json", {"sharpe": value})
    assert not (tmp_path / "metrics.json").exists()
