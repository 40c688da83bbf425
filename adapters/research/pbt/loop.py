"""The loop over iterations: whoever has not finished is trained, then the population is ranked and copied.

The state of a run is a pure function of its job and of the results on disk. Resuming therefore replays: results that
are there are taken, agents whose result is missing are trained from their last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters.research.pbt.interval_work import Interval, train_and_score
from adapters.research.pbt.job import PBTJob
from adapters.research.pbt.state_folder import AgentResult, StateFolder
from adapters.workers.pool import Finished, Told, WorkerDied, WorkerPool
from engine.errors import DataError
from rl_training.pbt.population import Assignment, first_assignments, next_assignments, ranked

Results = dict[int, AgentResult]
"""By agent."""


@dataclass(frozen=True)
class Iteration:
    """A finished iteration; ``assignments`` are what its agents did."""

    number: int
    assignments: list[Assignment]
    results: Results

    @property
    def ranking(self) -> list[int]:
        """Agents, best first."""
        return ranked(self.fitness)

    @property
    def fitness(self) -> dict[int, float]:
        return {agent: result.score for agent, result in self.results.items()}


class Watcher(Protocol):
    """Who is told what happens."""

    def began(self, number: int, missing: int) -> None: ...

    def progressed(self, agent: int, steps: int) -> None: ...

    def worker_died(self, event: WorkerDied[Interval]) -> None: ...

    def ended(self, iteration: Iteration, following: Sequence[Assignment]) -> None: ...


def run_population(
    job: PBTJob,
    folder: Path,
    workers: int,
    watcher: Watcher,
    *,
    keep: Callable[[Sequence[Iteration]], None] = lambda _: None,
) -> list[Iteration]:
    """Train to the end and return all iterations. ``keep`` is called with those done after each one.

    The courses of the run must lie in its folder (``adapters.research.pbt.courses``).

    Raises ``WorkerDeathsError`` after three deaths of workers in a row, ``PopulationLostError`` when every agent has
    failed, and ``DataError`` when a result on disk does not belong to this job.
    """
    state = StateFolder(folder / "state")
    state.sweep()
    iterations: list[Iteration] = []
    assignments = first_assignments(job.settings.pbt, job.seed)
    last = job.schedule.iterations
    with ExitStack() as stack:
        pool: WorkerPool[Interval] | None = None
        for number in range(1, last + 1):
            results = _results_on_disk(state, number, assignments)
            intervals = _intervals(job, number, [one for one in assignments if one.agent not in results])
            watcher.began(number, len(intervals))
            if intervals:
                # Replaying needs no workers: they start with the first thing to do.
                pool = pool or stack.enter_context(
                    WorkerPool(train_and_score, str(folder), min(workers, len(assignments)))
                )
                results |= _train(pool, intervals, watcher)
            iterations.append(Iteration(number, assignments, dict(sorted(results.items()))))
            if number < last:
                pbt, fitness = job.settings.pbt, iterations[-1].fitness
                assignments = next_assignments(pbt, job.seed, number, assignments, fitness)
            watcher.ended(iterations[-1], assignments if number < last else [])
            keep(iterations)
            state.drop_checkpoints(number - 1)
    return iterations


def _intervals(job: PBTJob, number: int, missing: Sequence[Assignment]) -> list[Interval]:
    steps, last = job.schedule.steps_until(number), number == job.schedule.iterations
    return [Interval(assignment=one, iteration=number, steps=steps, last=last) for one in missing]


def _train(pool: WorkerPool[Interval], intervals: Sequence[Interval], watcher: Watcher) -> Results:
    results: Results = {}
    for event in pool.run(intervals):
        if isinstance(event, WorkerDied):
            watcher.worker_died(event)
        elif isinstance(event, Told):
            watcher.progressed(event.task.assignment.agent, event.message)
        elif isinstance(event, Finished):
            results[event.result.agent] = event.result
            watcher.progressed(event.result.agent, event.result.steps)
    return results


def _results_on_disk(state: StateFolder, number: int, assignments: Sequence[Assignment]) -> Results:
    results: Results = {}
    for assignment in assignments:
        result = state.read(number, assignment.agent)
        if result is None:
            continue
        if result.assignment != assignment:
            raise DataError(
                f"agent {assignment.agent} was trained in iteration {number} with other hyperparameters than this "
                "version chooses; a run can be resumed only with the version that began it"
            )
        results[result.agent] = result
    return results
