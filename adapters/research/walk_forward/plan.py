"""What a walk-forward was asked to do: everything that its result depends on, in one file that resuming reads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from pydantic import AwareDatetime

from adapters.configuration.settings import ArbSettings, load_settings, read_yaml
from adapters.configuration.strategy_registry import check_names, load_strategy_class, needs_future, parse_parameters
from adapters.configuration.tuning_grids import SHIPPED_GRIDS, Grid, Point, points_of, read_grid
from adapters.datasets.load import Dataset
from adapters.research.markets import window_of
from adapters.research.phases import check_phases
from adapters.storage.folder_lock import LOCK
from adapters.storage.giving_way import check_place, unfamiliar
from adapters.storage.plans import read_plan_file
from adapters.storage.provenance import code_version, command_line
from adapters.storage.run_names import PLAN
from adapters.storage.sealed import write_sealed
from engine.analysis.folds import Fold, FoldLengths, folds_of
from engine.errors import SettingsError, UserError
from engine.settings import Settings
from engine.windows import Window, time_of

UNFINISHED = ".unfinished"
TRAINED_BY = "flat"
"""The learner of models."""


class WalkForwardPlan(Settings):
    """One walk-forward. ``grids`` has an entry for each strategy that is tuned.

    ``late``: points are judged by late fills too; ``phases`` of rules with a clock are played, None: all.
    """

    dataset: Path
    fingerprint: str
    first: AwareDatetime
    last: AwareDatetime
    lengths: FoldLengths
    strategies: tuple[str, ...]
    grids: Mapping[str, Grid]
    points: int | None
    population: int
    seed: int
    late: bool
    phases: tuple[int, ...] | None
    settings: ArbSettings
    report: bool
    started: AwareDatetime
    command: str
    code_version: str

    @property
    def hours(self) -> Window:
        """First and last hour of everything that the walk-forward looks at."""
        return Window.between(self.first, self.last)

    @property
    def folds(self) -> list[Fold]:
        """Raises ``UserError`` when the data is too short for one."""
        return folds_of(self.hours, self.lengths)

    @property
    def tests(self) -> Window:
        """All test windows together."""
        folds = self.folds
        return Window(folds[0].test.first, folds[-1].test.last)

    @property
    def untuned(self) -> tuple[str, ...]:
        """Rules that have parameters but no grid: they run with the parameters in force."""
        rules = [name for name in self.strategies if name not in self.grids and name not in self.learned]
        return tuple(name for name in rules if load_strategy_class(name).Parameters.model_fields)

    @property
    def learned(self) -> tuple[str, ...]:
        """Strategies that play the model which each fold trains."""
        return tuple(name for name in self.strategies if load_strategy_class(name).policies)

    def points_for(self, strategy: str) -> list[Point]:
        """Parameters to try in each fold; without a grid only those in force."""
        strategy_class, base = load_strategy_class(strategy), self.settings.strategies.get(strategy, {})
        if strategy not in self.grids:
            return [parse_parameters(strategy, strategy_class, base).model_dump(mode="json")]
        grid = self.grids[strategy]
        return points_of(grid, base, strategy, strategy_class, most=self.points, seed=self.seed)


def new_plan(
    dataset: Dataset,
    strategies: Sequence[str],
    settings: ArbSettings,
    lengths: FoldLengths,
    start: datetime | None,
    end: datetime | None,
    *,
    grid_file: Path | None,
    points: int | None,
    population: int,
    seed: int,
    late: bool,
    phases: tuple[int, ...] | None,
    report: bool,
    started: datetime,
) -> WalkForwardPlan:
    """A checked plan. Hours that are not stated end before the data set's own test window.

    Raises ``UserError`` for strategies that cannot walk forward, wrong grids, and data that is too short.
    """
    # The data set's test window is for one last look: folds that chose on it would use it up.
    window = window_of(dataset, start, end or _before_test(dataset))
    first, last = (time_of(int(dataset.market.hours[row])) for row in (window.first, window.last))
    plan = WalkForwardPlan(
        dataset=dataset.path.absolute(), fingerprint=dataset.fingerprint,
        first=first, last=last, lengths=lengths,
        strategies=tuple(strategies), grids=_grids(strategies, grid_file),
        points=points, population=population, seed=seed, late=late, phases=phases, settings=settings, report=report,
        started=started, command=command_line(), code_version=code_version(),
    )  # fmt: skip
    _check(plan, grid_file)
    return plan


def settings_of(
    names: Sequence[str],
    config: Path | None,
    overrides: Sequence[str],
    *,
    timesteps: int | None,
    population: int | None,
) -> ArbSettings:
    """Settings of a new walk-forward. Raises ``UserError`` for a budget of training where nothing is trained."""
    shortcuts = {"training.timesteps": timesteps, "pbt.population": population}
    budget = [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    if budget and not any(load_strategy_class(name).policies for name in names):
        raise UserError("--timesteps and --population are for training, and none of the strategies is trained")
    settings = load_settings(config, [*overrides, *budget])
    if settings.pbt.learner != TRAINED_BY:
        raise UserError(f"a walk-forward trains with the learner {TRAINED_BY}; set pbt.learner={TRAINED_BY}")
    check_names(settings.strategies)
    return settings


def sees_test_window(plan: WalkForwardPlan, dataset: Dataset) -> bool:
    """Whether folds choose or test on hours of the data set's own test window."""
    test = dataset.windows.get("test")
    return test is not None and plan.first <= test[1] and test[0] <= plan.last


