"""kill -9 at random instants of real processes: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from market_strategies import random_market
from support_paper import assert_same_records, dataset_of

from adapters.datasets.load import load_dataset
from adapters.datasets.write import write_dataset
from adapters.paper.journal import Journal, is_started
from adapters.paper.recorded_run import records_of
from adapters.paper.settings import load_config
from adapters.paper.setup import prepare_player
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.market.data import MarketData
from engine.observation.opportunities import OpportunityBuilder

HOURS = 500
CONFIG = {
    "strategy": "random",
    "seed": 4,
    "strategies": {"random": {"enter_probability": 0.2, "exit_probability": 0.1}},
    "min_history_hours": 5,
    "exchanges": {},
}

NO_NOTICES: dict[str, Any] = {
    "settlement_grace_hours": 0,
    "delisting_hour": np.empty(0, np.int64),
    "delisting_known_hour": np.empty(0, np.int64),
}


def start(place: Path) -> subprocess.Popen[bytes]:
    options = ["--config", str(place / "paper.yaml"), "--state", str(place / "state")]
    command = ["paper-trade", "--replay", str(place / "data"), *options]
    code = "import sys; from adapters.cli import main; main(sys.argv[1:])"
    return subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.PIPE)


def hours_in(state: Path) -> int:
    if not is_started(state):
        return 0
    with Journal.open_for_reading(state) as journal:
        return int(journal.rows("SELECT count(*) FROM slots")[0][0])


def kill_after(process: subprocess.Popen[bytes], state: Path, hours: int) -> None:
    """Kill it at some instant after the journal has come to so many hours."""
    while process.poll() is None and hours_in(state) < hours:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def backtest(market: MarketData, config: Path) -> Records:
    settings = load_config(config)
    player = prepare_player("random", settings.engine, (), settings.paper.seed)
    builder = OpportunityBuilder(prepare(market, settings.engine))
    return run_backtest(builder, player.strategy, 0, len(market.hours) - 1)


@pytest.mark.trap(26)
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_trap_26_a_process_killed_at_random_instants_ends_with_the_ledger_of_an_undisturbed_one(
    tmp_path: Path, kills: int
) -> None:
    config, state = tmp_path / "paper.yaml", tmp_path / "state"
    config.write_text(yaml.safe_dump(CONFIG))
    made_up = replace(random_market(np.random.default_rng(6), 2, 3, HOURS), funding_known_hour=None, **NO_NOTICES)
    write_dataset(made_up, tmp_path / "data", dataset_of(made_up).info)
    market = load_dataset(tmp_path / "data").market
    rng, came_to = np.random.default_rng(0), 0
    for _ in range(kills):
        kill_after(start(tmp_path), state, came_to + int(rng.integers(1, 150)))
        assert hours_in(state) > came_to
        came_to = hours_in(state)
    assert came_to < len(market.hours)
    last = start(tmp_path)
    output, _ = last.communicate()
    assert last.returncode == 0, output
    with Journal.open_for_reading(state) as journal:
        assert_same_records(records_of(journal, int(market.hours[0])), backtest(market, config))
        assert [hour for (hour,) in journal.rows("SELECT hour FROM slots ORDER BY hour")] == market.hours.tolist()
