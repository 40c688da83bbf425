"""Groups of portfolios in several markets: each lives as if it were alone, and one group is the plain environment."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from support_environment import FIRST, HOURS, LAST, SPEC, course, random_valid, settings
from support_environment import market as recorded

from engine.errors import UserError
from engine.observation.encoding import ObservationSpec, fit_scaler
from engine.worlds import World
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.grouped_vec_env import GroupedVecEnv
from rl_training.environments.vec_env import FundingVecEnv, PortfolioVecEnv
from rl_training.learners.flat import FlatLearner
from rl_training.settings import EpisodeSettings, PPOSettings, TrainingSettings

SHORT = EpisodeSettings(length_hours=12)


@cache
def markets() -> tuple[TrainingMarket, ...]:
    """The random market, the same filled late and dearer, and the same with wallets."""
    return course(), course(latency_hours=1, cost_multiple=2.0), course(account="by_exchange")


def grouped(counts: tuple[int, ...], seed: int = 0, **options: Any) -> GroupedVecEnv:
    return GroupedVecEnv(
        list(zip(markets(), counts, strict=False)), np.random.default_rng(seed), **({"episode": SHORT} | options)
    )


def played(vec: PortfolioVecEnv, steps: int = 40, seed: int = 0) -> list[Any]:
    """Everything that came of random valid actions."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(steps):
        masks = vec.action_masks()
        observations, rewards, dones, infos = vec.step(random_valid(masks, rng))
        endings = [np.concatenate([info["terminal_observation"], [info["equity"]]]) for info in infos if info]
        found.append((masks, observations, rewards, dones, np.array(endings)))
    return found


