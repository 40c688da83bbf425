"""Which hours can be explained, and what becomes of a decision in JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_market import START, wandering_market
from support_environment import FIRST, builder
from support_structured import SPEC, structured_policy

from adapters.research.explanation import explained
from adapters.research.explanation_run import DAYS_BEFORE, as_json, check_clock, decided_window
from engine.errors import UserError
from engine.windows import Window, hour_of, time_of
from strategies.week import WeekParameters

MARKET = wandering_market(900)
BEGIN, END = time_of(START), time_of(START + 899)
POLICY = structured_policy(1, SPEC)


def hours(n: int) -> timedelta:
    return timedelta(hours=n)


def test_the_window_ends_one_hour_after_the_decision() -> None:
    at = BEGIN + hours(800)
    assert decided_window(MARKET, BEGIN + hours(90), at) == Window(90, 801)
    assert decided_window(MARKET, None, at) == Window(800 - 24 * DAYS_BEFORE, 801)
    assert decided_window(MARKET, None, BEGIN + hours(100)) == Window(0, 101)
    assert decided_window(MARKET, at, at) == Window(800, 801)
    assert decided_window(MARKET, None, END - hours(1)).last == 899


@pytest.mark.parametrize(
    ("start", "at", "told"),
    [
        (None, BEGIN - hours(1), "lies outside the data, which has 2024-01-01T00:00Z to 2024-02-07T11:00Z"),
        (None, END + hours(1), "lies outside the data"),
        (None, END, "is the last hour of the data, at which nothing is decided"),
        (BEGIN + hours(5), BEGIN + hours(4), "must lie between the beginning of the data, 2024-01-01T00:00Z, and the"),
        (BEGIN - hours(1), BEGIN + hours(4), "must lie between the beginning"),
    ],
)
def test_hours_outside_are_refused(start: datetime | None, at: datetime, told: str) -> None:
    with pytest.raises(UserError, match=told):
        decided_window(MARKET, start, at)


def test_an_hour_that_is_not_of_the_clock_names_the_nearest_ones() -> None:
    check_clock(POLICY, datetime(2024, 3, 1, 4, tzinfo=UTC))
    with pytest.raises(UserError) as refused:
        check_clock(POLICY, datetime(2024, 3, 1, 7, tzinfo=UTC))
    assert str(refused.value) == (
        "structured-1 decides nothing at 2024-03-01T07:00Z (every 4 h, phase 0); the nearest hours at which it does "
        "are 2024-03-01T04:00Z and 2024-03-01T08:00Z, or shift its clock with --phase 3"
    )


@given(st.integers(0, 10**6), st.integers(0, 3))
def test_what_is_advised_can_be_done(hour: int, phase: int) -> None:
    policy, at = POLICY.at_phase(phase), time_of(hour + 100)
    try:
        check_clock(policy, at)
    except UserError as refused:
        words = str(refused).replace(",", "").split()
        for word in words:
            if word.endswith("Z") and word != f"{at:%Y-%m-%dT%H:%MZ}":
                check_clock(policy, datetime.fromisoformat(word))
                assert abs(hour_of(datetime.fromisoformat(word)) - hour_of(at)) < 4
        check_clock(POLICY.at_phase(int(words[-1])), at)


def test_what_is_unknown_is_null() -> None:
    row = FIRST + 160 - FIRST % 4
    found = explained(POLICY, builder(max_positions=2), Window(FIRST, row + 1), WeekParameters())
    found = replace(found, equity_usd=float("nan"))
    told = json.loads(json.dumps(as_json([found, found]), allow_nan=False))
    assert [one["equity_usd"] for one in told["decisions"]] == [None, None]
    assert told["decisions"][0]["actions"][0]["words"] == "hold"
    assert told["decisions"][0]["candidates"][0]["values"][0]["name"] == "nf_24h"
