"""The kernel against the slow second implementation: every cash movement, trade, refusal and hourly equity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from market_strategies import Case, cases, random_case
from same_records import TOLERANCE, assert_same
from scripted import Scripted

from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_kernel_agrees_with_the_reference_on_random_markets(case: Case) -> None:
    assert_same(case)


@pytest.mark.parametrize("seed", range(40))
def test_kernel_agrees_with_the_reference_on_seeded_markets(seed: int) -> None:
    assert_same(random_case(np.random.default_rng(seed), coins=3, exchanges=4, hours=150))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_equity_is_capital_plus_ledger_plus_unrealised_at_every_hour(case: Case) -> None:
    """Recomputed from the ledger and the prices alone: what is open at t is marked at the price known at t."""
    tape = prepare(case.market, case.settings)
    records = run_backtest(OpportunityBuilder(tape), Scripted(case.market, case.orders), case.first, case.last)
    price, pairs = tape.arrays.quotes["price"], tape.pairs
    for row in records.hours:
        t = int(row["hour"])
        ledger = records.ledger["amount"][records.ledger["hour"] <= t].sum()
        unrealised = 0.0
        for trade in records.trades:
            if trade["opened"] <= t < trade["closed"]:
                long_leg, short_leg = pairs.long_leg[trade["pair"]], pairs.short_leg[trade["pair"]]
                unrealised += trade["quantity"] * (price[long_leg, t] - trade["long_entry"])
                unrealised += trade["quantity"] * (trade["short_entry"] - price[short_leg, t])
        expected = case.settings.initial_capital_usd + ledger + unrealised
        assert row["equity"] == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)
    assert records.hours["equity"][-1] == pytest.approx(records.hours["cash"][-1], rel=TOLERANCE)
