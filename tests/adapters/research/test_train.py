"""``arb train`` as a user runs it: reproducible, resumable, honest about its steps; both files open."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from support_cli import arb
from support_environment import course
from support_training import STEPS_PER_ROLLOUT, rewrite, tiny, write_tiny_dataset

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.research import training as training_runs
from adapters.storage.bundles import load_bundle, load_policy
from engine.errors import SettingsError, UserError
from engine.observation.encoding import fit_scaler
from rl_training.learners.flat_ppo import FlatPPO
from rl_training.learners.training import Training
from rl_training.settings import EpisodeSettings, PPOSettings, TrainingSettings
from strategies.policy import best_action

LEARNERS = ("flat", "sb3")
pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four rollouts."""
    out = tmp_path_factory.mktemp("runs") / "first"
    assert arb("train", "--data", dataset, "--timesteps", 250, "--out", out, *tiny()) == 0
    return out


def small(**ppo: Any) -> TrainingSettings:
    values = {"n_steps": 64, "batch_size": 32, "n_epochs": 2, "net_arch": (16, 8)}
    return TrainingSettings(n_envs=4, episode=EpisodeSettings(length_hours=24), ppo=PPOSettings(**(values | ppo)))


def same_state(one: Training, two: Training) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


# --- the loop ---


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(learner: str) -> None:
    runs = []
    for seed in (1, 1, 2):
        training = Training(course(), small(), seed=seed, learner=learner)
        training.run(128)
        runs.append(training)
    assert same_state(runs[0], runs[1])
    assert not np.array_equal(
        runs[0].state()["weights/action_net.weight"], runs[2].state()["weights/action_net.weight"]
    )


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_resumed_training_ends_bit_for_bit_where_an_uninterrupted_one_does(learner: str) -> None:
    whole = Training(course(), small(), seed=1, learner=learner)
    states: list[Any] = []
    whole.run(256, checkpoint=lambda: states.append(whole.state()), checkpoint_every=1)
    assert len(states) == 4
    resumed = Training(course(), small(), seed=1, learner=learner)
    resumed.restore(states[1])
    assert resumed.steps_done == 128
    resumed.run(256)
    assert same_state(whole, resumed)


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_checkpoint_of_another_network_is_refused(learner: str) -> None:
    state = Training(course(), small(), seed=1, learner=learner).state()
    other = Training(course(), small(net_arch=(8, 8)), seed=1, learner=learner)
    with pytest.raises((UserError, RuntimeError)):
        other.restore(state)


@pytest.mark.trap(21)
@pytest.mark.parametrize("learner", LEARNERS)
def test_trap_21_learning_rate_set_after_a_restore_is_the_one_used(learner: str) -> None:
    """The optimiser kept in a checkpoint carries its own rate; the settings of the run decide."""
    state = Training(course(), small(learning_rate=1e-2), seed=1, learner=learner).state()
    slow = Training(course(), small(learning_rate=1e-9), seed=1, learner=learner)
    slow.restore(state)
    slow.run(64)
    moved = np.abs(slow.state()["weights/action_net.weight"] - state["weights/action_net.weight"])
    assert 0 < moved.max() < 1e-6
    assert slow.learner.agent.policy.optimizer.param_groups[0]["lr"] == 1e-9


@pytest.mark.trap(21)
def test_trap_21_learning_rate_set_on_an_agent_is_not_overwritten_by_its_schedule() -> None:
    training = Training(course(), small(learning_rate=1e-2), seed=1)
    before = training.state()["weights/action_net.weight"]
    training.learner.agent.learning_rate = 1e-9
    training.run(64)
    moved = np.abs(training.state()["weights/action_net.weight"] - before)
    assert 0 < moved.max() < 1e-6


@pytest.mark.trap(20)
def test_trap_20_whole_rollouts_are_run_and_their_number_is_returned() -> None:
    training = Training(course(), small(), seed=1)
    heard: list[int] = []
    assert training.run(100, progress=heard.append) == 128
    assert heard == [64, 128]


