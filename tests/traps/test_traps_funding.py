"""Traps 4 to 8: which settlement is paid, at which rate, on which price, and how rates compare."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hand_runs import ENTER, features_at, near, offered_at, play_pair
from reference_records import Exit
from small_market import NAN, LegSketch

from engine.observation.features import COLUMN

QUIET = LegSketch(fill=100)
"""A leg at 100 that never settles."""


def paying(rates: Mapping[int, float], interval: float = NAN, **more: object) -> LegSketch:
    """A leg that settles: the short side of 50 coins at 100 earns 5,000 times the rate."""
    return LegSketch(**{"fill": 100.0, "rates": rates, "interval": interval, **more})  # type: ignore[arg-type]  # fields of a sketch


@pytest.mark.trap(4)
def test_trap_04_a_missing_rate_is_charged_at_the_last_one_where_that_costs_flagged_and_counted() -> None:
    played = play_pair(QUIET, paying({0: 0.001, 2: 0.002, 6: 0.004}, interval=2), 7)
    assert played.booked("funding") == [(2, "short", near(10)), (4, "short", 0.0), (6, "short", near(20))]
    assert played.assumed() == [4]
    assert played.records.missing_settlements == 1
    # The other side pays it: an assumption may cost, never pay.
    payer = play_pair(QUIET, paying({0: -0.001, 2: -0.002, 6: -0.004}, interval=2), 7)
    assert payer.booked("funding") == [(2, "short", near(-10)), (4, "short", near(-10)), (6, "short", near(-20))]
    assert payer.records.missing_settlements == 1


@pytest.mark.trap(4)
def test_trap_04_what_was_assumed_is_no_rate_that_a_strategy_sees() -> None:
    played = play_pair(QUIET, paying({0: 0.001, 2: 0.002, 6: 0.004}, interval=2), 7)
    for row, settled in ((3, 0.3), (5, 0.3), (6, 0.7)):
        features = features_at(played, row)[0]
        assert features[COLUMN["net_funding_24h_bps"]] == near(100 * settled * 24 / (row + 1)), row
    assert features_at(played, 5)[0, COLUMN["short_funding_rate"]] == near(0.2)


@pytest.mark.trap(4)
def test_trap_04_a_leg_that_stops_settling_is_left_and_not_offered_until_it_settles_again() -> None:
    """Missing at 8 and 16: silent from 16 on, left as an outage at its next trade, offered again at 32."""
    alive = paying(dict.fromkeys(range(40), 0.0), interval=1)
    played = play_pair(alive, paying({0: 0.0075, 32: 0.0075}, interval=8, fill=101), 40, {0: [ENTER], 20: [ENTER]})
    assert played.exits() == [(16, "data_outage")]
    assert played.refusals() == [(20, "refused", "silent_leg")]
    assert played.records.trades["short_exit"][0] == near(101 * 1.005)
    # The carry would have paid 0.75 % each time: nobody has seen it, so nobody gets it.
    assert [usd for _, leg, usd in played.booked("funding") if leg == "short"] == [0.0, 0.0]
    assert [row for row in range(40) if not offered_at(played, row)[0]] == list(range(16, 32))


@pytest.mark.trap(4)
def test_trap_04_a_rate_of_zero_is_a_rate() -> None:
    played = play_pair(QUIET, paying({0: 0.001, 2: 0.0, 4: 0.003}, interval=2), 6)
    assert played.booked("funding") == [(2, "short", 0.0), (4, "short", near(15))]
    assert played.records.missing_settlements == 0
    # It is also what a strategy sees then, instead of an unknown.
    assert features_at(played, 3)[0, COLUMN["short_funding_rate"]] == 0.0


@pytest.mark.trap(4)
def test_trap_04_nothing_is_missing_in_an_hour_in_which_none_was_due() -> None:
    played = play_pair(QUIET, paying({0: 0.001, 8: 0.002}, interval=8), 9)
    assert played.booked("funding") == [(8, "short", near(10))]
    assert played.records.missing_settlements == 0


@pytest.mark.trap(4)
def test_trap_04_a_late_settlement_books_the_difference_only() -> None:
    played = play_pair(QUIET, paying({0: 0.001, 3: 0.004, 4: 0.005}, interval=2), 5)
    # Assumed at row 2 with 0.1 %, really 0.4 % an hour later; the next one is due at row 5 but comes early.
    expected = [(2, 0.0), (3, 0.0), (3, near(20)), (4, near(25))]
    assert [(row, amount) for row, _, amount in played.booked("funding")] == expected
    assert played.records.missing_settlements == 1
    payer = play_pair(QUIET, paying({0: -0.001, 3: -0.004, 4: -0.005}, interval=2), 5)
    expected = [(2, near(-5)), (3, near(5)), (3, near(-20)), (4, near(-25))]
    assert [(row, amount) for row, _, amount in payer.booked("funding")] == expected


@pytest.mark.trap(5)
def test_trap_05_rate_and_interval_change_while_a_position_is_open() -> None:
    interval = [8.0] * 9 + [4.0] * 4 + [1.0] * 3
    rates = {0: 0.001, 8: 0.002, 12: -0.003, 13: 0.004, 15: 0.006}
    played = play_pair(QUIET, paying(rates, interval=interval), 16)  # type: ignore[arg-type]  # by row
    # Hourly by then, so that of row 14 is missing; to take the last rate for it would pay.
    expected = [(8, 10), (12, -15), (13, 20), (14, 0), (15, 30)]
    assert played.booked("funding") == [(row, "short", near(usd)) for row, usd in expected]
    assert played.assumed() == [14]


@pytest.mark.trap(5)
def test_trap_05_an_interval_that_shrinks_makes_the_missing_settlement_due_sooner() -> None:
    interval = [8.0] * 4 + [2.0] * 4
    played = play_pair(QUIET, paying({2: -0.001}, interval=interval), 8)  # type: ignore[arg-type]  # by row
    # Due at 2 + 2 = 4, 6; with the interval of the entry nothing would be due before row 10.
    assert [(row, usd) for row, _, usd in played.booked("funding")] == [(2, near(-5)), (4, near(-5)), (6, near(-5))]
    assert played.assumed() == [4, 6]


@pytest.mark.trap(5)
def test_trap_05_an_actual_settlement_takes_back_every_assumed_one_within_its_interval() -> None:
    """Hourly to row 2 and then every 8 h, which nobody says before row 10: seven were assumed, and are taken back."""
    interval = [1.0] * 10 + [8.0] * 3
    payer = paying(dict.fromkeys((0, 1, 2, 10), -0.002), interval=interval)  # type: ignore[arg-type]  # by row
    played = play_pair(QUIET, payer, 13, max_stale_hours=24)
    assert [usd for row, _, usd in played.booked("funding") if row < 10] == [near(-10)] * 9
    assert [usd for row, _, usd in played.booked("funding") if row == 10] == [*[near(10)] * 7, near(-10)]
    assert played.records.trades["funding"].tolist() == near([-30.0])


@pytest.mark.trap(6)
def test_trap_06_the_settlement_of_the_entry_hour_is_past() -> None:
    hourly = paying(dict.fromkeys(range(6), 0.001), interval=1)
    played = play_pair(QUIET, hourly, 6, {2: [ENTER], 4: [Exit(0)]})
    # Entered at row 2 after its settlement; row 4 is settled before the exit of that hour.
    assert [row for row, _, _ in played.booked("funding")] == [3, 4]


@pytest.mark.trap(6)
def test_trap_06_leaving_and_entering_again_in_one_hour_settles_that_hour_once() -> None:
    hourly = paying(dict.fromkeys(range(6), 0.001), interval=1)
    played = play_pair(QUIET, hourly, 6, {1: [ENTER], 3: [Exit(0), ENTER]})
    ledger = played.records.ledger
    funding = ledger[ledger["kind"] == 1]
    assert list(zip(funding["hour"].tolist(), funding["position_id"].tolist(), strict=True)) == [
        *((2, 1), (3, 1)),
        *((4, 2), (5, 2)),
    ]


@pytest.mark.trap(6)
def test_trap_06_every_settlement_between_two_decisions_is_paid() -> None:
    """Nothing is decided for 30 hours of hourly settlements; all are collected."""
    played = play_pair(QUIET, paying(dict.fromkeys(range(31), 0.001), interval=1), 31)
    assert [row for row, _, _ in played.booked("funding")] == list(range(1, 31))


@pytest.mark.trap(6)
def test_trap_06_a_settlement_published_late_is_paid_to_who_held_it_then() -> None:
    """Known at row 4 only: the position that was open at row 2 gets it after its close, the new one does not."""
    leg = paying({2: 0.001, 3: 0.002}, interval=8, known={2: 4, 3: 4})
    played = play_pair(QUIET, leg, 6, {0: [ENTER], 2: [Exit(0)], 3: [ENTER]})
    ledger = played.records.ledger
    funding = ledger[ledger["kind"] == 1]
    assert [tuple(row) for row in funding[["hour", "position_id"]].tolist()] == [(4, 1)]
    assert played.records.trades["funding"].tolist() == near([5.0, 0.0])


@pytest.mark.trap(7)
def test_trap_07_funding_is_paid_on_the_mark_at_the_settlement_not_on_the_entry_price() -> None:
    leg = paying({3: 0.001, 4: 0.001}, price=[100, 100, 100, 110, 120], mark=[100, 100, 100, 112, NAN])
    played = play_pair(QUIET, leg, 5)
    # 50 coins at the mark of 112; where there is no mark, at the price of 120.
    assert played.booked("funding") == [(3, "short", near(5.6)), (4, "short", near(6.0))]


@pytest.mark.trap(7)
def test_trap_07_each_leg_pays_on_the_mark_of_its_own_exchange() -> None:
    alpha = paying({1: 0.001}, mark=90)
    beta = paying({1: 0.002}, mark=110)
    assert play_pair(alpha, beta, 3).booked("funding") == [(1, "long", near(-4.5)), (1, "short", near(11.0))]


@pytest.mark.trap(8)
@pytest.mark.parametrize("interval", [1, 2, 4])
def test_trap_08_rates_of_different_intervals_are_compared_per_day(interval: int) -> None:
    """Eight hours at 0.08 % are what ``interval`` hours at a proportional rate are: nothing to earn."""
    eight_hourly = paying({0: 0.0008, 8: 0.0008, 16: 0.0008, 24: 0.0008}, interval=8)
    often = paying(dict.fromkeys(range(0, 25, interval), 0.0001 * interval), interval=float(interval))
    features = features_at(play_pair(eight_hourly, often, 25), 24)
    for name in ("fund_apr", "fund_profit_8h", "fundApr24hProj", "net_funding_24h_bps"):
        assert features[0, COLUMN[name]] == pytest.approx(0.0, abs=1e-9), name
    assert features[0, COLUMN["long_funding_rate"]] == near(0.08)
    assert features[0, COLUMN["short_funding_rate"]] == near(0.01 * interval)


@pytest.mark.trap(8)
def test_trap_08_the_same_rate_at_a_shorter_interval_is_worth_more() -> None:
    rates = dict.fromkeys(range(0, 25), 0.0001)
    slow = paying(dict.fromkeys(range(0, 25, 8), 0.0001), interval=8)
    features = features_at(play_pair(slow, paying(rates, interval=1), 25), 24)
    # 24 times 0.01 % a day against three times.
    assert features[:, COLUMN["fund_apr"]].tolist() == near([0.21 * 365, -0.21 * 365])
    assert np.argmax(features[:, COLUMN["fund_apr"]]) == 0
