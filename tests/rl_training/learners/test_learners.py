"""One contract for every algorithm, and a second one that is nothing but a class and a line in the registry."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.logger import KVWriter, Logger
from support_cli import arb
from support_environment import course, random_policy
from support_pbt import InThisProcess, Silent
from support_structured import market
from support_training import tiny, write_tiny_dataset

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.datasets.windows import WindowEdges
from adapters.research import training as training_runs
from adapters.research.markets import prepare_dataset
from adapters.research.pbt.finish import finish
from adapters.research.pbt.job import begin, new_job, read_job
from adapters.research.pbt.reports import write_reports
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.pbt.training_markets import FOLDER, read_context, training_markets_of
from adapters.research.pbt.tried import write_tried
from adapters.storage.bundles import load_bundle
from adapters.storage.pbt_names import JOB, STATE
from adapters.storage.policy_zip import layers_of_zip
from engine.errors import UserError
from rl_training.learners.registry import LEARNERS, known, maker_of
from rl_training.learners.training import Training
from rl_training.pbt.interval import run_interval
from rl_training.pbt.loop import run_population
from rl_training.settings import AnchorSettings, EpisodeSettings, PPOSettings, TrainingSettings
from strategies.policy import best_action, logits

TOY, ANCHORED = "toy", "anchored"
NAMES = ("flat", "sb3", ANCHORED, TOY)
SMALL = TrainingSettings(
    n_envs=4, episode=EpisodeSettings(length_hours=24), anchor=AnchorSettings(value_updates=1),
    ppo=PPOSettings(n_steps=64, batch_size=32, n_epochs=2, net_arch=(16, 8)),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _second_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line."""
    monkeypatch.setitem(LEARNERS, TOY, "toy_learner:HillClimber")


def made(name: str, seed: int = 1, *, version: int | None = None) -> Training:
    """In a market that is seen as the algorithm needs it."""
    seen = market() if (version or (2 if name == ANCHORED else 1)) == 2 else course()
    return Training(seen, SMALL, seed=seed, learner=name)


def assert_same(one: Training, other: Training) -> None:
    first, second = one.state(), other.state()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


# --- the contract ---


@pytest.mark.parametrize("name", NAMES)
def test_whole_rollouts_are_run_and_told(name: str) -> None:
    training, heard = made(name), []
    assert training.run(100, progress=heard.append) == 128
    assert heard == [64, 128]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_restored_goes_on_bit_for_bit(name: str) -> None:
    whole, kept = made(name), []
    whole.run(192, checkpoint=lambda: kept.append(whole.state()), checkpoint_every=1)
    resumed = made(name)
    resumed.restore(kept[0])
    resumed.run(192)
    assert_same(whole, resumed)
    other = made(name, seed=2)
    other.run(192)
    assert any(not np.array_equal(other.state()[key], whole.state()[key]) for key in whole.state())


@pytest.mark.parametrize("name", NAMES)
def test_a_state_is_a_copy_and_says_what_of_it_was_learned(name: str) -> None:
    training = made(name)
    training.run(64)
    before = {key: np.array(value) for key, value in training.state().items()}
    kept = training.state()
    training.run(128)
    for key, value in before.items():
        np.testing.assert_array_equal(kept[key], value, err_msg=key)
    learned = {key for key in kept if key.startswith(training.learner.learned)}
    assert any(key.startswith("weights/") for key in learned)
    assert not any("generator" in key or key.startswith("environment/") for key in learned)


@pytest.mark.parametrize("name", NAMES)
def test_policy_and_model_file_hold_the_same_network(name: str) -> None:
    training = made(name)
    training.run(64)
    policy = training.policy("x", random_policy().scaler, "0" * 16)
    zeros = np.zeros(policy.spec.size, np.float32)
    assert logits(policy, zeros).shape == (policy.spec.actions,)
    weights, biases = layers_of_zip(training.learner.model_file(), Path("model.zip"))
    for mine, stored in zip((*policy.weights, *policy.biases), (*weights, *biases), strict=True):
        np.testing.assert_array_equal(mine, stored)
        assert mine.dtype == np.float32
    assert 0 <= best_action(policy, zeros) < policy.spec.actions


@pytest.mark.parametrize("name", NAMES)
def test_scalars_go_where_they_are_sent(name: str) -> None:
    class Kept(KVWriter):
        def __init__(self) -> None:
            self.steps: list[int] = []

        def write(self, values: Any, excluded: Any, step: int = 0) -> None:  # noqa: ARG002  # the interface's
            self.steps.append(step)

        def close(self) -> None: ...

    kept, training = Kept(), made(name)
    training.log_to(Logger(None, [kept]))
    training.run(128)
    assert kept.steps


