"""Where a policy learns: drawn worlds with the environments of each, every world at a phase of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from engine.errors import SettingsError
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
    is_augmented: bool = False
    """Whether its market is another one than the recorded."""


class Courses(Protocol):
    """Courses one after the other, and how many they are: a list, or what makes them as they are asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Course]: ...


def course_of(
    world: World[Any], spec: ObservationSpec, scaler: Scaler, phase: int, *, is_augmented: bool = False
) -> Course:
    """All hours of a world, decided at one phase."""
    last = world.tape.hours - 1
    return Course(world, at_phase(TrainingMarket.over(world, spec, scaler, 0, last), phase), is_augmented)


def drawn_courses(
    market: MarketData, settings: SomeSettings, drawn: WorldsSettings, spec: ObservationSpec, scaler: Scaler,
    rng: np.random.Generator, rate_cap: Callable[[str], float],
) -> Iterator[Course]:  # fmt: skip
    """Courses in ``drawn.count`` worlds of a market of training hours, one after the other.

    The phases of the clock take turns.
    """
    phases = spec.decide_every_hours
    for k, world in enumerate(drawn_worlds(market, settings, drawn, rng, rate_cap)):
        yield course_of(world, spec, scaler, k % phases, is_augmented=k >= drawn.recorded)


def shares(count: int, is_augmented: Sequence[bool], augmented_share: float | None = None) -> list[int]:
    """How many of ``count`` environments each course gets, as evenly as it goes.

    With ``augmented_share`` so many of them, rounded, are in courses that are augmented, each kind shared out by
    itself. Raises ``SettingsError`` where a kind that is to have some has no course.
    """
    if augmented_share is None:
        return _evenly(count, len(is_augmented))
    augmented = round(count * augmented_share)
    of_kind = {True: augmented, False: count - augmented}
    parts = {kind: _evenly(total, list(is_augmented).count(kind)) for kind, total in of_kind.items()}
    for kind, total in of_kind.items():
        if total and not parts[kind]:
            raise SettingsError(
                f"{total} of {count} environments are to be in {'augmented' if kind else 'recorded'} markets, but no "
                "world has one; change worlds.recorded_share or training.anchor.augmented_share"
            )
    return [parts[kind].pop(0) for kind in is_augmented]


def _evenly(count: int, places: int) -> list[int]:
    least, more = divmod(count, places) if places else (0, 0)
    return [least + (k < more) for k in range(places)]


def shared_out(
    count: int, courses: Sequence[Course], augmented_share: float | None = None
) -> list[tuple[TrainingMarket, int]]:
    """``count`` environments over the courses, as ``shares`` says; those that get none are left out."""
    parts = shares(count, [course.is_augmented for course in courses], augmented_share)
    return [(course.market, share) for course, share in zip(courses, parts, strict=True) if share]


def lessons(
    teacher: Teacher, courses: Courses, *asked: tuple[ImitationSettings, np.random.Generator]
) -> list[Demonstrations]:
    """The teacher in every course, for each that asks: ``settings.n_envs`` portfolios over all of them, each by itself.

    Courses are asked for one at a time, and none is kept.
    """
    count, parts = len(courses), [list[Demonstrations]() for _ in asked]
    shared = [shares(settings.n_envs, [False] * count) for settings, _ in asked]
    rngs = [rng.spawn(count) for _, rng in asked]
    for k, course in enumerate(courses):
        for which, (settings, _) in enumerate(asked):
            if shared[which][k]:
                parts[which].append(_lesson(teacher, course, settings, shared[which][k], rngs[which][k]))
    return [Demonstrations.joined(part) for part in parts]


def _lesson(
    teacher: Teacher, course: Course, settings: ImitationSettings, portfolios: int, rng: np.random.Generator
) -> Demonstrations:
    return demonstrations(
        teacher(course.market.spec.phase), course.world, course.market, rng, portfolios=portfolios,
        decisions=settings.decisions, episode_hours=settings.episode_hours, random_share=settings.random_share,
    )  # fmt: skip
