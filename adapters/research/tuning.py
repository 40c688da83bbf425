"""Searching the parameters of a rule: many backtests of one window, in parallel processes.

Every worker prepares the market once and measures points one after the other. What a point yields does not depend on
how many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import AwareDatetime

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import has_clock, load_strategy_class
from adapters.configuration.tuning_grids import Point
from adapters.datasets.load import load_dataset
from adapters.research.markets import filtered
from adapters.research.phases import at_phases, over_phases, shared_returns
from adapters.research.players import make_player
from adapters.research.playing import play
from adapters.workers.pool import Failed, TaskFailedError, Tell, WorkerPool
from engine.accounting.records import hold_hours
from engine.analysis.metrics import Metrics, fitness
from engine.errors import DataError
from engine.market.data import Floats
from engine.settings import Settings
from engine.windows import Window
from engine.worlds import World
from rl_training.pbt.ports import Event, Finished

LATE = "late_"
"""Prefix of the metrics of the same point with every fill one hour later."""


class TuningJob(Settings):
    """What all points of a search share. It travels to the workers as JSON."""

    dataset: Path
    fingerprint: str
    strategy: str
    start: AwareDatetime
    end: AwareDatetime
    settings: ArbSettings
    seed: int
    late: bool
    phases: tuple[int, ...] | None = None
    """Of a rule with a clock, which are played; None: all."""


class Measured(NamedTuple):
    """What a point yields: metrics, those with late fills under ``late_`` names, hourly returns of an account of equal
    parts in everything that it is judged by, and filled at once the hours that each trade was held.

    Of a rule with a clock metrics are means over phases, with the worst phase beside them.
    """

    metrics: Metrics
    returns: Floats
    holds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One point that was tried; ``number`` is its place in the search, from 1. ``returns`` are hourly, if kept."""

    number: int
    parameters: Point
    metrics: Metrics
    returns: Floats | None = field(default=None, compare=False, repr=False)
    holds: tuple[int, ...] = field(default=(), compare=False, repr=False)

    @property
    def fitness(self) -> float:
        return judged_fitness(self.metrics)


def judged_fitness(metrics: Metrics) -> float:
    """The mean fitness filled at once and an hour late; where nothing late was measured that at once."""
    if LATE + "pnl_pct" not in metrics:
        return fitness(metrics)
    late = {name.removeprefix(LATE): value for name, value in metrics.items() if name.startswith(LATE)}
    return (fitness(metrics) + fitness(late)) / 2


