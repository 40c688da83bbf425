"""A policy that was taught, trained on by reward in the same courses, and held near what it was taught."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from rl_training.environments.episodes import TrainingMarket
from rl_training.learners.imitation import new_network, soften
from rl_training.learners.sb3 import weights_from, weights_of
from rl_training.learners.training import Training
from rl_training.recipe.courses import Course, shared_out
from rl_training.settings import TrainingSettings


def start_of(
    imitation: Mapping[str, NDArray[Any]], market: TrainingMarket, softening: float
) -> dict[str, NDArray[Any]]:
    """What PPO begins at: the weights of an imitation (``weights_of``), its logits divided by ``softening``."""
    network = new_network(market, seed=0)
    network.load_state_dict(weights_from(imitation, network))
    soften(network, softening)
    return weights_of(network)


def training_from(
    start: Mapping[str, NDArray[Any]], courses: Sequence[Course], settings: TrainingSettings, *, seed: int
) -> Training:
    """A training by ``anchored`` in these courses that begins at a start. Raises ``SettingsError``."""
    groups = shared_out(settings.n_envs, courses, settings.anchor.augmented_share)
    training = Training(courses[0].market, settings, seed=seed, learner="anchored", groups=groups)
    training.begin_at(start)
    return training


def tuned(
    start: Mapping[str, NDArray[Any]], courses: Sequence[Course], settings: TrainingSettings, *, seed: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Training:  # fmt: skip
    """``settings.timesteps`` decisions of PPO from a start. Raises ``DivergenceError``."""
    training = training_from(start, courses, settings, seed=seed)
    training.run(settings.timesteps, progress=progress)
    return training
