"""The one span of hours: rows, hour numbers and times are the same hours."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_environment import market

from engine.errors import UserError
from engine.windows import EPOCH, Window, hour_of, time_of

HOURS = st.integers(0, 1_000_000)


@given(start=HOURS, first=st.integers(0, 500), more=st.integers(0, 500))
def test_rows_and_hour_numbers_go_into_each_other(start: int, first: int, more: int) -> None:
    rows = Window(first, first + more)
    numbers = rows.hours_in(np.arange(start, start + first + more + 1))
    assert numbers == Window(start + first, start + first + more)
    assert numbers.rows_in(np.arange(start, start + 1)) == rows
    assert numbers.hours == rows.hours == more + 1


@given(first=HOURS, more=HOURS)
def test_times_are_those_of_the_first_and_the_last_hour(first: int, more: int) -> None:
    window = Window(first, first + more)
    assert Window.between(*window.times) == window
    assert [hour_of(time) for time in window.times] == [first, first + more]


def test_a_window_in_words() -> None:
    assert str(Window(hour_of(EPOCH), 49)) == "1970-01-01T00:00Z to 1970-01-03T01:00Z"


def test_a_market_has_rows_for_its_own_hours_alone() -> None:
    data = market()
    first, last = (time_of(int(data.hours[row])) for row in (3, 9))
    assert data.window(first, last) == Window(3, 9)
    with pytest.raises(UserError, match="outside the data"):
        data.window(first, time_of(int(data.hours[-1])) + timedelta(hours=1))
