"""One interval of one agent: what it starts from, what it may take over, and how it is scored."""

from __future__ import annotations

import io
from functools import cache
from math import nan
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from support_environment import FIRST, SPEC, builder, random_policy

from engine.analysis.metrics import fitness
from engine.backtest import run_backtest
from engine.observation.encoding import fit_scaler
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.scoring import play
from rl_training.learners.flat_numerics import towers
from rl_training.learners.ppo import LEARNED
from rl_training.learners.training import Training
from rl_training.pbt.context import TrainingContext
from rl_training.pbt.interval import Trained, evaluate, inherited, train_interval
from rl_training.pbt.population import Assignment
from rl_training.settings import EpisodeSettings, PPOSettings, RewardSettings, TrainingSettings
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy, best_action
from strategies.ppo import Ppo

ROLLOUT = 64
SPLIT = 200
POINT = {"learning_rate": 1e-3, "gamma": 0.97, "gae_lambda": 0.93, "ent_coef": 0.02, "clip_range": 0.3}
OTHER = {"learning_rate": 3e-3, "gamma": 0.99, "gae_lambda": 0.98, "ent_coef": 0.05, "clip_range": 0.1}


@cache
def gym(learner: Any = "flat", seed: int = 5) -> TrainingContext:
    """Training on the first rows of the random market, validation on the rest."""
    made = builder()
    scaler = fit_scaler(made, SPEC, FIRST, SPLIT)
    ppo = PPOSettings(n_steps=ROLLOUT, batch_size=32, n_epochs=2, net_arch=(16, 8))
    return TrainingContext(
        train=TrainingMarket.over(made, SPEC, scaler, FIRST, SPLIT),
        validation=TrainingMarket.over(made, SPEC, scaler, SPLIT + 1, 299),
        training=TrainingSettings(n_envs=4, ppo=ppo, episode=EpisodeSettings(length_hours=20)),
        scaler=scaler,
        cost_table_hash="0" * 16,
        learner=learner,
        seed=seed,
        drawdown_weight=0.5,
    )


def trained(
    agent: int, rollouts: int, own: Trained | None = None, source: Trained | None = None, *, point: Any = None,
    where: TrainingContext | None = None,
) -> Trained:  # fmt: skip
    assignment = Assignment(agent, point or POINT, None if source is None else 99)
    own_state = None if own is None else own.checkpoint
    source_state = None if source is None else source.checkpoint
    return train_interval(where or gym(), assignment, rollouts * ROLLOUT, own_state, source_state)


def assert_same(one: Trained, other: Trained) -> None:
    assert one.checkpoint.keys() == other.checkpoint.keys()
    for name, value in one.checkpoint.items():
        np.testing.assert_array_equal(value, other.checkpoint[name], err_msg=name)
    assert one.log == other.log
    assert one.steps == other.steps


@pytest.mark.parametrize("learner", ["flat", "sb3"])
def test_an_interval_repeats_bit_for_bit(learner: str) -> None:
    where = gym(learner)
    first = trained(0, 2, where=where)
    trained(1, 1, where=where)
    assert_same(trained(0, 2, where=where), first)
    assert_same(trained(0, 4, first, where=where), trained(0, 4, first, where=where))


def test_two_intervals_are_one_longer_one() -> None:
    whole = trained(0, 3)
    for name, value in trained(0, 3, trained(0, 2, trained(0, 1))).checkpoint.items():
        np.testing.assert_array_equal(value, whole.checkpoint[name], err_msg=name)


@pytest.mark.trap(18)
def test_trap_18_agents_have_weights_windows_and_draws_of_their_own() -> None:
    one, other = trained(0, 1), trained(1, 1)
    for name in ("weights/action_net.weight", "random_state", "environment/generator", "environment/rows"):
        assert not np.array_equal(one.checkpoint[name], other.checkpoint[name]), name
    assert not np.array_equal(trained(0, 1, where=gym(seed=6)).checkpoint["environment/rows"],
                              one.checkpoint["environment/rows"])  # fmt: skip


@pytest.mark.trap(19)
@pytest.mark.parametrize("learner", ["flat", "sb3"])
def test_trap_19_a_copy_takes_over_weights_optimiser_and_counters(learner: str) -> None:
    where = gym(learner)
    loser, winner = trained(0, 1, where=where), trained(1, 2, where=where)
    copied = inherited(loser.checkpoint, winner.checkpoint, LEARNED)
    assert copied.keys() == winner.checkpoint.keys()
    moments = [name for name in copied if name.startswith("adam")]
    assert moments
    for name in copied:
        learned = name.startswith(("weights/", "adam")) or name in ("num_timesteps", "n_updates", "progress_remaining")
        np.testing.assert_array_equal(copied[name], (winner if learned else loser).checkpoint[name], err_msg=name)
    assert not np.array_equal(copied["environment/generator"], winner.checkpoint["environment/generator"])
    after = trained(0, 3, loser, winner, where=where)
    assert after.steps == 3 * ROLLOUT
    assert int(after.checkpoint["n_updates"]) == int(winner.checkpoint["n_updates"]) + 2


def test_training_goes_on_with_the_copied_optimiser() -> None:
    loser, winner = trained(0, 2), trained(1, 2)
    without_adam = {
        name: np.zeros_like(value) if name.startswith("adam") else value for name, value in winner.checkpoint.items()
    }
    forgetful = Trained(without_adam, [], winner.steps, None, winner.policy, b"")
    weights = "weights/mlp_extractor.policy_net.0.weight"
    kept, lost = (trained(0, 3, loser, source).checkpoint[weights] for source in (winner, forgetful))
    assert not np.array_equal(kept, lost)


