"""What the reference must keep on any random market: conservation, one story in all its outputs, no look-ahead."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import Case, cases, random_case
from reference_engine import ReferenceResult, simulate
from small_market import NAN

from engine.market.data import PER_LEG_FLOATS
from engine.windows import hour_of

few = settings(max_examples=60, deadline=None, database=None)


def run(case: Case) -> ReferenceResult:
    return simulate(case.market, case.settings, case.orders, case.first, case.last)


def last_prices(case: Case, symbol: str, exchange: str) -> list[float]:
    """The last known price of a leg at every row."""
    carried: list[float] = []
    for price in case.market.price[case.market.leg(symbol, exchange)].tolist():
        carried.append(carried[-1] if isnan(price) and carried else price)
    return carried


def unrealised_from_trades(case: Case, result: ReferenceResult) -> list[Fraction]:
    """Price P&L of what was open after each row, from the trades and the raw prices alone."""
    totals = [Fraction(0)] * (case.last - case.first + 1)
    start = int(case.market.hours[case.first])
    for trade in result.trades:
        longs = last_prices(case, trade.symbol, trade.long_exchange)
        shorts = last_prices(case, trade.symbol, trade.short_exchange)
        for row in range(hour_of(trade.entry_time) - start, hour_of(trade.exit_time) - start):
            gap = Fraction(longs[case.first + row]) - Fraction(shorts[case.first + row])
            paid = trade.entry_long_price - trade.entry_short_price
            totals[row] += trade.quantity * (gap - paid)
    return totals


@few
@given(cases())
def test_cash_is_conserved_at_every_hour(case: Case) -> None:
    result = run(case)
    booked = Fraction(case.settings.initial_capital_usd)
    unrealised = unrealised_from_trades(case, result)
    for row, equity in enumerate(result.equity):
        booked += sum(entry.amount for entry in result.ledger if entry.hour == case.first + row)
        assert result.cash[row] == booked
        assert result.unrealised[row] == unrealised[row]
        assert equity == booked + unrealised[row]


@few
@given(cases())
def test_trades_tell_what_the_ledger_tells(case: Case) -> None:
    result = run(case)
    assert sorted(trade.position_id for trade in result.trades) == list(range(1, len(result.trades) + 1))
    for trade in result.trades:
        rows = [row for row in result.ledger if row.position_id == trade.position_id]
        totals = {kind: sum(row.amount for row in rows if row.kind == kind) for kind in ("fee", "funding", "price")}
        assert totals["fee"] == -trade.entry_fees_usd - trade.exit_fees_usd
        assert totals["funding"] == trade.funding_usd
        assert totals["price"] == trade.price_pnl_usd
        assert trade.pnl_usd == sum(totals.values())
        assert {row.quantity for row in rows} == {trade.quantity}
    pnl = sum(trade.pnl_usd for trade in result.trades)
    assert result.equity[-1] == Fraction(case.settings.initial_capital_usd) + pnl
    assert max(result.open_positions) <= case.settings.max_positions


@few
@given(cases(), st.floats(0, 1))
def test_the_future_changes_nothing_before_it(case: Case, share: float) -> None:
    """All hourly data after a row turned to noise: ledger, refusals and equity up to the row stay as they were."""
    cut = case.first + round(share * (case.last - case.first))
    rng = np.random.default_rng(cut)
    noise = {}
    for name in PER_LEG_FLOATS:
        values = getattr(case.market, name).copy()
        after = values[:, cut + 1 :]
        after[:] = np.where(rng.random(after.shape) < 0.3, NAN, rng.uniform(1, 50, after.shape))
        noise[name] = values
    changed = replace(case, market=replace(case.market, **noise))
    before, after_noise = run(case), run(changed)
    rows = cut - case.first + 1
    assert before.equity[:rows] == after_noise.equity[:rows]
    assert _up_to(before, cut) == _up_to(after_noise, cut)


def _up_to(result: ReferenceResult, row: int) -> tuple[object, object]:
    return [x for x in result.ledger if x.hour <= row], [x for x in result.refused if x[0] <= row]


@pytest.fixture(scope="module")
def outcomes() -> Counter[str]:
    """How often each thing happened in two hundred seeded cases."""
    seen: Counter[str] = Counter()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        case = random_case(rng, int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(20, 151)))
        result = run(case)
        closed = {trade.position_id: hour_of(trade.exit_time) for trade in result.trades}
        seen.update(reason for _, reason in result.refused)
        seen.update(trade.exit_reason for trade in result.trades)
        for row in result.ledger:
            seen["imputed"] += row.imputed
            seen["booked after the close"] += int(case.market.hours[row.hour]) > closed[row.position_id]
        seen["fill at last trade"] += result.fills_at_last_trade
        seen["missing"] += result.missing_settlements
    return seen


@pytest.mark.parametrize(
    "happening",
    [
        *("no_such_opportunity", "no_free_slot", "already_held", "stale_leg", "silent_leg", "too_young", "delisting"),
        *("filtered", "no_volume", "below_min_notional", "margin", "no_position", "already_pending"),
        *("stop_loss", "data_outage", "end_of_data", "exit"),
        *("imputed", "missing", "booked after the close", "fill at last trade"),
    ],
)
def test_the_random_cases_reach_every_rule(outcomes: Counter[str], happening: str) -> None:
    assert outcomes[happening] >= 10