def same(one: list[Any], two: list[Any]) -> bool:
    return all(np.array_equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("is_seeded", [True, False])
def test_one_group_is_the_plain_environment_bit_for_bit(is_seeded: bool) -> None:
    alone = FundingVecEnv(markets()[0], 5, np.random.default_rng(4), episode=SHORT, recording_hours=8)
    one = grouped((5,), seed=4, recording_hours=8)
    assert (one.observation_space, one.action_space) == (alone.observation_space, alone.action_space)
    if is_seeded:
        assert one.seed(11) == alone.seed(11)
    np.testing.assert_array_equal(one.reset(), alone.reset())
    assert same(played(one), played(alone))
    for b in range(5):
        assert one.records(b).ledger.tobytes() == alone.records(b).ledger.tobytes()


def test_each_group_lives_as_if_it_were_alone_in_its_market() -> None:
    """Under the same windows and actions: rewards, observations and records of each portfolio."""
    counts, steps = (3, 2, 4), 30
    episode = EpisodeSettings(length_hours=steps, close_at_end=True)
    vec = grouped(counts, episode=episode, recording_hours=64)
    rng = np.random.default_rng(1)
    options = [{"first": int(first), "last": int(first) + steps} for first in rng.integers(FIRST, LAST - steps, 9)]
    vec.set_options(options)
    seen, actions, rewards = [vec.reset()], [], []
    for _ in range(steps):
        actions.append(random_valid(vec.action_masks(), rng))
        observations, reward, dones, _ = vec.step(actions[-1])
        seen.append(observations)
        rewards.append(reward)
    assert dones.all()
    start = 0
    for made, count in zip(markets(), counts, strict=True):
        part = slice(start, start + count)
        alone = FundingVecEnv(made, count, np.random.default_rng(0), episode=episode, recording_hours=64)
        alone.set_options(options[part])
        np.testing.assert_array_equal(alone.reset(), seen[0][part])
        for k in range(steps):
            observations, reward, _, _ = alone.step(actions[k][part])
            np.testing.assert_array_equal(reward, rewards[k][part])
            if k < steps - 1:
                np.testing.assert_array_equal(observations, seen[k + 1][part])
        for b in range(count):
            for name in ("ledger", "trades", "notes", "hours"):
                assert getattr(alone.records(b), name).tobytes() == getattr(vec.records(start + b), name).tobytes()
        start += count


def test_more_groups_change_nothing_in_those_before_them() -> None:
    short, long = grouped((3, 2), seed=5), grouped((3, 2, 4), seed=5)
    np.testing.assert_array_equal(short.reset(), long.reset()[:5])
    for _ in range(30):
        ours, theirs = short.step(np.ones(5, np.int64)), long.step(np.ones(9, np.int64))
        for k in range(3):
            np.testing.assert_array_equal(ours[k], theirs[k][:5])


def test_groups_of_one_market_draw_windows_of_their_own() -> None:
    vec = GroupedVecEnv([(markets()[0], 8), (markets()[0], 8)], np.random.default_rng(0), episode=SHORT)
    for seed in (None, 3):
        if seed is not None:
            vec.seed(seed)
        vec.reset()
        rows = [group.episodes.loop.rows.tolist() for group in vec.groups]
        assert rows[0] != rows[1]


@pytest.mark.trap(18)
def test_trap_18_groups_repeat_by_seed() -> None:
    runs = []
    for seed in (3, 3, 4):
        vec = grouped((2, 3, 2), seed=seed + 100)
        vec.seed(seed)
        vec.reset()
        runs.append(played(vec))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_kept_state_goes_on_as_if_it_had_never_stopped() -> None:
    vec = grouped((2, 3, 2))
    vec.reset()
    played(vec, 17)
    state = vec.state()
    expected = played(vec, 50, seed=2)
    other = grouped((2, 3, 2), seed=99)
    other.restore(state)
    assert same(played(other, 50, seed=2), expected)


@pytest.mark.parametrize("counts", [(2, 2), (2, 3, 1), (2,)])
def test_state_of_other_environments_is_refused_and_changes_nothing(counts: tuple[int, ...]) -> None:
    vec, twin = grouped((2, 3)), grouped((2, 3))
    vec.reset()
    twin.reset()
    other = grouped(counts, seed=7)
    other.reset()
    with pytest.raises(UserError, match="other environments"):
        vec.restore(other.state())
    assert same(played(vec), played(twin))


def refused(actions: list[int], reason: str) -> None:
    vec, twin = grouped((2, 3)), grouped((2, 3))
    vec.reset()
    twin.reset()
    with pytest.raises(UserError, match=reason):
        vec.step(np.array(actions))
    assert same(played(vec), played(twin))


@pytest.mark.parametrize("bad", [9, -1])
def test_nothing_happens_in_any_group_for_an_action_that_does_not_exist(bad: int) -> None:
    refused([1, 1, 1, 1, bad], r"outside 0\.\.8")


def test_nothing_happens_in_any_group_for_too_few_actions() -> None:
    refused([1, 1], "2 actions were given for 5")


def test_masks_come_through_the_method_that_masked_policies_call() -> None:
    vec = grouped((2, 3))
    vec.reset()
    np.testing.assert_array_equal(np.stack(vec.env_method("action_masks")), vec.action_masks())


def test_markets_of_other_observations_and_none_at_all_are_refused() -> None:
    spec = ObservationSpec(ranking="net_funding_168h_bps")
    assert spec.size == SPEC.size
    with pytest.raises(UserError, match="different observations"):
        GroupedVecEnv([(markets()[0], 2), (course(spec), 2)], np.random.default_rng(0))
    with pytest.raises(UserError, match="no market"):
        GroupedVecEnv([], np.random.default_rng(0))
    with pytest.raises(UserError, match="no portfolio 5"):
        grouped((2, 3), recording_hours=8).records(5)


def test_a_learner_learns_in_several_markets_at_once() -> None:
    """A step of training in markets with other coins, which have other pairs but the same observation."""
    world = World.of(recorded(), settings())
    scaler = fit_scaler(world, SPEC, FIRST, LAST)
    made = [TrainingMarket.over(each, SPEC, scaler, FIRST, HOURS - 1) for each in (world, world.late())]
    asked = TrainingSettings(
        n_envs=4, episode=SHORT, ppo=PPOSettings(n_steps=64, batch_size=32, n_epochs=1, net_arch=(8,))
    )
    vec = GroupedVecEnv([(each, 2) for each in made], np.random.default_rng(0), episode=SHORT)
    learner = FlatLearner(vec, asked, seed=0)
    learner.train(64, lambda _: None)
    assert learner.steps_done == 64
