from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_market import LegSketch
from support_rules import HOURS, every_8_hours, play, spans

from engine.accounting.records import trade_pnl
from engine.errors import SettingsError

RULE: dict[str, Any] = {
    "spread_hours": 1, "enter_z": 2.0, "leave_z": 0.0, "horizon_hours": 24, "enter_margin": 1.5, "keep_margin": 1.0,
}  # fmt: skip
END = HOURS - 1


def stretched(size: float, rate: float = 0.0) -> Any:
    """A spread that flickers by 10 bps around nothing and is ``size`` at rows 60 to 65."""
    beta = 100 + 0.05 * (-1.0) ** np.arange(HOURS)
    beta[60:66] += 100 * size
    return {
        ("AAAUSDT", "alpha"): LegSketch(rates=every_8_hours(0.0), interval=8),
        ("AAAUSDT", "beta"): LegSketch(price=[float(p) for p in beta], rates=every_8_hours(rate), interval=8),
    }


def test_enters_a_stretched_spread_and_leaves_when_it_is_back() -> None:
    records = play("basis", RULE, stretched(0.01))
    assert spans(records) == [(60, 66)]
    pnl = 100 * trade_pnl(records.trades)[0] / records.trades["notional"][0]
    assert pnl == pytest.approx(100 * 0.01 - 0.22, abs=0.02), "the percent it converged by, less the round trip"


def test_shorts_the_dear_leg() -> None:
    assert [int(trade["pair"]) for trade in play("basis", RULE, stretched(-0.01)).trades] == [1]


def test_needs_the_round_trip_with_its_margin() -> None:
    assert spans(play("basis", RULE, stretched(0.0025))) == []
    assert spans(play("basis", RULE | {"enter_margin": 1.0}, stretched(0.0025))) == [(60, 67)]


def test_needs_the_deviations() -> None:
    assert spans(play("basis", RULE | {"enter_z": 6.0}, stretched(0.01))) == []


def test_eight_hour_mean_waits_until_the_spread_has_lasted() -> None:
    # At rows 62 and 63 the 8 h mean lies 33 and 44 bps above the 72 h mean; the bar is 1.5 x 22 = 33.
    opened = spans(play("basis", RULE | {"spread_hours": 8, "enter_z": 1.0}, stretched(0.01)))
    assert opened[0][0] == 63


def test_stays_though_reverted_while_funding_pays() -> None:
    # 8 bps every 8 h: 24 bps over the horizon, more than the round trip of 22.
    assert spans(play("basis", RULE | {"enter_z": 4.0}, stretched(0.01, rate=0.0008))) == [(60, END)]
    assert spans(play("basis", RULE | {"enter_z": 4.0, "keep_margin": 1.1}, stretched(0.01, rate=0.0008))) == [(60, 66)]


def test_a_spread_that_never_moved_is_not_stretched() -> None:
    flat = {("AAAUSDT", e): LegSketch(rates=every_8_hours(r), interval=8) for e, r in (("alpha", 0.0), ("beta", 0.01))}
    assert spans(play("basis", RULE | {"enter_z": -5.0, "leave_z": -6.0}, flat)) == []


def test_refuses_to_leave_above_its_entry() -> None:
    with pytest.raises(SettingsError, match="leave_z must lie below enter_z"):
        play("basis", RULE | {"leave_z": 2.0}, stretched(0.01))
