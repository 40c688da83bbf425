"""Which stated funding intervals are believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from support_gate import changed, plausible

from adapters.gate.intervals import Statements
from adapters.gate.limits import GateSettings
from adapters.gate.market import gate_market

NAN = float("nan")


def refused(stated: Sequence[float], settled: Sequence[int] = (), since: int = 0, before: float = NAN) -> list[int]:
    """Columns whose statement is not believed."""
    statements = Statements(np.array(stated, np.float64), np.array(settled, np.int64), before, memory=24)
    return [column for column, _ in statements.judge(since)]


@pytest.mark.parametrize("value", [480.0, 0.0, -8.0, 2.5, 5.0, 25.0, 1e9, float("inf")])
def test_an_interval_that_no_exchange_has_is_refused(value: float) -> None:
    market = plausible(np.random.default_rng(1), 30)
    (refusal,) = gate_market(changed(market, "funding_interval_hours", 0, 20, value), GateSettings()).refusals
    assert (refusal.field, refusal.limit) == (
        "funding_interval_hours",
        "an interval is 1, 2, 3, 4, 6, 8, 12, 24 hours",
    )


def test_a_shorter_interval_that_is_stated_once_is_refused() -> None:
    assert refused([8, 8, 8, 1, 8, 8]) == [3]
    assert refused([8, 8, NAN, 1, NAN, 8]) == [3]


def test_a_shorter_interval_is_believed_when_it_is_stated_again() -> None:
    assert refused([8, 8, 8, 4, 4, 4]) == [3]
    assert refused([8, 8, 8, 4, 2, 2]) == [3, 4]
    assert refused([8, 8, 8, 4], since=3, before=4.0) == []
    assert refused([8, 8, 8, 4], since=3, before=2.0) == [3]


def test_a_shorter_interval_is_believed_where_the_leg_settles_or_did_the_hour_before() -> None:
    assert refused([8, 8, 8, 4, 4], settled=[3]) == []
    assert refused([8, 8, 8, 4, 4], settled=[2]) == []
    assert refused([8, 8, 8, 4, 8], settled=[1]) == [3]


def test_an_interval_that_the_settlements_show_is_believed() -> None:
    assert refused([8] * 12 + [4], settled=[0, 4, 8]) == []
    assert refused([8] * 12 + [2], settled=[0, 4, 8]) == [12]


def test_a_longer_interval_is_believed_at_once() -> None:
    assert refused([1, 1, 8, 8]) == []
    assert refused([8, 24, 8, 8], settled=[]) == [2]
    assert refused([8] * 9 + [24, 8, 8], settled=[0, 8]) == []


def test_the_first_statement_is_measured_by_the_settlements() -> None:
    assert refused([NAN] * 20 + [1], settled=[0, 8, 16]) == [20]
    assert refused([NAN] * 20 + [8], settled=[0, 8, 16]) == []
    assert refused([1.0]) == []


def test_what_is_out_of_memory_is_forgotten() -> None:
    assert refused([8, *[NAN] * 24, 1]) == []
    assert refused([8, *[NAN] * 23, 1]) == [24]
