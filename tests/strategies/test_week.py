from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_market import LegSketch
from support_rules import paying, play, spans

from engine.accounting.books import Reason
from engine.accounting.records import Records
from engine.errors import SettingsError
from engine.windows import hour_of
from strategies.clock import ClockParameters

# 10 bps every 8 h are 30 bps a day; from row 47 on the deviation of two whole days is known, so the first decision at a
# phase of 7 is at row 47. Over one day 30 bps are expected against a round trip of 22: 1.36 of it.
RATE = 0.0010
HOURS = 240
END = HOURS - 1
RULE: dict[str, Any] = {
    "every_hours": 8, "phase": 7, "recent_weight": 1.0, "caution": 0.0, "spread_weight": 0.0, "horizon_days": 1,
    "enter_margin": 1.36, "leave_margin": 0.5, "switch_margin": None,
}  # fmt: skip


def coin(
    symbol: str, *levels: tuple[int, float], rows: tuple[int, ...] = tuple(range(0, HOURS, 8)), **short: Any
) -> Any:
    """A coin whose short leg earns the rate of the last level, (row, rate), every eight hours."""
    rates = {t: [rate for since, rate in ((0, 0.0), *levels) if since <= t][-1] for t in rows}
    return {
        (symbol, "alpha"): LegSketch(rates=dict.fromkeys(rows, 0.0), interval=8),
        (symbol, "beta"): LegSketch(rates=rates, interval=8, **short),
    }


def run(legs: Any, *, changes: dict[str, Any] | None = None, **rule: Any) -> Records:
    return play("week", RULE | rule, legs, hours=HOURS, **(changes or {}))


