"""``arb walk-forward`` from what was asked, or from a run that was cut, to its folder of results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.datasets.load import Dataset, load_dataset
from adapters.research.walk_forward.account import Account
from adapters.research.walk_forward.choices import Show, Tell
from adapters.research.walk_forward.files import play_beside, write_account, write_for_report
from adapters.research.walk_forward.judgement import Judgement, judge
from adapters.research.walk_forward.plan import (
    WalkForwardPlan,
    begin,
    new_plan,
    read_plan,
    remove_work,
    settings_of,
    unfinished,
)
from adapters.research.walk_forward.run import walk_forward
from adapters.storage.atomic import new_directory
from adapters.storage.folder_lock import FolderLock
from adapters.storage.run_files import folder_name, write_comparison
from adapters.storage.run_names import COMPARISON, MANIFEST
from engine.analysis.folds import FoldLengths

MOST_WORKERS = 8
DONE = (MANIFEST, COMPARISON)
"""A folder that has one of them is a finished run."""

WritePages = Callable[[Path, Sequence[str]], Any]
"""Writes the reports of the runs of those names in a folder, and returns what is told of them."""


@dataclass(frozen=True)
class WalkForwardRequest:
    """The options of a new run; what is None was not given."""

    strategies: Sequence[str]
    data: Path
    train_days: int
    validate_days: int
    test_days: int
    embargo_hours: int
    anchored: bool
    start: datetime | None
    end: datetime | None
    timesteps: int | None
    population: int | None
    grid_file: Path | None
    points: int | None
    late: bool
    phases: tuple[int, ...] | None
    config: Path | None
    overrides: tuple[str, ...]
    report: bool
    seed: int
    out: Path | None

    @property
    def lengths(self) -> FoldLengths:
        return FoldLengths(
            train_days=self.train_days,
            validate_days=self.validate_days,
            test_days=self.test_days,
            embargo_hours=self.embargo_hours,
            anchored=self.anchored,
        )


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished walk-forward; ``stories`` are what its reports tell, empty without them."""

    out: Path
    plan: WalkForwardPlan
    dataset: Dataset
    accounts: Sequence[Account]
    judged: Sequence[Judgement]
    stories: Any


def begun(asked: WalkForwardRequest, started: datetime) -> Path:
    """Where a new walk-forward is to stand, its plan written beside it.

    Raises ``UserError`` like ``settings_of``, ``new_plan`` and ``begin``.
    """
    out = asked.out or Path("runs") / f"walk-forward-{started:%Y%m%dT%H%M%SZ}"
    settings = settings_of(
        asked.strategies, asked.config, asked.overrides, timesteps=asked.timesteps, population=asked.population
    )
    plan = new_plan(
        load_dataset(asked.data, settings.gate), asked.strategies, settings, asked.lengths, asked.start, asked.end,
        grid_file=asked.grid_file, points=asked.points, population=asked.population or 1, seed=asked.seed,
        late=asked.late, phases=asked.phases, report=asked.report, started=started,
    )  # fmt: skip
    begin(out, plan)
    return out


def resumed(out: Path, tell: Tell) -> bool:
    """Whether there is something left to do of the run that was to become this folder."""
    if not any((out / name).exists() for name in DONE):
        return True
    _clean_up(unfinished(out), tell)
    return False


def finished(
    out: Path, started: datetime, workers: int | None, show: Show, tell: Tell, write_pages: WritePages
) -> Finished:
    """Read the plan, do what is missing of it, and put the results in their place."""
    plan, work = read_plan(out), unfinished(out)
    dataset = load_dataset(plan.dataset, plan.settings.gate)
    most = workers or min(os.cpu_count() or 1, MOST_WORKERS)
    # Two processes would append to the same logs of points.
    with FolderLock(work):
        accounts, world = walk_forward(work, plan, dataset, most, show, tell)
        references = play_beside(world, accounts, show) if plan.report else []
        judged = [judge(account, plan) for account in accounts]
        with new_directory(out) as aside:
            for account, judgement in zip(accounts, judged, strict=True):
                place = aside if len(accounts) == 1 else aside / folder_name(account.strategy)
                write_account(place, account, judgement, plan, dataset, world, started)
                if plan.report:
                    write_for_report(place, account, references, world)
            stories = write_pages(aside, [folder_name(name) for name in plan.strategies]) if plan.report else []
            if len(accounts) > 1:
                write_comparison(aside / COMPARISON, {one.strategy: one.metrics for one in accounts})
        # Only now that the results are in their place; a run cut before goes on from it.
        _clean_up(work, tell)
    return Finished(out, plan, dataset, accounts, judged, stories)


def _clean_up(work: Path, tell: Tell) -> None:
    why = remove_work(work)
    if why is not None:
        tell(why)
