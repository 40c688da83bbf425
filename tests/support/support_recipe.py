"""A few small worlds to learn in, and a rule that trades in them."""

from __future__ import annotations

from functools import cache

import numpy as np
from support_environment import market, settings
from support_structured import NO_SCALER, SPEC

from rl_training.environments.demonstrations import Demonstrations
from rl_training.recipe.courses import Course, drawn_courses, lessons
from rl_training.settings import ImitationSettings
from rl_training.worlds.settings import AugmentationSettings, ConditionSettings, WorldsSettings
from strategies.plugin import Context
from strategies.week import Week, WeekParameters

WORLDS = WorldsSettings(
    count=6, recorded_share=0.5, augmentation=AugmentationSettings(segment_days=(1, 3)),
    conditions=ConditionSettings(maker_share=0, volume_spread_share=0, exchange_dropout=0, coin_dropout=0),
)  # fmt: skip
BRIEF = ImitationSettings(n_envs=8, decisions=12, episode_hours=48, random_share=0.1)


def teacher(phase: int) -> Week:
    """Week as it trades on a small market full of noise."""
    eager = {"caution": 0, "enter_margin": -1.0, "leave_margin": -2.0, "switch_margin": 1.0}
    parameters = WeekParameters(every_hours=SPEC.decide_every_hours, phase=phase, **eager)
    return Week(parameters, Context(np.random.default_rng(0)))


def drawn(seed: int = 1) -> list[Course]:
    """Three worlds with the recorded market, three with augmented ones."""
    rules = settings(max_positions=SPEC.positions)
    rng = np.random.default_rng(seed)
    return list(drawn_courses(market(), rules, WORLDS, SPEC, NO_SCALER, rng, lambda _: 0.04))


@cache
def courses() -> list[Course]:
    return drawn()


def shown(seed: int = 0, count: int = 6, **more: int) -> Demonstrations:
    """What the rule does in the first courses."""
    return lessons(teacher, courses()[:count], (BRIEF.model_copy(update=more), np.random.default_rng(seed)))[0]
