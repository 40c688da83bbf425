"""What a view offers beside the hour's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.market.data import Floats
from engine.observation.features import ON_REQUEST
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Order, View


class Counting(OpportunityBuilder):
    """Counts how often somebody asks for what is computed on request."""

    asked = 0

    def on_request(self, t: int) -> Floats:
        self.asked += 1
        return super().on_request(t)


class Asks:
    """Asks for some features at every hour, and keeps what it got and whether fills are at once."""

    def __init__(self, *names: str) -> None:
        self._names, self.got, self.at_once = names, list[list[list[float]]](), set[bool]()

    def decide(self, view: View) -> Sequence[Order]:
        self.at_once.add(view.fills_at_once)
        self.got.append([view.feature(name).tolist() for name in self._names])
        return []


def played(strategy: Asks, **changes: Any) -> Counting:
    bars = {"high": 101.0, "low": 99.0}
    legs = {("AAAUSDT", exchange): LegSketch(rates={1: 0.001}, interval=8, **bars) for exchange in ("alpha", "beta")}
    builder = Counting(prepare(small_market(legs, 60), plain_settings(**changes)))
    run_backtest(builder, strategy, 0, 59)
    return builder


def test_daily_nets_are_computed_once_an_hour_and_only_when_somebody_asks() -> None:
    assert played(Asks("fund_apr", "net_funding_168h_bps")).asked == 0
    asks = Asks(*ON_REQUEST)
    builder = played(asks)
    assert builder.asked == len(asks.got) == 59
    assert asks.got[50] == builder.on_request(50).T.tolist()


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [({}, True), ({"latency_hours": 1}, False), ({"execution": "maker_then_hedge"}, False)],
    ids=["takers", "late", "resting"],
)
def test_a_view_says_whether_fills_are_at_once(changes: dict[str, Any], at_once: bool) -> None:
    asks = Asks()
    played(asks, **changes)
    assert asks.at_once == {at_once}
