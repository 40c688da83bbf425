"""``arb tune`` from what was asked to a folder of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import check_names, load_strategy_class
from adapters.configuration.tuning_grids import SHIPPED_GRIDS, Grid, points_of, read_grid
from adapters.datasets.load import Dataset, load_dataset
from adapters.research.phases import check_phases
from adapters.research.tuning import Trial, TuningJob, ranked, search
from adapters.research.tuning_files import (
    record_of_points,
    summary_of_points,
    write_best,
    write_manifest,
    write_trials,
)
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import check_place
from adapters.storage.provenance import command_line
from adapters.storage.run_files import folder_name
from adapters.storage.trials import FILE as TRIALS
from adapters.storage.trials import write_trials as write_record
from engine.analysis.significance import Trials
from engine.errors import UserError

MOST_WORKERS = 8


@dataclass(frozen=True)
class TuningRequest:
    """The options of ``arb tune``; what is None was not given."""

    name: str
    data: Path
    start: datetime | None
    end: datetime | None
    grid_file: Path | None
    most: int | None
    late: bool
    phases: tuple[int, ...] | None
    config: Path | None
    overrides: Sequence[str]
    workers: int | None
    seed: int
    out: Path | None


@dataclass(frozen=True, eq=False)
class Search:
    """A finished search: its job, every point in the order tried, what they tell together, and where it lies."""

    job: TuningJob
    grid: Grid
    trials: Sequence[Trial]
    tried: Trials
    folder: Path

    @property
    def best(self) -> Trial:
        return ranked(self.trials)[0]


def tune(asked: TuningRequest, progress: Callable[[int, int], None]) -> Search:
    """Measure every point and write the folder. ``progress`` gets the number done, of how many."""
    started = datetime.now(UTC)
    name = asked.name
    folder = asked.out or Path("runs") / f"tune-{folder_name(name)}-{started:%Y%m%dT%H%M%SZ}"
    # Before the search, which can take hours.
    check_place(folder)
    settings = load_settings(asked.config, asked.overrides)
    check_names(settings.strategies)
    strategy_class = load_strategy_class(name)
    if strategy_class.policies:
        raise UserError(f"{name} plays trained models; only rules are tuned (see `arb train`)")
    grid = read_grid(asked.grid_file or SHIPPED_GRIDS, name)
    base = settings.strategies.get(name, {})
    check_phases([name], settings, {name: grid}, asked.phases)
    points = points_of(grid, base, name, strategy_class, most=asked.most, seed=asked.seed)
    dataset = load_dataset(asked.data, settings.gate)
    first, last = window_to_search(dataset, asked.start, asked.end)
    job = TuningJob(
        dataset=asked.data, fingerprint=dataset.fingerprint, strategy=name, start=first, end=last,
        settings=settings, seed=asked.seed, late=asked.late, phases=asked.phases,
    )  # fmt: skip
    workers = asked.workers or min(os.cpu_count() or 1, MOST_WORKERS)
    with new_directory(folder) as aside:
        trials = search(job, points, workers, lambda done: progress(done, len(points)))
        record = record_of_points(job, trials)
        found = Search(job, grid, trials, summary_of_points(job, record), folder)
        write_trials(aside, trials)
        write_record(aside / TRIALS, record)
        write_best(aside, job, found.best, found.tried)
        write_manifest(aside, job, trials, grid, found.tried, command=command_line(), started=started)
    return found


def window_to_search(dataset: Dataset, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """The hours to search; what is not stated is taken from the validation window.

    Raises ``UserError`` for an empty window and for one that touches the test window, which no search may see.
    """
    if start is None or end is None:
        first, last = dataset.window("validation")
        start, end = start or first, end or last
    if start >= end:
        raise UserError(f"the window {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ} is empty")
    test = dataset.windows.get("test")
    if test is not None and start <= test[1] and test[0] <= end:
        raise UserError(
            f"the search would see the test window ({test[0]:%Y-%m-%dT%H:%MZ} to {test[1]:%Y-%m-%dT%H:%MZ}); "
            "parameters are chosen on other hours"
        )
    return start, end
