"""Learned policies: one inference, row by row; the strategies that play them; what a tie and a NaN do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from support_environment import FIRST, LAST, SPEC, builder, course, random_policy, vec_environment

from engine.accounting.records import Records
from engine.backtest import run_backtest
from engine.errors import UserError
from engine.observation.encoding import ObservationSpec
from engine.observation.view import Enter, Exit
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.learners.extraction import layers_of
from rl_training.settings import EpisodeSettings
from strategies.ensemble import Ensemble, majority
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy, best_action, logits
from strategies.ppo import Ppo, orders_of


@pytest.fixture(scope="module")
def observations() -> np.ndarray:
    """Real observations of random play, and wild ones."""
    env = vec_environment(8)
    rng = np.random.default_rng(0)
    seen = [env.reset()]
    seen += [env.step(rng.integers(0, 9, 8))[0] for _ in range(100)]
    wild = rng.normal(0, 5, (200, SPEC.size)).astype(np.float32)
    return np.concatenate([*seen, wild])


@pytest.fixture(scope="module")
def agent() -> PPO:
    return PPO("MlpPolicy", vec_environment(2), policy_kwargs={"net_arch": [256, 256, 128]}, seed=3, device="cpu")


def strategy(*policies: Policy, kind: type[Ppo] | type[Ensemble] = Ppo) -> Ppo | Ensemble:
    return kind(NoParameters(), Context(np.random.default_rng(0), policies))


def deployed(agent: PPO) -> Policy:
    return Policy("x", SPEC, random_policy().scaler, *layers_of(agent), "0" * 16)


def test_logits_are_those_of_stable_baselines3(agent: PPO, observations: np.ndarray) -> None:
    policy = deployed(agent)
    with torch.no_grad():
        expected = agent.policy.get_distribution(torch.from_numpy(observations)).distribution.logits.numpy()
    mine = np.stack([logits(policy, row) for row in observations])
    # torch's categorical normalises its logits.
    mine = mine - np.log(np.exp(mine.astype(np.float64)).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(mine, expected, atol=1e-5)


@pytest.mark.trap(23)
def test_trap_23_row_by_row_and_batched_inference_choose_the_same_actions(agent: PPO, observations: np.ndarray) -> None:
    batched, _ = agent.predict(observations, deterministic=True)
    mine = [best_action(deployed(agent), row) for row in observations]
    assert mine == batched.tolist()
    assert len(set(mine)) > 2


def test_inference_does_not_depend_on_the_rows_around_it(observations: np.ndarray) -> None:
    policy = random_policy(hidden=(256, 256, 128))
    alone = logits(policy, observations[7].copy())
    shifted = np.zeros(SPEC.size + 1, np.float32)[1:]
    shifted[:] = observations[7]
    assert alone.tobytes() == logits(policy, observations[7]).tobytes() == logits(policy, shifted).tobytes()


def test_a_tie_goes_to_the_lowest_action() -> None:
    policy = random_policy()
    flat = replace(policy, weights=tuple(np.zeros_like(w) for w in policy.weights), biases=_tied(policy))
    assert best_action(flat, np.ones(SPEC.size, np.float32)) == 2


def _tied(policy: Policy) -> tuple[np.ndarray, ...]:
    last = np.array([0, 0, 1, 1, 0, 1, 0, 0, 0], np.float32)
    return (*(np.zeros_like(b) for b in policy.biases[:-1]), last)


@pytest.mark.trap(24)
def test_trap_24_an_observation_that_is_not_finite_is_an_error_not_a_hold() -> None:
    broken = np.zeros(SPEC.size, np.float32)
    broken[3] = np.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        best_action(random_policy(), broken)


def test_actions_become_orders() -> None:
    visible = np.array([11, 12, -1, -1, -1])
    assert orders_of(0, visible) == []
    assert orders_of(2, visible) == [Enter(12)]
    assert orders_of(4, visible) == [Enter(-1)]
    assert orders_of(6, visible) == [Exit(0)]
    assert orders_of(8, visible) == [Exit(2)]


def backtest(player: Ppo | Ensemble) -> Records:
    return run_backtest(builder(), player, FIRST, LAST)


def eager(seed: int) -> Policy:
    """A policy that trades: random policies that hold all the time test nothing."""
    policy = random_policy(seed)
    return replace(policy, scaler=random_policy(0).scaler, weights=tuple(4 * w for w in policy.weights))


@pytest.mark.trap(23)
def test_trap_23_a_policy_plays_the_same_in_backtest_and_environment() -> None:
    policy = eager(1)
    records = backtest(strategy(policy))
    env = FundingArbitrageEnv(
        course_of(policy), episode=EpisodeSettings(length_hours=LAST - FIRST, close_at_end=True), recording_hours=400
    )
    observation, _ = env.reset(options={"first": FIRST, "last": LAST})
    over = False
    while not over:
        observation, _, over, _, _ = env.step(best_action(policy, observation))
    assert len(records.trades) > 5
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(records, name).tobytes() == getattr(env.records(), name).tobytes(), name


def course_of(policy: Policy) -> object:
    from rl_training.environments.episodes import TrainingMarket

    return TrainingMarket.over(builder(), policy.spec, policy.scaler, FIRST, LAST)


def test_majority_and_its_tie() -> None:
    assert majority([3, 5, 5]) == 5
    assert majority([5, 2, 2, 5]) == 2
    assert majority([8, 0]) == 0


def test_an_ensemble_of_one_mind_plays_as_that_mind() -> None:
    one = backtest(strategy(eager(1)))
    three = backtest(strategy(eager(1), eager(1), eager(1), kind=Ensemble))
    assert one.ledger.tobytes() == three.ledger.tobytes()
    assert len(one.trades) > 5


def test_an_ensemble_outvotes_one_member() -> None:
    mixed = backtest(strategy(eager(1), eager(2), eager(1), kind=Ensemble))
    assert mixed.ledger.tobytes() == backtest(strategy(eager(1))).ledger.tobytes()
    assert mixed.ledger.tobytes() != backtest(strategy(eager(2))).ledger.tobytes()


def test_an_ensemble_of_different_observations_is_refused() -> None:
    other = random_policy(1, ObservationSpec(opportunities=4))
    with pytest.raises(UserError, match="share one observation spec"):
        strategy(random_policy(0), other, kind=Ensemble)


@pytest.mark.trap(23)
def test_trap_23_a_policy_of_other_positions_than_the_run_does_not_play() -> None:
    policy = random_policy(0, ObservationSpec(positions=2))
    with pytest.raises(UserError, match="positions"):
        backtest(strategy(policy))


def test_course_and_policy_specs_agree_on_size() -> None:
    assert course().spec.size == random_policy().weights[0].shape[0]
