"""Margin by exchange and failing legs: the kernel against the slow second implementation, and what it must conserve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from market_strategies import Case, margin_cases, random_margin_case
from reference_records import ReferenceResult
from same_records import TOLERANCE, assert_same, simulated
from scripted import Scripted

from engine.accounting.books import IN_TRANSIT, Kind
from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.records import Records, join, trade_pnl
from engine.accounting.tape import prepare
from engine.analysis.metrics import compute_metrics
from engine.backtest import answer, run_backtest
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import View


def seeded(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    return random_margin_case(rng, int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(40, 151)))


@cache
def reference(seed: int) -> ReferenceResult:
    return simulated(seeded(seed))


@pytest.mark.parametrize("seed", range(200))
def test_kernel_agrees_with_the_reference_on_seeded_margin_markets(seed: int) -> None:
    assert_same(seeded(seed), reference(seed))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(margin_cases())
def test_kernel_agrees_with_the_reference_on_random_margin_markets(case: Case) -> None:
    assert_same(case)


def played_by_hour(case: Case) -> Iterator[tuple[int, HourlyLoop, Records]]:
    """After every hour its row, the loop with the next hour open, and what was recorded so far."""
    loop = HourlyLoop(prepare(case.market, case.settings))
    loop.start(case.first, case.last)
    script, parts = Scripted(case.market, case.orders), []
    builder = OpportunityBuilder(loop.tape)
    while not loop.finished[0]:
        row = int(loop.rows[0])
        loop.advance(order_records(answer(script, View(loop, builder))))
        parts.append(loop.drain())
        yield row, loop, join(parts)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(margin_cases())
def test_every_wallet_is_its_start_and_its_entries_and_all_of_them_are_the_cash(case: Case) -> None:
    capital = case.settings.initial_capital_usd
    for _, loop, records in played_by_hour(case):
        ledger, portfolio = records.ledger, loop.books.portfolios[0]
        assert portfolio["cash"] == pytest.approx(capital + ledger["amount"].sum(), rel=TOLERANCE)
        if case.settings.account == "pooled":
            assert loop.books.wallets.size == 0
            assert not np.any(ledger["kind"] >= int(Kind.LIQUIDATION_FEE))
            continue
        found = [*loop.books.wallets["balance"][0], portfolio["in_transit"]]
        for e, balance in enumerate(found):
            exchange, start = (e, loop.tape.wallet_shares[e] * capital) if e < len(found) - 1 else (IN_TRANSIT, 0.0)
            booked = ledger["amount"][ledger["exchange"] == exchange].sum()
            assert balance == pytest.approx(start + booked, rel=TOLERANCE, abs=TOLERANCE * capital)
        assert sum(found) == pytest.approx(portfolio["cash"], rel=TOLERANCE, abs=TOLERANCE * capital)
        transfers = ledger["amount"][ledger["kind"] == int(Kind.TRANSFER)]
        assert transfers.sum() == pytest.approx(0.0, abs=TOLERANCE * capital)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(margin_cases())
def test_equity_is_capital_plus_ledger_plus_open_legs_and_the_metrics_tell_the_same(case: Case) -> None:
    """Recomputed from the ledger, the legs of the trades and the prices alone."""
    tape = prepare(case.market, case.settings)
    records = run_backtest(OpportunityBuilder(tape), Scripted(case.market, case.orders), case.first, case.last)
    capital, price = case.settings.initial_capital_usd, tape.arrays.quotes["price"]
    for row in records.hours:
        t = int(row["hour"])
        expected = capital + records.ledger["amount"][records.ledger["hour"] <= t].sum()
        for trade in records.trades:
            legs = (("long", tape.pairs.long_leg, 1), ("short", tape.pairs.short_leg, -1))
            for name, leg_of, sign in legs:
                if trade["opened"] <= t < trade[f"{name}_closed"]:
                    expected += sign * trade["quantity"] * (price[leg_of[trade["pair"]], t] - trade[f"{name}_entry"])
        assert row["equity"] == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE * capital)
    metrics: Any = compute_metrics(records, capital)
    costs = metrics["fees_usd"] + metrics["liquidation_fees_usd"] + metrics["transfer_costs_usd"]
    assert metrics["pnl_usd"] == pytest.approx(
        metrics["funding_usd"] + metrics["price_pnl_usd"] - costs, abs=TOLERANCE * capital
    )
    assert metrics["pnl_usd"] == pytest.approx(
        trade_pnl(records.trades).sum() - metrics["transfer_costs_usd"], abs=TOLERANCE * capital
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(margin_cases())
def test_the_reference_conserves_every_wallet_exactly(case: Case) -> None:
    result = simulated(case)
    if case.settings.account == "pooled":
        return
    booked = {name: result.wallets[0][name] for name in result.wallets[0]}
    for row in (r for r in result.ledger if r.hour == case.first):
        booked[row.exchange] -= row.amount
    for t, wallets in enumerate(result.wallets, start=case.first):
        for row in (r for r in result.ledger if r.hour == t):
            booked[row.exchange] += row.amount
        assert wallets == booked
        # Given shares sum to one only as far as floats do.
        assert float(sum(wallets.values()) - result.cash[t - case.first]) == pytest.approx(0.0, abs=1e-9)


@pytest.fixture(scope="module")
def outcomes() -> Counter[str]:
    """How often each thing happened in two hundred seeded cases."""
    seen: Counter[str] = Counter()
    for seed in range(200):
        result = reference(seed)
        seen.update(reason for _, reason in result.refused)
        seen.update(trade.exit_reason for trade in result.trades)
        seen.update(row.kind for row in result.ledger)
        seen["a wallet below zero"] += sum(min(w.values(), default=0) < 0 for w in result.wallets)
        for trade in result.trades:
            apart = abs(trade.exit_rows[0] - trade.exit_rows[1])
            seen["legs leave apart"] += apart > 0
            seen["a lone leg waits"] += apart > 1
            seen["a leg that never opened"] += trade.entry_long_price is None or trade.entry_short_price is None
    return seen


@pytest.mark.parametrize(
    "happening",
    [
        *("liquidation", "liquidation_fee", "transfer", "transfer_fee", "exchange_limit", "margin", "leg_failure"),
        *("a wallet below zero", "legs leave apart", "a lone leg waits", "a leg that never opened"),
    ],
)
def test_the_random_cases_reach_every_rule_of_margin(outcomes: Counter[str], happening: str) -> None:
    assert outcomes[happening] >= 10
