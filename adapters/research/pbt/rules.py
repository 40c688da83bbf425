"""The rules on the validation window of a population: what its winner is to be compared with."""

from __future__ import annotations

from adapters.research.markets import window_of
from adapters.research.pbt.job import PBTJob, load_job_data
from adapters.research.references import play_references
from engine.analysis.metrics import Metrics
from engine.backtest import run_backtest

RULES = ("hold", "greedy", "carry", "basis")


def rules_on_validation(job: PBTJob) -> dict[str, Metrics]:
    """Metrics of the rules, as the job's settings have them, by name."""
    dataset, builder = load_job_data(job)
    hours = window_of(dataset, job.validate_from, job.validate_to)
    played = play_references(
        builder, job.settings, hours, lambda _, one: run_backtest(one.builder, one.strategy, hours.first, hours.last),
        RULES,
    )  # fmt: skip
    return {one.name: one.metrics for one in played}
