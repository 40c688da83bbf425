"""Deciding at some hours only: the two parameters of a rule with a clock, and whether an hour is one of its own.

A rule whose ``Parameters`` derive from ``ClockParameters`` has a clock. Its result at one phase is one draw of
several, so searches and walk-forwards judge it by the mean over phases.
"""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from engine.settings import Settings
from engine.windows import hour_of


class ClockParameters(Settings):
    """How often a rule decides, and at which of these hours."""

    every_hours: int = Field(8, ge=1, le=168, description="decides once in so many hours; protective exits stay hourly")
    phase: int = Field(0, ge=0, le=167, description="at which of them: hours since 1970 modulo every_hours, from 0")

    @model_validator(mode="after")
    def _phase_lies_within(self) -> Self:
        if self.phase >= self.every_hours:
            raise ValueError("phase must lie below every_hours, or it would never decide")
        return self

    def is_due(self, time: datetime) -> bool:
        """Whether it decides at this hour, aware UTC."""
        return hour_of(time) % self.every_hours == self.phase
