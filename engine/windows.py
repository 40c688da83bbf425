"""The one span of hours, as rows of a market, as hour numbers and as times, and the ways between the three.

The number of an hour counts whole hours since 1970-01-01T00:00Z; the row of an hour is its place in a market's arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.errors import UserError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hour_of(time: datetime) -> int:
    """Number of whole hours since 1970-01-01T00:00Z of an aware time that lies on a whole hour."""
    if time.tzinfo is None:
        raise UserError(f"{time.isoformat()} has no time zone; write it as UTC, for example {time.isoformat()}Z")
    seconds = (time - EPOCH).total_seconds()
    if seconds % 3600:
        raise UserError(f"{time.isoformat()} is not a whole hour")
    return int(seconds // 3600)


def time_of(hour: int) -> datetime:
    """The aware UTC time of an hour number."""
    return EPOCH + timedelta(hours=int(hour))


@dataclass(frozen=True)
class Window:
    """A span of hours, both ends included.

    Numbers of hours where no market is at hand (the folds of a plan); rows where a market is played.
    """

    first: int
    last: int

    @classmethod
    def between(cls, start: datetime, end: datetime) -> Window:
        """In hour numbers. Raises ``UserError`` for a time that is no whole hour."""
        return cls(hour_of(start), hour_of(end))

    @property
    def hours(self) -> int:
        """How many hours it has."""
        return self.last - self.first + 1

    @property
    def times(self) -> tuple[datetime, datetime]:
        """First and last hour of a window in hour numbers."""
        return time_of(self.first), time_of(self.last)

    def rows_in(self, hours: Any) -> Window:
        """A window in hour numbers as rows of a market with those ``hours`` (consecutive hour numbers)."""
        return Window(self.first - int(hours[0]), self.last - int(hours[0]))

    def hours_in(self, hours: Any) -> Window:
        """A window in rows of a market as numbers of its ``hours``."""
        return Window(int(hours[self.first]), int(hours[self.last]))

    def __str__(self) -> str:
        start, end = self.times
        return f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
