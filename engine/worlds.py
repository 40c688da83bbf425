"""The same market under other rules: what a run is played on again to see whether its result holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from engine.accounting.tape import rules_record
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings

SomeSettings = TypeVar("SomeSettings", bound=EngineSettings)


def late(builder: OpportunityBuilder, hours: int = 1) -> OpportunityBuilder:
    """The same market and features with every fill ``hours`` later than the run's own fills are.

    Later than a run that is late itself, too: a second run with the latency of the first would test nothing.
    """
    tape = builder.tape
    settings = later(tape.settings, hours)
    # Only the rules know of latency; everything else of the tape is the same, and large.
    arrays = tape.arrays._replace(rules=rules_record(settings))
    return OpportunityBuilder(replace(tape, settings=settings, arrays=arrays), builder.tables)


def later(settings: SomeSettings, hours: int = 1) -> SomeSettings:
    """The settings of ``late``."""
    return settings.model_copy(update={"latency_hours": settings.latency_hours + hours})
