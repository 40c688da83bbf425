"""Deciding at some hours only: the two parameters of a rule with a clock.

A rule whose ``Parameters`` derive from ``ClockParameters`` has a clock, and is asked at its hours alone when its
``decision_clock`` is that of its parameters. Its result at one phase is one draw of several, so searches and
walk-forwards judge it by the mean over phases.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from engine.observation.clock import DecisionClock
from engine.settings import Settings


class ClockParameters(Settings):
    """How often a rule decides, and at which of these hours."""

    every_hours: int = Field(8, ge=1, le=168, description="decides once in so many hours; protective exits stay hourly")
    phase: int = Field(0, ge=0, le=167, description="at which of them: hours since 1970 modulo every_hours, from 0")

    @model_validator(mode="after")
    def _phase_lies_within(self) -> Self:
        if self.phase >= self.every_hours:
            raise ValueError("phase must lie below every_hours, or it would never decide")
        return self

    @property
    def clock(self) -> DecisionClock:
        """The hours at which it decides."""
        return DecisionClock(self.every_hours, self.phase)
