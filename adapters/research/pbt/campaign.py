"""A population trained in its folder, from job to bundle: what `arb train-pbt` and `arb walk-forward` do alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.datasets.load import load_dataset
from adapters.datasets.windows import WindowEdges
from adapters.research.markets import prepare_dataset
from adapters.research.pbt.finish import finish
from adapters.research.pbt.interval_work import OfRun, work
from adapters.research.pbt.job import PBTJob, begin, new_job, read_job
from adapters.research.pbt.reports import write_reports
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.pbt.training_markets import training_markets_of
from adapters.research.pbt.tried import write_tried
from adapters.storage.folder_lock import FolderLock
from adapters.storage.pbt_names import JOB, STATE
from adapters.storage.provenance import command_line
from adapters.workers.pool import WorkerPool
from engine.analysis.metrics import Metrics
from rl_training.pbt.loop import Watcher, run_population
from rl_training.pbt.ports import Event, Interval
from rl_training.pbt.results import Iteration

RUNS = Path("trained_models") / "pbt"
Keep = Callable[[Sequence[Iteration]], None]
Trainers = WorkerPool[OfRun]
"""Worker processes that train the agents of one run after another; to start one takes seconds."""


@dataclass(frozen=True)
class Campaign:
    """A run whose folder is ours and whose market lies ready for the workers."""

    folder: Path
    job: PBTJob
    workers: int
    trainers: Trainers | None = None
    """Those of several campaigns; None: its own."""

    def train(self, watcher: Watcher, keep: Keep = lambda _: None) -> list[Iteration]:
        """Train to the end. After each iteration summary, lineage and trials are written, then ``keep`` is called.

        Raises what ``train_population`` raises.
        """

        def write(iterations: Sequence[Iteration]) -> None:
            write_reports(self.folder, self.job, iterations)
            write_tried(self.folder, self.job, iterations)
            keep(iterations)

        return train_population(self.job, self.folder, self.workers, watcher, keep=write, trainers=self.trainers)

    def finish(self, iterations: Sequence[Iteration], *, started: datetime, **facts: Any) -> dict[str, Metrics]:
        """Write the winner's bundle and the manifest, with these facts; returns its metrics on validation."""
        return finish(self.folder, self.job, iterations, started=started, workers=self.workers, **facts)


@dataclass(frozen=True)
class PBTRequest:
    """The options of a new run; what is None was not given."""

    population: int | None
    timesteps: int | None
    perturbation_interval: int | None
    data: Path
    train_from: datetime | None
    train_to: datetime | None
    validate_from: datetime | None
    validate_to: datetime | None
    out: Path | None
    seed: int
    learner: str | None
    config: Path | None
    overrides: tuple[str, ...]

    @property
    def settings(self) -> ArbSettings:
        """The shipped ones, those of the file, and those of the options, each over the one before."""
        shortcuts = {
            "pbt.population": self.population,
            "training.timesteps": self.timesteps,
            "pbt.perturbation_interval": self.perturbation_interval,
        }
        stated = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
        return load_settings(self.config, [*self.overrides, *stated])


def begin_campaign(asked: PBTRequest, started: datetime) -> tuple[Path, list[str]]:
    """The new folder of a new run, and warnings about its windows. Raises what ``new_job`` and ``begin`` raise."""
    folder = asked.out or RUNS / f"pbt_{started:%Y%m%d_%H%M%S}"
    edges = WindowEdges(asked.train_from, asked.train_to, asked.validate_from, asked.validate_to)
    settings = asked.settings
    dataset = load_dataset(asked.data, settings.gate)
    job, warnings = new_job(
        dataset, prepare_dataset(dataset, settings), settings, edges,
        seed=asked.seed, learner=asked.learner or settings.pbt.learner, started=started, command=command_line(),
    )  # fmt: skip
    begin(folder, job)
    return folder, warnings


def trainers_of(workers: int, population: int) -> Trainers:
    """As a context, processes that train; they start with the first thing to do."""
    return WorkerPool(work, "", min(workers, population))


@contextmanager
def campaign(folder: Path, workers: int, trainers: Trainers | None = None) -> Iterator[Campaign]:
    """Hold the folder of a run and prepare its market for the workers, as long as the context lasts.

    Raises ``UserError`` when another process works in it, ``DataError`` when the data set is another one by now.
    """
    job = read_job(folder / JOB)
    # The lock first, for the second context replaces files that workers of another process may have mapped.
    with FolderLock(folder), training_markets_of(folder, job):
        yield Campaign(folder, job, workers, trainers)


def train_population(
    job: PBTJob, folder: Path, workers: int, watcher: Watcher, *, keep: Keep = lambda _: None,
    trainers: Trainers | None = None,
) -> list[Iteration]:  # fmt: skip
    """The loop with worker processes on this machine and the state in the run's folder.

    The run's market must lie there (``adapters.research.pbt.training_markets``). Raises ``WorkerDeathsError`` after
    three deaths of workers in a row, and what ``rl_training.pbt.loop.run_population`` raises.
    """
    pbt = job.settings.pbt
    with trainers_of(workers, pbt.population) if trainers is None else nullcontext(trainers) as pool:
        executor, store = _Intervals(pool, str(folder)), StateFolder(folder / STATE)
        return run_population(pbt, job.schedule, job.seed, executor, store, watcher, keep=keep)


class _Intervals:
    """An ``Executor`` of the intervals of one run."""

    def __init__(self, trainers: Trainers, run_folder: str) -> None:
        self._trainers, self._run_folder = trainers, run_folder

    def run(self, tasks: Sequence[Interval]) -> Iterator[Event[Interval]]:
        for event in self._trainers.run([OfRun(self._run_folder, task) for task in tasks]):
            yield _without_folder(event)


def _without_folder(event: Event[OfRun]) -> Event[Interval]:
    task = None if event.task is None else event.task.interval
    return replace(event, task=task)  # type: ignore[arg-type,return-value]  # the same kind of event about the interval
