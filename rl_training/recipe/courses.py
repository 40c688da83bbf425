"""Where a policy learns: drawn worlds with the environments of each, every world at a phase of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.market.data import MarketData
from engine.observation.encoding import ObservationSpec, Scaler
from engine.worlds import AnyWorld, SomeSettings, World
from rl_training.environments.demonstrations import Demonstrations, at_phase, demonstrations
from rl_training.environments.episodes import TrainingMarket
from rl_training.settings import ImitationSettings
from rl_training.worlds.drawing import drawn_worlds
from rl_training.worlds.settings import WorldsSettings
from strategies.plugin import StrategyPlugin

Teacher = Callable[[int], StrategyPlugin]
"""A rule whose clock has the given phase."""


class Course(NamedTuple):
    """A world, and its hours as environments see them."""

    world: AnyWorld
    market: TrainingMarket


def course_of(world: World[Any], spec: ObservationSpec, scaler: Scaler, phase: int) -> Course:
    """All hours of a world, decided at one phase."""
    last = world.tape.hours - 1
    return Course(world, at_phase(TrainingMarket.over(world, spec, scaler, 0, last), phase))


def draw_courses(
    market: MarketData, settings: SomeSettings, drawn: WorldsSettings, spec: ObservationSpec, scaler: Scaler,
    rng: np.random.Generator, rate_cap: Callable[[str], float],
) -> list[Course]:  # fmt: skip
    """Courses in ``drawn.count`` worlds of a market of training hours; the phases of the clock take turns."""
    phases = spec.decide_every_hours
    worlds = drawn_worlds(market, settings, drawn, rng, rate_cap)
    return [course_of(world, spec, scaler, k % phases) for k, world in enumerate(worlds)]


def shared_out(count: int, courses: Sequence[Course]) -> list[tuple[TrainingMarket, int]]:
    """``count`` environments over the courses, as evenly as it goes; those that get none are left out."""
    least, more = divmod(count, len(courses))
    shares = [least + (k < more) for k in range(len(courses))]
    return [(course.market, share) for course, share in zip(courses, shares, strict=True) if share]


def lessons(
    teacher: Teacher, courses: Sequence[Course], settings: ImitationSettings, rng: np.random.Generator
) -> Demonstrations:
    """The teacher in every course: ``settings.n_envs`` portfolios over all of them, each by itself."""
    parts = [
        demonstrations(
            teacher(market.spec.phase), course.world, market, own, portfolios=count, decisions=settings.decisions,
            episode_hours=settings.episode_hours, random_share=settings.random_share,
        )
        for course, (market, count), own in zip(
            courses, shared_out(settings.n_envs, courses), rng.spawn(len(courses)), strict=False
        )
    ]  # fmt: skip
    return Demonstrations.joined(parts)
