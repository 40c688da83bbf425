"""Hours out of shorter bars, trades and tickers, against the plain way to work them out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.importing.hourly import bars_of_last_prices, bars_of_trades, hours_of_bars, rates_of_ticker

HOUR, MINUTE, SECOND = 3_600_000, 60_000, 1000
START = 1_714_521_600_000


@given(st.sets(st.integers(0, 35)), st.integers(0, 2**16))
def test_an_hour_is_made_of_all_its_bars_or_not_at_all(present: set[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    slots = sorted(present)
    values = {name: rng.uniform(1, 2, len(slots)) for name in ("open", "high", "low", "close", "volume")}
    times = np.array([START + 5 * MINUTE * slot for slot in slots], np.int64)
    hours, made, lacking = hours_of_bars(times, values, 5) if slots else (times, values, 0)
    wanted = [hour for hour in range(3) if all(slot in present for slot in range(12 * hour, 12 * hour + 12))]
    assert hours.tolist() == [START + HOUR * hour for hour in wanted]
    assert lacking == len({slot // 12 for slot in slots}) - len(wanted)
    for i, hour in enumerate(wanted):
        rows = [k for k, slot in enumerate(slots) if slot // 12 == hour]
        assert made["open"][i] == values["open"][rows[0]]
        assert made["close"][i] == values["close"][rows[-1]]
        assert made["high"][i] == max(values["high"][rows])
        assert made["low"][i] == min(values["low"][rows])
        assert made["volume"][i] == pytest.approx(math.fsum(values["volume"][rows]))


def test_a_part_of_unknown_volume_makes_the_hour_unknown() -> None:
    values = {name: np.ones(2) for name in ("open", "close")} | {"volume": np.array([1.0, np.nan])}
    _, made, _ = hours_of_bars(np.array([START, START + 30 * MINUTE]), values, 30)
    assert np.isnan(made["volume"]).all()
    assert made["close"].tolist() == [1.0]


TRADE = st.tuples(st.integers(0, 3 * HOUR - 1), st.integers(1, 99), st.integers(1, 9))
"""Time after the start, price, size."""


@given(st.lists(TRADE, min_size=1, unique_by=lambda trade: trade[0]), st.booleans())
def test_trades_in_either_order_make_the_same_bars(trades: list[tuple[int, int, int]], newest_first: bool) -> None:
    trades.sort(reverse=newest_first)
    columns = (np.array(each) for each in zip(*trades, strict=True))
    times, price, size = (START + next(columns), next(columns).astype(float), next(columns).astype(float))
    hours, bars = bars_of_trades(times, price, size)
    for i, hour in enumerate(hours.tolist()):
        mine = sorted(trade for trade in trades if (START + trade[0]) // HOUR == hour // HOUR)
        prices = [float(trade[1]) for trade in mine]
        row = {name: values[i] for name, values in bars.items()}
        assert row == {"open": prices[0], "close": prices[-1], "high": max(prices), "low": min(prices),
                       "volume": float(sum(trade[2] for trade in mine))}  # fmt: skip
    assert len(hours) == len({trade[0] // HOUR for trade in trades})


def ticker(*rows: tuple[float, float]) -> tuple[list[int], list[float], list[float]]:
    """Hours, opens and closes of (seconds, last price)."""
    seconds, prices = zip(*rows, strict=True)
    times = START + np.array([round(each * SECOND) for each in seconds], np.int64)
    hours, bars = bars_of_last_prices(times, np.array(prices, float))
    return ((hours - START) // HOUR).tolist(), bars["open"].tolist(), bars["close"].tolist()


def test_the_open_is_the_first_price_that_was_not_there_before_the_hour() -> None:
    first = [(1, 10.0), (30, 11.0), (3595, 12.0)]
    # The second hour begins with the price of the first one: it was traded before the hour.
    assert ticker(*first, (3601, 12.0), (3700, 13.0), (7190, 14.0)) == ([0, 1], [11.0, 13.0], [12.0, 14.0])
    # Nothing else was traded, or at the same price.
    assert ticker(*first, (3601, 12.0), (7190, 12.0)) == ([0, 1], [11.0, 12.0], [12.0, 12.0])


def test_an_hour_that_the_ticker_does_not_cover_is_no_bar() -> None:
    whole = [(1, 10.0), (3595, 12.0)]
    assert ticker(*whole, (3601, 12.0), (5000, 13.0)) == ([0], [12.0], [12.0])
    assert ticker(*whole, (3700, 12.0), (7190, 13.0))[0] == [0]
    # After a silence the price that shows first may be of a trade before the hour.
    assert ticker(*whole, (3 * 3600 + 1, 20.0), (3 * 3600 + 50, 21.0), (4 * 3600 - 5, 22.0)) == (
        [0, 3], [12.0, 21.0], [12.0, 22.0],
    )  # fmt: skip


def test_a_rate_counts_where_it_was_shown_right_before_it_settled() -> None:
    due = np.array([START + HOUR] * 3 + [START + 2 * HOUR] * 2 + [START + 3 * HOUR])
    shown = np.array([START, START + HOUR - 5 * SECOND, START + HOUR + SECOND, START + HOUR + MINUTE,
                      START + 2 * HOUR - 2 * MINUTE, START + 3 * HOUR - MINUTE])  # fmt: skip
    times, rates = rates_of_ticker(shown, due, np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    # Of the second one the last that was shown, two minutes before, was an estimate still.
    assert times.tolist() == [START + HOUR, START + 3 * HOUR]
    assert rates.tolist() == [3.0, 6.0]
