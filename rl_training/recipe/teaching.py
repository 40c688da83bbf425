"""A policy that does what a rule does, ready to be trained on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engine.errors import SettingsError
from rl_training.environments.demonstrations import Demonstrations
from rl_training.environments.episodes import TrainingMarket
from rl_training.learners.imitation import Agreement, agreement, imitate, new_network
from rl_training.learners.structured import StructuredPolicy
from rl_training.recipe.courses import Course, Teacher, lesson, shares
from rl_training.settings import ImitationSettings

LESSONS, HELD_BACK = 1, 2
"""What a generator is for, beside the seed."""


def taught(
    teacher: Teacher, courses: Iterable[Course], settings: ImitationSettings, *, seed: int, count: int
) -> tuple[StructuredPolicy, Agreement]:
    """A network fitted to a rule in these ``count`` courses, and how well it does what the rule does.

    ``settings.n_envs`` portfolios are shared out over the courses, which are asked for one at a time: none of them is
    kept. How well is asked of other windows than those it learned from, in the same worlds; a tenth as many decisions.
    Raises ``DivergenceError``, and ``SettingsError`` without a course.
    """
    fewer = settings.model_copy(update={"decisions": max(1, settings.decisions // 10)})
    rngs = [np.random.default_rng([seed, purpose]).spawn(count) for purpose in (LESSONS, HELD_BACK)]
    market: TrainingMarket | None = None
    shown, others = list[Demonstrations](), list[Demonstrations]()
    for course, portfolios, own, other in zip(courses, shares(settings.n_envs, [False] * count), *rngs, strict=True):
        market = market or course.market
        if portfolios:
            shown.append(lesson(teacher, course, settings, portfolios, own))
            others.append(lesson(teacher, course, fewer, portfolios, other))
    if market is None:
        raise SettingsError("there is no course to learn in")
    network = new_network(market, seed=seed)
    imitate(network, Demonstrations.joined(shown), settings, seed=seed)
    return network, agreement(network, Demonstrations.joined(others))