def test_scalars_that_are_sent_nowhere_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """stable-baselines3 makes one among the temporary folders for whoever gave it no logger."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made("flat").run(64)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_state_of_another_algorithm_is_refused(name: str) -> None:
    for other in set(NAMES) - {name}:
        with pytest.raises(UserError, match="checkpoint"):
            made(name, version=2).restore(made(other, version=2).state())


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    for asked in ("", "ppo", "flat "):
        with pytest.raises(ValueError, match="there are flat, sb3, anchored, toy"):
            known(asked)
    assert maker_of("flat").__name__ == "FlatLearner"  # type: ignore[attr-defined]  # not of the protocol


def test_the_names_are_read_without_torch() -> None:
    """`arb train --help` asks for them."""
    program = (
        "import sys; from rl_training.learners.registry import LEARNERS; from rl_training.pbt.settings import *; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'stable_baselines3', 'numba')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- the second algorithm, all the way ---


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


def test_the_toy_climbs() -> None:
    training = made(TOY)
    best = []
    training.run(64 * 12, checkpoint=lambda: best.append(training.learner.best), checkpoint_every=1)  # type: ignore[attr-defined]  # not of the protocol
    assert best == sorted(best)
    assert best[-1] > best[0]


def test_arb_train_trains_resumes_and_ships_it(data: Path, tmp_path: Path) -> None:
    settings, dataset = load_settings(None, tiny()[1::2]), load_dataset(data)
    _, first, last = training_runs.training_window(dataset, None, None)
    plan = training_runs.TrainingPlan(
        data=str(data), dataset_fingerprint=dataset.fingerprint, train_from=first, train_to=last, timesteps=256,
        seed=3, learner=TOY, settings=settings,
    )  # fmt: skip
    for name, parts in (("straight", (256,)), ("cut", (128, 256))):
        training_runs.begin(tmp_path / name, plan)
        for steps in parts:
            read = training_runs.read_plan(tmp_path / name)
            outcome = training_runs.train(
                tmp_path / name, read, dataset, timesteps=steps, started=datetime.now(UTC), progress=lambda _: None
            )
    assert (outcome.steps, outcome.steps_before) == (256, 128)
    assert outcome.validation is not None
    straight, cut = (load_bundle(tmp_path / name / "bundle") for name in ("straight", "cut"))
    np.testing.assert_array_equal(straight.policy.biases[0], cut.policy.biases[0])
    assert straight.policy.biases[0].any()
    assert straight.meta["training"]["learner"] == TOY
    for model in ("bundle", "model.zip"):
        options = ("--data", data, "--window", "validation", "--set", "min_history_hours=4", "--no-report")
        given, out = tmp_path / "straight" / model, tmp_path / f"played-{model}"
        assert arb("backtest", "--strategy", "ppo", "--model", given, *options, "--out", out) == 0
        played = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
        assert played["final_equity_usd"] == outcome.validation["final_equity_usd"]


def test_a_population_of_it_is_trained_copied_and_shipped(data: Path, tmp_path: Path) -> None:
    budget = ("pbt.population=3", "training.timesteps=192", "pbt.perturbation_interval=64")
    settings, dataset = load_settings(None, (*tiny()[1::2], *budget)), load_dataset(data)
    folder = tmp_path / "run"
    job, _ = new_job(
        dataset, prepare_dataset(dataset, settings), settings, WindowEdges(), seed=4, learner=TOY,
        started=datetime.now(UTC), command="test",
    )  # fmt: skip
    begin(folder, job)
    job = read_job(folder / JOB)
    store = StateFolder(folder / STATE)
    with training_markets_of(folder, job):
        context = read_context(folder / FOLDER, job)
        executor = InThisProcess(lambda task, tell: run_interval(context, store, task, progress=tell))
        iterations = run_population(job.settings.pbt, job.schedule, job.seed, executor, store, Silent())
        write_reports(folder, job, iterations)
        write_tried(folder, job, iterations)
        finish(folder, job, iterations, started=job.started)
    copies = [(one.number, each) for one in iterations for each in one.assignments if each.source is not None]
    assert len(copies) == 2
    last = {agent: store.checkpoint(3, agent) for agent in range(3)}
    for number, each in copies:
        if number == 3:
            np.testing.assert_array_equal(
                last[each.agent]["weights/linear"], last[each.source]["weights/linear"], strict=True
            )
    np.testing.assert_array_equal(
        load_bundle(folder / "bundle").policy.weights[0], last[iterations[-1].ranking[0]]["weights/linear"]
    )
    assert arb("evaluate", folder, "--data", data, "--ensemble", 2, "--out", tmp_path / "out") == 0
