"""Numbers of an explanation, and tables that fit."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from support_environment import FIRST, builder
from support_structured import SPEC, structured_policy

from adapters.reporting import explanation_table
from adapters.reporting.explanation_table import number, print_decision
from adapters.research.explanation import Decision, explained
from engine.windows import Window
from strategies.policy import committee
from strategies.week import WeekParameters


@pytest.fixture(scope="module")
def decision() -> Decision:
    """Of two networks."""
    spec = SPEC.model_copy(update={"opportunities": 12})
    both = committee("both", [structured_policy(k, spec) for k in (2, 3)])
    row = FIRST + 200 - FIRST % 4
    return explained(both, builder(max_positions=2), Window(FIRST, row + 1), WeekParameters())


def printed(decision: Decision) -> str:
    out = io.StringIO()
    print_decision(decision, Console(file=out, width=100, highlight=False))
    return out.getvalue()


def test_all_of_a_decision_fits_a_hundred_columns(decision: Decision) -> None:
    told = printed(decision)
    assert max(map(len, told.splitlines())) <= 100
    assert "both (2 networks, mean logits, observation version 2, every 4 h, phase 0)" in told
    assert told.count("\n> ") == 1
    assert f">  {decision.chosen.words}" in told
    # Of the exchanges there is a bit each, which the names of the pairs say.
    assert "long_is_" not in told


def test_more_candidates_than_there_is_room_for_make_more_tables(
    decision: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(decision.candidates) == 6
    rows = any(slot.values for slot in decision.slots)
    for most, tables in ((8, 1), (4, 2), (2, 3)):
        monkeypatch.setattr(explanation_table, "MOST_COLUMNS", most)
        told = printed(decision)
        assert told.count("seen of candidates") == tables
        assert told.count("nf_daily_lowest") == tables + rows


def test_what_is_refused_says_so(decision: Decision) -> None:
    actions = [replace(one, possible=False) for one in decision.actions]
    told = printed(replace(decision, observation_version=1, actions=tuple(actions)))
    assert "), refused" in told
    assert "shows no mask" in told
    assert "), refused" not in printed(decision)
    assert "shows no mask" not in printed(decision)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "-"), (0.0, "0.0000"), (-2e-18, "0.0000"), (0.12346, "0.1235"), (-12.346, "-12.35"),
        (328.04, "328.0"), (12345.6, "12346"), (1.49e6, "1.49M"), (2.5e9, "2.5G"), (123456.0, "123k"), (3e12, "3T"),
    ],
)  # fmt: skip
def test_numbers_as_they_are_read(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(-1e15, 1e15))
def test_numbers_are_short(value: float) -> None:
    assert len(number(value)) <= 8
