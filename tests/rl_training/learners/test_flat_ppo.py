"""FlatPPO against stable-baselines3: the same update, files that both open, exact continuation, real learning."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import VecEnv
from support_flat_ppo import BanditEnv, RandomWalkEnv, agent_of, collect, weights_of
from threadpoolctl import threadpool_limits

from adapters.storage.bundles import read_model
from adapters.storage.policy_zip import layers_of_zip
from engine.errors import BundleError, SettingsError, UserError
from rl_training.learners.flat_numerics import Array
from rl_training.learners.flat_ppo import _THREADS, FlatPPO
from rl_training.learners.protocol import DivergenceError
from rl_training.learners.torch_archive import policy_arrays


@pytest.fixture(autouse=True)
def _no_folders_of_loggers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody gives it a logger, stable-baselines3 makes a folder for one; not among the machine's own."""
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path / "logger"))


def train_both(monkeypatch: pytest.MonkeyPatch, stock: PPO, flat: FlatPPO, updates: int = 1) -> None:
    """Update both from the stock agent's rollout with the same permutations."""
    np.testing.assert_array_equal(weights_of(stock), weights_of(flat))
    collect(stock)
    flat._setup_learn(10**6)
    permutations = np.random.default_rng(5)
    monkeypatch.setattr(np.random, "permutation", permutations.permutation)
    flat._random = np.random.default_rng(5)
    buffer = RolloutBuffer(stock.n_steps, stock.observation_space, stock.action_space, "cpu", n_envs=stock.n_envs)
    buffer.__dict__.update(
        {key: np.copy(v) if isinstance(v, np.ndarray) else v for key, v in vars(stock.rollout_buffer).items()}
    )
    flat.rollout_buffer = buffer
    for _ in range(updates):
        stock.train()
        flat.train()


