"""One interval of one agent: from a checkpoint and hyperparameters to the next checkpoint and a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import KVWriter, Logger

from rl_training.learners.protocol import DivergenceError
from rl_training.learners.training import Training
from rl_training.pbt.context import TrainingContext
from rl_training.pbt.hyperparameters import settings_at
from rl_training.pbt.judging import FAILED, Score, judged
from rl_training.pbt.population import Assignment, generator
from rl_training.pbt.ports import Checkpoint, Interval, StateStore
from rl_training.pbt.results import AgentResult
from strategies.policy import Policy

Scalars = dict[str, float]
SHARES = "environments_in_worlds"
"""In a checkpoint, how many environments there were in each drawn world."""


@dataclass(frozen=True, eq=False)
class Trained:
    """An agent after an interval. ``failure`` says why it cannot go on, and is None where it can."""

    checkpoint: dict[str, NDArray[Any]]
    log: list[Scalars]
    """stable-baselines3's training scalars, one entry per rollout, each with its ``step``."""
    steps: int
    failure: str | None
    policy: Policy
    model_zip: bytes
    """The learner's file; of PPO one that ``stable_baselines3.PPO.load`` opens."""


def run_interval(
    context: TrainingContext,
    store: StateStore,
    interval: Interval,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> AgentResult:
    """An executor's task: train and score an agent, from the store's last checkpoint to its next result.

    ``progress`` hears the steps done after each rollout.
    """
    assignment, before = interval.assignment, interval.iteration - 1
    own = store.checkpoint(before, assignment.agent) if before else None
    source = None if assignment.source is None else store.checkpoint(before, assignment.source)
    trained = train_interval(context, assignment, interval.steps, own, source, progress=progress)
    score = evaluate(context, trained)
    result = _result(interval, trained, score)
    returns = score.returns if result.failure is None else None
    return store.write(result, trained.checkpoint, returns, trained.model_zip if interval.last else None)


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
        log=tuple({name: _finite(value) for name, value in entry.items()} for entry in trained.log),
    )


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def train_interval(
    context: TrainingContext,
    assignment: Assignment,
    steps: int,
    own: Checkpoint | None,
    source: Checkpoint | None,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Trained:
    """Train one agent until it has made ``steps`` steps, counted from its beginning.

    ``own`` is its checkpoint of the iteration before, None in the first; ``source`` that of the agent it copies.
    ``progress`` hears the steps done after each rollout.
    """
    settings = settings_at(context.training, assignment.hyperparameters)
    shared = context.shares(settings)
    # By agent alone: which process trains it, and in which order, must not matter.
    seed = int(generator(context.seed, "agent", assignment.agent).integers(2**31))
    training = Training(context.train, settings, seed=seed, learner=context.learner, groups=context.groups(shared))
    if own is not None:
        # A copy keeps its own generators and environments; else it would live through the same episodes as its source.
        state = inherited(own, source, training.learner.learned)
        if np.array_equal(own.get(SHARES, []), shared):
            training.restore(state)
        else:
            # Its environments are in other worlds by now. By steps too, or they would begin as they once began.
            begun = generator(context.seed, f"episodes of agent {assignment.agent}", steps).integers(2**31)
            training.restore_agent(state, seed=int(begun))
    elif context.start is not None:
        training.begin_at(context.start)
    diary = _Diary()
    logger = Logger(None, [diary])
    training.log_to(logger)
    failure = _run(training, steps, progress)
    # stable-baselines3 writes an update's scalars with the next rollout, which for the last one never comes.
    logger.dump(training.steps_done)
    policy = training.policy(f"agent_{assignment.agent}", context.scaler, context.cost_table_hash)
    saved = {name: np.asarray(value) for name, value in training.state().items()}
    if shared:
        saved[SHARES] = np.array(shared)
    return Trained(saved, diary.entries, training.steps_done, failure, policy, training.learner.model_file())


def inherited(own: Checkpoint, source: Checkpoint | None, learned: tuple[str, ...]) -> Checkpoint:
    """An agent's checkpoint with what another has learned in place of its own: all under names that begin so."""
    if source is None:
        return own
    kept = {name: value for name, value in own.items() if not name.startswith(learned)}
    return kept | {name: value for name, value in source.items() if name.startswith(learned)}


def _run(training: Training, steps: int, progress: Callable[[int], None]) -> str | None:
    """Train; returns what went wrong with losses and weights, if anything did."""
    try:
        training.run(steps, progress=progress)
    except DivergenceError as problem:
        return str(problem)
    return None


class _Diary(KVWriter):
    """Keeps the scalars that stable-baselines3 logs, less those of the clock."""

    def __init__(self) -> None:
        self.entries: list[Scalars] = []

    def write(
        self,
        key_values: dict[str, Any],
        key_excluded: dict[str, tuple[str, ...]],  # noqa: ARG002  # the interface asks for it
        step: int = 0,
    ) -> None:
        # Clock times differ between runs, and results must repeat bit for bit.
        values = {name: float(value) for name, value in key_values.items() if not name.startswith("time/")}
        if values:
            self.entries.append({"step": step, **values})

    def close(self) -> None:
        """Nothing is held open."""


def evaluate(context: TrainingContext, trained: Trained) -> Score:
    """How the deterministic policy is judged; an agent that failed has no fitness."""
    # Plain stable-baselines3 goes on with a loss that is no number, so the log is asked too.
    if trained.failure is not None or not all(isfinite(entry.get("train/loss", 0.0)) for entry in trained.log):
        return FAILED
    return judged(trained.policy, context)
