"""Axes, lines and bars of plain SVG."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.reporting.svg import BACKGROUND, Panel, bounds, date_ticks, legend, nice_ticks, picture, text

PANEL = Panel(10, 20, 100, 50, 0, 100, -1.0, 1.0)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_and_lie_inside(low: float, span: float) -> None:
    high = low + span
    ticks = nice_ticks(low, high, most=5)
    assert 1 <= len(ticks) <= 6
    slack = 1e-6 * max(span, abs(low), abs(high))
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    if len(ticks) > 1:
        step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
        assert re.fullmatch(r"[125]e[+-]\d+", f"{step:.0e}")


@given(st.integers(0, 500_000), st.integers(2, 40_000))
def test_dates_lie_inside_and_are_not_too_many(first: int, hours: int) -> None:
    ticks = date_ticks(first, first + hours)
    assert 1 <= len(ticks) <= 10 or hours < 4
    assert all(first <= hour <= first + hours for hour, _ in ticks)
    assert len({label for _, label in ticks}) == len(ticks)


def test_places_run_right_and_up() -> None:
    assert (PANEL.x(0), PANEL.x(100), PANEL.x(25)) == (10, 110, 35)
    assert (PANEL.y(-1), PANEL.y(1), PANEL.y(0)) == (70, 20, 45)
    assert PANEL.bottom == 70


def test_a_line_has_gaps_where_nothing_is_known() -> None:
    values = np.array([math.nan, 0.0, 1.0, math.nan, -1.0])
    curve = PANEL.curve(np.arange(5), values, "red")
    assert re.findall(r"[ML][\d.]+ [\d.]+", curve) == ["M11.0 45.0", "L12.0 20.0", "M14.0 70.0"]
    assert PANEL.dot(3, math.nan, "red") == ""
    assert 'cx="110.0" cy="20.0"' in PANEL.dot(100, 1.0, "red")


def test_bars_begin_at_zero_and_zero_has_none() -> None:
    bars = PANEL.bars(np.arange(4), np.array([0.0, 1.0, -1.0, 0.0]), "red")
    assert re.search(r'd="(.*?)"', bars)[1] == "M11.0 45.0V20.00M12.0 45.0V70.00"  # type: ignore[index]  # it is there
    assert PANEL.bars(np.arange(2), np.zeros(2), "red") == ""


def test_bounds_have_room_also_where_everything_is_the_same() -> None:
    low, high = bounds(np.array([1.0, math.nan, 3.0]), [2.0])
    assert low == pytest.approx(0.88)
    assert high == pytest.approx(3.12)
    assert bounds(np.array([2.0, 3.0]), zero=True)[0] < 0
    for same in ([5.0], [math.nan], [0.0]):
        low, high = bounds(same)
        assert low < high


def test_words_are_escaped_and_the_background_is_stated() -> None:
    assert "&lt;b&gt; &amp;" in text(0, 0, "<b> &")
    whole = picture(100, 50, 'a "b"', ["", text(0, 0, "x")])
    assert f'fill="{BACKGROUND}"' in whole
    assert "a &quot;b&quot;" in whole
    assert "\n\n" not in whole


def test_keys_stand_in_their_order() -> None:
    parts = list(legend(100, 10, [("first", "red"), ("second", "blue")]))
    places = {
        word: float(re.search(r'x="([\d.-]+)"', part)[1])  # type: ignore[index]  # every text has a place
        for part in parts
        for word in ("first", "second")
        if word in part
    }
    assert places["first"] < places["second"] == 100
