"""Funding in the reference implementation against numbers computed by hand from docs/design.md sections 3 and 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from reference_engine import Enter, Exit, ReferenceResult, simulate
from small_market import NAN, LegSketch, plain_settings, small_market

ALPHA, BETA = ("BTCUSDT", "alpha"), ("BTCUSDT", "beta")
ENTER = Enter("BTCUSDT", "alpha", "beta")
ALIVE = LegSketch(rates=dict.fromkeys(range(60), 0.0), interval=1)
"""A leg that settles nothing every hour."""


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=1e-12)


def run(
    long_leg: LegSketch,
    short_leg: LegSketch,
    hours: int,
    orders: Mapping[int, Sequence[Enter | Exit]] | None = None,
    grace: int = 0,
    **changes: Any,
) -> ReferenceResult:
    """Alpha long and beta short from row 0 on unless told otherwise; q = 50 at prices of 100."""
    market = small_market({ALPHA: long_leg, BETA: short_leg}, hours, grace)
    return simulate(market, plain_settings(**changes), orders or {0: [ENTER]}, 0, hours - 1)


def funding(result: ReferenceResult) -> list[tuple[int, str, float, bool]]:
    return [(row.hour, row.leg, float(row.amount), row.imputed) for row in result.ledger if row.kind == "funding"]


def rates(result: ReferenceResult) -> list[tuple[int, float]]:
    return [(row.hour, float(row.rate or 0)) for row in result.ledger if row.kind == "funding"]


def test_signs_marks_and_two_intervals() -> None:
    # Long pays 50 * 101 * 0.002 = 10.1 at row 8 (the mark, not the price); short gets 50 * 100 * rate each hour.
    result = run(
        LegSketch(mark=[100] * 8 + [101] * 2, rates={0: 0.001, 8: 0.002}, interval=8),
        LegSketch(rates={t: 0.0001 * t for t in range(10)}, interval=1),
        10,
    )
    hourly = [(t, "short", near(0.5 * t), False) for t in range(1, 10)]
    assert funding(result) == [*hourly[:7], (8, "long", near(-10.1), False), *hourly[7:]]
    assert float(result.trades[0].funding_usd) == near(0.5 * 45 - 10.1)
    assert result.missing_settlements == 0


def test_negative_rates_pay_the_long_leg_and_zero_is_a_rate() -> None:
    result = run(
        LegSketch(rates={0: 0.01, 1: -0.001, 2: 0.0}, interval=1),
        LegSketch(rates={0: 0.01, 1: -0.002, 2: 0.0}, interval=1),
        3,
    )
    assert funding(result) == [
        (1, "long", near(5), False),
        (1, "short", near(-10), False),
        (2, "long", 0, False),
        (2, "short", 0, False),
    ]


def test_the_settlement_of_the_entry_hour_is_missed_and_of_the_exit_hour_is_paid() -> None:
    leg = LegSketch(rates=dict.fromkeys(range(6), 0.001), interval=1)
    result = run(leg, LegSketch(), 6, {1: [ENTER], 3: [Exit(0)]})
    assert [hour for hour, _ in rates(result)] == [2, 3]


def test_the_interval_may_change_while_the_position_is_open() -> None:
    # 8 h stated to row 8, then 4 h: due 12, 16, 20; the one of 16 is missing and charged at the rate of 12.
    stated = [8] * 8 + [4] * 14
    result = run(LegSketch(rates={0: 0.1, 8: 0.001, 12: 0.002, 20: 0.003}, interval=stated), LegSketch(), 22)
    assert rates(result) == [(8, 0.001), (12, 0.002), (16, 0.002), (20, 0.003)]
    assert [imputed for *_, imputed in funding(result)] == [False, False, True, False]
    assert result.missing_settlements == 1


def test_a_longer_interval_makes_nothing_due() -> None:
    stated = [4] * 5 + [8] * 12
    result = run(LegSketch(rates={0: 0.1, 4: 0.001, 12: 0.002}, interval=stated), LegSketch(), 17)
    assert rates(result) == [(4, 0.001), (12, 0.002)]


def test_an_interval_that_shrinks_makes_the_settlement_due_at_once() -> None:
    # Last 0; at row 5 the interval becomes 2, due 2 is past: charged at 5, and 7, 9 follow from there.
    leg = LegSketch(rates={0: 0.001}, interval=[8] * 5 + [2] * 5)
    result = run(leg, LegSketch(), 10, max_stale_hours=24)
    assert rates(result) == [(5, 0.001), (7, 0.001), (9, 0.001)]


def test_a_missing_settlement_is_charged_at_the_last_rate_on_its_own_mark() -> None:
    marks = [100.0] * 16 + [120.0] * 10
    result = run(LegSketch(mark=marks, rates={0: 0.1, 8: 0.002, 24: 0.001}, interval=8), LegSketch(), 26)
    # 50 * 100 * 0.002, 50 * 120 * 0.002, 50 * 120 * 0.001
    assert funding(result) == [
        (8, "long", near(-10), False),
        (16, "long", near(-12), True),
        (24, "long", near(-6), False),
    ]


def test_a_late_settlement_takes_the_imputed_one_back() -> None:
    # Due 8, charged 50 * 100 * 0.002 = 10; comes at 9 with 0.003 at mark 110: +10 back, -16.5. Due next: 17.
    marks = [100.0] * 9 + [110.0] * 10
    result = run(LegSketch(mark=marks, rates={0: 0.002, 9: 0.003}, interval=8), LegSketch(), 19)
    assert funding(result) == [
        (8, "long", near(-10), True),
        (9, "long", near(10), True),
        (9, "long", near(-16.5), False),
        (17, "long", near(-16.5), True),
    ]
    assert result.missing_settlements == 2


def test_the_imputed_one_is_taken_back_once() -> None:
    result = run(LegSketch(rates={0: 0.002, 9: 0.003, 12: 0.004}, interval=8), LegSketch(), 14)
    assert rates(result) == [(8, 0.002), (9, -0.002), (9, 0.003), (12, 0.004)]


@pytest.mark.parametrize(
    ("stated", "actual", "booked"),
    [
        # 8 missing, then hourly: 9 missing too; 10 is an ordinary one, neither charge is taken back.
        ([8] * 9 + [1] * 3, (10, 11), [(8, 0.002), (9, 0.002), (10, 0.001), (11, 0.001)]),
        # 8 missing, 4 h from row 11 on: 12 comes at 13; 14 is an early one and has nothing to do with 8.
        ([8] * 11 + [4] * 4, (13, 14), [(8, 0.002), (12, 0.002), (13, -0.002), (13, 0.001), (14, 0.001)]),
    ],
)
def test_a_missing_settlement_that_others_have_followed_stays_charged(
    stated: list[float], actual: tuple[int, ...], booked: list[tuple[int, float]]
) -> None:
    leg = LegSketch(rates={0: 0.002} | dict.fromkeys(actual, 0.001), interval=stated)
    assert rates(run(leg, LegSketch(), len(stated), max_stale_hours=24)) == booked


def test_a_settlement_one_interval_after_the_imputed_one_is_not_late() -> None:
    result = run(LegSketch(rates={0: 0.002, 8: 0.003}, interval=4), LegSketch(), 10)
    assert rates(result) == [(4, 0.002), (8, 0.003)]


def test_a_late_settlement_and_positions_that_came_or_went_meanwhile() -> None:
    # Position 1 is closed at 8, after the charge: it gets the reversal, not the settlement of 10.
    # Position 2 was opened at 9, after the due hour: it gets the settlement only.
    leg = LegSketch(rates={0: 0.002, 10: 0.003}, interval=8)
    result = run(leg, LegSketch(), 12, {0: [ENTER], 8: [Exit(0)], 9: [ENTER]})
    booked = [(row.hour, row.position_id, float(row.rate or 0)) for row in result.ledger if row.kind == "funding"]
    assert sorted(booked) == [(8, 1, 0.002), (10, 1, -0.002), (10, 2, 0.003)]
    assert float(result.trades[0].funding_usd) == near(0)
    assert result.cash[10] - result.cash[9] == sum(row.amount for row in result.ledger if row.hour == 10)


def test_an_early_settlement_resets_the_schedule() -> None:
    result = run(LegSketch(rates={0: 0.001, 6: 0.002}, interval=8), LegSketch(), 16)
    assert rates(result) == [(6, 0.002), (14, 0.002)]


def test_a_stated_interval_holds_until_another_is_stated() -> None:
    stated = [4.0, *[NAN] * 9]
    result = run(LegSketch(rates={0: 0.001}, interval=stated), LegSketch(), 10)
    assert rates(result) == [(4, 0.001), (8, 0.001)]


def test_nothing_is_missing_before_the_first_settlement_or_without_an_interval() -> None:
    assert rates(run(LegSketch(interval=1), LegSketch(rates={1: 0.001}), 9)) == [(1, 0.001)]


def test_an_interval_that_is_never_stated_is_learnt_from_the_gaps() -> None:
    # 0, 2: interval 2. 4 missing. 6: gap 4, once. 8: gap 2. 12, 16: gap 4 once (10 imputed, 12 is an ordinary one),
    # then twice in a row: believed from 16 on (14 was still imputed): due 20, not 18.
    actual = (0, 2, 6, 8, 12, 16, 20)
    result = run(LegSketch(rates=dict.fromkeys(actual, 0.001)), LegSketch(), 23)
    assert [(hour, imputed) for hour, _, _, imputed in funding(result)] == [
        (2, False),
        (4, True),
        (6, False),
        (8, False),
        (10, True),
        (12, False),
        (14, True),
        (16, False),
        (20, False),
    ]


def test_a_shorter_gap_is_believed_at_once() -> None:
    result = run(LegSketch(rates=dict.fromkeys((0, 4, 8, 9), 0.001)), LegSketch(), 12)
    assert [(hour, imputed) for hour, _, _, imputed in funding(result)] == [
        (4, False),
        (8, False),
        (9, False),
        (10, True),
        (11, True),
    ]


def test_funding_known_later_is_booked_when_known() -> None:
    # Settled at 8, known at 9 within the grace: booked at 9 with the mark of 8, for who held it over 8.
    marks = [100.0] * 9 + [110.0] * 10
    leg = LegSketch(mark=marks, rates={0: 0.1, 8: 0.002, 16: 0.001}, interval=8, known={8: 9, 16: 18})
    result = run(leg, LegSketch(), 19, {0: [ENTER], 8: [Exit(0), ENTER]}, grace=1)
    booked = [(row.hour, row.position_id, float(row.amount)) for row in result.ledger if row.kind == "funding"]
    # 16 is not known at 17, when its grace is over: charged at 0.002 on 16's mark, taken back and replaced at 18.
    q2 = float(result.trades[1].quantity)
    assert booked == [
        (9, 1, near(-10)),
        (17, 2, near(-q2 * 110 * 0.002)),
        (18, 2, near(q2 * 110 * 0.002)),
        (18, 2, near(-q2 * 110 * 0.001)),
    ]
    assert result.trades[0].exit_reason == "exit"
    assert float(result.trades[0].funding_usd) == near(-10)


def test_grace_charges_a_missing_settlement_later_but_at_its_own_hour() -> None:
    # Due 8, charged at 10 on the mark of 8; the position opened at 8 is spared, the one closed at 9 is not.
    marks = [100.0] * 8 + [105.0] + [110.0] * 3
    leg = LegSketch(mark=marks, rates={0: 0.002}, interval=8)
    held = run(leg, LegSketch(), 12, {7: [ENTER], 9: [Exit(0)]}, grace=2)
    assert funding(held) == [(10, "long", near(-10.5), True)]
    assert funding(run(leg, LegSketch(), 12, {8: [ENTER]}, grace=2)) == []


def test_a_market_out_of_service_is_not_charged_after_the_outage_exit() -> None:
    # Last price at 2, outage after 3 stale hours at row 6; 4 is charged, 8 and 12 are not.
    leg = LegSketch(price=[100, 100, 100, *[NAN] * 11], rates={0: 0.001}, interval=4)
    result = run(leg, LegSketch(), 14, max_stale_hours=3)
    assert rates(result) == [(4, 0.001)]
    assert (result.trades[0].duration_hours, result.trades[0].exit_reason) == (6, "data_outage")


def test_after_an_outage_the_schedule_starts_again_with_the_next_settlement() -> None:
    # Charged at 4, dark from 3 to 20 and silent; nothing is due at 25, the settlement of 22 makes 26 the next one due.
    prices = [100, 100, 100, *[NAN] * 18, *[100] * 6]
    leg = LegSketch(price=prices, rates={0: 0.001, 22: 0.002}, interval=4)
    result = run(leg, LegSketch(), 27, {0: [ENTER], 21: [ENTER], 22: [ENTER]}, max_stale_hours=3)
    assert result.refused == [(21, "silent_leg")]
    assert rates(result) == [(4, 0.001), (26, 0.002)]


@pytest.mark.parametrize(("dark", "refused"), [(3, []), (5, [(8, "silent_leg")])])
def test_settlements_that_did_not_come_in_the_dark_count_as_missing(dark: int, refused: list[tuple[int, str]]) -> None:
    # Dark from 1 on; of 4 and 8 the first is assumed, or passed over when the price is too old by then.
    prices = [100.0, *[NAN] * dark, *[100.0] * (9 - dark)]
    leg = LegSketch(price=prices, rates={0: 0.001, 4: 0.001} if dark == 3 else {0: 0.001}, interval=4)
    assert run(leg, LegSketch(), 10, {8: [ENTER]}, max_stale_hours=2).refused == refused


def test_an_assumption_may_cost_but_never_pays() -> None:
    """Long alpha pays 10 a settlement at 0.2 %, and gets nothing assumed at -0.2 %; short beta the other way round."""
    missing = {rate: LegSketch(rates={0: rate, 16: rate}, interval=8) for rate in (0.002, -0.002)}
    for rate, amount in ((0.002, near(-10)), (-0.002, 0)):
        assert funding(run(missing[rate], LegSketch(), 10)) == [(8, "long", amount, True)]
        assert funding(run(LegSketch(), missing[-rate], 10)) == [(8, "short", amount, True)]
    free = [row for row in run(missing[-0.002], LegSketch(), 10).ledger if row.kind == "funding"]
    assert [(row.rate, row.amount, row.imputed) for row in free] == [(0, 0, True)]
    assert run(missing[-0.002], LegSketch(), 10).missing_settlements == 1


def test_a_late_settlement_takes_back_what_was_charged_and_no_more() -> None:
    leg = LegSketch(rates={0: -0.002, 9: -0.003}, interval=8)
    assert funding(run(leg, LegSketch(), 10)) == [
        (8, "long", 0, True),
        (9, "long", 0, True),
        (9, "long", near(15), False),
    ]


def test_an_actual_settlement_takes_back_every_assumed_one_within_its_interval() -> None:
    # Hourly to 2, then every 8 h, which nobody says before 10: 3 to 5 were assumed, and are not due any more.
    stated = [1.0] * 10 + [8.0] * 3
    result = run(
        LegSketch(rates=dict.fromkeys((0, 1, 2, 10), 0.002), interval=stated), LegSketch(), 13, max_stale_hours=24
    )
    charged = [(hour, near(-10), hour > 2) for hour in range(1, 10)]
    assert [(hour, usd, assumed) for hour, _, usd, assumed in funding(result)] == [
        *charged,
        *[(10, near(10), True)] * 7,
        (10, near(-10), False),
    ]
    assert float(result.trades[0].funding_usd) == near(-30)


@pytest.mark.parametrize(
    ("interval", "max_stale", "last_assumed"),
    [(8, 6, 16), (8, 16, 16), (8, 17, 16), (1, 6, 6), (1, 2, 2), (1, 1, 2), (4, 6, 8), (8, 40, 40), (NAN, 6, 48)],
)
def test_from_the_second_missing_in_a_row_a_leg_is_silent_but_not_before_the_limit(
    interval: float, max_stale: int, last_assumed: int
) -> None:
    """The one that makes it silent is assumed, as the position was held over it; then it leaves, as an outage."""
    result = run(LegSketch(rates={0: 0.0001}, interval=interval), ALIVE, 60, max_stale_hours=max_stale)
    every = 24 if interval != interval else int(interval)
    silent_at = max(2 * every, max_stale)
    assumed = [hour for hour, leg, _, _ in funding(result) if leg == "long"]
    assert assumed == list(range(every, last_assumed + 1, every))
    trade = result.trades[0]
    assert (trade.duration_hours, trade.exit_reason) == (silent_at, "data_outage")
    assert float(trade.exit_long_price) == near(100 * (1 - 0.005))


def test_entries_into_a_silent_leg_are_refused_until_something_settles() -> None:
    leg = LegSketch(rates={0: 0.001, 9: 0.001}, interval=2)
    result = run(leg, LegSketch(), 12, {5: [ENTER], 6: [ENTER], 8: [ENTER], 9: [ENTER]})
    assert result.refused == [(6, "silent_leg"), (8, "silent_leg")]
    assert [(trade.duration_hours, trade.exit_reason) for trade in result.trades] == [
        (1, "data_outage"),
        (2, "end_of_data"),
    ]


def test_a_leg_on_which_nothing_ever_settles_is_silent_two_days_after_its_first_price() -> None:
    quiet = LegSketch(price=[NAN] * 3 + [100.0] * 57)
    result = run(quiet, ALIVE, 60, {4: [ENTER], 55: [ENTER]})
    assert [(trade.duration_hours, trade.exit_reason) for trade in result.trades] == [(51 - 4, "data_outage")]
    assert result.refused == [(55, "silent_leg")]
    assert result.missing_settlements == 0


def test_funding_is_in_equity_from_its_hour_on() -> None:
    result = run(LegSketch(rates={2: 0.002}), LegSketch(), 4)
    assert result.equity[2] - result.equity[1] == result.cash[2] - result.cash[1] == result.ledger[2].amount
    assert float(result.ledger[2].amount) == near(-10)
