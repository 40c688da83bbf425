"""The loop over iterations: whoever has not finished is trained, then the population is ranked and copied.

The state of a run is a pure function of its settings and of the results in the store. Resuming therefore replays:
results that are there are taken, agents whose result is missing are trained from their last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from engine.errors import DataError
from rl_training.pbt.population import Assignment, first_assignments, next_assignments
from rl_training.pbt.ports import Executor, Finished, Interval, StateStore, Told, WorkerDied
from rl_training.pbt.results import AgentResult, Iteration
from rl_training.pbt.schedule import Schedule
from rl_training.pbt.settings import PBTSettings

Results = dict[int, AgentResult]
"""By agent."""


class Watcher(Protocol):
    """Who is told what happens."""

    def began(self, number: int, missing: int) -> None: ...

    def progressed(self, agent: int, steps: int) -> None: ...

    def worker_died(self, event: WorkerDied[Interval]) -> None: ...

    def ended(self, iteration: Iteration, following: Sequence[Assignment]) -> None: ...


def run_population(
    settings: PBTSettings,
    schedule: Schedule,
    seed: int,
    executor: Executor[Interval],
    store: StateStore,
    watcher: Watcher,
    *,
    keep: Callable[[Sequence[Iteration]], None] = lambda _: None,
) -> list[Iteration]:
    """Train to the end and return all iterations. ``keep`` is called with those done after each one.

    The executor does ``rl_training.pbt.interval.run_interval`` with the same store, and returns its result.

    Raises ``PopulationLostError`` when every agent has failed, ``DataError`` when a result in the store does not
    belong to these settings, and what the executor raises for work that cannot be done.
    """
    store.sweep()
    iterations: list[Iteration] = []
    assignments = first_assignments(settings, seed)
    for number in range(1, schedule.iterations + 1):
        results = _results_in_store(store, number, assignments)
        intervals = _intervals(schedule, number, [one for one in assignments if one.agent not in results])
        watcher.began(number, len(intervals))
        if intervals:
            results |= _train(executor, intervals, watcher)
        # By agent and not as they finished: files must be equal however many workers there were.
        iterations.append(Iteration(number, assignments, dict(sorted(results.items()))))
        is_last = number == schedule.iterations
        if not is_last:
            assignments = next_assignments(settings, seed, number, assignments, iterations[-1].fitness)
        watcher.ended(iterations[-1], [] if is_last else assignments)
        keep(iterations)
        # Only now: the copies of this iteration were trained from these, and a resumed run would need them again.
        store.drop_checkpoints(number - 1)
    return iterations


def _intervals(schedule: Schedule, number: int, missing: Sequence[Assignment]) -> list[Interval]:
    steps, last = schedule.steps_until(number), number == schedule.iterations
    return [Interval(assignment=one, iteration=number, steps=steps, last=last) for one in missing]


def _train(executor: Executor[Interval], intervals: Sequence[Interval], watcher: Watcher) -> Results:
    results: Results = {}
    for event in executor.run(intervals):
        if isinstance(event, WorkerDied):
            watcher.worker_died(event)
        elif isinstance(event, Told):
            watcher.progressed(event.task.assignment.agent, event.message)
        elif isinstance(event, Finished):
            results[event.result.agent] = event.result
            watcher.progressed(event.result.agent, event.result.steps)
    return results


def _results_in_store(store: StateStore, number: int, assignments: Sequence[Assignment]) -> Results:
    results: Results = {}
    for assignment in assignments:
        result = store.read(number, assignment.agent)
        if result is None:
            continue
        # A result trained otherwise would mix two runs into one without a word.
        if result.assignment != assignment:
            raise DataError(
                f"agent {assignment.agent} was trained in iteration {number} with other hyperparameters than this "
                "version chooses; a run can be resumed only with the version that began it"
            )
        results[result.agent] = result
    return results
