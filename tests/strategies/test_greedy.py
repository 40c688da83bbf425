from __future__ import annotations

from typing import Any

from support_rules import HOURS, paying, play, spans

# 10 bps every 8 h are 109.5 % a year; a round trip of 22 bps spread over 168 h costs 11.47 % a year: 98.03 % net.
RATE = 0.0010
RULE: dict[str, Any] = {"holding_hours": 168, "enter_apr_pct": 98.0, "leave_apr_pct": 10.0}
END = HOURS - 1


def test_enters_above_the_apr_net_of_costs() -> None:
    assert spans(play("greedy", RULE, paying(RATE))) == [(23, END)]
    assert spans(play("greedy", RULE | {"enter_apr_pct": 98.1}, paying(RATE))) == []
    assert spans(play("greedy", RULE | {"holding_hours": 160}, paying(RATE))) == [], "costs weigh more when held less"


def test_leaves_at_the_first_settlement_below() -> None:
    assert spans(play("greedy", RULE, paying(RATE, until=56))) == [(23, 56)]


def test_stays_while_the_rate_lies_between() -> None:
    assert spans(play("greedy", RULE, paying(RATE, until=56, then=0.00015))) == [(23, END)], (
        "16 % a year, costs not counted"
    )


def test_takes_the_best_and_waits_for_a_free_slot() -> None:
    legs = paying(2 * RATE, until=56, symbol="AAAUSDT") | paying(RATE, symbol="BBBUSDT")
    records = play("greedy", RULE, legs)
    assert spans(records) == [(23, 56), (57, END)]
    assert len(records.notes) == 0
