"""The model of a fold: trained on its training window, scored on its validation window; imported only when needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from adapters.configuration.tuning_grids import Point
from adapters.datasets.load import Dataset
from adapters.datasets.windows import WindowEdges
from adapters.research.markets import prepare_dataset
from adapters.research.pbt.campaign import Trainers, campaign, trainers_of
from adapters.research.pbt.job import PBTJob, new_job
from adapters.research.pbt.job import begin as begin_population
from adapters.research.pbt.tried import trial_name
from adapters.research.training import BUNDLE, MANIFEST, PLAN, TrainingPlan, begin, read_plan, train
from adapters.research.tuning import Trial
from adapters.research.walk_forward.choices import Choice, Show, Tell, fold_folder
from adapters.research.walk_forward.plan import TRAINED_BY, WalkForwardPlan
from adapters.storage.bundles import listed_files, load_bundle, read_model_file, require_listed
from adapters.storage.folder_lock import LOCK
from adapters.storage.giving_way import unfamiliar
from adapters.storage.pbt_names import JOB, SUMMARY, read_summary
from adapters.storage.trials import FILE as TRIALS
from adapters.storage.trials import TrialRecord, read_trials
from engine.analysis.folds import Fold
from engine.errors import DataError, in_words
from rl_training.pbt.population import Assignment
from rl_training.pbt.ports import Interval, WorkerDied
from rl_training.pbt.results import Iteration

Progress = Callable[[int, int], None]
TRAINING = "training"


def choose_models(
    folder: Path, plan: WalkForwardPlan, dataset: Dataset, workers: int, show: Show, tell: Tell
) -> list[Choice]:
    """The model of each fold, for every strategy that plays one; finished trainings are taken as they are.

    Raises ``ArbError`` naming the fold when a training cannot go on.
    """
    choices = []
    # One crew for all folds: a process takes seconds to start, and a population of one starts none.
    with trainers_of(workers, plan.population) as trainers:
        for fold in plan.folds:
            place = fold_folder(folder, fold) / TRAINING
            # It is written last, so that a training which has one is whole.
            if not (place / MANIFEST).exists():
                what = f"training, fold {fold.number} of {len(plan.folds)}"
                progress = partial(show, what)
                if plan.population == 1:
                    _train_one(place, plan, fold, dataset, progress)
                else:
                    _train_population(place, plan, fold, dataset, _Crew(workers, trainers), _Told(progress, tell))
            choices += [_choice(place, plan, fold, name) for name in plan.learned]
    return choices


def _choice(place: Path, plan: WalkForwardPlan, fold: Fold, name: str) -> Choice:
    bundle = load_bundle(place / BUNDLE)
    manifest, validation = bundle.meta["training"], bundle.meta["metrics"]["validation"]
    if plan.population == 1:
        facts: Point = {"steps": manifest["steps"]}
        trials: tuple[Trial, ...] = (Trial(1, facts, validation),)
    else:
        trials, facts = _population(place)
    (parameters,) = plan.points_for(name)
    return Choice(fold, name, parameters, validation, trials, policy=bundle.policy, training=facts)


def _population(place: Path) -> tuple[tuple[Trial, ...], Point]:
    """All that a population tried, and the facts of its winner. Raises ``DataError`` for files that are not whole."""
    summary = read_summary(place)
    require_listed(listed_files(place), place / TRIALS, read_model_file(place / TRIALS))
    record = read_trials(place / TRIALS)
    try:
        trials = tuple(
            _trial(number, one, record) for number, one in enumerate(summary["results"], 1) if not one["failure"]
        )
        # The winner stands once in every iteration; the last entry is what is played.
        return trials, next(one.parameters for one in reversed(trials) if one.parameters["agent"] == summary["winner"])
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise DataError(f"is damaged: {in_words(error)}", file=str(place / SUMMARY)) from None


def _trial(number: int, result: dict[str, Any], record: TrialRecord) -> Trial:
    """An agent after an iteration as one of the things that were tried."""
    facts = {name: result[name] for name in ("steps", "agent", "iteration")}
    returns = record.returns[:, record.names.index(trial_name(result["iteration"], result["agent"]))]
    return Trial(number, facts | result["hyperparameters"], result["metrics"], returns)


def _train_one(place: Path, plan: WalkForwardPlan, fold: Fold, dataset: Dataset, progress: Progress) -> None:
    # Training keeps off the windows it is told of: here those of the fold, not those of the data set.
    seen = replace(dataset, windows={"train": fold.train.times, "validation": fold.validation.times})
    if not (place / PLAN).exists():
        _start_anew(place)
        begin(place, _training_plan(plan, fold))
    asked = read_plan(place)
    train(
        place, asked, seen, timesteps=asked.timesteps, started=datetime.now(UTC),
        progress=lambda done: progress(done, asked.timesteps),
    )  # fmt: skip


def _training_plan(plan: WalkForwardPlan, fold: Fold) -> TrainingPlan:
    start, end = fold.train.times
    return TrainingPlan(
        data=str(plan.dataset), dataset_fingerprint=plan.fingerprint, train_from=start, train_to=end,
        timesteps=plan.settings.training.timesteps, seed=plan.seed, learner=TRAINED_BY, settings=plan.settings,
    )  # fmt: skip


def _train_population(
    place: Path, plan: WalkForwardPlan, fold: Fold, dataset: Dataset, crew: _Crew, told: _Told
) -> None:
    if not (place / JOB).exists():
        _start_anew(place)
        builder = prepare_dataset(dataset, plan.settings)
        edges = WindowEdges(*fold.train.times, *fold.validation.times, *fold.test.times)
        job, _ = new_job(
            dataset, builder, plan.settings, edges,
            seed=plan.seed, learner=TRAINED_BY, started=datetime.now(UTC), command=plan.command,
        )  # fmt: skip
        begin_population(place, job)
    with campaign(place, *crew) as running:
        running.finish(running.train(_Watcher(running.job, told)), started=running.job.started)


class _Crew(NamedTuple):
    """Who trains the populations of all folds."""

    workers: int
    trainers: Trainers


class _Told(NamedTuple):
    """Who hears of a population: of its steps, and in a line of what went wrong."""

    progress: Progress
    tell: Tell


class _Watcher:
    """Hears what a population does; shows steps, and says when a worker died."""

    def __init__(self, job: PBTJob, told: _Told) -> None:
        self._tell = told.tell
        self._progress, self._schedule, self._population = told.progress, job.schedule, job.settings.pbt.population
        self._steps: dict[int, int] = {}

    def began(self, number: int, missing: int) -> None:  # noqa: ARG002  # the protocol's
        self._steps = dict.fromkeys(range(self._population), self._schedule.steps_until(number - 1))

    def progressed(self, agent: int, steps: int) -> None:
        self._steps[agent] = steps
        total = self._schedule.steps_until(self._schedule.iterations) * self._population
        self._progress(sum(self._steps.values()), total)

    def worker_died(self, event: WorkerDied[Interval]) -> None:
        self._tell(f"a worker died ({event.why}); its work is done again")

    def ended(self, iteration: Iteration, following: Sequence[Assignment]) -> None:
        pass


def _start_anew(place: Path) -> None:
    """A kill may have left a folder without a plan; nothing was learned in it yet."""
    if place.is_dir() and unfamiliar(place, (".*.tmp", LOCK)) is None:
        shutil.rmtree(place, ignore_errors=True)
