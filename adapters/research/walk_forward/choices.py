"""What each fold chooses for a strategy, on hours before the fold's test window and on those alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.configuration.tuning_grids import Point
from adapters.research.tuning import MeasureAll, Trial, TuningJob, ranked
from adapters.research.walk_forward.plan import WalkForwardPlan
from adapters.research.walk_forward.point_log import PointLog
from adapters.storage.run_files import folder_name
from engine.analysis.folds import Fold
from engine.analysis.metrics import Metrics
from strategies.policy import Policy

Tell = Callable[[str], None]
Show = Callable[[str, int, int], None]
"""(what, done, total)."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What a fold has chosen for a strategy; ``validation`` are its metrics on the validation window."""

    fold: Fold
    strategy: str
    parameters: Point
    validation: Metrics
    trials: tuple[Trial, ...]
    """Everything that was scored on the validation window: points of a grid, or agents after iterations."""
    policy: Policy | None = None
    training: dict[str, Any] = field(default_factory=dict)
    """Of a trained model: steps, agent, hyperparameters."""


def fold_folder(folder: Path, fold: Fold) -> Path:
    """Where the work of a fold is kept."""
    return folder / f"fold_{fold.number:03d}"


def choose_rules(folder: Path, plan: WalkForwardPlan, measure_all: MeasureAll, show: Show) -> list[Choice]:
    """The best point of each fold for every strategy that is not trained, from what is on disk or measured now."""
    choices = []
    for name in plan.strategies:
        if name in plan.learned:
            continue
        points = plan.points_for(name)
        total = len(points) * len(plan.folds)
        for fold in plan.folds:
            log = PointLog(fold_folder(folder, fold) / f"{folder_name(name)}.jsonl", points)
            log.read()
            for measured in measure_all(job_of(plan, name, fold), log.missing):
                # One by one, so that a kill costs no more than the point under way.
                log.append(measured)
                show(f"choosing {name}", (fold.number - 1) * len(points) + len(log.measured), total)
            choices.append(_best(fold, name, points, log))
    return choices


def job_of(plan: WalkForwardPlan, name: str, fold: Fold) -> TuningJob:
    """The search of a fold for a strategy that is not trained."""
    start, end = fold.validation.times
    return TuningJob(
        dataset=plan.dataset, fingerprint=plan.fingerprint, strategy=name,
        start=start, end=end, settings=plan.settings, seed=plan.seed,
        late=plan.late, phases=plan.phases,
    )  # fmt: skip


def _best(fold: Fold, name: str, points: list[Point], log: PointLog) -> Choice:
    pairs = enumerate(zip(points, log.measured, strict=True), start=1)
    trials = tuple(Trial(number, point, *measured) for number, (point, measured) in pairs)
    best = ranked(trials)[0]
    return Choice(fold, name, best.parameters, best.metrics, trials)