def begin(out: Path, plan: WalkForwardPlan) -> Path:
    """Make the folder that a walk-forward works in until it is finished. Raises ``UserError`` when one stands there."""
    folder = unfinished(out)
    check_place(out, otherwise="choose another --out")
    if folder.exists():
        raise UserError(f"{folder} is there already; go on with --resume {out}, or remove it")
    write_sealed(folder / PLAN, plan.model_dump(mode="json"))
    return folder


def unfinished(out: Path) -> Path:
    """Where a walk-forward keeps what it has so far."""
    return out.with_name(out.name + UNFINISHED)


def work_only(folder: Path) -> str | None:
    """What in a folder is not from working on a walk-forward; None when all of it is."""
    if folder.is_symlink() or not (folder / PLAN).is_file():
        return f"{folder} is no walk-forward's"
    folds = partial(unfamiliar, files=("*.jsonl", ".*.tmp"), folders={"training": lambda _: None})
    return unfamiliar(folder, (PLAN, LOCK, ".*.tmp"), {"fold_[0-9]*": folds})


def remove_work(folder: Path) -> str | None:
    """Remove what a finished run worked with; where somebody has put something else there, says that it is left."""
    if not folder.exists():
        return None
    why = work_only(folder)
    if why is not None:
        return f"{folder} is left as it is: {why}"
    shutil.rmtree(folder, ignore_errors=True)
    return None


def read_plan(out: Path) -> WalkForwardPlan:
    """The plan of an unfinished walk-forward. Raises ``UserError`` when there is none, or none that can be read."""
    path = unfinished(out) / PLAN
    absent = f"there is no {path}; {out} is not a walk-forward that was cut"
    return read_plan_file(path, WalkForwardPlan, absent=absent, anew="the walk-forward")


def _before_test(dataset: Dataset) -> datetime | None:
    """The last hour before the data set's test window, None where it has none."""
    test = dataset.windows.get("test")
    return None if test is None else test[0] - timedelta(hours=1)


def _grids(strategies: Sequence[str], grid_file: Path | None) -> dict[str, Grid]:
    path = grid_file or SHIPPED_GRIDS
    tuned = [name for name in read_yaml(path) if name in strategies]
    return {name: read_grid(path, name) for name in tuned}


def _check(plan: WalkForwardPlan, grid_file: Path | None) -> None:
    check_phases(plan.strategies, plan.settings, plan.grids, plan.phases)
    for name in plan.strategies:
        strategy_class = load_strategy_class(name)
        if needs_future(strategy_class):
            raise UserError(f"{name} knows the future; only `arb backtest` plays it, as a measure for the others")
        if strategy_class.policies > 1:
            raise UserError(f"{name} plays {strategy_class.policies} models; each fold trains one")
        # Asked for its errors: a wrong grid would otherwise show only when its search begins.
        plan.points_for(name)
    if not plan.grids and (plan.points is not None or grid_file is not None):
        has = ", ".join(read_yaml(grid_file or SHIPPED_GRIDS))
        raise UserError(f"--points and --grid are given, but nothing is tuned: {grid_file or SHIPPED_GRIDS} has {has}")
    folds = plan.folds
    if plan.learned:
        _check_training(plan, folds[0].train)


def _check_training(plan: WalkForwardPlan, train: Window) -> None:
    from adapters.research.pbt.job import check_batches
    from rl_training.pbt.schedule import schedule_of

    settings = plan.settings
    check_batches(settings)
    if plan.population > 1:
        schedule_of(settings.training, settings.pbt)
    length = settings.training.episode.length_hours
    # An episode of n decisions needs n + 1 rows.
    if train.hours <= length:
        raise SettingsError(
            f"episodes of {length} h do not fit into training windows of {train.hours} h; "
            f"give more --train-days or --set training.episode.length_hours={train.hours - 1}"
        )
