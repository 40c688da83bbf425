"""Hindsight against brute force: every sequence of orders on small random markets, played by the engine itself."""

from __future__ import annotations

import numpy as np
import pytest
from reference_hindsight import best_chain
from small_market import LegSketch, plain_settings, small_market
from support_hindsight import best_by_engine, played, tape_of

from engine.accounting.tape import Tape, prepare
from engine.analysis.hindsight import best_plan
from engine.analysis.upper_envelope import add_line, highest
from engine.errors import UserError
from strategies.hindsight import Hindsight, HindsightParameters
from strategies.plugin import Context


@pytest.mark.parametrize("seed", range(12))
def test_one_slot_is_as_good_as_the_best_of_all_sequences_of_orders(seed: int) -> None:
    coins, exchanges, hours = ((1, 3, 5), (2, 2, 5), (1, 2, 7))[seed % 3]
    tape = tape_of(seed, coins, exchanges)
    first = int(np.random.default_rng(seed).integers(4, 50))
    plan, gain, records = played(tape, first, first + hours, size_usd=3_000.0)
    best = best_by_engine(tape, first, first + hours)
    assert gain == pytest.approx(best, abs=1e-7)
    assert plan.gain_usd == pytest.approx(best, abs=1e-7)
    assert plan.bound_usd == plan.gain_usd
    assert len(records.notes) == 0
    assert len(records.trades) == len(plan.trades)


@pytest.mark.parametrize("latency", [1, 2])
@pytest.mark.parametrize("seed", [30, 31, 32, 33])
def test_with_late_fills_too(seed: int, latency: int) -> None:
    tape = tape_of(seed, 1, 2, latency_hours=latency)
    first = int(np.random.default_rng(seed).integers(4, 50))
    _, gain, records = played(tape, first, first + 7, size_usd=3_000.0)
    assert gain == pytest.approx(best_by_engine(tape, first, first + 7), abs=1e-7)
    assert len(records.notes) == 0


@pytest.mark.parametrize("seed", range(40, 52))
def test_longer_windows_against_single_trades_chained_by_a_second_formula(seed: int) -> None:
    """Every trade alone through the engine, and the best chain of them in plain Python."""
    tape = tape_of(seed, 1, 3, max_positions=1)
    first, last = 8, 40
    plan, gain, _ = played(tape, first, last, size_usd=3_000.0)
    assert gain == pytest.approx(plan.gain_usd, abs=1e-7)
    best = best_chain(tape, first, last, 3_000.0, persistent=False)
    assert gain == pytest.approx(best, abs=1e-7)


@pytest.mark.parametrize("seed", range(60, 72))
def test_persistent_plan_pays_the_worse_of_two_hours_and_is_the_best_that_does(seed: int) -> None:
    tape = tape_of(seed, 1, 3)
    first, last = 8, 40
    plan, gain, records = played(tape, first, last, size_usd=3_000.0, persistent=True)
    assert plan.gain_usd == pytest.approx(best_chain(tape, first, last, 3_000.0, persistent=True), abs=1e-7)
    assert gain == pytest.approx(plan.gain_usd, abs=1e-7)
    assert gain <= played(tape, first, last, size_usd=3_000.0)[1] + 1e-9
    assert len(records.notes) == 0


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("seed", range(80, 90))
def test_more_slots_earn_at_least_one_slots_best_and_at_most_the_bound(seed: int, persistent: bool) -> None:
    one = tape_of(seed, 2, 3, position_size_usd=1_000.0)
    three = tape_of(seed, 2, 3, position_size_usd=1_000.0, max_positions=3)
    alone = best_plan(one, 5, 59, persistent=persistent)
    best_of_one = alone.gain_usd
    plan, gain, records = played(three, 5, 59, size_usd=1_000.0, persistent=persistent)
    assert gain == pytest.approx(plan.gain_usd, abs=1e-7)
    assert plan.bound_usd == pytest.approx(3 * best_of_one)
    assert best_of_one - 1e-9 <= gain <= plan.bound_usd + 1e-9
    assert len(records.notes) == 0
    if len(plan.trades) > len(alone.trades):
        assert gain > best_of_one


