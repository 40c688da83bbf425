"""The worlds that a population is trained in and judged by, drawn from the hours to learn from alone."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.research.courses import courses_from
from adapters.research.pbt.job import PBTJob
from engine.observation.opportunities import OpportunityBuilder
from rl_training.pbt.population import generator
from rl_training.recipe.courses import Course
from rl_training.worlds.settings import WorldsSettings


def worlds_of(job: PBTJob) -> WorldsSettings:
    """Of a run that draws worlds."""
    assert job.settings.worlds is not None
    return job.settings.worlds


def courses_of(job: PBTJob, builder: OpportunityBuilder) -> Iterator[Course]:
    """Where agents are trained, one after the other, the recorded market first."""
    return _courses(job, builder, worlds_of(job), "worlds")


def held_back_of(job: PBTJob, builder: OpportunityBuilder) -> Iterator[Course]:
    """Where nobody is trained: augmented markets, filled at once, drawn from a generator of their own."""
    count = job.settings.pbt.judge.held_back_worlds
    return _courses(job, builder, worlds_of(job).held_back(count), "held-back worlds") if count else iter(())


def _courses(job: PBTJob, builder: OpportunityBuilder, drawn: WorldsSettings, purpose: str) -> Iterator[Course]:
    market = builder.tape.market
    learned = market.window(job.train_from, job.train_to)
    return courses_from(market, learned, job.settings, drawn, job.scaler, generator(job.seed, purpose, 0))
