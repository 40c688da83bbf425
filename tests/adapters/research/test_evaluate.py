"""``arb evaluate``: an evaluation is a backtest; episodes repeat by seed; looks are counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_environment import FIRST, LAST, builder, random_policy
from support_training import tiny as tiny_settings
from support_training import write_tiny_dataset

from adapters.configuration.settings import load_settings
from adapters.research.evaluation import draw_windows, rank_correlation, summary
from adapters.research.players import policy_player
from adapters.research.playing import Played, play
from adapters.storage.bundles import LOOKS, load_policy, save_bundle
from adapters.storage.looks import record_look
from adapters.storage.trials import read_trials
from engine.accounting.records import NO_RECORDS
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.errors import UserError
from engine.windows import Window
from engine.worlds import World
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.rewards import episode_reward
from rl_training.settings import EpisodeSettings, RewardSettings
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy, best_action
from strategies.ppo import Ppo

PLAIN = RewardSettings()
SHAPED = RewardSettings(invalid_action_penalty=0.5, quality_entry_bonus=0.25, quality_entry_penalty=0.125)
YOUNG = ("--set", "min_history_hours=4")


pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default output folders are not those of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)


def eager(seed: int = 1) -> Policy:
    policy = random_policy(seed)
    return replace(policy, scaler=random_policy(0).scaler, weights=tuple(4 * w for w in policy.weights))


# --- scoring ---


def test_an_evaluation_is_a_backtest() -> None:
    made = builder()
    episode = play(policy_player(eager()), made, Window(FIRST, LAST), reward=PLAIN)
    strategy = Ppo(NoParameters(), Context(np.random.default_rng(0), (eager(),)))
    records = run_backtest(made, strategy, FIRST, LAST)
    assert episode.metrics == compute_metrics(records, 10_000.0)
    assert episode.metrics["trades"] > 5
    assert episode.reward == pytest.approx(3.0 * episode.metrics["pnl_pct"])


@pytest.mark.trap(16)
@pytest.mark.parametrize("reward", [PLAIN, SHAPED])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_trap_16_the_reward_of_an_evaluation_is_what_the_environment_pays(reward: RewardSettings, seed: int) -> None:
    made, policy = builder(), eager(seed)
    episode = play(policy_player(policy), made, Window(FIRST, LAST), reward=reward)
    env = FundingArbitrageEnv(
        TrainingMarket.over(made, policy.spec, policy.scaler, FIRST, LAST),
        episode=EpisodeSettings(length_hours=LAST - FIRST, close_at_end=True),
        reward=reward,
    )
    observation, _ = env.reset(options={"first": FIRST, "last": LAST})
    total, over = 0.0, False
    while not over:
        observation, paid, over, _, _ = env.step(best_action(policy, observation))
        total += paid
    assert episode.reward == pytest.approx(total, rel=1e-4, abs=1e-5)


def test_filling_late_is_the_latency_setting() -> None:
    made = builder()
    window, player = Window(FIRST, LAST), policy_player(eager())
    delayed = play(player, made.late(), window)
    slow = World.of(made.tape.market, made.settings.model_copy(update={"latency_hours": 1}))
    assert delayed.metrics == play(player, slow, window).metrics
    assert delayed.metrics != play(player, made, window).metrics


def test_windows_repeat_by_seed_and_stay_inside() -> None:
    within = Window(10, 200)
    drawn = draw_windows(within, 300, 24, seed=5)
    assert drawn == draw_windows(within, 300, 24, seed=5)
    assert drawn != draw_windows(within, 300, 24, seed=6)
    assert all(window.last - window.first == 24 for window in drawn)
    assert (min(w.first for w in drawn), max(w.last for w in drawn)) == (10, 200)


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="--episode-hours"):
        draw_windows(Window(0, 20), 3, 24, seed=0)


def episode(reward: float, pnl: list[float]) -> Played:
    metrics: Any = {"pnl_pct": sum(pnl) / 100, "pnl_pct_per_7d": 1.0, "pnl_usd": sum(pnl), "max_drawdown_pct": 0.5}
    trades = np.zeros(len(pnl), NO_RECORDS.trades.dtype)
    trades["price_pnl"] = pnl
    records = replace(NO_RECORDS, trades=trades)
    return Played(policy_player(random_policy()), builder(), Window(0, 24), records, metrics, np.zeros(24), reward)


def test_summary_by_hand() -> None:
    row = summary([episode(3.0, [10.0, -4.0]), episode(-1.0, [2.0, 0.0]), episode(1.0, [])])
    assert (row["episodes"], row["steps"], row["trades"]) == (3, 72, 4)
    assert row["reward"] == pytest.approx(1.0)
    assert row["pnl_pct"] == pytest.approx((0.06 + 0.02) / 3)
    assert (row["avg_win_usd"], row["avg_loss_usd"]) == (6.0, -4.0)
    assert row["profit_per_trade_usd"] == 2.0
    assert row["win_rate_pct"] == 50.0


def test_summary_without_trades_has_no_averages() -> None:
    row = summary([episode(0.0, [])])
    assert [row[key] for key in ("win_rate_pct", "avg_win_usd", "avg_loss_usd", "profit_per_trade_usd")] == [None] * 4


def test_rank_correlation() -> None:
    alike = [episode(r, [10 * r]) for r in (1.0, 5.0, 3.0, 3.0)]
    assert rank_correlation(alike) == pytest.approx(1.0)
    assert rank_correlation([episode(r, [-r]) for r in (1.0, 5.0, 3.0)]) == pytest.approx(-1.0)
    assert rank_correlation([episode(1.0, [r]) for r in (1.0, 2.0, 3.0)]) is None
    # Ranks 0, 1, 2, 3 against 1, 0, 2, 3: 1 - 6 * 2 / (4 * 15).
    mixed = [episode(r, [p]) for r, p in ((1.0, 20.0), (2.0, 10.0), (3.0, 30.0), (4.0, 40.0))]
    assert rank_correlation(mixed) == pytest.approx(0.8)


@pytest.mark.trap(17)
def test_trap_17_looks_are_counted_by_data_set_and_window(tmp_path: Path) -> None:
    save_bundle(random_policy(), {}, tmp_path / "bundle")
    look = {"dataset_fingerprint": "a", "from": "x", "to": "y"}
    assert [record_look(tmp_path, look) for _ in range(3)] == [1, 2, 3]
    assert record_look(tmp_path / "bundle", {**look, "to": "z"}) == 1
    assert record_look(tmp_path, look) == 4
    assert len((tmp_path / "bundle" / LOOKS).read_text().splitlines()) == 5


def test_shaped_reward_counts_refusals_and_entries() -> None:
    made = builder()
    strategy = Ppo(NoParameters(), Context(np.random.default_rng(0), (eager(),)))
    records = run_backtest(made, strategy, FIRST, LAST)
    plain, shaped = (episode_reward(records, made, reward) for reward in (PLAIN, SHAPED))
    refused = int((records.notes["kind"] == 0).sum())
    good = (shaped - plain + 0.5 * refused + 0.125 * len(records.trades)) / 0.375
    assert good == pytest.approx(round(good), abs=1e-6)
    assert refused > 0


# --- the command ---


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    costs = load_settings().cost_table_hash()
    for seed in (1, 2):
        save_bundle(replace(eager(seed), cost_table_hash=costs), {}, tmp_path / f"model{seed}")
    return [tmp_path / "model1", tmp_path / "model2"]


def test_scores_of_several_models(
    dataset: Path, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert arb("evaluate", *models, "--data", dataset, "--fills-late", "--out", out, *YOUNG) == 0
    told = capsys.readouterr().out
    assert max(len(line) for line in told.splitlines() if "/" not in line) <= 100
    table = pd.read_csv(out / "evaluation.csv")
    assert table["model"].tolist() == [str(model) for model in models]
    assert table["steps"].tolist() == [59, 59]
    assert table["look"].tolist() == [1, 1]
    assert not table["late_pnl_pct"].equals(table["pnl_pct"])
    episodes = pd.read_csv(out / "episodes.csv")
    assert len(episodes) == 4
    first = load_policy(models[0], load_settings(None, YOUNG[1:]))
    at_once = episodes[(episodes["model"] == str(models[0])) & (episodes["hours_late"] == 0)].iloc[0]
    assert at_once["hours"] == 60
    assert first.name == "random-1"


def test_rules_with_a_clock_are_shown_over_their_phases(
    dataset: Path, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"every_hours": 2, "caution": 0, "enter_margin": -1, "leave_margin": -2}
    words = [word for key, value in own.items() for word in ("--set", f"strategies.week.{key}={value}")]
    asked = ("evaluate", models[0], "--data", dataset, "--baselines", "hold,week", "--phases", *YOUNG, *words)
    assert arb(*asked, "--fills-late", "--out", tmp_path / "both") == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / "both" / "phases.csv")
    assert table[["strategy", "hours_late", "phase"]].to_numpy().tolist() == [
        ["week", 0, 0], ["week", 0, 1], ["week", 1, 0], ["week", 1, 1],
    ]  # fmt: skip
    late = table[table["hours_late"] == 1]["pnl_pct_per_7d"]
    assert f"1 h late {late.mean():+.3f} ({late.min():+.3f}) %/7d" in printed
    row = pd.read_csv(tmp_path / "both" / "evaluation.csv").set_index("model").loc["week"]
    assert row["pnl_pct"] == pytest.approx(table["pnl_pct"][0]), "its row is that of the phase in force"
    assert arb(*asked, "--out", tmp_path / "once") == 0
    assert set(pd.read_csv(tmp_path / "once" / "phases.csv")["hours_late"]) == {0}
    assert "whole window" in refused(capsys, *asked, "--n-eval-episodes", 2)
    assert "nobody who plays has a clock" in refused(capsys, "evaluate", *models, "--data", dataset, "--phases")


def test_contestants_are_trials_and_judged(
    dataset: Path, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert arb("evaluate", *models, "--data", dataset, "--baselines", "hold", "--out", out, *YOUNG) == 0
    told = capsys.readouterr().out
    assert "3 contestants were tried." in told
    record = read_trials(out / "trials.parquet")
    names = (*map(str, models), "hold")
    assert record.names == names
    table = pd.read_csv(out / "evaluation.csv").set_index("model")
    grown = 100 * (np.prod(1 + record.returns, axis=0) - 1)
    assert grown == pytest.approx([table.loc[name, "pnl_pct"] for name in names], abs=1e-10)
    judged = json.loads((out / "significance.json").read_text())
    assert tuple(judged) == names
    assert judged[names[0]]["pnl_pct"] == pytest.approx(grown[0])
    assert judged[names[0]]["deflated_sharpe_reason"] == "no record of trials"
    run = ("backtest", "--strategy", "ppo", "--model", models[0], "--data", dataset, "--window", "validation")
    assert arb(*run, *YOUNG, "--out", tmp_path / "run") == 0
    assert json.loads((tmp_path / "run" / "significance.json").read_text()) == judged[names[0]]
    assert arb("evaluate", models[0], "--data", dataset, "--n-eval-episodes", 3, "--episode-hours", 20,
               "--out", tmp_path / "episodes", *YOUNG) == 0  # fmt: skip
    assert not (tmp_path / "episodes" / "trials.parquet").exists()


def test_evaluation_equals_arb_backtest(dataset: Path, models: list[Path], tmp_path: Path) -> None:
    span = ("--from", "2024-05-13T02:00Z", "--to", "2024-05-15T13:00Z")
    assert arb("evaluate", models[0], "--data", dataset, "--out", tmp_path / "one", *span, *YOUNG) == 0
    run = ("backtest", "--strategy", "ppo", "--model", models[0], "--data", dataset, "--out", tmp_path / "two")
    assert arb(*run, *span, *YOUNG) == 0
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    (row,) = pd.read_csv(tmp_path / "one" / "evaluation.csv").to_dict("records")
    assert row["pnl_pct"] == metrics["pnl_pct"]
    assert row["trades"] == metrics["trades"] > 0
    assert row["win_rate_pct"] == metrics["win_rate_pct"]


def test_seeded_episodes(dataset: Path, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        more = ("--n-eval-episodes", 6, "--episode-hours", 20, "--seed", seed, "--out", tmp_path / name)
        assert arb("evaluate", models[0], "--data", dataset, *more, *YOUNG) == 0
    assert "rank correlation of reward and P&L over episodes: 1.000" in capsys.readouterr().out
    read = [(tmp_path / name / "episodes.csv").read_text() for name in "abc"]
    assert read[0] == read[1] != read[2]
    assert pd.read_csv(tmp_path / "a" / "evaluation.csv")["steps"].tolist() == [120]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert arb(*arguments) == 2
    told = capsys.readouterr().err.strip()
    assert "Traceback" not in told
    return told


def test_a_folder_in_the_way_is_refused_before_any_look(
    dataset: Path, models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("mine")
    told = refused(capsys, "evaluate", models[0], "--data", dataset, "--out", tmp_path / "out", *YOUNG)
    assert "exists already" in told
    assert not (models[0] / LOOKS).exists()


def test_a_model_of_another_spec_is_refused(
    dataset: Path, models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, "evaluate", models[0], "--data", dataset, "--set", "observation.opportunities=4")
    assert "another observation" in told


def test_a_model_of_other_costs_is_refused_unless_told(
    dataset: Path, models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    cheap = ("evaluate", models[0], "--data", dataset, "--set", "fees.bybit.taker=0.0001", *YOUNG)
    assert "--allow-other-costs" in refused(capsys, *cheap)
    assert arb(*cheap, "--allow-other-costs") == 0


def test_a_trained_run_is_evaluated_by_its_folder(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert arb("train", "--data", dataset, "--timesteps", 64, "--out", out, *tiny_settings()) == 0
    assert arb("evaluate", out, "--data", dataset, *tiny_settings()) == 0
    looks = [json.loads(line) for line in (out / "bundle" / LOOKS).read_text().splitlines()]
    assert len(looks) == 2
    assert looks[0]["pnl_pct"] == looks[1]["pnl_pct"]
