"""What the loop needs of the world: somebody who does tasks, and a place for what comes of them.

Another place to compute (threads, a cluster) or to keep results (a bucket, a database) is a class with these methods;
the loop and the agents' results do not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from numpy.typing import NDArray

from engine.market.data import Floats
from rl_training.pbt.population import Assignment
from rl_training.pbt.results import AgentResult

Checkpoint = Mapping[str, NDArray[Any]]
"""All that an agent goes on from, by name."""
Task = TypeVar("Task")


@dataclass(frozen=True)
class Interval:
    """One agent's part of one iteration: the task of an executor. ``steps`` count from the agent's beginning."""

    assignment: Assignment
    iteration: int
    steps: int
    last: bool


@dataclass(frozen=True)
class Told(Generic[Task]):
    """Work in progress has something to say."""

    task: Task
    message: Any


@dataclass(frozen=True)
class Finished(Generic[Task]):
    """A task is done."""

    task: Task
    result: Any


@dataclass(frozen=True)
class WorkerDied(Generic[Task]):
    """Who did a task is gone and was replaced; the task, if there was one, will be done again. ``why`` is in words."""

    task: Task | None
    why: str
    deaths: int


Event = Told[Task] | Finished[Task] | WorkerDied[Task]


class Executor(Protocol[Task]):
    """Does tasks, in whatever order and place; a task may be done again, but finishes once."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Event[Task]]:
        """Do all tasks; events come as they happen. Raises ``ArbError`` for a task that cannot be done."""
        ...


class StateStore(Protocol):
    """Keeps what agents bring back. That a result is there means that all else of that interval is there too."""

    def read(self, iteration: int, agent: int) -> AgentResult | None:
        """The result, or None when the agent has not finished that iteration. Raises ``DataError``."""
        ...

    def write(
        self, result: AgentResult, checkpoint: Checkpoint, returns: Floats | None, model: bytes | None = None
    ) -> AgentResult:
        """Keep a checkpoint, the score's hourly returns and the file of a finished agent, then the result.

        Returns the result as ``read`` will give it.
        """
        ...

    def checkpoint(self, iteration: int, agent: int) -> Checkpoint:
        """What the agent goes on from after an iteration. Raises ``DataError``."""
        ...

    def returns(self, iteration: int, agent: int) -> Floats:
        """Hourly returns behind a score. Raises ``DataError``."""
        ...

    def drop_checkpoints(self, iteration: int) -> None:
        """Forget the checkpoints of an iteration that nothing goes on from any more."""
        ...

    def sweep(self) -> None:
        """Remove what writers that were killed have left behind."""
        ...
