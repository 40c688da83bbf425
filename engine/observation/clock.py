"""The hours at which somebody decides: between them positions are held, while protective exits stay hourly."""

from __future__ import annotations

from dataclasses import dataclass

BETWEEN_DECISIONS = "between decisions"
"""How the reason begins that a journal gives for an hour at which nobody was asked."""


@dataclass(frozen=True, slots=True)
class DecisionClock:
    """Decisions are made at hours with ``(hour number since 1970 - phase) % every_hours == 0``."""

    every_hours: int = 1
    phase: int = 0

    def decides_at(self, hour: int) -> bool:
        """Whether an hour, counted since 1970, is one of its own."""
        return (hour - self.phase) % self.every_hours == 0

    def offset(self, first_hour: int) -> int:
        """The first row with a decision, of a market whose row 0 is ``first_hour``."""
        return (self.phase - first_hour) % self.every_hours

    def __str__(self) -> str:
        return "every hour" if self.every_hours == 1 else f"every {self.every_hours} h, phase {self.phase}"


EVERY_HOUR = DecisionClock()


def clock_of(strategy: object) -> DecisionClock:
    """The ``decision_clock`` of a strategy; one that has none is asked every hour."""
    clock = getattr(strategy, "decision_clock", EVERY_HOUR)
    # A plug-in may have something else by that name.
    return clock if isinstance(clock, DecisionClock) else EVERY_HOUR