@pytest.mark.trap(21)
@pytest.mark.parametrize("learner", ["flat", "sb3"])
def test_trap_21_new_hyperparameters_are_those_in_force(learner: str) -> None:
    where = gym(learner)
    before = trained(0, 1, where=where)
    after = trained(0, 2, before, point=OTHER, where=where)
    entry = after.log[-1]
    assert entry["train/learning_rate"] == pytest.approx(OTHER["learning_rate"])
    assert entry["train/clip_range"] == pytest.approx(OTHER["clip_range"])
    opened = PPO.load(io.BytesIO(after.model_zip), device="cpu")
    assert (opened.learning_rate, opened.gamma, opened.gae_lambda, opened.ent_coef) == (
        OTHER["learning_rate"], OTHER["gamma"], OTHER["gae_lambda"], OTHER["ent_coef"],
    )  # fmt: skip
    for name in ("gamma", "gae_lambda", "ent_coef"):
        alike = trained(0, 2, before, point={**OTHER, name: POINT[name]}, where=where)
        weights = (
            "weights/mlp_extractor.value_net.0.weight"
            if name in ("gamma", "gae_lambda")
            else ("weights/mlp_extractor.policy_net.0.weight")
        )
        assert not np.array_equal(alike.checkpoint[weights], after.checkpoint[weights]), name


def test_the_zip_holds_the_agent_and_not_the_market() -> None:
    agent = trained(0, 2)
    opened = PPO.load(io.BytesIO(agent.model_zip), device="cpu")
    for name, parameter in opened.policy.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), agent.checkpoint[f"weights/{name}"])
    state = opened.policy.optimizer.state_dict()["state"]
    assert {int(entry["step"]) for entry in state.values()} == {int(agent.checkpoint["adam_step"])}
    assert len(agent.model_zip) < 300_000


@pytest.mark.trap(19)
@pytest.mark.parametrize("learner", ["flat", "sb3"])
def test_trap_19_losses_that_are_no_numbers_fail_the_agent_who_is_healed_by_a_copy(learner: str) -> None:
    where = gym(learner)
    sick = trained(0, 1, where=where)
    poisoned = {
        name: np.full_like(value, nan) if name.startswith("weights/") else value
        for name, value in sick.checkpoint.items()
    }
    broken = trained(0, 2, Trained(poisoned, [], sick.steps, None, sick.policy, b""), where=where)
    assert broken.failure
    score = evaluate(where, broken)
    assert np.isnan(score.fitness)
    assert score.metrics == {}
    healthy = trained(1, 2, where=where)
    healed = trained(0, 3, broken, healthy, where=where)
    assert healed.failure is None
    assert healed.steps == 3 * ROLLOUT
    assert np.isfinite(evaluate(where, healed).fitness)


def test_a_policy_without_a_finite_answer_has_no_fitness() -> None:
    agent = trained(0, 1)
    weights = (*agent.policy.weights[:-1], np.full_like(agent.policy.weights[-1], nan))
    policy = type(agent.policy)("nan", SPEC, gym().scaler, weights, agent.policy.biases, "0" * 16)
    assert np.isnan(evaluate(gym(), Trained({}, [], 0, None, policy, b"")).fitness)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("latency", [0, 2])
def test_scoring_is_the_backtest(seed: int, latency: int) -> None:
    made = builder(latency_hours=latency)
    policy = random_policy(seed)
    course = TrainingMarket.over(made, SPEC, policy.scaler, FIRST, 280)
    records, reward = play(policy, course, RewardSettings())
    expected = run_backtest(made, strategy_of(policy), FIRST, 280)
    assert len(expected.trades) > 3
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(records, name).tobytes() == getattr(expected, name).tobytes(), name
    gained = (records.hours["equity"][-1] / 10_000.0 - 1) * 100
    assert reward == pytest.approx(3.0 * gained, rel=1e-9)


@pytest.mark.trap(17)
def test_trap_17_agents_are_scored_on_validation_rows_only() -> None:
    agent = trained(0, 2)
    score = evaluate(gym(), agent)
    expected = run_backtest(gym_builder(), strategy_of(agent.policy), SPLIT + 1, 299)
    assert score.metrics["final_equity_usd"] == expected.hours["equity"][-1]
    assert score.metrics["hours"] == 299 - SPLIT
    assert score.fitness == fitness(score.metrics, 0.5)


def strategy_of(policy: Policy) -> Ppo:
    return Ppo(NoParameters(), Context(np.random.default_rng(0), (policy,)))


def gym_builder() -> Any:
    return builder()


def test_batch_and_single_rows_give_the_same_action_on_every_validation_hour() -> None:
    agent = trained(0, 3)
    training = Training(gym().train, gym().training, seed=1)
    training.restore(agent.checkpoint)
    policy = training.policy("x", gym().scaler, "0" * 16)
    observations = _seen_while_playing(policy)
    actor, _ = towers(training.learner.agent._parameters, len(observations))  # type: ignore[attr-defined]  # FlatPPO's
    batch = actor.forward(observations).argmax(axis=1)
    single = [best_action(policy, row) for row in observations]
    assert batch.tolist() == single
    assert len(set(single)) > 1


def _seen_while_playing(policy: Any) -> Any:
    """Every observation of the validation range along the policy's own path."""
    seen: list[Any] = []
    strategy = strategy_of(policy)

    class Watching:
        def decide(self, view: Any) -> Any:
            seen.append(view.observe(policy.encoding, policy.spec)[0])
            return strategy.decide(view)

    run_backtest(builder(), Watching(), SPLIT + 1, 299)
    return np.array(seen)