def test_full_update_at_full_size_ends_within_1e_6_of_stable_baselines3(monkeypatch: pytest.MonkeyPatch) -> None:
    def agent(learner: type[PPO]) -> Any:
        return agent_of(
            learner, RandomWalkEnv(16, width=124, actions=9), batch_size=256, n_epochs=10, learning_rate=1e-3,
            clip_range=0.1, policy_kwargs={"net_arch": [256, 256, 128]}, n_steps=128,
        )  # fmt: skip

    stock, flat = agent(PPO), agent(FlatPPO)
    before = weights_of(flat)
    train_both(monkeypatch, stock, flat)
    assert np.abs(weights_of(flat) - before).max() > 1e-2
    np.testing.assert_allclose(weights_of(flat), weights_of(stock), rtol=0, atol=1e-6)
    logged, expected = flat.logger.name_to_value, stock.logger.name_to_value
    assert logged.keys() == expected.keys()
    assert expected["train/clip_fraction"] > 0.1
    for name in expected:
        assert logged[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize(
    "changes",
    [
        {"clip_range_vf": 0.1},
        {"normalize_advantage": False, "vf_coef": 0.9},
        {"target_kl": 1e-4, "learning_rate": 1e-3},
        {"max_grad_norm": 0.01},
        {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [24, 16]}}},
        {"policy_kwargs": {"net_arch": [], "optimizer_kwargs": {"eps": 1e-3, "betas": (0.5, 0.9)}}},
        {"policy_kwargs": None, "batch_size": 128},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("num_envs", [1, 4])
def test_every_option_updates_like_stable_baselines3(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], num_envs: int
) -> None:
    stock, flat = (agent_of(learner, RandomWalkEnv(num_envs), **changes) for learner in (PPO, FlatPPO))
    train_both(monkeypatch, stock, flat, updates=3)
    np.testing.assert_allclose(weights_of(flat), weights_of(stock), rtol=0, atol=1e-6)
    assert flat._n_updates == stock._n_updates
    assert (flat._n_updates < 9) == ("target_kl" in changes)


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
def test_a_last_short_minibatch_updates_like_stable_baselines3(monkeypatch: pytest.MonkeyPatch) -> None:
    stock, flat = (agent_of(learner, RandomWalkEnv(2), batch_size=50) for learner in (PPO, FlatPPO))
    train_both(monkeypatch, stock, flat)
    np.testing.assert_allclose(weights_of(flat), weights_of(stock), rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_envs", [1, 4, 64])
def test_rollout_records_what_stable_baselines3_would(num_envs: int) -> None:
    flat = collect(agent_of(FlatPPO, RandomWalkEnv(num_envs), gamma=0.9))
    buffer, env = flat.rollout_buffer, RandomWalkEnv(num_envs)
    assert flat.num_timesteps == 128
    observations, last_dones = env.reset(), np.ones(num_envs, bool)
    for step in range(flat.n_steps):
        actions = buffer.actions[step, :, 0]
        np.testing.assert_array_equal(buffer.observations[step], observations)
        np.testing.assert_array_equal(buffer.episode_starts[step], last_dones)
        tensor = torch.from_numpy(observations)
        values, log_probs, _ = flat.policy.evaluate_actions(tensor, torch.from_numpy(actions))
        np.testing.assert_allclose(buffer.values[step], values.detach()[:, 0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(buffer.log_probs[step], log_probs.detach(), rtol=1e-5, atol=1e-6)
        observations, rewards, last_dones, infos = env.step(actions)
        if infos[0].get("TimeLimit.truncated"):
            ends = torch.from_numpy(np.stack([info["terminal_observation"] for info in infos]))
            rewards = rewards + 0.9 * flat.policy.predict_values(ends).detach().numpy()[:, 0]
        np.testing.assert_allclose(buffer.rewards[step], rewards, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(flat._last_obs, observations)
    last_values = flat.policy.predict_values(torch.from_numpy(observations))
    advantages = buffer.advantages.copy()
    buffer.compute_returns_and_advantage(last_values.detach(), last_dones)
    np.testing.assert_allclose(advantages, buffer.advantages, rtol=1e-4, atol=1e-5)


def test_an_environment_may_reuse_its_observation_array() -> None:
    class ReusingEnv(RandomWalkEnv):
        def _draw(self) -> np.ndarray:
            self.shared = getattr(self, "shared", np.empty((self.num_envs, self.width), np.float32))
            self.shared[...] = super()._draw()
            return self.shared

    fresh, reused = (collect(agent_of(FlatPPO, kind(2, length=1000))) for kind in (RandomWalkEnv, ReusingEnv))
    np.testing.assert_array_equal(fresh.rollout_buffer.observations, reused.rollout_buffer.observations)


@pytest.mark.parametrize("num_envs", [1, 8])
def test_it_learns_to_solve_a_bandit(num_envs: int) -> None:
    env = BanditEnv(num_envs)
    agent = agent_of(FlatPPO, env, learning_rate=3e-3, batch_size=64, n_epochs=6)
    agent.learn(4096)
    env.reset()
    hits = 0.0
    for _ in range(30):
        shown = env.shown
        hits += (agent.predict(shown, deterministic=True)[0] == shown.argmax(axis=1)).mean()
        env._draw()
    assert hits == 30
    assert np.mean(np.concatenate(env.actions_seen[:64]) == 0) < 0.7


# Randomness


def run_of(steps: int = 512, **changes: Any) -> np.ndarray:
    return weights_of(agent_of(FlatPPO, RandomWalkEnv(4), **changes).learn(steps))


@pytest.mark.trap(18)
def test_trap_18_the_seed_alone_decides_and_global_generators_are_left_alone() -> None:
    first = run_of()
    np.random.seed(123)  # noqa: NPY002  # the global generator is what must not matter
    torch.manual_seed(456)
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002  # the global generator is what must not matter
    np.testing.assert_array_equal(run_of(), first)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002  # the global generator is what must not matter
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert not np.array_equal(run_of(seed=4), first)
    assert not np.array_equal(run_of(seed=None), run_of(seed=None))


def test_threads_of_the_surroundings_do_not_matter() -> None:
    def run() -> np.ndarray:
        env = RandomWalkEnv(16, width=124, actions=9)
        changes = {"policy_kwargs": {"net_arch": [256, 128]}, "batch_size": 256, "n_steps": 32, "n_epochs": 2}
        return weights_of(agent_of(FlatPPO, env, **changes).learn(1024))

    with threadpool_limits(1):
        single = run()
    with threadpool_limits(4):
        np.testing.assert_array_equal(run(), single)


def test_rollouts_and_updates_keep_to_one_thread_and_give_the_others_back() -> None:
    def threads() -> set[int]:
        # What numpy and torch run on; other libraries may bring pools that are not used here.
        return {pool["num_threads"] for pool in _THREADS.info()}

    class Watched(FlatPPO):
        def mask_logits(self, observations: Array, logits: Array) -> None:  # noqa: ARG002  # the interface's
            seen.append((len(logits), threads()))

    assert {pool["user_api"] for pool in _THREADS.info()} == {"blas", "openmp"}
    seen: list[tuple[int, set[int]]] = []
    with threadpool_limits(3):
        agent = collect(agent_of(Watched, RandomWalkEnv(4), n_epochs=1))
        agent.train()
        assert threads() == {3}
    assert {rows for rows, _ in seen} == {4, 32}
    assert all(counts == {1} for _, counts in seen)


def test_two_updates_from_the_same_state_are_bit_identical() -> None:
    agent = collect(agent_of(FlatPPO, RandomWalkEnv(4)))
    before = agent.checkpoint()
    agent.train()
    first = weights_of(agent)
    agent.restore(before)
    agent.train()
    np.testing.assert_array_equal(weights_of(agent), first)


# Files and checkpoints


def saved(agent: PPO, folder: Path) -> Path:
    path = folder / "agent.zip"
    agent.save(path)
    return path


def test_the_zip_opens_with_plain_stable_baselines3_and_holds_the_adam_state(tmp_path: Path) -> None:
    flat = agent_of(FlatPPO, RandomWalkEnv(4)).learn(256)
    path = saved(flat, tmp_path)
    plain = PPO.load(path, env=RandomWalkEnv(4))
    assert type(plain) is PPO
    np.testing.assert_array_equal(weights_of(plain), weights_of(flat))
    for mine, theirs in zip(flat.policy.parameters(), plain.policy.parameters(), strict=True):
        for key in ("step", "exp_avg", "exp_avg_sq"):
            expected = flat.policy.optimizer.state[mine][key]
            assert torch.equal(plain.policy.optimizer.state[theirs][key], expected)
        assert expected.any()
    assert float(plain.policy.optimizer.state[theirs]["step"]) == 2 * 3 * 4
    assert plain.num_timesteps == 256
    plain.learn(128, reset_num_timesteps=False)
    assert plain.num_timesteps == 384


def test_the_zip_holds_no_environment_and_no_work_arrays(tmp_path: Path) -> None:
    class BulkyEnv(RandomWalkEnv):
        def __init__(self, num_envs: int) -> None:
            super().__init__(num_envs)
            self.tables = np.random.default_rng(0).random(1_000_000)

    content, arrays = {}, 0
    for learner in (PPO, FlatPPO):
        agent = agent_of(learner, BulkyEnv(4), policy_kwargs={"net_arch": [64]}).learn(128)
        path = saved(agent, tmp_path)
        with zipfile.ZipFile(path) as archive:
            content[learner] = json.loads(archive.read("data"))
            arrays = len(archive.read("policy.pth")) + len(archive.read("policy.optimizer.pth"))
    assert content[FlatPPO].keys() == content[PPO].keys() | {"random_state"}
    assert "rl_training" not in json.dumps(content[FlatPPO])
    numbers = 3 * weights_of(agent).nbytes
    assert numbers < arrays < numbers + 30_000
    assert path.stat().st_size < 100_000


def test_a_loaded_agent_continues_bit_for_bit(tmp_path: Path) -> None:
    agent = agent_of(FlatPPO, RandomWalkEnv(4)).learn(256)
    path = saved(agent, tmp_path)
    loaded = FlatPPO.load(path, env=agent.env, force_reset=False)
    env_random = agent.env.random.bit_generator.state
    agent.learn(256, reset_num_timesteps=False)
    assert not np.array_equal(weights_of(agent), weights_of(loaded))
    loaded.env.random.bit_generator.state = env_random
    loaded.env.step_count -= 64
    loaded.learn(256, reset_num_timesteps=False)
    np.testing.assert_array_equal(weights_of(agent), weights_of(loaded))
    np.testing.assert_array_equal(agent._parameters.adam_v, loaded._parameters.adam_v)


def test_an_agent_saved_by_stable_baselines3_is_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stock = agent_of(PPO, RandomWalkEnv(4)).learn(256)
    flat = FlatPPO.load(saved(stock, tmp_path), env=RandomWalkEnv(4))
    assert flat._parameters.adam_step == 24
    train_both(monkeypatch, stock, flat)
    np.testing.assert_allclose(weights_of(flat), weights_of(stock), rtol=0, atol=1e-6)


def test_checkpoint_and_restore_continue_bit_for_bit_in_another_agent(tmp_path: Path) -> None:
    agent = agent_of(FlatPPO, RandomWalkEnv(4)).learn(256)
    env_random = agent.env.random.bit_generator.state
    np.savez(tmp_path / "state.npz", **agent.checkpoint())
    agent.learn(300, reset_num_timesteps=False)

    other = agent_of(FlatPPO, RandomWalkEnv(4), seed=99)
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        other.restore(dict(arrays))
    other.env.random.bit_generator.state, other.env.step_count = env_random, 64
    other.learn(300, reset_num_timesteps=False)
    assert agent.num_timesteps == other.num_timesteps == 256 + 3 * 128
    np.testing.assert_array_equal(weights_of(agent), weights_of(other))
    mine, theirs = agent.checkpoint(), other.checkpoint()
    assert mine.keys() == theirs.keys()
    for key in mine:
        np.testing.assert_array_equal(mine[key], theirs[key], err_msg=key)


def test_a_checkpoint_is_a_copy_and_may_precede_training() -> None:
    agent = agent_of(FlatPPO, RandomWalkEnv(4))
    fresh = agent.checkpoint()
    assert "last_observations" not in fresh
    first = weights_of(agent.learn(128))
    agent.restore(fresh)
    np.testing.assert_array_equal(weights_of(agent.learn(128)), first)


def test_a_checkpoint_of_another_network_is_refused_and_changes_nothing() -> None:
    agent = agent_of(FlatPPO, RandomWalkEnv(4))
    other = agent_of(FlatPPO, RandomWalkEnv(4), policy_kwargs={"net_arch": [16, 13]}).checkpoint()
    before = weights_of(agent)
    with pytest.raises(UserError, match=r"another network: .*\(13, 16\), not \(12, 16\)"):
        agent.adopt(other)
    np.testing.assert_array_equal(weights_of(agent), before)


@pytest.mark.trap(19)
def test_trap_19_adopting_an_agent_copies_weights_and_optimiser_state_and_nothing_else() -> None:
    source = agent_of(FlatPPO, RandomWalkEnv(4)).learn(256)
    taker = agent_of(FlatPPO, RandomWalkEnv(4), seed=8, learning_rate=5e-5).learn(128)
    random_before = taker._random.bit_generator.state
    taker.adopt(source.checkpoint())
    np.testing.assert_array_equal(weights_of(taker), weights_of(source))
    for vector in ("adam_m", "adam_v"):
        np.testing.assert_array_equal(getattr(taker._parameters, vector), getattr(source._parameters, vector))
    states = taker.policy.optimizer.state.values()
    assert [float(state["step"]) for state in states] == [24.0] * len(states)
    assert taker._random.bit_generator.state == random_before
    assert (taker.num_timesteps, taker.learning_rate) == (128, 5e-5)


def test_policy_arrays_are_read_without_unpickling(tmp_path: Path) -> None:
    agent = agent_of(FlatPPO, RandomWalkEnv(4)).learn(128)
    arrays = policy_arrays(saved(agent, tmp_path))
    state = agent.policy.state_dict()
    assert arrays.keys() == state.keys()
    for name in state:
        np.testing.assert_array_equal(arrays[name], state[name].numpy())


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.target),)


@pytest.mark.trap(25)
def test_trap_25_files_that_are_no_policy_or_run_code_are_refused(tmp_path: Path) -> None:
    path = saved(agent_of(FlatPPO, RandomWalkEnv(4)), tmp_path)
    content = path.read_bytes()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3200000\n"
    bomb = Bomb()
    bomb.target = str(tmp_path / "exploded")
    armed = io.BytesIO()
    with zipfile.ZipFile(armed, "w") as archive:
        archive.writestr("policy.pth", pickle.dumps(bomb))
    for name, bad in {"pointer": pointer, "short": content[: len(content) // 2], "armed": armed.getvalue()}.items():
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(BundleError, match=f"{name}: not a readable policy"):
            layers_of_zip(bad, tmp_path / name)
    with pytest.raises(BundleError, match="missing"):
        read_model(tmp_path / "missing")
    assert not (tmp_path / "exploded").exists()


# Schedules and hyperparameters


@pytest.mark.trap(21)
def test_trap_21_a_learning_rate_set_after_load_takes_effect(tmp_path: Path) -> None:
    agent = FlatPPO.load(saved(agent_of(FlatPPO, RandomWalkEnv(4)).learn(128), tmp_path), env=RandomWalkEnv(4))
    agent.learning_rate = 0.0
    before = weights_of(agent)
    agent.learn(128)
    np.testing.assert_array_equal(weights_of(agent), before)
    agent.learning_rate = 1e-3
    agent.learn(128)
    assert agent.policy.optimizer.param_groups[0]["lr"] == 1e-3
    assert not np.array_equal(weights_of(agent), before)


def test_schedules_of_learning_rate_and_clip_range_are_followed() -> None:
    agent = agent_of(
        FlatPPO, RandomWalkEnv(4), learning_rate=lambda left: 1e-2 * left, clip_range=lambda left: 0.4 * left
    )
    rates = []
    record = FlatPPO.train

    class Recording(FlatPPO):
        def train(self) -> None:
            record(self)
            logged = self.logger.name_to_value
            used = self.policy.optimizer.param_groups[0]["lr"]
            rates.append((used, logged["train/learning_rate"], logged["train/clip_range"]))

    agent.__class__ = Recording
    agent.learn(512)
    np.testing.assert_allclose(rates, [[1e-2 * left] * 2 + [0.4 * left] for left in (0.75, 0.5, 0.25, 0.0)])


def test_clip_range_gamma_and_lambda_set_after_construction_take_effect() -> None:
    changed = agent_of(FlatPPO, RandomWalkEnv(4))
    changed.clip_range, changed.gamma, changed.gae_lambda, changed.ent_coef = 0.05, 0.5, 0.6, 0.3
    built = agent_of(FlatPPO, RandomWalkEnv(4), clip_range=0.05, gamma=0.5, gae_lambda=0.6, ent_coef=0.3)
    np.testing.assert_array_equal(weights_of(changed.learn(256)), weights_of(built.learn(256)))
    assert not np.array_equal(weights_of(built), run_of(256))


# Limits


class MaskedPPO(FlatPPO):
    def mask_logits(self, observations: Array, logits: Array) -> None:
        logits[observations[:, 0] > 0, 1] = -1e8


def test_the_place_for_masks_rules_rollouts_and_updates_alike() -> None:
    agent = collect(agent_of(MaskedPPO, RandomWalkEnv(4)))
    buffer = agent.rollout_buffer
    forbidden = buffer.observations[..., 0] > 0
    assert not (buffer.actions[forbidden] == 1).any()
    assert (buffer.actions[~forbidden] == 1).any()
    agent.n_epochs, agent.batch_size, agent.learning_rate = 1, 32, 0.0
    agent.train()
    assert agent.logger.name_to_value["train/approx_kl"] == pytest.approx(0, abs=1e-7)


def test_a_callback_can_stop_the_rollout_and_sees_each_step() -> None:
    seen = []

    def stop_at_the_tenth(local: dict[str, Any], _: dict[str, Any]) -> bool:
        seen.append(local["rewards"])
        return len(seen) < 10

    agent = agent_of(FlatPPO, RandomWalkEnv(4)).learn(256, callback=stop_at_the_tenth)
    assert (len(seen), agent.num_timesteps, agent._n_updates) == (10, 40, 0)


@pytest.mark.trap(24)
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_trap_24_an_observation_that_is_not_finite_is_an_error_not_an_action(broken: float) -> None:
    class BrokenEnv(RandomWalkEnv):
        def _draw(self) -> np.ndarray:
            observations = super()._draw()
            if getattr(self, "step_count", 0) > 7:
                observations[1, 1:3] = broken
            return observations

    agent = agent_of(FlatPPO, BrokenEnv(4))
    with pytest.raises(DivergenceError, match="no action to take"):
        agent.learn(128)
    assert len(agent.env.actions_seen) == 8


def test_a_loss_that_is_not_finite_stops_with_the_weights_before_it() -> None:
    agent = collect(agent_of(FlatPPO, RandomWalkEnv(4), normalize_advantage=False))
    agent.rollout_buffer.returns[...] = np.inf
    before = weights_of(agent)
    with pytest.raises(DivergenceError, match="loss inf"):
        agent.train()
    np.testing.assert_array_equal(weights_of(agent), before)


class ContinuousEnv(RandomWalkEnv):
    def __init__(self) -> None:
        super().__init__(2)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)


class OneBasedEnv(RandomWalkEnv):
    def __init__(self) -> None:
        super().__init__(2)
        self.action_space = spaces.Discrete(3, start=1)


class DoubleEnv(RandomWalkEnv):
    def __init__(self) -> None:
        super().__init__(2)
        self.observation_space = spaces.Box(-1, 1, (6,), np.float64)


@pytest.mark.parametrize(
    ("env", "changes", "problem"),
    [
        (ContinuousEnv, {}, "actions must be Discrete"),
        (OneBasedEnv, {}, "counted from 0"),
        (DoubleEnv, {}, "float32 vectors"),
        (lambda: RandomWalkEnv(2), {"policy_kwargs": {"activation_fn": torch.nn.ReLU}}, "must be Tanh"),
        (lambda: RandomWalkEnv(2), {"policy_kwargs": {"optimizer_class": torch.optim.SGD}}, "plain Adam"),
        (lambda: RandomWalkEnv(2), {"policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.1}}}, "plain Adam"),
    ],
)
def test_what_it_cannot_train_is_refused_by_name(env: Any, changes: dict[str, Any], problem: str) -> None:
    made: VecEnv = env()
    with pytest.raises(SettingsError, match=problem):
        agent_of(FlatPPO, made, **changes)
