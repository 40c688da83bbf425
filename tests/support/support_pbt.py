"""An executor, a store and a watcher of a population without processes, files and words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rl_training.pbt.population import Assignment
from rl_training.pbt.ports import Event, Finished, Interval, Told, WorkerDied
from rl_training.pbt.results import AgentResult, Iteration


class InThisProcess:
    """An executor without processes: the last task first, one after the other."""

    def __init__(self, work: Callable[[Interval, Callable[[int], None]], AgentResult]) -> None:
        self._work = work
        self.done: list[tuple[int, int]] = []

    def run(self, tasks: Sequence[Interval]) -> Iterator[Event[Interval]]:
        for task in reversed(tasks):
            heard: list[int] = []
            result = self._work(task, heard.append)
            yield from (Told(task, steps) for steps in heard)
            self.done.append((task.iteration, task.assignment.agent))
            yield Finished(task, result)


class InMemory:
    """A store without files."""

    def __init__(self) -> None:
        self.results: dict[tuple[int, int], AgentResult] = {}
        self.checkpoints: dict[tuple[int, int], Any] = {}
        self.kept_returns: dict[tuple[int, int], Any] = {}
        self.models: dict[int, bytes] = {}

    def read(self, iteration: int, agent: int) -> AgentResult | None:
        return self.results.get((iteration, agent))

    def write(self, result: AgentResult, checkpoint: Any, returns: Any, model: bytes | None = None) -> AgentResult:
        place = result.iteration, result.agent
        self.checkpoints[place], self.kept_returns[place] = checkpoint, returns
        if model is not None:
            self.models[result.agent] = model
        self.results[place] = result
        return result

    def checkpoint(self, iteration: int, agent: int) -> Any:
        return self.checkpoints[iteration, agent]

    def returns(self, iteration: int, agent: int) -> Any:
        return self.kept_returns[iteration, agent]

    def drop_checkpoints(self, iteration: int) -> None:
        for place in [place for place in self.checkpoints if place[0] == iteration]:
            del self.checkpoints[place]

    def sweep(self) -> None:
        """Nothing is left aside."""


class Silent:
    """Remembers the steps that it heard of."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []
        self.missing: list[int] = []

    def began(self, number: int, missing: int) -> None:  # noqa: ARG002  # the protocol's
        self.missing.append(missing)

    def progressed(self, agent: int, steps: int) -> None:
        self.heard.append((agent, steps))

    def worker_died(self, event: WorkerDied[Interval]) -> None:
        raise AssertionError(event)

    def ended(self, iteration: Iteration, following: Sequence[Assignment]) -> None:
        """The results are compared at the end."""
