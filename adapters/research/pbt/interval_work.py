"""What a worker process does: one interval of an agent, over the files of a run."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from adapters.research.pbt.job import read_job
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.pbt.training_markets import context_in
from adapters.storage.pbt_names import JOB, STATE
from adapters.workers.pool import Tell
from rl_training.pbt.context import TrainingContext
from rl_training.pbt.interval import run_interval
from rl_training.pbt.ports import Interval
from rl_training.pbt.results import AgentResult


class OfRun(NamedTuple):
    """A task of workers that serve several runs, one after the other."""

    run_folder: str
    interval: Interval


def work(_: str, task: OfRun, tell: Tell) -> AgentResult:
    """``train_and_score`` in the folder that the task names."""
    return train_and_score(task.run_folder, task.interval, tell)


def train_and_score(run_folder: str, interval: Interval, tell: Tell) -> AgentResult:
    """Train, score, and write checkpoint and result; tells the steps done after every rollout."""
    return run_interval(context_of(run_folder), StateFolder(Path(run_folder) / STATE), interval, progress=tell)


@lru_cache(maxsize=1)
def context_of(run_folder: str) -> TrainingContext:
    """Where the agents of a run train: what a process keeps from task to task."""
    folder = Path(run_folder)
    return context_in(folder, read_job(folder / JOB))
