"""A policy that does what a rule does, ready to be trained on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rl_training.environments.episodes import TrainingMarket
from rl_training.learners.imitation import Agreement, agreement, imitate, new_network
from rl_training.learners.structured import StructuredPolicy
from rl_training.recipe.courses import Course, Courses, Teacher, lessons
from rl_training.settings import ImitationSettings

LESSONS, HELD_BACK = 1, 2
"""What a generator is for, beside the seed."""


def taught(
    teacher: Teacher, courses: Courses, settings: ImitationSettings, *, seed: int
) -> tuple[StructuredPolicy, Agreement]:
    """A network fitted to a rule in these courses, and how well it does what the rule does.

    How well is asked of other windows than those it learned from, in the same worlds; a tenth as many decisions.
    Raises ``DivergenceError``.
    """
    fewer, seen = settings.model_copy(update={"decisions": max(1, settings.decisions // 10)}), _Seen(courses)
    rngs = [np.random.default_rng([seed, purpose]) for purpose in (LESSONS, HELD_BACK)]
    shown, others = lessons(teacher, seen, (settings, rngs[0]), (fewer, rngs[1]))
    network = new_network(seen.market, seed=seed)
    imitate(network, shown, settings, seed=seed)
    return network, agreement(network, others)


class _Seen:
    """Courses of which the market of the last one is remembered: all of them are observed alike."""

    market: TrainingMarket

    def __init__(self, courses: Courses) -> None:
        self._courses = courses

    def __len__(self) -> int:
        return len(self._courses)

    def __iter__(self) -> Iterator[Course]:
        for course in self._courses:
            self.market = course.market
            yield course
