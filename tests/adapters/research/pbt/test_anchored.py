"""A population that begins at an imitation and is trained in drawn worlds: cut, resumed, by one worker or several."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cli import arb
from support_datasets import small_market
from support_pbt import InThisProcess, Silent
from support_training import tiny, write_tiny_dataset

from adapters.configuration.settings import CONFIGS, load_settings
from adapters.research.pbt import training_markets
from adapters.research.pbt.drawn_worlds import courses_of, held_back_of
from adapters.research.pbt.imitation import ARRAYS, read_start
from adapters.research.pbt.job import PBTJob, check_batches, check_learner, load_job_data, read_job
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.pbt.training_markets import context_in, training_markets_of
from adapters.research.pbt.tried import EACH_IS
from adapters.storage.bundles import load_bundle
from adapters.storage.pbt_names import JOB, STATE
from adapters.storage.trials import read_trials
from engine.errors import DataError, SettingsError
from engine.market.counterfactual import with_other_future
from engine.worlds import World
from rl_training.learners.sb3 import WEIGHTS
from rl_training.pbt.context import TrainingContext
from rl_training.pbt.interval import SHARES, Trained, evaluate, run_interval, train_interval
from rl_training.pbt.loop import run_population
from rl_training.pbt.population import Assignment
from rl_training.pbt.ports import Interval
from rl_training.pbt.results import AgentResult
from rl_training.pbt.schedule import schedule_of

EAGER = (*(f"strategies.week.{value}" for value in (
    "caution=0", "enter_margin=-1.0", "leave_margin=-2.0", "switch_margin=1.0",
)),)  # fmt: skip
"""The rule as it trades on noise."""
SETTINGS = (
    *EAGER, "pbt.learner=anchored", "max_positions=2", "observation.version=2", "observation.positions=2",
    "observation.exchanges=[binance, bybit]", "observation.decide_every_hours=4", "observation.wallets=true",
    "training.n_envs=8", "training.ppo.batch_size=64", "training.anchor.value_updates=0",
    "training.imitation={n_envs: 8, decisions: 60, episode_hours: 48, n_epochs: 25, batch_size: 64}",
    "training.imitation.learning_rate=0.005",
    "worlds={count: 4, conditions: {maker_share: 0}}",
    "pbt.judge={phases: true, late: true, held_back_worlds: 2}",
    "pbt.search={anchor_kl_coef: [0.1, 0.2], augmented_share: [0.25, 0.5], closed_price_pnl: [0, 1]}",
)  # fmt: skip
OPTIONS = ("--population", 2, "--timesteps", 128, "--perturbation-interval", 64, "--seed", 7)
ROLLOUT, COURSES, HELD_BACK, TRAINING_HOURS = 64, 4, 2, 250
POINT = {"anchor_kl_coef": 0.1, "augmented_share": 0.25, "closed_price_pnl": 1.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed, with two workers."""
    data = write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")
    folder = tmp_path_factory.mktemp("run") / "straight"
    words = ("--data", data, *OPTIONS, *tiny(*SETTINGS), "--out", folder, "--workers", 2)
    assert arb("train-pbt", *words) == 0
    return folder


@pytest.fixture(scope="module")
def job(run: Path) -> PBTJob:
    return read_job(run / JOB)


