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
from adapters.configuration.strategy_registry import build_strategy
from adapters.configuration.tuning_grids import Point
from adapters.datasets.load import load_dataset
from adapters.research.markets import filtered
from adapters.workers.processes import end_with_parent, one_thread_each
from engine.accounting.records import Records, hold_hours
from engine.accounting.tape import prepare
from engine.analysis.metrics import Metrics, compute_metrics, fitness
from engine.analysis.significance import returns_of
from engine.backtest import run_backtest
from engine.errors import ArbError, DataError
from engine.market.data import Floats
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import Settings
from engine.worlds import late
from strategies.plugin import Context

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
            pool.shutdown(cancel_futures=True)


def _task(job: TuningJob) -> Callable[[Point], Measured]:
    return partial(measure, job.model_dump_json())


def measure(job_json: str, point: Point) -> Measured:
    """Backtest one point, at once and, if asked for, late."""
    bench = _bench(job_json)
    capital = bench.job.settings.initial_capital_usd
    metrics: Metrics = {}
    played: dict[str, Records] = {}
    for prefix, builder in bench.builders.items():
        context = Context(np.random.default_rng(bench.job.seed))
        strategy = build_strategy(bench.job.strategy, point, context)
        played[prefix] = run_backtest(builder, strategy, bench.first, bench.last)
        run = compute_metrics(played[prefix], capital)
        metrics |= {prefix + name: value for name, value in run.items()}
    at_once = played[""]
    return Measured(metrics, returns_of(at_once, capital), tuple(hold_hours(at_once.trades).tolist()))


@dataclass(frozen=True, eq=False)
class _Bench:
    """A prepared market: what a process keeps from point to point."""

    job: TuningJob
    builders: dict[str, OpportunityBuilder]
    first: int
    last: int


@lru_cache(maxsize=1)
def _bench(job_json: str) -> _Bench:
    job = TuningJob.model_validate_json(job_json)
    builders = _builders(job.model_dump_json(include={"dataset", "fingerprint", "settings", "late"}))
    market = builders[""].tape.market
    return _Bench(job, builders, market.index_of(job.start), market.index_of(job.end))


class _Market(Settings):
    """The part of a job that the prepared market depends on."""

    dataset: Path
    fingerprint: str
    settings: ArbSettings
    late: bool


@lru_cache(maxsize=1)
def _builders(market_json: str) -> dict[str, OpportunityBuilder]:
    """Kept apart from the rest of a job: searches on other windows or of other rules share it."""
    asked = _Market.model_validate_json(market_json)
    dataset = load_dataset(asked.dataset, asked.settings.gate)
    if dataset.fingerprint != asked.fingerprint:
        raise DataError("changed while it was being searched; start again", file=str(asked.dataset))
    tape = prepare(filtered(dataset.market, asked.settings.filters), asked.settings)
    builders = {"": OpportunityBuilder(tape)}
    if asked.late:
        builders[LATE] = late(builders[""])
    return builders


def _begin_worker() -> None:
    """Interrupts are for the parent, and a parent that is killed takes its workers along."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
