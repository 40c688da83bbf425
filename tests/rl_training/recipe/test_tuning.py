"""From a rule to a policy: taught by it in every course, softened, trained on by reward from there."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from support_recipe import BRIEF, courses, shown, teacher
from support_structured import NO_SCALER, network, observations

from rl_training.environments.demonstrations import Demonstrations
from rl_training.learners.anchored import AnchoredLearner
from rl_training.learners.extraction import policy_layers
from rl_training.learners.imitation import agreement, entropy
from rl_training.learners.sb3 import weights_from, weights_of
from rl_training.learners.structured import StructuredPolicy
from rl_training.recipe import teaching, tuning
from rl_training.recipe.courses import lessons
from rl_training.settings import AnchorSettings, EpisodeSettings, PPOSettings, TrainingSettings

LEARN = BRIEF.model_copy(update={"decisions": 60, "batch_size": 64, "n_epochs": 8})
ROWS = 64
TUNE = TrainingSettings(
    timesteps=3 * ROWS, n_envs=8, episode=EpisodeSettings(length_hours=24),
    anchor=AnchorSettings(value_updates=1, kl_coef=0.1), ppo=PPOSettings(n_steps=ROWS, batch_size=32, n_epochs=2),
)  # fmt: skip


def bits(policy: StructuredPolicy) -> list[bytes]:
    return [array.tobytes() for part in policy_layers(policy) for array in part]


@pytest.fixture(scope="module")
def pupil() -> StructuredPolicy:
    torch.set_num_threads(1)
    return teaching.taught(teacher, courses(), LEARN, seed=3)[0]


def test_it_learns_from_the_rule_and_is_judged_by_other_windows(pupil: StructuredPolicy) -> None:
    again, found = teaching.taught(teacher, courses(), LEARN, seed=3)
    assert bits(again) == bits(pupil)
    assert bits(teaching.taught(teacher, courses(), LEARN, seed=4)[0]) != bits(pupil)
    # A tenth as many decisions, of a generator of their own.
    assert found.decisions == LEARN.n_envs * 6
    own = agreement(pupil, lessons_for(teaching.LESSONS, 60))
    others = agreement(pupil, lessons_for(teaching.HELD_BACK, 6))
    assert found == others
    assert own.recall > agreement(network(1), lessons_for(teaching.LESSONS, 60)).recall


def lessons_for(purpose: int, decisions: int) -> Demonstrations:
    rng = np.random.default_rng([3, purpose])
    return lessons(teacher, courses(), (LEARN.model_copy(update={"decisions": decisions}), rng))[0]


def test_what_it_begins_at_is_softened_once(pupil: StructuredPolicy) -> None:
    soft, seen = deepcopy(pupil), shown(5)
    start = tuning.start_of(weights_of(pupil), courses()[0].market, 4.0)
    soft.load_state_dict(weights_from(start, soft))
    assert entropy(soft, seen) > entropy(pupil, seen)
    with torch.no_grad():
        before, after = (policy.network.forward_actor(torch.from_numpy(observations())) for policy in (pupil, soft))
    assert torch.equal(before.argmax(dim=1), after.argmax(dim=1))
    halved = start["weights/mlp_extractor.actor.enter.output.bias"] * 4
    np.testing.assert_allclose(halved, pupil.network.actor.enter.output.bias.detach().numpy(), rtol=1e-6)


def test_training_begins_there_in_every_course_and_stays_near(pupil: StructuredPolicy) -> None:
    start = tuning.start_of(weights_of(pupil), courses()[0].market, 4.0)
    begun = tuning.training_from(start, courses(), TUNE, seed=1)
    assert isinstance(begun.learner, AnchoredLearner)
    assert begun.learner.agent.anchor is not None
    for name, array in start.items():
        np.testing.assert_array_equal(begun.state()[name], array)
    assert begun.environment.num_envs == 8
    assert {name.split("/")[1] for name in begun.environment.state() if "group_" in name}
    heard: list[int] = []
    done = tuning.tuned(start, courses(), TUNE, seed=1, progress=heard.append)
    assert heard == [ROWS, 2 * ROWS, 3 * ROWS]
    assert done.steps_done == TUNE.timesteps
    policy = done.policy("x", NO_SCALER, "0" * 16)
    assert (policy.kind, policy.spec.phase, policy.members) == ("structured", 0, 1)
    assert any(not np.array_equal(done.state()[name], array) for name, array in start.items() if ".actor." in name)
    again = tuning.tuned(start, courses(), TUNE, seed=1)
    for name, array in done.state().items():
        np.testing.assert_array_equal(again.state()[name], array, err_msg=name)
