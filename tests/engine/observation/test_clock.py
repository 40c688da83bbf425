"""The hours of a clock, and that nobody is asked between them, whoever steps the portfolio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.observation.clock import EVERY_HOUR, DecisionClock, clock_of
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Order, View

EVERY = st.integers(1, 168)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(every=EVERY, phase=st.integers(0, 167), first=st.integers(0, 10**6), row=st.integers(0, 1000))
def test_rows_from_the_offset_on_are_the_hours_of_the_clock(every: int, phase: int, first: int, row: int) -> None:
    clock = DecisionClock(every, phase % every)
    assert clock.decides_at(first + row) == ((row - clock.offset(first)) % every == 0)
    assert clock.decides_at(first + clock.offset(first))
    assert 0 <= clock.offset(first) < every


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(every=EVERY, hour=st.integers(0, 10**6))
def test_each_hour_belongs_to_one_phase(every: int, hour: int) -> None:
    assert sum(DecisionClock(every, phase).decides_at(hour) for phase in range(every)) == 1


def test_hours_are_counted_since_1970() -> None:
    eight = DecisionClock(8, 3)
    assert [hour for hour in range(24) if eight.decides_at(hour)] == [3, 11, 19]
    assert (str(eight), str(EVERY_HOUR)) == ("every 8 h, phase 3", "every hour")


class Asked:
    """Notes when it was asked; enters at once."""

    def __init__(self, clock: object) -> None:
        self.decision_clock, self.hours = clock, list[int]()

    def decide(self, view: View) -> Sequence[Order]:
        self.hours.append(view.hour)
        return [Enter(0)]


@pytest.mark.parametrize("clock", [DecisionClock(5, 2), "ten past nine", None])
def test_a_backtest_asks_at_the_hours_of_the_clock_alone(clock: object) -> None:
    """A stop-loss between them still acts: at row 3 the long leg has fallen, whenever it is asked next."""
    price = [100.0, 100.0, 100.0, *([60.0] * 30)]
    market = small_market({("BTCUSDT", "alpha"): LegSketch(price=price), ("BTCUSDT", "beta"): LegSketch()}, 33)
    rules = plain_settings(max_position_loss_pct=-5.0)
    strategy = Asked(clock)
    records = run_backtest(OpportunityBuilder(prepare(market, rules)), strategy, 0, 32)
    hours = market.hours[:32].tolist()
    expected = clock_of(strategy)
    assert strategy.hours == [hour for hour in hours if expected.decides_at(hour)]
    if isinstance(clock, DecisionClock):
        assert len(strategy.hours) in (6, 7)
        entered = [int(row) for row in records.trades["opened"]]
        assert all(clock.decides_at(int(market.hours[row])) for row in entered)
    else:
        assert strategy.hours == hours
    assert np.count_nonzero(records.trades["reason"] == 1) == sum(row < 3 for row in records.trades["opened"])
