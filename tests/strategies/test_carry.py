from __future__ import annotations

from typing import Any

import pytest
from support_rules import HOURS, paying, play, spans

from engine.errors import SettingsError

# 10 bps every 8 h are 30 bps a day, so a horizon of 24 h expects 30 bps against a round trip of 22: 1.36 of it.
RATE = 0.0010
RULE: dict[str, Any] = {
    "window_hours": 24,
    "recent_weight": 0.0,
    "horizon_hours": 24,
    "spread_weight": 0.0,
    "enter_margin": 1.36,
    "leave_margin": 0.5,
}
END = HOURS - 1


def test_enters_when_expected_funding_pays_the_margin() -> None:
    assert spans(play("carry", RULE, paying(RATE))) == [(23, END)]


def test_stays_out_when_the_margin_is_missed_by_a_hundredth() -> None:
    assert spans(play("carry", RULE | {"enter_margin": 1.37}, paying(RATE))) == []


def test_takes_the_direction_that_earns() -> None:
    records = play("carry", RULE, paying(-RATE))
    assert [int(trade["pair"]) for trade in records.trades] == [1]
    assert float(records.trades["funding"][0]) > 0


def test_leaves_below_the_lower_margin_and_not_before() -> None:
    # Funding ends at row 56; the 24 h sum falls to 20, 10, 0 bps at rows 56, 64, 72: 0.91, 0.45, 0 round trips.
    legs = paying(RATE, until=56)
    assert spans(play("carry", RULE, legs)) == [(23, 64)]
    assert spans(play("carry", RULE | {"leave_margin": 0.4}, legs)) == [(23, 72)]
    assert spans(play("carry", RULE | {"leave_margin": 0.95}, legs)) == [(23, 56)]


def test_slippage_and_quoted_spread_raise_the_bar() -> None:
    rule = RULE | {"enter_margin": 1.0}
    assert spans(play("carry", rule, paying(RATE), slippage_bps=1.9)) == [(23, END)]
    assert spans(play("carry", rule, paying(RATE), slippage_bps=2.1)) == []
    assert spans(play("carry", rule, paying(RATE, spread=0.00039))) == [(23, END)]
    assert spans(play("carry", rule, paying(RATE, spread=0.00041))) == []


def test_recent_weight_looks_at_the_last_day() -> None:
    # At row 56 the last day holds 20 bps and the last three days 20 + 40 = 60 bps, 20 a day over 72 h at row 71.
    legs = paying(RATE, until=56)
    long_window = RULE | {"window_hours": 168, "leave_margin": 0.3}
    assert spans(play("carry", long_window, legs)) == [(23, END)]
    assert spans(play("carry", long_window | {"recent_weight": 1.0}, legs)) == [(23, 72)]


def test_spread_weight_counts_on_a_dear_short_leg_to_come_back() -> None:
    price = [100.0] * 40 + [101.0] * (HOURS - 40)
    rule = RULE | {"enter_margin": 3.0}
    assert spans(play("carry", rule, paying(RATE, price=price))) == []
    opened = spans(play("carry", rule | {"spread_weight": 1.0}, paying(RATE, price=price)))
    # Three hours into it the 8 h mean lies 30 bps above the 72 h mean, after four 41: with 30 of funding, 66 are asked.
    assert [entry for entry, _ in opened] == [43]


def test_fills_free_slots_with_the_best_pairs_and_no_more() -> None:
    legs = paying(RATE, symbol="AAAUSDT") | paying(3 * RATE, symbol="BBBUSDT") | paying(2 * RATE, symbol="CCCUSDT")
    records = play("carry", RULE, legs, max_positions=2)
    assert spans(records) == [(23, END), (23, END)]
    assert sorted(int(trade["pair"]) // 2 for trade in records.trades) == [1, 2]
    assert len(records.notes) == 0, "nothing was asked for that had to be refused"


def test_sends_each_order_once_when_fills_are_late() -> None:
    records = play("carry", RULE, paying(RATE, until=56), latency_hours=3)
    assert spans(records) == [(26, 67)]
    assert len(records.notes) == 0


def test_refuses_to_leave_above_its_entry() -> None:
    with pytest.raises(SettingsError, match="leave_margin must lie below enter_margin"):
        play("carry", RULE | {"leave_margin": 1.36}, paying(RATE))
