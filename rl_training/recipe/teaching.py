"""A policy that does what a rule does, ready to be trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_training.learners.imitation import Agreement, agreement, imitate, new_network
from rl_training.learners.structured import StructuredPolicy
from rl_training.recipe.courses import Course, Teacher, lessons
from rl_training.settings import ImitationSettings

LESSONS, HELD_BACK = 1, 2
"""What a generator is for, beside the seed."""


def taught(
    teacher: Teacher, courses: Sequence[Course], settings: ImitationSettings, *, seed: int
) -> tuple[StructuredPolicy, Agreement]:
    """A network fitted to a rule in these courses, and how well it does what the rule does.

    How well is asked of other windows than those it learned from, in the same worlds; a tenth as many decisions.
    Raises ``DivergenceError``.
    """
    shown = lessons(teacher, courses, settings, np.random.default_rng([seed, LESSONS]))
    fewer = settings.model_copy(update={"decisions": max(1, settings.decisions // 10)})
    others = lessons(teacher, courses, fewer, np.random.default_rng([seed, HELD_BACK]))
    network = new_network(courses[0].market, seed=seed)
    imitate(network, shown, settings, seed=seed)
    return network, agreement(network, others)
