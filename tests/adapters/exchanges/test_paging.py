"""The paging loop against exchanges that cut their answers, at either end and without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.exchanges.paging import Ask, Row, Rows, holes, page_through
from adapters.storage.stamps import HOUR_MS


def an_exchange(hours: Sequence[int], cap: int, *, newest: bool, empty_at: frozenset[int] = frozenset()) -> Ask:
    """Holds a row at each hour; answers the oldest or the newest ``cap`` of a span, the end of the span included.

    The calls with a number in ``empty_at`` come back empty, as a broken answer does.
    """
    calls = 0

    async def ask(since: int, until: int) -> AsyncIterator[list[Row]]:
        nonlocal calls
        calls += 1
        inside = [(hour * HOUR_MS, 1.0) for hour in hours if since <= hour * HOUR_MS <= until]
        yield [] if calls in empty_at else [*reversed(inside[-cap:])] if newest else inside[:cap]

    return ask


def paged(ask: Ask, since: int, until: int, *, chunk: int) -> list[int]:
    rows = Rows()
    asyncio.run(page_through(ask, rows, since * HOUR_MS, until * HOUR_MS, chunk=chunk * HOUR_MS))
    return [time // HOUR_MS for time in rows.times()]


@pytest.mark.trap(28)
@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("cap", [2, 5, 100])
@pytest.mark.parametrize("chunk", [3, 1000])
def test_trap_28_every_row_comes_whatever_is_cut_off(newest: bool, cap: int, chunk: int) -> None:
    hours = [*range(0, 80, 8), *range(80, 120, 4), *range(120, 150)]
    assert paged(an_exchange(hours, cap, newest=newest), 0, 150, chunk=chunk) == hours


@pytest.mark.trap(28)
@given(
    hours=st.sets(st.integers(0, 400), max_size=60),
    since=st.integers(0, 100),
    length=st.integers(1, 400),
    chunk=st.integers(1, 500),
)
@settings(deadline=None, max_examples=60)
def test_trap_28_rows_at_any_distance(hours: set[int], since: int, length: int, chunk: int) -> None:
    until = since + length
    found = paged(an_exchange(sorted(hours), 100, newest=True), since, until, chunk=chunk)
    assert found == sorted(hour for hour in hours if since <= hour < until)


@pytest.mark.trap(28)
@given(
    interval=st.sampled_from([1, 2, 4, 8]), later=st.sampled_from([1, 2, 4, 8]), switch=st.integers(3, 20),
    cap=st.integers(2, 30), chunk=st.integers(1, 900), newest=st.booleans(), offset=st.integers(0, 9),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_trap_28_a_change_of_interval_loses_nothing(
    interval: int, later: int, switch: int, cap: int, chunk: int, newest: bool, offset: int
) -> None:
    hours = [*range(0, switch * 8, interval), *range(switch * 8, switch * 8 + 60, later)]
    found = paged(an_exchange(hours, cap, newest=newest), offset, switch * 8 + 60, chunk=chunk)
    assert found == [hour for hour in hours if hour >= offset]


@pytest.mark.trap(27)
@pytest.mark.parametrize("newest", [True, False])
def test_trap_27_one_empty_answer_is_not_believed(newest: bool) -> None:
    hours = list(range(300))
    for broken in range(1, 12):
        ask = an_exchange(hours, 50, newest=newest, empty_at=frozenset({broken}))
        assert paged(ask, 0, 300, chunk=100) == hours


def test_repeated_rows_are_kept_once_and_the_last_answer_counts() -> None:
    rows = Rows()
    rows.add([(1, 5.0), (1, 6.0), (9, 1.0)], 0, 5)
    assert rows.sorted() == [(1, 6.0)]


def test_holes_are_what_is_missing_and_near_ones_are_one() -> None:
    times = [hour * HOUR_MS for hour in (2, 3, 6, 7)]

    def step(_: int) -> int:
        return HOUR_MS

    apart = holes(times, 0, 9 * HOUR_MS, step=step, join=0)
    assert apart == [(0, times[0]), (times[1] + 1, times[2]), (times[3] + 1, 9 * HOUR_MS)]
    assert holes(times, 0, 9 * HOUR_MS, step=step, join=100 * HOUR_MS) == [(0, 9 * HOUR_MS)]
    assert holes([], 5, 9, step=step, join=0) == [(5, 9)]
    assert holes(times[:2], times[0], times[1] + HOUR_MS, step=step, join=0) == []
