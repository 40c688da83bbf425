"""What a worker does: take an agent from its checkpoint through one interval to the next checkpoint and a score."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from adapters.research.pbt.courses import FOLDER, read_gym
from adapters.research.pbt.job import read_job
from adapters.research.pbt.state_folder import AgentResult, StateFolder
from adapters.storage.atomic import replacing_file
from adapters.storage.pbt_names import JOB, agent_zip
from adapters.storage.regular_files import sha256_of
from rl_training.pbt.interval import Gym, Score, Trained, examine, train_interval
from rl_training.pbt.population import Assignment


class Interval(BaseModel, frozen=True):
    """One agent's part of one iteration."""

    assignment: Assignment
    iteration: int
    steps: int
    last: bool


def train_and_score(run_folder: str, interval: Interval, tell: Callable[[Any], None]) -> AgentResult:
    """Train, examine, and write checkpoint and result; tells the steps done after every rollout."""
    gym, folder = gym_of(run_folder), Path(run_folder)
    state = StateFolder(folder / "state")
    assignment, before = interval.assignment, interval.iteration - 1
    own = state.checkpoint(before, assignment.agent) if before else None
    source = None if assignment.source is None else state.checkpoint(before, assignment.source)
    trained = train_interval(gym, assignment, interval.steps, own, source, progress=tell)
    if interval.last:
        with replacing_file(folder / agent_zip(assignment.agent)) as aside:
            aside.write_bytes(trained.model_zip)
    score = examine(gym, trained)
    result = _result(interval, trained, score)
    return state.write(result, trained.checkpoint, score.returns if result.failure is None else None)


def _result(interval: Interval, trained: Trained, score: Score) -> AgentResult:
    return AgentResult(
        agent=interval.assignment.agent,
        iteration=interval.iteration,
        source=interval.assignment.source,
        hyperparameters=interval.assignment.hyperparameters,
        steps=trained.steps,
        fitness=_finite(score.fitness),
        reward=_finite(score.reward),
        metrics=score.metrics,
        failure=trained.failure or (None if isfinite(score.fitness) else "the score is not a number"),
        model_sha256=sha256_of(trained.model_zip) if interval.last else None,
        log=tuple({name: _finite(value) for name, value in entry.items()} for entry in trained.log),
    )


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


@lru_cache(maxsize=1)
def gym_of(run_folder: str) -> Gym:
    """Where the agents of a run train: what a process keeps from task to task."""
    folder = Path(run_folder)
    return read_gym(folder / FOLDER, read_job(folder / JOB))