def trades(records: Records) -> list[tuple[int, int, int]]:
    """(number of the coin, row of entry, row of exit), by entry."""
    found = [(int(t["opened"]), int(t["closed"]), int(t["pair"]) // 2) for t in records.trades]
    return [(which, opened, closed) for opened, closed, which in sorted(found)]


def test_enters_at_its_first_hour_at_which_it_is_worth_the_margin() -> None:
    assert spans(run(coin("AAAUSDT", (0, RATE)))) == [(47, END)]
    assert spans(run(coin("AAAUSDT", (0, RATE)), enter_margin=1.37)) == []


def test_takes_the_direction_that_earns() -> None:
    records = run(coin("AAAUSDT", (0, -RATE)))
    assert records.trades["pair"].tolist() == [1]
    assert float(records.trades["funding"][0]) > 0


@pytest.mark.parametrize(("every", "phase", "row"), [(8, 0, 48), (8, 5, 53), (8, 6, 54), (1, 0, 47), (24, 22, 70)])
def test_decides_at_its_own_hours_alone(every: int, phase: int, row: int) -> None:
    # The market begins at midnight, so the rows are hours of the day.
    assert spans(run(coin("AAAUSDT", (0, RATE)), every_hours=every, phase=phase)) == [(row, END)]


def test_leaves_at_its_own_hours_alone() -> None:
    # Funding ends at row 120; the 24 h sum falls to 20, 10, 0 bps at rows 120, 128, 136: 0.91, 0.45, 0 round trips.
    legs = coin("AAAUSDT", (0, RATE), (120, 0.0))
    assert spans(run(legs)) == [(47, 135)]
    assert spans(run(legs, phase=0)) == [(48, 128)]
    assert spans(run(legs, phase=1)) == [(49, 129)]
    assert spans(run(legs, phase=0, leave_margin=0.4)) == [(48, 136)]
    assert spans(run(legs, phase=0, leave_margin=0.95)) == [(48, 120)]


def test_protective_exits_are_those_of_the_engine_every_hour() -> None:
    legs = coin("AAAUSDT", (0, RATE), price=[100.0] * 60 + [110.0] * (HOURS - 60))
    records = run(legs, changes={"max_position_loss_pct": -1.5})
    assert trades(records)[0] == (0, 47, 60)
    assert records.trades["reason"][0] == int(Reason.STOP_LOSS)


def test_the_last_week_counts_beside_the_last_day() -> None:
    # At row 191 nothing was paid for three days and 120 bps in the last seven: 0.75 x 120 are 4.09 round trips.
    legs = coin("AAAUSDT", (0, RATE), (120, 0.0))
    rule = {"recent_weight": 0.25, "horizon_days": 7, "enter_margin": 5.0}
    assert spans(run(legs, **rule, leave_margin=4.0)) == [(47, 199)]
    assert spans(run(legs, **rule, leave_margin=4.1)) == [(47, 191)]


def test_caution_takes_off_the_deviation_of_the_daily_nets() -> None:
    # Two days of 20 and of 40 bps: mean 30, deviation 10, so that with a caution of 0.5 over a day 25 of 22 are left.
    legs = coin("AAAUSDT", (0, 2 * RATE / 3), (24, 4 * RATE / 3))
    rule = {"recent_weight": 0.0, "every_hours": 48, "phase": _row_47_of_48()}
    assert [entry for entry, _ in spans(run(legs, **rule, caution=0.5, enter_margin=1.13))] == [47]
    assert 47 not in [entry for entry, _ in spans(run(legs, **rule, caution=0.5, enter_margin=1.14))]
    assert 47 in [entry for entry, _ in spans(run(legs, **rule, caution=0.4, enter_margin=1.14))]


def _row_47_of_48() -> int:
    """The phase of row 47 on a clock of two days; the market begins on 2024-01-01."""
    return int((datetime(2024, 1, 2, 23, tzinfo=UTC).timestamp() // 3600) % 48)


def test_leaving_does_not_look_at_the_deviation() -> None:
    # From row 96 on 60 bps every second day: the mean stays near 30, and of a lower bound nothing is left.
    rows = {t: RATE if t < 96 else 2 * RATE * (t // 24 % 2) for t in range(0, HOURS, 8)}
    legs = coin("AAAUSDT", (0, RATE))
    legs["AAAUSDT", "beta"] = LegSketch(rates=rows, interval=8)
    assert spans(run(legs, recent_weight=0.0, caution=1.0)) == [(47, END)]
    assert spans(run(legs, recent_weight=0.0, caution=1.0, every_hours=168, phase=_late_phase())) == []


def test_is_not_wanted_where_it_would_be_left_again() -> None:
    # A spread of 100 bps that is to come back makes it worth more than enough, but no funding keeps it.
    legs = coin("AAAUSDT", price=[100.0] * 100 + [101.0] * (HOURS - 100))
    assert spans(run(legs, spread_weight=1.0, enter_margin=1.0)) == []
    opened = [entry for entry, _ in spans(run(coin("AAAUSDT", (0, RATE), price=[100.0] * 100 + [101.0] * (HOURS - 100)),
                                              spread_weight=1.0, enter_margin=3.0))]  # fmt: skip
    # At row 103 the mean of 8 h lies 50 bps above the 100, that of 72 h 6: 44 and 30 of funding are 3.4 round trips.
    assert opened == [103]


def test_fills_free_slots_with_the_best_pairs_and_breaks_ties_by_pair() -> None:
    legs = coin("AAAUSDT", (0, RATE)) | coin("BBBUSDT", (0, 3 * RATE)) | coin("CCCUSDT", (0, 2 * RATE))
    assert trades(run(legs, changes={"max_positions": 2})) == [(1, 47, END), (2, 47, END)]
    legs = coin("CCCUSDT", (0, RATE)) | coin("AAAUSDT", (0, RATE)) | coin("BBBUSDT", (0, RATE))
    assert trades(run(legs, changes={"max_positions": 2})) == [(0, 47, END), (1, 47, END)]


def switching() -> Any:
    """AAA pays 30 bps a day, BBB from row 72 on 150; at row 95 BBB is worth (150 - 30) / 22 = 5.45 round trips more."""
    return coin("AAAUSDT", (0, RATE)) | coin("BBBUSDT", (72, 5 * RATE))


def test_switches_in_one_hour_when_the_gain_is_above_the_margin() -> None:
    records = run(switching(), switch_margin=5.4)
    assert trades(records) == [(0, 47, 95), (1, 95, END)]
    assert len(records.notes) == 0
    # 100 - 30 = 70 bps are 3.2 round trips, a third of a day earlier.
    assert trades(run(switching(), switch_margin=3.1)) == [(0, 47, 87), (1, 87, END)]
    assert trades(run(switching(), switch_margin=5.5)) == [(0, 47, END)]
    assert trades(run(switching(), switch_margin=None)) == [(0, 47, END)]


def test_switches_the_worst_of_what_it_holds_for_the_best_and_once_an_hour() -> None:
    legs = coin("AAAUSDT", (0, 2 * RATE)) | coin("BBBUSDT", (0, RATE)) | switching_pair()
    records = run(legs, switch_margin=3.0, changes={"max_positions": 2, "position_fraction": 0.2})
    # At row 79 CCC (100 bps so far) takes the place of BBB (30), eight hours later DDD (180) that of AAA (60).
    assert trades(records) == [(1, 47, 79), (0, 47, 87), (2, 79, END), (3, 87, END)]


def switching_pair() -> Any:
    return coin("CCCUSDT", (72, 10 * RATE)) | coin("DDDUSDT", (72, 9 * RATE))


def test_of_equally_bad_positions_the_first_slot_is_left() -> None:
    legs = coin("AAAUSDT", (0, RATE)) | coin("BBBUSDT", (0, RATE)) | coin("CCCUSDT", (72, 5 * RATE))
    records = run(legs, switch_margin=5.4, changes={"max_positions": 2, "position_fraction": 0.2})
    assert trades(records) == [(0, 47, 95), (1, 47, END), (2, 95, END)]


def test_does_not_switch_while_a_slot_is_free() -> None:
    records = run(switching(), switch_margin=0.0, changes={"max_positions": 2})
    assert trades(records) == [(0, 47, END), (1, 79, END)]


def test_a_slot_that_is_left_is_filled_in_the_same_hour() -> None:
    # At row 143 AAA has earned nothing for a day, and BBB is worth entering; nothing is ever switched.
    legs = coin("AAAUSDT", (0, 3 * RATE), (120, 0.0)) | coin("BBBUSDT", (0, RATE))
    records = run(legs, leave_margin=1.0)
    assert trades(records) == [(0, 47, 143), (1, 143, END)]
    assert len(records.notes) == 0


def _late_phase() -> int:
    """The phase of row 191 on a clock of a week: a week before, nothing is known yet."""
    return int((datetime(2024, 1, 8, 23, tzinfo=UTC).timestamp() // 3600) % 168)


def test_with_late_fills_a_slot_that_is_left_waits_too() -> None:
    legs = coin("AAAUSDT", (0, 3 * RATE), (120, 0.0)) | coin("BBBUSDT", (0, RATE))
    records = run(legs, leave_margin=1.0, changes={"latency_hours": 1})
    assert trades(records) == [(0, 48, 144), (1, 152, END)]
    assert len(records.notes) == 0


@pytest.mark.parametrize("latency", [1, 3])
def test_with_late_fills_the_best_waits_for_the_next_decision(latency: int) -> None:
    records = run(switching(), switch_margin=5.4, changes={"latency_hours": latency})
    # Ordered at 47; left at 95, its slot is free at 95 + latency; entered by the decision at 103.
    assert trades(records) == [(0, 47 + latency, 95 + latency), (1, 103 + latency, END)]
    assert len(records.notes) == 0, "nothing was asked for that had to be refused"


def test_with_latency_beyond_its_clock_each_order_is_sent_once() -> None:
    records = run(switching(), switch_margin=5.4, changes={"latency_hours": 12})
    assert trades(records) == [(0, 59, 107), (1, 123, END)]
    assert len(records.notes) == 0


def test_where_orders_rest_the_best_waits_too() -> None:
    bars = {"high": 100.5, "low": 99.5, "volume": 1e9}
    legs = {name: LegSketch(rates=leg.rates, interval=8, **bars) for name, leg in switching().items()}
    records = run(legs, switch_margin=4.0, changes={"execution": "maker_then_hedge"})
    assert [which for which, *_ in trades(records)] == [0, 1]
    (_, _, left), (_, entered, _) = trades(records)
    assert entered > left
    refused = {Reason(reason) for reason in records.notes["reason"].tolist()}
    assert Reason.NO_FREE_SLOT not in refused


def test_an_unknown_deviation_keeps_out_what_cannot_be_judged() -> None:
    assert [entry for entry, _ in spans(run(coin("AAAUSDT", (0, RATE)), every_hours=1, phase=0))] == [47]


@given(st.integers(1, 168), st.data())
def test_a_clock_is_due_once_in_its_hours(every: int, data: st.DataObject) -> None:
    phase = data.draw(st.integers(0, every - 1))
    clock = ClockParameters(every_hours=every, phase=phase)
    start = hour_of(datetime(2024, 1, 1, tzinfo=UTC)) + data.draw(st.integers(0, 10_000))
    due = [clock.clock.decides_at(start + k) for k in range(2 * every)]
    assert due[:every] == due[every:]
    assert sum(due[:every]) == 1
    phases = [ClockParameters(every_hours=every, phase=other).clock.decides_at(start) for other in range(every)]
    assert sum(phases) == 1, "at every hour one phase decides"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"leave_margin": 1.36}, "leave_margin must lie below enter_margin"),
        ({"phase": 8}, "phase must lie below every_hours"),
        ({"every_hours": 0}, "every_hours"),
        ({"switch_margin": -1}, "switch_margin"),
        ({"caution": -0.1}, "caution"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        run(paying(RATE), **wrong)


def near_liquidation(**rule: Any) -> Records:
    """Both prices rise by 60 % at row 80: pooled that is nothing, but the short leg's wallet has lost most of it."""
    rows, prices = tuple(range(0, HOURS, 8)), [100.0 if t < 80 else 160.0 for t in range(HOURS)]
    legs = {
        ("AAAUSDT", "alpha"): LegSketch(price=prices, rates=dict.fromkeys(rows, 0.0), interval=8),
        ("AAAUSDT", "beta"): LegSketch(price=prices, rates=dict.fromkeys(rows, RATE), interval=8),
    }
    account = {"max_positions": 1, "fit_to_free_margin": True}
    return run(legs, changes=account | rule.pop("changes", {}), **rule)


def test_leaves_before_a_leg_is_liquidated_where_it_is_asked_to() -> None:
    wallets = {"changes": {"account": "by_exchange", "margin": {"rebalance_below": None}}}
    assert spans(near_liquidation(**wallets)) == [(47, END)]
    # The first decision after the rise; what it enters then fits into what is left, and is far from liquidation.
    first, *later = spans(near_liquidation(least_distance=0.5, **wallets))
    assert first == (47, 87)
    assert all(opened >= 87 for opened, _ in later)
    # With one account for all exchanges nothing can be liquidated.
    assert spans(near_liquidation(least_distance=0.5)) == [(47, END)]
