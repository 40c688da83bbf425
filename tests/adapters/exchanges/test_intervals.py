"""Intervals in force, and gaps against them."""

from __future__ import annotations

import math

import pytest

from adapters.datasets.settlement_intervals import Gap, bar_gaps, intervals_in_force
from adapters.exchanges.fetch_report import settlement_gaps
from adapters.storage.stamps import HOUR_MS


def at(*hours: int) -> list[int]:
    return [hour * HOUR_MS for hour in hours]


def told(*hours: int) -> tuple[list[float], list[tuple[int, int, int]]]:
    found, gaps = intervals_in_force(at(*hours))
    return found, [(gap.after_ms // HOUR_MS, gap.before_ms // HOUR_MS, gap.missing) for gap in gaps]


@pytest.mark.parametrize(
    ("hours", "intervals", "gaps"),
    [
        ((0, 8, 16, 24), [8, 8, 8, 8], []),
        ((0, 8, 24, 32), [8, 8, 8, 8], [(8, 24, 1)]),
        ((0, 8, 40, 48), [8, 8, 8, 8], [(8, 40, 3)]),
        ((0, 8, 12, 16), [8, 8, 4, 4], []),
        ((0, 4, 8, 16, 24), [4, 4, 4, 8, 8], []),
        ((0, 4, 8, 16, 20), [4, 4, 4, 4, 4], [(8, 16, 1)]),
        ((4, 5, 8, 16, 24), [1, 1, 8, 8, 8], []),
        ((0, 8, 13, 14, 15), [8, 8, 1, 1, 1], []),
        ((0, 16, 24, 32), [8, 8, 8, 8], [(0, 16, 1)]),
        ((0, 8, 10, 12), [8, 8, 2, 2], []),
    ],
)
@pytest.mark.trap(5)
def test_trap_05_an_interval_that_changes_is_no_gap(
    hours: tuple[int, ...], intervals: list[float], gaps: list[tuple[int, int, int]]
) -> None:
    assert told(*hours) == (intervals, gaps)


def test_a_single_settlement_tells_no_interval() -> None:
    hours, gaps = intervals_in_force(at(8))
    assert math.isnan(hours[0])
    assert gaps == []
    assert intervals_in_force([]) == ([], [])


def test_settlements_that_are_overdue_at_the_end() -> None:
    assert settlement_gaps(at(0, 4, 8), 12 * HOUR_MS) == []
    assert settlement_gaps(at(0, 4, 8), 21 * HOUR_MS) == [Gap(8 * HOUR_MS, 21 * HOUR_MS, 3)]


def test_missing_bars() -> None:
    assert bar_gaps(at(1, 2, 5), 6 * HOUR_MS) == [Gap(2 * HOUR_MS, 5 * HOUR_MS, 2)]
    assert bar_gaps(at(1, 2), 5 * HOUR_MS) == [Gap(2 * HOUR_MS, 5 * HOUR_MS, 2)]
    assert bar_gaps([], HOUR_MS) == []