def mean_over(job: TuningJob) -> str:
    """What each point is the mean of, in words; one point is one trial, of however many runs."""
    phases = "every phase" if job.phases is None else f"phases {', '.join(map(str, job.phases))}"
    clock = f" at {phases}" if has_clock(load_strategy_class(job.strategy)) else ""
    return (
        f"mean over fills at once and an hour late{clock}" if job.late else f"filled at once{clock and ', mean'}{clock}"
    )


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Best first; a tie goes to the earlier point, a fitness that is not a number goes last."""
    return sorted(trials, key=lambda trial: (np.isnan(trial.fitness), -trial.fitness, trial.number))


MeasureAll = Callable[[TuningJob, Sequence[Point]], Iterator[Measured]]
"""Measures the points of a job, and yields in the order of the points."""


def search(
    job: TuningJob, points: Sequence[Point], workers: int, progress: Callable[[int], None] = lambda _: None
) -> list[Trial]:
    """Measure every point; trials come back in the order of the points. ``progress`` gets the number done.

    Raises what ``measuring`` raises.
    """
    trials: list[Trial] = []
    with measuring(min(workers, len(points))) as measure_all:
        for number, (point, measured) in enumerate(zip(points, measure_all(job, points), strict=True), start=1):
            trials.append(Trial(number, point, *measured))
            progress(number)
    return trials


@contextmanager
def measuring(workers: int) -> Iterator[MeasureAll]:
    """What measures points in that many processes, as long as the context lasts; with 1 in this one.

    Raises ``WorkerDeathsError`` when a worker dies: it would die of the same point again. Raises ``TaskFailedError``
    for what a point raises there; in this process the error itself.
    """
    if workers <= 1:
        yield lambda job, points: (measure(task.job_json, task.point) for task in _tasks(job, points))
        return
    with WorkerPool[PointOfJob](measure_in_worker, "", workers, most_deaths=1) as pool:
        yield lambda job, points: _in_order(pool.attempt(_tasks(job, points)))


class PointOfJob(NamedTuple):
    """A task of the workers. The job travels as text, by which their caches know it again; ``number`` is the place of
    the point, from 0."""

    number: int
    job_json: str
    point: Point


def _tasks(job: TuningJob, points: Sequence[Point]) -> list[PointOfJob]:
    job_json = job.model_dump_json()
    return [PointOfJob(number, job_json, point) for number, point in enumerate(points)]


def _in_order(events: Iterable[Event[PointOfJob] | Failed[PointOfJob]]) -> Iterator[Measured]:
    """Results in the order of the points, each as soon as those before it are there.

    Of several points that fail the first one is told, as one process would, whichever fails sooner.
    """
    early: dict[int, Measured | TaskFailedError] = {}
    number = 0
    for event in events:
        if isinstance(event, Finished | Failed):
            early[event.task.number] = event.result if isinstance(event, Finished) else event.error
        while number in early:
            result = early.pop(number)
            if isinstance(result, TaskFailedError):
                raise result
            yield result
            number += 1


def measure_in_worker(_: str, task: PointOfJob, __: Tell) -> Measured:
    """``measure``, as a worker is asked for it."""
    return measure(task.job_json, task.point)


def measure(job_json: str, point: Point) -> Measured:
    """Backtest one point at every phase of its clock, at once and, if asked for, late: one trial all together."""
    bench = _bench(job_json)
    players = at_phases(make_player(bench.job.strategy, point, seed=bench.job.seed), bench.job.phases)
    played = {
        prefix: {phase: play(player, world, bench.window) for phase, player in players.items()}
        for prefix, world in bench.worlds.items()
    }
    means = {prefix: over_phases(by_phase) for prefix, by_phase in played.items()}
    metrics: Metrics = {prefix + name: value for prefix, mean in means.items() for name, value in mean.items()}
    returns = shared_returns(one for by_phase in played.values() for one in by_phase.values())
    holds = [hours for one in played[""].values() for hours in hold_hours(one.trades).tolist()]
    return Measured(metrics, returns, tuple(holds))


@dataclass(frozen=True, eq=False)
class _Bench:
    """A prepared market: what a process keeps from point to point."""

    job: TuningJob
    worlds: dict[str, World[ArbSettings]]
    window: Window


@lru_cache(maxsize=1)
def _bench(job_json: str) -> _Bench:
    job = TuningJob.model_validate_json(job_json)
    worlds = _worlds(job.model_dump_json(include={"dataset", "fingerprint", "settings", "late"}))
    return _Bench(job, worlds, worlds[""].tape.market.window(job.start, job.end))


class _Market(Settings):
    """The part of a job that the prepared market depends on."""

    dataset: Path
    fingerprint: str
    settings: ArbSettings
    late: bool


@lru_cache(maxsize=1)
def _worlds(market_json: str) -> dict[str, World[ArbSettings]]:
    """Kept apart from the rest of a job: searches on other windows or of other rules share it."""
    asked = _Market.model_validate_json(market_json)
    dataset = load_dataset(asked.dataset, asked.settings.gate)
    if dataset.fingerprint != asked.fingerprint:
        raise DataError("changed while it was being searched; start again", file=str(asked.dataset))
    world = World.of(filtered(dataset.market, asked.settings.filters), asked.settings)
    return {"": world, LATE: world.late()} if asked.late else {"": world}
