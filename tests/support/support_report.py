"""Folders of runs for tests of the report: small ones from random markets, and one made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from market_strategies import Case, random_margin_case
from scripted import Scripted

from adapters.configuration.settings import load_settings
from adapters.research.dearer_costs import write_stress
from adapters.research.entries import write_entries
from adapters.storage.run_files import write_json, write_run
from adapters.storage.saved_run import SavedRun, read_run
from engine.accounting.books import Reason
from engine.accounting.records import NO_RECORDS, Records
from engine.accounting.tape import Tape, prepare
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder

SHIPPED = load_settings()


def manifest_of(strategy: str, settings: Any, **more: Any) -> dict[str, Any]:
    """What ``build_manifest`` writes, without a data set."""
    return {
        "strategy": strategy,
        "models": [],
        "settings": SHIPPED.model_copy(update=dict(settings)).model_dump(mode="json"),
        "settings_hash": "0" * 16,
        "cost_table": {"bybit": [{"since": "2024-01-01", "maker": 0.0002, "taker": 0.00055, "source": ""}]},
        "cost_table_hash": "1" * 16,
        "dataset": {"path": "here", "name": "random", "source": "a test", "fingerprint": "2" * 32, "notes": []},
        "code_version": "0",
        "python": "3",
        "packages": {"numpy": "2"},
        "seed": 0,
        "command": "arb backtest",
        "started": "2025-01-01T00:00:00+00:00",
        "finished": "2025-01-01T00:00:01+00:00",
        **more,
    }


LEAST_TRADES = 5


def played(seed: int, hours: int = 150, **changes: Any) -> tuple[Records, Tape]:
    """A scripted run with some trades, on a random market with holes, missing settlements and delistings."""
    while True:
        case: Case = random_margin_case(np.random.default_rng(seed), coins=3, exchanges=4, hours=hours)
        settings = case.settings.model_copy(update=changes)
        tape = prepare(case.market, settings)
        records = run_backtest(OpportunityBuilder(tape), Scripted(case.market, case.orders), case.first, case.last)
        if len(records.trades) >= LEAST_TRADES:
            return records, tape
        seed += 1000


def liquidated() -> tuple[Records, Tape]:
    """A run in which an exchange has taken a leg away."""
    runs = (played(seed) for seed in range(100))
    return next(run for run in runs if (run[0].trades["reason"] == int(Reason.LIQUIDATION)).any())


def cut(records: Records, last: int) -> Records:
    """The records up to a row, as a paper run has them that is still going on: positions stay open."""
    return replace(
        records,
        ledger=records.ledger[records.ledger["hour"] <= last],
        trades=records.trades[records.trades["closed"] <= last],
        notes=records.notes[records.notes["hour"] <= last],
        hours=records.hours[records.hours["hour"] <= last],
    )


def save(folder: Path, records: Records, tape: Tape, *, strategy: str = "scripted", **more: Any) -> SavedRun:
    """Write the files of a run and read them back."""
    metrics = compute_metrics(records, tape.settings.initial_capital_usd)
    write_run(folder, records, tape, metrics, manifest_of(strategy, tape.settings, **more))
    return read_run(folder)


def add_extras(folder: Path, records: Records, tape: Tape) -> None:
    """What else `arb backtest` writes: here made up, but for the entries."""
    run = read_run(folder)
    equity = run.equity.rename(columns={"equity_usd": "hold"})[["time", "hold"]]
    capital = run.initial_capital_usd
    curves = equity.assign(hold=capital, hindsight=capital * (1 + 0.001 * np.arange(run.hours)))
    curves.to_parquet(folder / "references.parquet", index=False)
    marks = {"knows_future": True, "persistent": False, "bound_usd": 5 * capital}
    optimum = run.metrics | {"pnl_usd": 0.5 * capital, "pnl_pct": 50.0}
    facts = [
        {"name": "hold", "parameters": {}, "metrics": run.metrics | {"pnl_usd": 0.0, "pnl_pct": 0.0}},
        {"name": "hindsight", "parameters": {}, **marks, "metrics": optimum},
    ]
    write_json(folder / "references.json", {"references": facts})
    rows = [{"multiple": multiple, **run.metrics} for multiple in (1.0, 1.5, 2.0, 3.0)]
    write_stress(folder, {"costs": rows, "break_even_multiple": 2.5}, run.metrics, {"volume": run.metrics}, None)
    write_entries(folder, records, OpportunityBuilder(tape))
    write_json(
        folder / "significance.json",
        {
            "confidence": 0.9, "pnl_pct_interval": [-1.0, 2.5], "pnl_pct_per_7d_interval": [-0.2, 0.5],
            "sharpe_interval": [-1.0, 3.0], "probabilistic_sharpe": 0.7, "probabilistic_sharpe_reason": None,
            "deflated_sharpe": None, "deflated_sharpe_reason": "no record of trials", "trials": None,
            "pbo": None, "pbo_reason": "no record of trials", "trials_reason": None, "trials_source": None,
        },
    )  # fmt: skip


def nothing(tape: Tape, hours: int = 48) -> Records:
    """A run that never traded."""
    equity = np.zeros(hours, NO_RECORDS.hours.dtype)
    equity["hour"] = np.arange(hours)
    equity["equity"] = equity["cash"] = tape.settings.initial_capital_usd
    return replace(NO_RECORDS, hours=equity)
