"""Searching the parameters of a rule: many backtests of one window, in parallel processes.

Every process prepares the market once and measures points one after the other. What a point yields does not depend
on how many processes there are.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import AwareDatetime

from adapters.configuration.settings import ArbSettings
from adapters.configuration.tuning_grids import Point
from adapters.datasets.load import load_dataset
from adapters.research.markets import filtered
from adapters.research.players import make_player
from adapters.research.playing import play
from adapters.workers.processes import end_with_parent, one_thread_each
from engine.accounting.records import hold_hours
from engine.analysis.metrics import Metrics, fitness
from engine.errors import ArbError, DataError
from engine.market.data import Floats
from engine.settings import Settings
from engine.windows import Window
from engine.worlds import World

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


class Measured(NamedTuple):
    """What a point yields: metrics, those with late fills under ``late_`` names, and filled at once hourly returns and
    the hours that each trade was held."""

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
        return fitness(self.metrics)


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Best first; a tie goes to the earlier point, a fitness that is not a number goes last."""
    return sorted(trials, key=lambda trial: (np.isnan(trial.fitness), -trial.fitness, trial.number))


MeasureAll = Callable[[TuningJob, Sequence[Point]], Iterator[Measured]]
"""Measures the points of a job, and yields in the order of the points."""


def search(
    job: TuningJob, points: Sequence[Point], workers: int, progress: Callable[[int], None] = lambda _: None
) -> list[Trial]:
    """Measure every point; trials come back in the order of the points. ``progress`` gets the number done.

    Raises ``ArbError`` when a worker process dies.
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

    Raises ``ArbError`` when a worker process dies.
    """
    if workers <= 1:
        yield lambda job, points: map(_task(job), points)
        return
    # A forked child would inherit locks that other threads hold, and hang on them.
    with one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker)
        try:
            yield lambda job, points: pool.map(_task(job), points)
        except BrokenProcessPool:
            raise ArbError("a worker process died, perhaps out of memory; try again with fewer --workers") from None
        finally:
            # After a failure nobody would take what the waiting points yield.
            pool.shutdown(cancel_futures=True)


def _task(job: TuningJob) -> Callable[[Point], Measured]:
    # As text, by which the caches of a worker know the job again.
    return partial(measure, job.model_dump_json())


def measure(job_json: str, point: Point) -> Measured:
    """Backtest one point, at once and, if asked for, late."""
    bench = _bench(job_json)
    player = make_player(bench.job.strategy, point, seed=bench.job.seed)
    played = {prefix: play(player, world, bench.window) for prefix, world in bench.worlds.items()}
    metrics: Metrics = {prefix + name: value for prefix, one in played.items() for name, value in one.metrics.items()}
    # Points are chosen by fills at once, so those are the returns they are judged by.
    at_once = played[""]
    return Measured(metrics, at_once.returns, tuple(hold_hours(at_once.trades).tolist()))


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


def _begin_worker() -> None:
    """Interrupts are for the parent, and a parent that is killed takes its workers along."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
