"""The same market under other rules: what "an hour late" means, for a run that is late itself too."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support_cli import arb
from support_environment import FIRST, LAST, builder, market, random_policy
from support_training import tiny, write_tiny_dataset

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.research.players import policy_player
from adapters.research.playing import Played, play, signs_of
from adapters.research.tuning import LATE, TuningJob, _worlds
from adapters.storage.json_files import read_object
from engine.analysis.metrics import Metrics
from engine.windows import Window
from engine.worlds import ONLY_RULES, AnyWorld, World, later, ruled
from rl_training.settings import RewardSettings


def run_in(made: AnyWorld) -> Played:
    return play(policy_player(random_policy()), made, Window(FIRST, LAST), reward=RewardSettings())


def played(made: AnyWorld) -> Metrics:
    return run_in(made).metrics


@pytest.mark.parametrize(("own", "hours"), [(0, 1), (1, 1), (2, 3)])
def test_late_is_later_than_the_runs_own_fills(own: int, hours: int) -> None:
    made = builder(latency_hours=own)
    slower = made.tape.settings.model_copy(update={"latency_hours": own + hours})
    assert later(made.tape.settings, hours) == slower
    assert played(made.late(hours)) == played(World.of(market(), slower))
    assert played(made.late(hours)) != played(made)


def test_a_late_market_shares_everything_but_the_rules() -> None:
    made = builder(latency_hours=1)
    other = made.late()
    assert other.tables is made.tables
    assert other.tape.arrays.quotes is made.tape.arrays.quotes
    assert int(other.tape.arrays.rules["latency"][0]) == 2
    assert int(made.tape.arrays.rules["latency"][0]) == 1


def test_a_run_that_is_late_itself_is_still_tested_for_bounce(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everywhere: the second figure is of fills one hour later than those of the first."""
    data = write_tiny_dataset(tmp_path / "tiny")
    own = ("--set", "min_history_hours=4", "--set", "latency_hours=1")
    model = ("--timesteps", 64, *tiny("latency_hours=1"))
    assert arb("train", "--data", data, *model, "--out", tmp_path / "ppo") == 0
    trained = read_object(tmp_path / "ppo" / "manifest.json")["metrics"]
    options = ("--data", data, "--window", "validation", "--strategy", "ppo", "--model", tmp_path / "ppo" / "bundle")
    for latency, key in ((1, "validation"), (2, "validation_1h_late")):
        out = tmp_path / f"late{latency}"
        more = ("--set", "min_history_hours=4", "--set", f"latency_hours={latency}", "--no-report", "--out", out)
        assert arb("backtest", *options, *more) == 0
        metrics = read_object(out / "metrics.json")
        assert {name: metrics[name] for name in trained[key]} == trained[key]
    evaluated = ("--fills-late", "--baselines", "carry", "--out", tmp_path / "evaluated")
    assert arb("evaluate", tmp_path / "ppo", "--data", data, *own, *evaluated) == 0
    rows = (tmp_path / "evaluated" / "evaluation.csv").read_text().splitlines()
    found = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    assert float(found["late_pnl_pct"]) == trained["validation_1h_late"]["pnl_pct"]
    assert float(found["pnl_pct"]) == trained["validation"]["pnl_pct"]
    capsys.readouterr()


def test_a_search_measures_its_late_points_an_hour_later_than_its_own(tmp_path: Path) -> None:
    data = write_tiny_dataset(tmp_path / "tiny")
    settings = load_settings(None, ["latency_hours=2"])

    loaded = load_dataset(data)
    start, end = loaded.windows["validation"]
    job = TuningJob(
        dataset=data, fingerprint=loaded.fingerprint, strategy="carry", start=start, end=end, settings=settings,
        seed=0, late=True,
    )  # fmt: skip
    worlds = _worlds(job.model_dump_json(include={"dataset", "fingerprint", "settings", "late"}))
    assert [made.tape.settings.latency_hours for made in worlds.values()] == [2, 3]
    assert list(worlds) == ["", LATE]


def test_signs_of_an_episode_are_those_of_the_one_judge() -> None:
    made = builder()
    episode = run_in(made)
    rich = dataclasses.replace(episode, metrics={**episode.metrics, "pnl_usd": 9.0, "pnl_pct": 0.09, "sharpe": 9.0})
    poor = dataclasses.replace(episode, metrics={**episode.metrics, "pnl_usd": -9.0, "pnl_pct": -0.09})
    assert "Sharpe 9.0" in signs_of(rich, None)
    assert "P&L +0.09 % filled at once, -0.09 % filled one hour late" in signs_of(rich, poor)
    assert signs_of(poor, None) == []


def test_dearer_is_on_top_of_the_runs_own_costs() -> None:
    made = builder(cost_multiple=2.0)
    assert made.dearer(1.5).settings.cost_multiple == 3.0
    assert played(made.dearer(1.5)) == played(
        World.of(market(), made.settings.model_copy(update={"cost_multiple": 3.0}))
    )


def test_only_what_the_rules_alone_know_is_shared_between_worlds() -> None:
    made = builder()
    richer = made.under(made.settings.model_copy(update={"initial_capital_usd": 5e4}))
    assert richer.tape.arrays.quotes is made.tape.arrays.quotes
    assert richer.tape.arrays.rules["initial_capital"][0] == 5e4
    with pytest.raises(ValueError, match="slippage_bps"):
        ruled(made.tape, made.settings.model_copy(update={"slippage_bps": 9.0}))


def test_every_setting_of_the_rules_alone_makes_the_world_prepared_anew() -> None:
    made = builder()
    others: dict[str, float] = {
        "initial_capital_usd": 5e4, "position_size_usd": 700.0, "max_position_loss_pct": -1.0, "latency_hours": 2,
    }  # fmt: skip
    assert set(others) == ONLY_RULES
    for name, value in others.items():
        settings = made.settings.model_copy(update={name: value})
        ours, anew = made.under(settings).tape.arrays, World.of(market(), settings).tape.arrays
        for mine, other in zip(ours, anew, strict=True):
            assert mine.tobytes() == other.tobytes(), name
