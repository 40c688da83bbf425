"""One network of a recipe: a fold and a seed, from demonstrations to the weights that PPO has at its end."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from adapters.configuration.settings import ArbSettings
from adapters.research.courses import courses_from
from adapters.research.policy.plan import data_of, read_plan, windows_of
from adapters.storage.array_files import Arrays, read_arrays, write_arrays
from adapters.workers.pool import Tell
from engine.errors import DataError
from engine.observation.encoding import fit_scaler
from rl_training.learners.extraction import actor_layers
from rl_training.learners.sb3 import WEIGHTS, weights_of
from rl_training.recipe.courses import Course, Teacher
from rl_training.recipe.selection import Choice
from rl_training.recipe.settings import Fold
from rl_training.recipe.teaching import taught
from rl_training.recipe.tuning import start_of, tuned
from rl_training.worlds.settings import WorldsSettings
from strategies.plugin import Context
from strategies.policy import Policy
from strategies.week import Week, WeekParameters

STATE = "state"
TEACHER = "week"
WORLDS, HELD_BACK = 3, 4
"""What a generator is for, beside the seed; ``rl_training.recipe.teaching`` has 1 and 2."""
FACTS = ("recall", "false_trades", "trades", "demonstrations")


class Member(NamedTuple):
    """A task of the workers."""

    fold: str
    seed: int
    choice: Choice

    @property
    def file(self) -> str:
        return f"{self.fold}-{self.choice}-{self.seed}.npz"


def work(run: str, task: Member, tell: Tell) -> str:
    """Make a member unless its file is there; the tuned one begins at the imitation's file, which is made first."""
    folder = Path(run)
    torch.set_num_threads(1)
    # A learner and its environments refer to each other: without this the worlds of the task before stay beside these.
    gc.collect()
    if not (folder / STATE / task.file).is_file():
        (_imitate if task.choice == "imitation" else _tune)(folder, task, tell)
    return task.file


def _imitate(folder: Path, task: Member, tell: Tell) -> None:
    plan = read_plan(folder)
    tell((task, "worlds", 0, 1))
    courses = courses_of(folder, plan.recipe.fold(task.fold), task.seed)
    tell((task, "imitation", 0, 1))
    policy, found = taught(teacher_of(plan.settings), courses, plan.settings.training.imitation, seed=task.seed)
    facts = dict(zip(FACTS, (found.recall, found.false_trades, found.trades, found.decisions), strict=True))
    _write(folder, task, {**weights_of(policy), **{name: np.array(value) for name, value in facts.items()}})


def _tune(folder: Path, task: Member, tell: Tell) -> None:
    settings = read_plan(folder).settings.training
    start = read_member(folder, task._replace(choice="imitation"))
    courses = courses_of(folder, read_plan(folder).recipe.fold(task.fold), task.seed)
    training = tuned(
        start_of(start, courses[0].market, settings.anchor.softening), courses, settings, seed=task.seed,
        progress=lambda steps: tell((task, "PPO", steps, settings.timesteps)),
    )  # fmt: skip
    _write(folder, task, {name: np.asarray(value) for name, value in training.learner.state().items()
                          if name.startswith(WEIGHTS)})  # fmt: skip


def courses_of(folder: Path, fold: Fold, seed: int) -> list[Course]:
    """The courses of a fold and seed, from the hours to learn from alone."""
    return _courses(folder, fold, read_plan(folder).worlds, [seed, WORLDS])


def held_back_of(folder: Path, fold: Fold) -> list[Course]:
    """Augmented worlds of a fold's hours that no seed trains in, filled at once."""
    plan = read_plan(folder)
    return _courses(folder, fold, plan.worlds.held_back(plan.recipe.held_back_worlds), [HELD_BACK])


def _courses(folder: Path, fold: Fold, drawn: WorldsSettings, key: list[int]) -> list[Course]:
    plan, (dataset, world) = read_plan(folder), data_of(folder)
    learned, _ = windows_of(dataset, fold)
    scaler = fit_scaler(world, plan.settings.observation, learned.first, learned.last)
    rng = np.random.default_rng(key)
    return list(courses_from(world.tape.market, learned, plan.settings, drawn, scaler, rng))


def teacher_parameters(settings: ArbSettings) -> dict[str, Any]:
    """Of the rule that is imitated, with the clock of the observation."""
    return {**settings.strategies.get(TEACHER, {}), "every_hours": settings.observation.decide_every_hours}


def teacher_of(settings: Any) -> Teacher:
    """The rule with the run's own parameters, at the clock of the observation."""
    own = teacher_parameters(settings)
    return lambda phase: Week(WeekParameters(**{**own, "phase": phase}), Context(np.random.default_rng(0)))


def read_member(folder: Path, member: Member) -> Arrays:
    """The arrays of a member. Raises ``DataError`` for a file that is missing or was altered."""
    path = folder / STATE / member.file
    try:
        return read_arrays(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except ValueError as error:
        raise DataError(f"{error}; remove it and go on with --resume", file=str(path)) from None


def policy_of(folder: Path, member: Member) -> Policy:
    """A member as a policy. Raises ``DataError``."""
    settings = read_plan(folder).settings
    arrays = {name.removeprefix(WEIGHTS): array for name, array in read_member(folder, member).items()}
    dataset, world = data_of(folder)
    learned, _ = windows_of(dataset, read_plan(folder).recipe.fold(member.fold))
    scaler = fit_scaler(world, settings.observation, learned.first, learned.last)
    name = f"{member.fold}-{member.choice}-{member.seed}"
    return Policy(name, settings.observation, scaler, *actor_layers(arrays), settings.cost_table_hash(), "structured")


def _write(folder: Path, task: Member, arrays: Mapping[str, Any]) -> None:
    path = folder / STATE / task.file
    path.parent.mkdir(exist_ok=True)
    write_arrays(path, arrays)