def test_settlements_from_before_the_first_price_do_not_spoil_a_coin() -> None:
    legs = {
        ("AAAUSDT", "alpha"): LegSketch(price=[np.nan] * 12 + [100.0] * 28, rates={8: 0.0, 16: 0.0}, interval=8),
        ("AAAUSDT", "beta"): LegSketch(rates={8: 0.01, 16: 0.01}, interval=8),
    }
    plan = best_plan(prepare(small_market(legs, 40), plain_settings(position_size_usd=5_000.0)), 0, 30)
    # That of 24 is missing on both: it may cost, never pay.
    assert [(trade["opened"], trade["closed"]) for trade in plan.trades] == [(12, 16)]
    assert plan.gain_usd == pytest.approx(5_000 * 0.01 - 5_000 * 2 * 0.0011)


@pytest.mark.parametrize(("latency", "closed"), [(0, 10), (1, 12)])
def test_a_late_exit_needs_fresh_prices_as_in_the_kernel(latency: int, closed: int) -> None:
    """Row 10 has no price but a fill far above all others; the exit that is due there would be cancelled."""
    price = [100.0] * 10 + [np.nan] + [100.0] * 10
    legs = {
        ("AAAUSDT", "alpha"): LegSketch(price=price, fill=[100.0] * 10 + [130.0, 100.0, 110.0] + [100.0] * 8),
        ("AAAUSDT", "beta"): LegSketch(),
    }
    tape = prepare(small_market(legs, 21), plain_settings(position_size_usd=5_000.0, latency_hours=latency))
    plan, gain, records = played(tape, 2, 20, size_usd=5_000.0)
    assert closed in plan.trades["closed"]
    assert gain == pytest.approx(plan.gain_usd)
    assert len(records.notes) == 0


def test_nothing_after_the_window_counts() -> None:
    tape = tape_of(3, 2, 3)
    quotes = tape.arrays.quotes.copy()
    quotes["fill"][:, 31:], quotes["price"][:, 31:] = 1.0, 1.0
    other = Tape(
        tape.market, tape.settings, tape.pairs, tape.settlements, tape.arrays._replace(quotes=quotes), tape.before
    )
    for persistent in (False, True):
        plans = [best_plan(side, 5, 30, persistent=persistent) for side in (tape, other)]
        np.testing.assert_array_equal(plans[0].trades, plans[1].trades)
        assert len(plans[0].trades) > 0


def test_it_asks_for_what_it_needs() -> None:
    with pytest.raises(UserError, match="fixed position size"):
        best_plan(tape_of(0, max_position_loss_pct=-1.0), 5, 20)
    with pytest.raises(UserError, match="only a backtest"):
        Hindsight(HindsightParameters(), Context(np.random.default_rng(0)))


def test_size_defaults_to_the_share_of_the_starting_capital() -> None:
    tape = tape_of(1, 2, 3, position_size_usd=None, max_positions=2, position_fraction=0.3)
    plan, _, records = played(tape, 5, 59)
    assert len(plan.trades) > 0
    assert set(records.trades["notional"]) == {1_500.0}


@pytest.mark.parametrize("seed", range(5))
def test_envelope_has_the_highest_of_all_lines_everywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = rng.choice([rng.normal(size=(40, 2)), rng.integers(-3, 4, (40, 2)).astype(float)])
    slopes, intercepts, names = np.empty(41), np.empty(41), np.empty(41, np.int64)
    count = 0
    for k, (slope, intercept) in enumerate(lines):
        count = add_line(slopes, intercepts, names, count, slope, intercept, k)
        for x in rng.normal(0, 5, 20):
            j = names[highest(slopes, intercepts, count, x)]
            assert lines[j] @ [x, 1] == pytest.approx(max(line @ [x, 1] for line in lines[: k + 1]), abs=1e-9)
    assert np.all(np.diff(slopes[:count]) > 0)
