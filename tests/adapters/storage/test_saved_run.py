"""The folder of a run read back: the same tables that were written, with types, also when nothing happened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from market_strategies import random_case
from scripted import Scripted

from adapters.storage.run_files import equity_frame, ledger_frame, notes_frame, trades_frame, write_run
from adapters.storage.saved_run import RUN_FILES, RUN_FORMAT, is_run, read_run, run_folders
from engine.accounting.records import NO_RECORDS, Records
from engine.accounting.tape import Tape, prepare
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.errors import UserError
from engine.observation.opportunities import OpportunityBuilder

MANIFEST = {"strategy": "scripted", "settings": {"initial_capital_usd": 10_000.0}}


def played(seed: int) -> tuple[Records, Tape, float]:
    case = random_case(np.random.default_rng(seed), coins=3, exchanges=4, hours=150)
    tape = prepare(case.market, case.settings)
    records = run_backtest(OpportunityBuilder(tape), Scripted(case.market, case.orders), case.first, case.last)
    return records, tape, case.settings.initial_capital_usd


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records, tape, capital = played(3)
    write_run(tmp_path / "run", records, tape, compute_metrics(records, capital), MANIFEST)
    return tmp_path / "run"


def test_tables_come_back_as_they_were_written(folder: Path) -> None:
    records, tape, capital = played(3)
    run = read_run(folder)
    pd.testing.assert_frame_equal(run.trades, trades_frame(records, tape), check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(run.notes, notes_frame(records, tape), check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(run.ledger, ledger_frame(records, tape), check_dtype=False)
    pd.testing.assert_frame_equal(run.equity, equity_frame(records, tape), check_dtype=False)
    assert run.metrics == compute_metrics(records, capital)
    assert (run.name, run.initial_capital_usd, run.hours) == ("scripted", 10_000.0, len(records.hours))
    assert (run.notes["target"] == "").any() == (notes_frame(records, tape)["target"] == "").any()


def test_an_empty_run_has_the_types_of_a_full_one(folder: Path, tmp_path: Path) -> None:
    _, tape, _ = played(3)
    write_run(tmp_path / "empty", NO_RECORDS, tape, compute_metrics(NO_RECORDS, 10_000.0), MANIFEST)
    full, empty = read_run(folder), read_run(tmp_path / "empty")
    for name in ("trades", "notes"):
        assert getattr(empty, name).empty
        assert getattr(empty, name).dtypes.astype(str).to_dict() == getattr(full, name).dtypes.astype(str).to_dict()
    for table, column in ((full.trades, "entry_time"), (full.notes, "time"), (full.ledger, "time")):
        assert str(table[column].dt.tz) == "UTC"


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert not is_run(folder)
    with pytest.raises(UserError, match=f"is not the folder of a run: no {name}"):
        read_run(folder)


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_broken_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff[")
    with pytest.raises(UserError, match=rf"{name} cannot be read"):
        read_run(folder)


def test_json_that_is_no_object_is_refused(folder: Path) -> None:
    (folder / "metrics.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="it is not a JSON object"):
        read_run(folder)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_run_of_a_version_with_fewer_metrics_has_none_of_them(folder: Path) -> None:
    whole = read_run(folder).metrics
    rewrite(folder / "metrics.json", lambda values: values.pop("liquidation_fees_usd"))
    assert read_run(folder).metrics == {**whole, "liquidation_fees_usd": None}


@pytest.mark.parametrize("value", ["0.5", True, [1], {}])
def test_a_metric_that_is_no_number_is_refused(folder: Path, value: object) -> None:
    rewrite(folder / "metrics.json", lambda values: values.update(sharpe=value))
    with pytest.raises(UserError, match="sharpe is no number"):
        read_run(folder)


def test_columns_that_came_later_are_what_they_were_then(folder: Path) -> None:
    table = pd.read_csv(folder / "trades.csv", dtype=str, keep_default_na=False)
    table.drop(columns=["liquidation_fees_usd", "exit_long_time"]).to_csv(folder / "trades.csv", index=False)
    trades = read_run(folder).trades
    assert set(trades["liquidation_fees_usd"]) == {0.0}
    assert (trades["exit_long_time"] == trades["exit_time"]).all()
    table.drop(columns=["pnl_usd"]).to_csv(folder / "trades.csv", index=False)
    with pytest.raises(UserError, match=r"trades\.csv cannot be read \(it has no column 'pnl_usd'\)"):
        read_run(folder)


def test_the_format_of_the_manifest_decides(folder: Path) -> None:
    assert read_run(folder).name == "scripted"  # of a version before there was a format
    rewrite(folder / "manifest.json", lambda values: values.update(format=RUN_FORMAT))
    assert read_run(folder).name == "scripted"
    rewrite(folder / "manifest.json", lambda values: values.update(format=RUN_FORMAT + 1))
    with pytest.raises(UserError, match=f"newer version of arb .format {RUN_FORMAT + 1}; this one reads up to"):
        read_run(folder)


@pytest.mark.parametrize("version", ["2", None, 0, 1.5, True, []])
def test_a_format_that_is_no_number_is_refused(folder: Path, version: object) -> None:
    rewrite(folder / "manifest.json", lambda values: values.update(format=version))
    with pytest.raises(UserError, match="its format is no number"):
        read_run(folder)


def test_a_folder_of_runs_is_told_apart_from_a_run(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "another")
    (folder.parent / "notes.txt").write_text("mine")
    assert run_folders(folder) == [folder]
    assert run_folders(folder.parent) == [folder.parent / "another", folder]
    with pytest.raises(UserError, match=r"holds 2 runs \(another, run\); give one"):
        read_run(folder.parent)


def test_what_is_no_folder_of_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        read_run(tmp_path / "nothing")
    with pytest.raises(UserError, match="there is no folder"):
        run_folders(tmp_path / "nothing")
    with pytest.raises(UserError, match="is not the folder of a run"):
        run_folders(tmp_path)
