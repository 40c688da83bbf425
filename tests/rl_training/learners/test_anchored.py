"""The learner 'anchored': where it begins, what it holds on to, and that a state is all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support_environment import course
from support_structured import NO_SCALER, market, network

from engine.errors import SettingsError
from rl_training.learners.anchored import AnchoredLearner
from rl_training.learners.extraction import policy_layers
from rl_training.learners.sb3 import weights_of
from rl_training.learners.structured import StructuredPolicy
from rl_training.learners.training import Training
from rl_training.settings import AnchorSettings, EpisodeSettings, PPOSettings, TrainingSettings

ROWS = 64
ANCHOR = AnchorSettings(kl_coef=0.3, value_updates=1, target_kl=None)


def training(seed: int = 1, *, anchor: AnchorSettings = ANCHOR) -> tuple[Training, AnchoredLearner]:
    settings = TrainingSettings(
        n_envs=4, episode=EpisodeSettings(length_hours=24), anchor=anchor,
        ppo=PPOSettings(n_steps=ROWS, batch_size=32, n_epochs=2, learning_rate=1e-3),
    )  # fmt: skip
    made = Training(market(), settings, seed=seed, learner="anchored")
    assert isinstance(made.learner, AnchoredLearner)
    return made, made.learner


def pupil() -> StructuredPolicy:
    return network(7, spread=0.2)


def begun(seed: int = 1, **more: Any) -> tuple[Training, AnchoredLearner]:
    made, learner = training(seed, **more)
    learner.begin_at(weights_of(pupil()))
    return made, learner


def same(one: Training, other: Training) -> bool:
    first, second = one.state(), other.state()
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


def actor_bytes(policy: StructuredPolicy) -> list[bytes]:
    return [array.tobytes() for part in policy_layers(policy) for array in part]


def test_it_begins_at_the_weights_that_it_is_given_critic_and_all_and_holds_on_to_its_actor() -> None:
    made, learner = begun()
    for name, tensor in pupil().state_dict().items():
        assert torch.equal(learner.agent.policy.state_dict()[name], tensor), name
    policy = made.policy("x", NO_SCALER, "0" * 16)
    assert [array.tobytes() for part in (policy.weights, policy.biases) for array in part] == actor_bytes(pupil())
    made.run(3 * ROWS)
    assert actor_bytes(learner.agent.structured) != actor_bytes(pupil())
    assert learner.agent.anchor is not None
    for name, tensor in pupil().network.actor.state_dict().items():
        assert torch.equal(learner.agent.anchor.state_dict()[name], tensor), name


def test_weights_that_it_was_given_are_its_own() -> None:
    start = weights_of(pupil())
    kept = {name: array.copy() for name, array in start.items()}
    made, learner = training()
    learner.begin_at(start)
    made.run(3 * ROWS)
    for name, array in start.items():
        np.testing.assert_array_equal(array, kept[name])


def test_from_scratch_it_holds_on_to_nothing() -> None:
    made, learner = training()
    made.run(3 * ROWS)
    assert learner.agent.anchor is None
    assert not any(name.startswith("anchor/") for name in made.state())


def test_its_settings_reach_the_agent() -> None:
    _, learner = training(anchor=AnchorSettings(kl_coef=0.25, value_updates=3, target_kl=0.5))
    assert (learner.agent.anchor_coef, learner.agent.value_updates, learner.agent.target_kl) == (0.25, 3, 0.5)


@pytest.mark.parametrize("rollouts", [1, 2])
def test_what_is_restored_goes_on_bit_for_bit_with_its_anchor_and_its_shuffles(rollouts: int) -> None:
    """After one rollout the optimiser knows the critic alone."""
    whole, _ = begun()
    whole.run(rollouts * ROWS)
    state = whole.state()
    assert {name for name in state if name.startswith("anchor/")} == set(weights_of(pupil().network.actor, "anchor/"))
    whole.run(4 * ROWS)
    # Neither has begun anywhere: what it began at, and holds on to, comes from the state.
    resumed, learner = training(seed=2)
    resumed.restore(state)
    resumed.run(4 * ROWS)
    assert same(whole, resumed)
    assert learner.agent.anchor is not None
    for name in ("anchor/enter.output.weight", "shuffles"):
        other, _ = training(seed=2)
        other.restore({**state, name: begun(seed=3)[0].state()[name] * (2 if name.startswith("anchor/") else 1)})
        other.run(4 * ROWS)
        assert not same(whole, other), name


def test_a_state_without_an_anchor_leaves_none() -> None:
    whole, _ = training()
    whole.run(ROWS)
    state = whole.state()
    whole.run(3 * ROWS)
    resumed, learner = begun()
    resumed.restore(state)
    resumed.run(3 * ROWS)
    assert learner.agent.anchor is None
    assert same(whole, resumed)


def test_a_copy_takes_over_what_it_is_held_near_and_no_generator() -> None:
    made, learner = begun()
    made.run(2 * ROWS)
    taken = {name for name in made.state() if name.startswith(learner.learned)}
    assert {"anchor/enter.output.weight", "weights/value_net.bias", "num_timesteps", "n_updates"} <= taken
    assert not {"shuffles", "torch_generator"} & taken


def test_observations_of_version_1_are_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match=r"observation\.version=2"):
        Training(course(), TrainingSettings(n_envs=4), seed=0, learner="anchored")