def test_truncated_episodes_are_bootstrapped_by_both_learners_alike() -> None:
    """The reward at a cut holds the discounted value of what was seen there; at a close it does not."""
    for learner in LEARNERS:
        for close_at_end in (False, True):
            settings = small().model_copy(
                update={"episode": EpisodeSettings(length_hours=8, close_at_end=close_at_end)}
            )
            training = Training(course(), settings, seed=1, learner=learner)
            seen: list[Any] = []
            step = training.environment.step_wait

            def spy(step: Any = step, seen: list[Any] = seen) -> Any:
                seen.append(step())
                return seen[-1][0], seen[-1][1].copy(), *seen[-1][2:]

            training.environment.step_wait = spy  # type: ignore[method-assign]  # a spy
            training.learner.agent.learn(64)
            stored = training.learner.agent.rollout_buffer.rewards
            paid = np.array([row[1] for row in seen])
            dones = np.array([row[2] for row in seen])
            assert dones.sum() == 8
            np.testing.assert_array_equal(stored[~dones], paid[~dones])
            assert np.array_equal(stored[dones], paid[dones]) is close_at_end


@pytest.mark.parametrize(
    ("change", "match"),
    [({"n_steps": 66}, "multiple of training.n_envs"), ({"batch_size": 48}, "must divide training.ppo.n_steps")],
)
def test_rollouts_that_cannot_be_split_are_refused(change: dict[str, int], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        Training(course(), small(**change), seed=0)


def test_global_generators_are_left_alone_by_our_learner() -> None:
    np.random.seed(0)  # noqa: NPY002  # the point of the test
    torch.manual_seed(0)
    before = (np.random.get_state()[1].copy(), torch.get_rng_state())  # noqa: NPY002  # the global generator is what must not matter
    Training(course(), small(), seed=1).run(64)
    assert np.array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002  # the global generator is what must not matter
    assert torch.equal(before[1], torch.get_rng_state())


# --- the command ---


def test_the_folder_of_a_run(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == [
        "bundle", "checkpoint.npz", "manifest.json", "model.zip", "plan.json", "tensorboard",
    ]  # fmt: skip
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["steps_asked"], manifest["steps"], manifest["seed"]) == (250, 256, 0)
    assert manifest["settings"]["training"]["n_envs"] == 4
    assert set(manifest["metrics"]) == {"validation", "validation_1h_late"}
    assert manifest["metrics"]["validation"]["hours"] == 60
    meta = load_bundle(run / "bundle").meta
    assert meta["training"]["steps"] == 256
    assert meta["dataset_fingerprint"] == manifest["dataset"]["fingerprint"]
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))


