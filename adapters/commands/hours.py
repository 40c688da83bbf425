"""Whole hours on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from engine.errors import shown


def hour(text: str) -> datetime:
    """An aware time on a whole hour, such as 2025-01-31T23:00Z, as UTC: the ``type`` of a click option."""
    time = _aware(text, "2025-01-31T23:00Z")
    # As UTC: where clocks are half an hour off, a whole hour of theirs is none of the data.
    if time.minute or time.second or time.microsecond:
        raise click.BadParameter(f"{shown(text)} is not a whole hour")
    return time


def day_or_hour(text: str) -> datetime:
    """A whole hour as UTC; a date alone is its midnight."""
    return hour(f"{text}T00:00Z") if len(text) == len("2025-01-31") else hour(text)


def instant(text: str) -> datetime:
    """An aware time, to the second, as UTC."""
    return _aware(text, "2025-01-31T23:00:20Z")


def _aware(text: str, example: str) -> datetime:
    """A time with its zone, as UTC. Raises ``BadParameter`` that shows the example."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{shown(text)} is not a time; write it like {example}") from None
    if time.tzinfo is None:
        raise click.BadParameter(f"{shown(text)} has no time zone; write it as UTC, like {example}")
    return time.astimezone(UTC)
