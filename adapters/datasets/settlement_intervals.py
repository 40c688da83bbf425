"""Which funding interval was in force at every settlement, and where settlements are missing (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from adapters.storage.stamps import HOUR_MS

USUAL_HOURS = frozenset({1, 2, 3, 4, 6, 8, 12, 24})


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows missing between two rows: the last one before and the first one after (or the end of the span)."""

    after_ms: int
    before_ms: int
    missing: int


def intervals_in_force(times: Sequence[int]) -> tuple[list[float], list[Gap]]:
    """Hours of the period that each settlement ended, and the gaps (times: whole minutes in ms, ascending).

    A shorter distance than before is a new interval at once, for a missing row cannot shorten one. A longer one
    is a new interval only if the next distance confirms it, else rows are missing. The first row takes the interval
    of the second; a single row has none (nan).
    """
    if len(times) < 2:
        return [float("nan")] * len(times), []
    distances = [(later - earlier) / HOUR_MS for earlier, later in pairwise(times)]
    current = _first_interval(distances)
    hours, gaps = [current], []
    for i, distance in enumerate(distances):
        following = distances[i + 1 : i + 3]
        changed = _new_interval(distance, current, following)
        if changed is not None:
            current = changed
        elif distance > current:
            gaps.append(Gap(times[i], times[i + 1], max(1, round(distance / current) - 1)))
        hours.append(current)
    return hours, gaps


def _first_interval(distances: Sequence[float]) -> float:
    # In an unusual first distance rows are likely missing, so the shortest of the first few counts.
    return distances[0] if distances[0] in USUAL_HOURS else min(distances[:3])


def _new_interval(distance: float, current: float, following: Sequence[float]) -> float | None:
    """The interval that this distance begins; None when the old one goes on (a longer distance is then a gap)."""
    if distance < current:
        if distance in USUAL_HOURS:
            return distance
        return following[0] if following and following[0] in USUAL_HOURS and following[0] <= current else None
    if distance > current and following and following[0] > current and following[0] in USUAL_HOURS:
        # The switch itself may fall short of a whole new interval: 05:00, then 08:00, then every 8 h.
        confirmed = following[0] == distance or (distance < following[0] and following[1:] == following[:1])
        return following[0] if confirmed else None
    return None


def bar_gaps(times: Sequence[int], until: int) -> list[Gap]:
    """Missing hourly bars between the first bar and ``until`` (exclusive)."""
    ends = [*times[1:], until] if times else []
    return [
        Gap(time, following, (following - time) // HOUR_MS - 1)
        for time, following in zip(times, ends, strict=True)
        if following - time >= 2 * HOUR_MS
    ]
