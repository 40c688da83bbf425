"""Opportunities stored by ``arb data build --write-opportunities`` lead to the same run as derived ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from support_datasets import raw_pair

from adapters.configuration.settings import load_settings
from adapters.datasets.build import build_dataset
from adapters.datasets.load import load_dataset
from adapters.datasets.opportunity_file import write_opportunities
from adapters.research.markets import prepare_dataset
from engine.backtest import run_backtest
from strategies.plugin import Context
from strategies.random_actions import RandomActions


def test_stored_opportunities_give_the_same_ledger_as_derived_ones(tmp_path: Path) -> None:
    raw = raw_pair(tmp_path / "raw", hours=260)
    for name, also_write in (("derived", None), ("stored", lambda market, folder: write_opportunities(market, folder))):
        build_dataset(raw, tmp_path / name, name=name, source="test", also_write=also_write)
    settings = load_settings(None, ["min_history_hours=12"])
    ledgers = []
    for name in ("derived", "stored"):
        dataset = load_dataset(tmp_path / name, cache=False)
        assert (dataset.market.recorded is not None) == (name == "stored")
        strategy = RandomActions(RandomActions.Parameters(), Context(np.random.default_rng(3)))
        records = run_backtest(prepare_dataset(dataset, settings), strategy, 80, len(dataset.market.hours) - 1)
        ledgers.append(records.ledger)
    assert len(ledgers[0]) > 20
    assert ledgers[0].tobytes() == ledgers[1].tobytes()
    stored = pd.read_parquet(tmp_path / "stored" / "opportunities.parquet")
    assert not stored.duplicated(["entry_time", "symbol", "long_exchange", "short_exchange"]).any()
    assert str(stored["entry_time"].dtype).endswith("UTC]")
