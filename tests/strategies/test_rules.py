"""What holds for every shipped rule, and the two that know nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pytest
from small_market import LegSketch, plain_settings, small_market
from support_rules import ROUND_TRIP_BPS, paying, play, spans

from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import load_strategy_class
from engine.accounting.books import Reason
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Order, View
from engine.settings import SpreadBin, SpreadRow
from strategies.costs import round_trip_bps
from strategies.ranking import best_pairs

RULES = ("hold", "random", "greedy", "carry", "basis", "week")
HOURS = 400
EAGER: dict[str, dict[str, Any]] = {
    "greedy": {"holding_hours": 24, "enter_apr_pct": 0.0, "leave_apr_pct": 0.0},
    "carry": {"window_hours": 24, "horizon_hours": 72, "enter_margin": 1.0, "leave_margin": 0.2},
    "basis": {"spread_hours": 1, "enter_z": 1.0, "leave_z": 0.0, "enter_margin": 1.0, "keep_margin": 1.0},
    "week": {"every_hours": 4, "caution": 0.1, "enter_margin": 1.0, "leave_margin": 0.2, "switch_margin": 1.0},
}
"""Parameters under which rules trade often."""


def lively_market(seed: int = 5) -> Any:
    """Three coins on two exchanges: prices that wander and rates large enough for every rule to trade."""
    rng = np.random.default_rng(seed)
    legs = {}
    for symbol in ("AAAUSDT", "BBBUSDT", "CCCUSDT"):
        price = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, HOURS)))
        for exchange in ("alpha", "beta"):
            own = price * (1 + 0.004 * rng.standard_t(4, HOURS))
            rates = {t: float(0.004 * rng.standard_t(3)) for t in range(0, HOURS, 8)}
            legs[symbol, exchange] = LegSketch(price=own.tolist(), rates=rates, interval=8)
    return legs


def run(name: str, seed: int = 0, **changes: Any) -> Records:
    changes = {"max_positions": 2} | changes
    return play(name, EAGER.get(name, {}), lively_market(), seed=seed, hours=HOURS, **changes)


@pytest.mark.parametrize("name", RULES)
def test_the_class_has_the_plug_in_surface(name: str) -> None:
    rule = load_strategy_class(name)
    assert rule.policies == 0
    assert rule.__doc__, "arb strategies shows it"
    for key, info in rule.Parameters.model_fields.items():
        assert info.description, f"{name}.{key} says what it means"
        assert info.default is not None


@pytest.mark.parametrize("name", RULES)
def test_shipped_values_are_the_defaults_of_the_class(name: str) -> None:
    defaults = load_strategy_class(name).Parameters().model_dump(mode="json")
    assert dict(load_settings().strategies.get(name, {})) == defaults


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("latency", [0, 1, 3])
def test_orders_are_never_refused_for_being_senseless(name: str, latency: int) -> None:
    records = run(name, latency_hours=latency)
    assert name == "hold" or len(records.trades) > 2
    # A loss leaves too little equity for a full slot, and the end of the data cancels; a rule cannot know either.
    reasons = {Reason(reason) for reason in records.notes["reason"].tolist()}
    assert reasons <= {Reason.MARGIN, Reason.END_OF_DATA}


@pytest.mark.parametrize("name", RULES)
def test_the_same_seed_gives_the_same_ledger(name: str) -> None:
    assert run(name, seed=3).ledger.tobytes() == run(name, seed=3).ledger.tobytes()


def test_random_follows_its_seed() -> None:
    assert run("random", seed=1).ledger.tobytes() != run("random", seed=2).ledger.tobytes()


def test_random_trades_as_often_as_told() -> None:
    always = {"enter_probability": 1.0, "exit_probability": 1.0}
    assert spans(play("random", always, paying(0.0), hours=30)) == [(23, 24), (25, 26), (27, 28)]
    assert spans(play("random", always | {"enter_probability": 0.0}, paying(0.0))) == []
    assert spans(play("random", always | {"exit_probability": 0.0}, paying(0.0), hours=30)) == [(23, 29)]


def test_hold_keeps_its_cash() -> None:
    records = run("hold")
    assert len(records.ledger) == 0
    assert set(records.hours["equity"].tolist()) == {10_000.0}


def test_best_pairs_ranks_and_breaks_ties_by_pair() -> None:
    values = np.array([1.0, 3.0, np.nan, 3.0, 2.0, 9.0])
    eligible = np.array([True, True, False, True, True, False])
    assert best_pairs(values, eligible, 3) == [1, 3, 4]
    assert best_pairs(values, eligible, 0) == []
    assert best_pairs(values, np.zeros(6, bool), 3) == []


class Reckons:
    """Keeps what a round trip of every pair would cost."""

    def __init__(self) -> None:
        self.bps: list[Any] = []

    def decide(self, view: View) -> Sequence[Order]:
        self.bps.append(round_trip_bps(view))
        return []


@pytest.mark.parametrize(("model", "spread"), [("fixed", 2), ("volume", 20)])
def test_a_round_trip_has_the_spread_that_the_model_assumes(model: str, spread: float) -> None:
    rows = (SpreadRow(since=date(2024, 1, 1), half_spread=(SpreadBin(from_usd=0, bps=20),)),)
    settings = plain_settings(slippage_bps=2, spread_model=model, spreads={"elsewhere": rows})
    reckons = Reckons()
    run_backtest(OpportunityBuilder(prepare(small_market(paying(0.001), 10), settings)), reckons, 0, 9)
    assert reckons.bps[-1].tolist() == pytest.approx([ROUND_TRIP_BPS + 4 * spread] * 2)
