"""What a strategy answers is checked at the door, in every command: what is no order trades nothing and is told."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugin_answers import RIGHT, WRONG, Answers, Parameters
from support_datasets import info_of, small_market

from adapters.cli import main
from adapters.configuration.settings import load_settings
from adapters.datasets.write import write_dataset
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import StrategyError, UserError
from engine.observation.opportunities import OpportunityBuilder
from strategies.plugin import Context

HOURS = 12
NAME = "plugin_answers:Answers"
YOUNG = ("--set", "min_history_hours=4")
pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(scope="module")
def builder() -> OpportunityBuilder:
    return OpportunityBuilder(prepare(small_market(HOURS), load_settings(None, ["min_history_hours=2"])))


def play(builder: OpportunityBuilder, which: str) -> Records:
    strategy = Answers(Parameters(answer=which), Context(np.random.default_rng(0)))
    return run_backtest(builder, strategy, 0, HOURS - 1)


@pytest.mark.parametrize("which", WRONG)
def test_what_is_no_order_is_told_with_strategy_and_hour(which: str, builder: OpportunityBuilder) -> None:
    with pytest.raises(UserError) as told:
        play(builder, which)
    line = str(told.value)
    assert WRONG[which][1] in line
    assert "\n" not in line
    assert len(line) < 400
    if "feature" not in which:
        assert line.startswith(f"strategy {NAME} at 2024-05-01T04:00Z: ")


@pytest.mark.parametrize("which", RIGHT)
def test_lists_and_whole_numbers_of_any_kind_are_orders(which: str, builder: OpportunityBuilder) -> None:
    """An order for a pair or a slot that does not exist is refused by the kernel and stands in the notes."""
    records = play(builder, which)
    assert records.trades["pair"].tolist() == [0]
    assert records.trades["opened"].tolist() == [4]
    absent = [note["target"] for note in records.notes if note["hour"] == 4]
    assert len(absent) == (which.startswith("beside a slot") * 2 + which.startswith("beside pairs") * 3)


def test_the_cause_stays_attached_for_those_who_ask(builder: OpportunityBuilder) -> None:
    with pytest.raises(StrategyError) as told:
        play(builder, "an error")
    assert "in divide" in "".join(traceback.format_exception(told.value))


def test_a_defect_of_ours_stays_a_traceback(builder: OpportunityBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    from strategies.hold import Hold

    monkeypatch.setattr(Hold, "decide", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_backtest(builder, Hold(Parameters(), Context(np.random.default_rng(0))), 0, HOURS - 1)


# --- the same door for every command ---


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    market = small_market(460)
    write_dataset(market, folder, info_of(market))
    return folder


def told(tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    """The one line of a command that must fail as a user's mistake and leave no result."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    line = capsys.readouterr().err
    assert ended.value.code == 2, line
    assert line.count("\n") == 1, line
    assert not (tmp_path / "out").exists()
    return line


COMMANDS: dict[str, tuple[str, ...]] = {
    "backtest": ("backtest", "--no-report"),
    "audit": ("audit", "--cuts", "2", "--hours", "20"),
    "stress": ("stress",),
    "tune": ("tune", "--workers", "1", "--from", "2024-05-01T00:00Z", "--to", "2024-05-03T00:00Z"),
    "tune in processes": ("tune", "--workers", "2", "--from", "2024-05-01T00:00Z", "--to", "2024-05-03T00:00Z"),
    "walk-forward": (
        *("walk-forward", "--workers", "1", "--no-report"),
        *("--train-days", "3", "--validate-days", "3", "--test-days", "3", "--embargo-hours", "0"),
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_the_same_line(
    command: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "support"), prepend=":")
    grid = tmp_path / "grid.yaml"
    grid.write_text(json.dumps({NAME: {"answer": ["part of a pair", "nothing"]}}))
    words = [*COMMANDS[command], "--strategy", NAME, "--data", dataset, *YOUNG]
    words += [] if command == "audit" else ["--out", tmp_path / "out"]
    if command.startswith(("tune", "walk-forward")):
        words += ["--grid", grid]
    else:
        words += ["--set", f"strategies.{NAME}.answer=part of a pair"]
    line = told(tmp_path, capsys, *words)
    assert line.startswith(f"error: strategy {NAME} at 2024-05-")
    assert line.endswith("T04:00Z: order 1 names pair 0.7; a pair is a whole number\n") or command == "audit"


def test_a_replay_on_paper_tells_it_too_and_books_nothing_of_that_hour(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "paper.yaml"
    config.write_text(json.dumps({"strategy": NAME, "strategies": {NAME: {"answer": "nothing"}}}))
    line = told(tmp_path, capsys, "paper-trade", "--replay", dataset, "--config", config, "--state", tmp_path / "state")
    assert line == (
        f"error: strategy {NAME} at 2024-05-01T04:00Z: it answered None, not a list of orders; [] is none\n"
    )


def test_with_v_the_traceback_of_the_strategy_stands_before_the_line(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    which = ("--set", f"strategies.{NAME}.answer=an error")
    words = [
        "-v",
        "backtest",
        "--strategy",
        NAME,
        "--data",
        str(dataset),
        "--out",
        str(tmp_path / "out"),
        *YOUNG,
        *which,
    ]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "in divide" in said
    assert said.splitlines()[-1].startswith(f"error: strategy {NAME} at 2024-05-01T04:00Z: ZeroDivisionError: ")


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("plugin_answers:NeverStarts", "cannot be started: ZeroDivisionError: division by zero (plugin_answers.py:"),
        ("plugin_leaves:Rule", "strategy plugin_leaves:Rule cannot be imported: SystemExit: 0"),
        ("plugin_answers:Answers:x", "cannot be imported: AttributeError"),
        (":Answers", "cannot be imported: ValueError: Empty module name"),
    ],
)
def test_a_strategy_that_fails_before_its_first_hour_is_told_in_one_line(
    strategy: str, said: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in told(
        tmp_path, capsys, "backtest", "--strategy", strategy, "--data", dataset, "--out", tmp_path / "out"
    )
