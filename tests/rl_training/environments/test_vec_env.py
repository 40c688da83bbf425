"""The vectorised environment: independence of its portfolios, cut and closed episodes, seeds, kept state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support_environment import FIRST, LAST, course, random_valid, vec_environment

from engine.accounting.records import Records
from engine.errors import UserError
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.vec_env import FundingVecEnv
from rl_training.settings import EpisodeSettings

SHORT = EpisodeSettings(length_hours=12)


def assert_same_records(one: Records, two: Records) -> None:
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name


@pytest.mark.parametrize("portfolios", [1, 5, 64])
def test_each_portfolio_lives_as_if_it_were_alone(portfolios: int) -> None:
    """Rewards, observations and ledgers of the vectorised portfolios are those of single environments, bit for bit."""
    made, steps = course(), 60
    episode = EpisodeSettings(length_hours=steps, close_at_end=True)
    rng = np.random.default_rng(1)
    firsts = rng.integers(FIRST, LAST - steps, portfolios)
    vec = FundingVecEnv(made, portfolios, np.random.default_rng(0), episode=episode, recording_hours=8)
    vec.set_options([{"first": int(first), "last": int(first) + steps} for first in firsts])
    observations = [vec.reset()]
    actions, rewards = [], []
    for _ in range(steps):
        actions.append(random_valid(vec.action_masks(), rng))
        seen, reward, dones, infos = vec.step(actions[-1])
        observations.append(
            np.array([info.get("terminal_observation", row) for info, row in zip(infos, seen, strict=True)])
        )
        rewards.append(reward)
    assert dones.all()
    for b in range(0, portfolios, 7):
        env = FundingArbitrageEnv(made, episode=episode, recording_hours=200)
        alone = [env.reset(options={"first": int(firsts[b]), "last": int(firsts[b]) + steps})[0]]
        for k in range(steps):
            observation, reward_alone, terminated, truncated, _ = env.step(actions[k][b])
            alone.append(observation)
            assert reward_alone == rewards[k][b]
        assert terminated
        assert not truncated
        np.testing.assert_array_equal(np.array(alone), np.array([row[b] for row in observations]))
        assert_same_records(env.records(), vec.records(b))


def test_an_episode_is_cut_at_its_length_and_its_end_can_be_bootstrapped() -> None:
    vec = vec_environment(3, episode=SHORT)
    observations = vec.reset()
    for step in range(1, 40):
        before = observations
        observations, _, dones, infos = vec.step(np.zeros(3, np.int64))
        assert dones.tolist() == [step % 12 == 0] * 3
        for b, info in enumerate(infos):
            if step % 12:
                assert info == {}
                continue
            assert info["TimeLimit.truncated"] is True
            assert info["episode"]["l"] == 12
            # What was seen last, not what the next episode begins with.
            assert info["terminal_observation"].shape == before[b].shape
            assert not np.array_equal(info["terminal_observation"], observations[b])
            assert observations[b][2] == 0.0


def test_a_cut_episode_keeps_its_positions_and_the_end_shows_them() -> None:
    vec = vec_environment(4, episode=EpisodeSettings(length_hours=20), recording_hours=64)
    rng, held, closing_fees = np.random.default_rng(0), 0, 0
    vec.reset()
    for _ in range(100):
        _, _, dones, infos = vec.step(random_valid(vec.action_masks(), rng))
        for b in np.flatnonzero(dones):
            held += infos[b]["terminal_observation"][2] > 0
            reasons = vec.records(b).trades["reason"]
            closing_fees += int((reasons == 4).sum())
    assert held > 5
    assert closing_fees == 0


def test_close_at_end_is_no_truncation() -> None:
    vec = vec_environment(2, episode=EpisodeSettings(length_hours=5, close_at_end=True))
    vec.reset()
    for _ in range(5):
        _, _, dones, infos = vec.step(np.zeros(2, np.int64))
    assert dones.all()
    assert [info["TimeLimit.truncated"] for info in infos] == [False, False]


def test_info_of_an_episode_sums_its_rewards() -> None:
    vec = vec_environment(3, episode=SHORT)
    rng, sums = np.random.default_rng(0), np.zeros(3)
    vec.reset()
    for _ in range(48):
        _, rewards, dones, infos = vec.step(random_valid(vec.action_masks(), rng))
        sums += rewards
        for b in np.flatnonzero(dones):
            assert infos[b]["episode"]["r"] == pytest.approx(sums[b], rel=1e-5, abs=1e-6)
            sums[b] = 0.0


def rollout(vec: FundingVecEnv, steps: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [vec.step(random_valid(vec.action_masks(), rng))[:3] for _ in range(steps)]


def same(one: list[Any], two: list[Any]) -> bool:
    return all(np.array_equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.trap(18)
def test_trap_18_runs_repeat_by_seed_and_environments_differ_among_themselves() -> None:
    runs = []
    for seed in (3, 3, 4):
        vec = vec_environment(16, episode=SHORT)
        vec.seed(seed)
        vec.reset()
        assert len(set(vec.episodes.loop.rows.tolist())) > 10
        runs.append(rollout(vec, 40))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.trap(18)
def test_trap_18_windows_come_from_the_generator_given_not_from_a_global_one() -> None:
    runs = []
    for noise in (0, 1):
        np.random.seed(noise)  # noqa: NPY002  # the point of the test
        vec = vec_environment(4, seed=7, episode=SHORT)
        vec.reset()
        runs.append(rollout(vec, 30))
    assert same(*runs)


def test_kept_state_goes_on_as_if_it_had_never_stopped() -> None:
    vec = vec_environment(5, episode=SHORT)
    vec.seed(1)
    vec.reset()
    rollout(vec, 17)
    state = vec.state()
    expected = rollout(vec, 50, seed=2)
    other = vec_environment(5, seed=99, episode=SHORT)
    other.restore(state)
    assert same(rollout(other, 50, seed=2), expected)


def test_state_of_other_environments_is_refused() -> None:
    state = vec_environment(5, episode=SHORT).state()
    with pytest.raises(UserError, match="other environments"):
        vec_environment(4, episode=SHORT).restore(state)


def test_returned_arrays_are_not_written_again() -> None:
    vec = vec_environment(2, episode=SHORT)
    first = vec.reset()
    kept = first.copy()
    second = vec.step(np.ones(2, np.int64))
    kept_second = [array.copy() for array in second[:3]]
    rollout(vec, 15)
    np.testing.assert_array_equal(first, kept)
    assert all(np.array_equal(a, b) for a, b in zip(second[:3], kept_second, strict=True))


def test_an_action_that_does_not_exist_is_an_error() -> None:
    vec = vec_environment(3, episode=SHORT)
    vec.reset()
    with pytest.raises(UserError, match=r"outside 0\.\.8"):
        vec.step(np.array([0, 9, 0]))


def test_too_few_actions_are_an_error() -> None:
    vec = vec_environment(3, episode=SHORT)
    vec.reset()
    with pytest.raises(UserError, match="2 actions were given for 3"):
        vec.step(np.array([0, 0]))


def test_masks_come_through_the_method_that_masked_policies_call() -> None:
    vec = vec_environment(3, episode=SHORT)
    vec.reset()
    np.testing.assert_array_equal(np.stack(vec.env_method("action_masks")), vec.action_masks())
    with pytest.raises(AttributeError):
        vec.env_method("something")


def test_records_are_those_of_the_finished_episode_until_the_next_step() -> None:
    vec = vec_environment(2, episode=EpisodeSettings(length_hours=12, close_at_end=True), recording_hours=8)
    rng = np.random.default_rng(0)
    vec.reset()
    for _ in range(12):
        vec.step(random_valid(vec.action_masks(), rng))
    assert len(vec.records(0).hours) == 13
    vec.step(np.zeros(2, np.int64))
    assert len(vec.records(0).hours) == 1