@pytest.fixture(scope="module")
def context(run: Path, job: PBTJob, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Where the agents of the run were trained."""
    folder = tmp_path_factory.mktemp("context") / "run"
    shutil.copytree(run / STATE, folder / STATE)
    with training_markets_of(folder, job):
        yield context_in(folder, job)


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def assert_same_outcome(one: Path, other: Path) -> None:
    """Every score and every last bit of every agent."""
    states = StateFolder(one / STATE), StateFolder(other / STATE)
    for iteration in (1, 2):
        for agent in (0, 1):
            # A zip has the time at which it was written.
            first, second = (state.read(iteration, agent) for state in states)
            assert first is not None
            assert second is not None
            assert first.model_copy(update={"model_sha256": None}) == second.model_copy(update={"model_sha256": None})
    for agent in (0, 1):
        assert first.checkpoint_sha256 is not None
        arrays, others = (state.checkpoint(2, agent) for state in states)
        assert arrays.keys() == others.keys()
        for name, value in arrays.items():
            np.testing.assert_array_equal(value, others[name], err_msg=name)


class CutError(Exception):
    """The machine goes off."""


def until(last: tuple[int, int], work: Callable[[Interval, Any], AgentResult]) -> InThisProcess:
    """An executor that dies before it does an interval."""

    def cut(task: Interval, tell: Any) -> AgentResult:
        if (task.iteration, task.assignment.agent) == last:
            raise CutError
        return work(task, tell)

    return InThisProcess(cut)


def test_a_run_in_one_process_that_is_cut_and_resumed_is_that_of_two_workers(
    run: Path, job: PBTJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StateFolder(tmp_path / STATE)

    def go_on(cut_at: tuple[int, int]) -> None:
        with training_markets_of(tmp_path, job):
            where = context_in(tmp_path, job)
            executor = until(cut_at, lambda task, tell: run_interval(where, store, task, progress=tell))
            run_population(job.settings.pbt, job.schedule, job.seed, executor, store, Silent())

    # The last task is done first.
    with pytest.raises(CutError):
        go_on((2, 0))
    assert (tmp_path / STATE / ARRAYS).read_bytes() == (run / STATE / ARRAYS).read_bytes()
    assert not (tmp_path / training_markets.FOLDER).exists()
    monkeypatch.setattr(training_markets, "make_imitation", lambda *_: pytest.fail("it was made already"))
    go_on((9, 9))
    assert_same_outcome(run, tmp_path)


def test_the_agents_have_moved_from_where_they_began_and_apart(run: Path) -> None:
    start = read_start(run)
    one, other = (StateFolder(run / STATE).checkpoint(2, agent) for agent in (0, 1))
    name = f"{WEIGHTS}mlp_extractor.actor.enter.output.weight"
    assert not np.array_equal(one[name], start[name])
    assert not np.array_equal(one[name], other[name])
    anchor = name.replace(f"{WEIGHTS}mlp_extractor.actor.", "anchor/")
    np.testing.assert_array_equal(one[anchor], start[name])


def test_the_winner_is_shipped_as_a_structured_policy_with_the_metrics_it_was_chosen_by(
    run: Path, tmp_path: Path
) -> None:
    summary, bundle = load(run / "training_summary.json"), load_bundle(run / "bundle")
    assert bundle.policy.kind == "structured"
    winner = load(run / f"agent_{summary['winner']}_hyperparams.json")
    assert bundle.meta["metrics"]["validation"] == pytest.approx(winner["metrics"])
    assert winner["metrics"]["trades"] > 0
    assert winner["anchor"]["kl_coef"] == winner["tuned"]["anchor_kl_coef"]
    assert winner["reward"]["price_pnl"] == ("marked", "closed")[int(winner["tuned"]["closed_price_pnl"])]
    assert "2 held-back worlds" in summary["fitness"]
    assert read_trials(run / "trials.parquet").each_is == EACH_IS
    assert load(run / "manifest.json")["imitation"]["of"] == "week"
    assert arb("deploy", run, "--to", tmp_path / "deployed") == 0


# --- where they are trained ---


def test_worlds_are_of_the_training_hours_alone_and_those_held_back_are_others(context: TrainingContext) -> None:
    kinds = [one.is_augmented for one in context.drawn]
    assert kinds == [False, False, True, True]
    assert len(context.held_back) == HELD_BACK
    everywhere = [*(one.market for one in context.drawn), *context.held_back]
    assert {market.tape.hours for market in everywhere} == {TRAINING_HOURS}
    assert [market.spec.phase for market in everywhere] == [0, 1, 2, 3, 0, 1]
    rates = [market.tape.arrays.bookings["rate"].tobytes() for market in (*everywhere[2:],)]
    assert len(set(rates)) == len(rates)
    assert {market.tape.settings.latency_hours for market in context.held_back} == {0}


def trained(where: TrainingContext, rollouts: int, own: Trained | None = None, **point: float) -> Trained:
    state = None if own is None else own.checkpoint
    return train_interval(where, Assignment(0, {**POINT, **point}), rollouts * ROLLOUT, state, None)


def assert_same(one: Trained, other: Trained) -> None:
    assert one.checkpoint.keys() == other.checkpoint.keys()
    for name, value in one.checkpoint.items():
        np.testing.assert_array_equal(value, other.checkpoint[name], err_msg=name)


def test_held_back_worlds_judge_and_never_train(context: TrainingContext) -> None:
    without = replace(context, held_back=())
    one, other = trained(context, 1), trained(without, 1)
    assert_same(one, other)
    assert evaluate(context, one).fitness != evaluate(without, one).fitness
    shared = sum(count for _, count in context.groups(context.shares(context.training)))
    held_back = {id(market) for market in context.held_back}
    assert shared == context.training.n_envs
    assert not any(id(market) in held_back for market, _ in context.groups(context.shares(context.training)))


def test_two_intervals_are_one_longer_one(context: TrainingContext) -> None:
    assert_same(trained(context, 2, trained(context, 1)), trained(context, 2))


def test_another_share_of_augmented_worlds_begins_other_episodes_with_the_same_agent(context: TrainingContext) -> None:
    before = trained(context, 1)
    assert before.checkpoint[SHARES].tolist() == [3, 3, 1, 1]
    after = trained(context, 2, before, augmented_share=0.5)
    assert after.checkpoint[SHARES].tolist() == [2, 2, 2, 2]
    assert after.steps == 2 * ROLLOUT
    assert int(after.checkpoint["n_updates"]) == 2 * int(before.checkpoint["n_updates"])
    assert_same(after, trained(context, 2, before, augmented_share=0.5))
    # Not those that it once began with.
    rows = "environment/group_0/generator"
    assert not np.array_equal(after.checkpoint[rows], trained(context, 1, augmented_share=0.5).checkpoint[rows])


@pytest.mark.parametrize(("name", "value"), [("anchor_kl_coef", 50.0), ("closed_price_pnl", 0.0)])
def test_each_hyperparameter_is_in_force(context: TrainingContext, name: str, value: float) -> None:
    weights = f"{WEIGHTS}mlp_extractor.actor.enter.output.weight"
    one, other = trained(context, 1), trained(context, 1, **{name: value})
    assert not np.array_equal(one.checkpoint[weights], other.checkpoint[weights])


# --- what is refused, and the preset ---


def test_an_imitation_of_another_run_is_refused(run: Path, job: PBTJob, tmp_path: Path) -> None:
    shutil.copytree(run / STATE, tmp_path / STATE)
    path = tmp_path / STATE / ARRAYS
    path.write_bytes((run / STATE / "iteration_002" / "agent_0.npz").read_bytes())
    with pytest.raises(DataError, match=r"imitation\.npz.*does not match"):
        context_in(tmp_path, job)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("pbt.search.anchor_kl_coef=[0.1]",), "pbt.search.anchor_kl_coef is of agents that begin at an imitation"),
        (("pbt.search.augmented_share=[0.5]",), "pbt.search.augmented_share"),
        (("pbt.judge.held_back_worlds=1",), "pbt.judge.held_back_worlds"),
        (("pbt.learner=anchored",), "needs observation.version=2"),
        ((*SETTINGS, "worlds.recorded_share=1"), "no world has one"),
        ((*SETTINGS, "worlds.conditions.maker_share=0.1"), "maker_share"),
        ((*SETTINGS, "strategies.week.caution=-1"), "caution"),
    ],
)
def test_what_a_learner_does_not_have_is_one_line(changes: tuple[str, ...], message: str) -> None:
    settings = load_settings(None, tiny(*changes)[1::2])
    with pytest.raises(SettingsError, match=message) as refused:
        check_learner(settings, settings.pbt.learner, small_market())
    assert "\n" not in str(refused.value)


def test_the_reward_may_be_searched_by_every_learner() -> None:
    settings = load_settings(None, ("pbt.search.closed_price_pnl=[0, 1]",))
    check_learner(settings, "flat", small_market())


def test_the_preset_tunes_what_it_says_and_is_judged_by_means() -> None:
    settings = load_settings(CONFIGS / "pbt_week.yaml")
    check_batches(settings)
    check_learner(settings, settings.pbt.learner, small_market())
    assert schedule_of(settings.training, settings.pbt).iterations == 8
    tuned = {"learning_rate", "ent_coef", "anchor_kl_coef", "augmented_share", "closed_price_pnl"}
    fixed = {name: one for name, one in settings.pbt.search.dimensions().items() if name not in tuned}
    ppo = settings.training.ppo
    assert fixed == {name: (getattr(ppo, name),) for name in ("gamma", "gae_lambda", "clip_range")}
    judge = settings.pbt.judge
    assert (settings.pbt.learner, judge.phases, judge.late) == ("anchored", True, True)
    assert judge.held_back_worlds > 0


def test_worlds_are_drawn_from_training_hours_alone(job: PBTJob) -> None:
    """Another future after the training window makes the same worlds."""
    world = load_job_data(job)[1]
    last = world.tape.market.index_of(job.train_to)
    other = World.of(with_other_future(world.tape.market, last, np.random.default_rng(0)), world.settings)
    for draw in (courses_of, held_back_of):
        for mine, its in zip(draw(job, world), draw(job, other), strict=True):
            for name, array in mine.market.tape.arrays._asdict().items():
                assert array.tobytes() == getattr(its.market.tape.arrays, name).tobytes(), name
