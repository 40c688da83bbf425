"""Everything that a population tried: the hourly returns of every agent after every iteration, as trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.research.pbt.job import PBTJob
from adapters.research.pbt.state_folder import StateFolder
from adapters.research.significance import after_all
from adapters.storage.bundles import listed_files, read_model_file, require_listed
from adapters.storage.pbt_names import STATE
from adapters.storage.trials import FILE, TrialRecord, read_trials, record_of, summarise, write_trials
from engine.analysis.significance import Trials, significance
from rl_training.pbt.results import Iteration

EACH_IS = "equal parts in each phase of the clock, filled at once"


def population_record(folder: Path, job: PBTJob, iterations: Sequence[Iteration]) -> TrialRecord | None:
    """Every score of a run, in order; an agent that failed has none. None when all have failed.

    Raises ``DataError`` when the returns of a score are missing (a run begun by an older version has none).
    """
    state = StateFolder(folder / STATE)
    returns = {
        trial_name(iteration.number, agent): state.returns(iteration.number, agent)
        for iteration in iterations
        for agent, result in iteration.results.items()
        if result.failure is None
    }
    each_is = EACH_IS if job.settings.pbt.judge.phases and job.settings.observation.decide_every_hours > 1 else ""
    return record_of(returns, job.validate_from, each_is) if returns else None


def trial_name(iteration: int, agent: int) -> str:
    """``iteration_001_agent_0``"""
    return f"iteration_{iteration:03d}_agent_{agent}"


def write_tried(folder: Path, job: PBTJob, iterations: Sequence[Iteration]) -> None:
    """``trials.parquet`` of the iterations so far: a function of the results alone, so that resuming repeats it."""
    record = population_record(folder, job, iterations)
    if record is not None:
        write_trials(folder / FILE, record)


def tried(folder: Path, job: PBTJob, iterations: Sequence[Iteration]) -> Trials | None:
    """The summary that a bundle carries."""
    record = population_record(folder, job, iterations)
    return None if record is None else _summary(record, job)


def trials_of_run(folder: Path, job: PBTJob) -> Trials | None:
    """The summary of a finished run, from its file; None for a run without one. Raises ``BundleError``."""
    path = folder / FILE
    if not path.is_file():
        return None
    require_listed(listed_files(folder), path, read_model_file(path))
    return _summary(read_trials(path), job)


def _summary(record: TrialRecord, job: PBTJob) -> Trials:
    population, iterations = job.settings.pbt.population, job.schedule.iterations
    what = f"{population} agents x {iterations} iterations of `arb train-pbt`, seed {job.seed}"
    return summarise(record, what, job.fingerprint)


def winner_after_all(folder: Path, job: PBTJob, iterations: Sequence[Iteration]) -> str:
    """What the winner's Sharpe ratio is worth after so many tries, in words."""
    record, last = population_record(folder, job, iterations), iterations[-1]
    winner = last.results[last.ranking[0]]
    if record is None or winner.failure is not None:
        return "Every agent has failed: there is nothing to judge."
    returns = record.returns[:, record.names.index(trial_name(last.number, winner.agent))]
    return after_all(significance(returns, job.settings.significance, _summary(record, job)), "scores")