def test_real_steps_are_said(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("train", "--data", dataset, "--timesteps", 65, "--out", tmp_path / "x", *tiny()) == 0
    told = capsys.readouterr().out
    assert "128 steps (65 were asked; rollouts are whole)" in told
    assert max(map(len, told.splitlines()[:-1])) <= 100


def test_plain_stable_baselines3_opens_the_zip(run: Path) -> None:
    settings = load_settings(None, tiny()[1::2])
    policy = load_policy(run, settings)
    agent = PPO.load(run / "model.zip", device="cpu")
    seen = np.random.default_rng(0).normal(size=(50, policy.spec.size)).astype(np.float32)
    assert agent.predict(seen, deterministic=True)[0].tolist() == [best_action(policy, row) for row in seen]


def test_our_learner_is_the_default(run: Path) -> None:
    assert json.loads((run / "plan.json").read_text())["learner"] == "flat"
    assert isinstance(Training(course(), small(), seed=0).learner.agent, FlatPPO)


def test_plain_stable_baselines3_can_be_chosen(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    assert arb("train", "--data", dataset, "--timesteps", 64, "--learner", "sb3", "--out", out, *tiny()) == 0
    assert load_policy(out, load_settings(None, tiny()[1::2])).name == "ppo-seed0"


def test_the_command_repeats_by_seed(dataset: Path, run: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        out = tmp_path / str(seed)
        assert arb("train", "--data", dataset, "--timesteps", 250, "--seed", seed, "--out", out, *tiny()) == 0
    first = (run / "bundle" / "weights.safetensors").read_bytes()
    assert (tmp_path / "0" / "bundle" / "weights.safetensors").read_bytes() == first
    assert (tmp_path / "1" / "bundle" / "weights.safetensors").read_bytes() != first


def test_a_cut_run_resumes_to_the_same_weights(
    dataset: Path,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "cut"
    kept: list[int] = []
    write = training_runs.write_checkpoint

    def cut(folder: Path, training: Training) -> None:
        write(folder, training)
        kept.append(training.steps_done)
        if len(kept) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_runs, "write_checkpoint", cut)
        patch.setattr(Training.run, "__kwdefaults__", {**Training.run.__kwdefaults__, "checkpoint_every": 1})
        assert arb("train", "--data", dataset, "--timesteps", 250, "--out", out, *tiny()) == 130
    assert f"arb train --resume {out}" in capsys.readouterr().err
    assert kept == [64, 128]
    assert not (out / "bundle").exists()
    assert arb("train", "--resume", out) == 0
    assert json.loads((out / "manifest.json").read_text())["steps_before"] == 128
    whole = (run / "bundle" / "weights.safetensors").read_bytes()
    assert (out / "bundle" / "weights.safetensors").read_bytes() == whole


def test_a_finished_run_goes_on_with_more_steps(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "x"
    assert arb("train", "--data", dataset, "--timesteps", 64, "--out", out, *tiny()) == 0
    assert arb("train", "--resume", out, "--timesteps", 128) == 0
    assert json.loads((out / "manifest.json").read_text())["steps"] == 2 * STEPS_PER_ROLLOUT
    assert len((out / "bundle" / "looks.jsonl").read_text().splitlines()) == 2


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a user's mistake."""
    assert arb(*arguments) == 2
    told = capsys.readouterr().err.strip()
    assert "Traceback" not in told
    return told


def test_resume_keeps_what_the_run_began_with(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "train", "--resume", run, "--seed", 3, "--set", "slippage_bps=5")
    assert "leave out --seed, --set" in told


def test_a_folder_without_a_plan_cannot_be_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not the folder of a training run" in refused(capsys, "train", "--resume", tmp_path)


def test_a_broken_checkpoint_is_named(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x"
    assert arb("train", "--data", dataset, "--timesteps", 64, "--out", out, *tiny()) == 0
    content = (out / "checkpoint.npz").read_bytes()
    (out / "checkpoint.npz").write_bytes(content[: len(content) // 2])
    assert "checkpoint.npz cannot be read" in refused(capsys, "train", "--resume", out, "--timesteps", 128)


def test_another_data_set_than_the_runs_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x"
    assert arb("train", "--data", dataset, "--timesteps", 64, "--out", out, *tiny()) == 0
    rewrite(out / "plan.json", dataset_fingerprint="0" * 32)
    assert "not the data set this training began with" in refused(capsys, "train", "--resume", out)


def test_a_folder_that_is_in_use_is_not_overwritten(
    dataset: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, "train", "--data", dataset, "--out", run, *tiny())
    assert "--resume" in told


@pytest.mark.trap(17)
@pytest.mark.parametrize("end", ["2024-05-13T02:00Z", "2024-05-17T12:00Z"])
def test_trap_17_training_never_sees_the_validation_window(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    told = refused(capsys, "train", "--data", dataset, "--train-to", end, "--out", tmp_path / "x", *tiny())
    assert "training would see the validation window" in told
    assert not (tmp_path / "x").exists()


@pytest.mark.trap(9)
def test_trap_09_the_scaler_is_fitted_on_the_training_window_alone(dataset: Path, run: Path) -> None:
    from adapters.research.markets import prepare_dataset, window_of

    settings = load_settings(None, tiny()[1::2])
    loaded = load_dataset(dataset)
    builder = prepare_dataset(loaded, settings)
    train = window_of(loaded, None, None, "train")
    expected = fit_scaler(builder, settings.observation, train.first, train.last)
    assert load_bundle(run / "bundle").policy.scaler == expected
    everything = fit_scaler(builder, settings.observation, 0, builder.tape.hours - 1)
    assert expected != everything


def test_fit_scaler_shows_what_training_uses(dataset: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "scaler.json"
    assert arb("data", "fit-scaler", dataset, "--out", out, "--set", "min_history_hours=4") == 0
    shown = json.loads(out.read_text())
    scaler = load_bundle(run / "bundle").policy.scaler
    assert (tuple(shown["mean"]), tuple(shown["deviation"])) == (scaler.mean, scaler.deviation)
    assert shown["observation_hash"] == load_bundle(run / "bundle").policy.spec.hash()


def test_the_zip_is_whole(run: Path) -> None:
    with zipfile.ZipFile(run / "model.zip") as archive:
        assert archive.testzip() is None
        assert "policy.pth" in archive.namelist()
