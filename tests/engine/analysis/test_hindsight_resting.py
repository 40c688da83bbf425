"""Hindsight with orders that rest and rules of orders, against the engine: every order, every trade, every bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from market_strategies import random_case, random_maker, resting, with_bars, with_instruments
from small_market import LegSketch, plain_settings, small_market
from support_hindsight import (
    CAPITAL,
    SIZE,
    best_by_engine,
    best_chain_by_engine,
    played,
    ruled_tape_of,
    settings_of,
    tape_of,
)

from engine.accounting.books import NoteKind, Reason
from engine.accounting.tape import Tape, prepare
from engine.analysis.hindsight import best_plan, fixed_size, has_one_impact
from engine.settings import MakerSettings
from engine.worlds import ruled

HOURS = 12
NEVER = MakerSettings(through_bps=1e4)
"""No bar is so long that an order which rests were filled."""


def kinds(records: Any) -> set[tuple[str, str]]:
    return {(NoteKind(one["kind"]).name, Reason(one["reason"]).name) for one in records.notes}


# --- one slot: exact ---


@pytest.mark.parametrize("latency", [0, 1])
@pytest.mark.parametrize("lots", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_one_slot_is_as_good_as_the_best_of_all_sequences_of_orders(seed: int, lots: bool, latency: int) -> None:
    tape = ruled_tape_of(seed, 1, 2, lots=lots, latency_hours=latency)
    first = int(np.random.default_rng(seed).integers(4, 50))
    plan, gain, _ = played(tape, first, first + 7, size_usd=SIZE)
    assert gain == pytest.approx(best_by_engine(tape, first, first + 7), abs=1e-7)
    assert plan.gain_usd == pytest.approx(gain, abs=1e-7)
    assert plan.is_exact
    assert plan.bound_usd == plan.gain_usd


@pytest.mark.parametrize("execution", ["taker", "maker_then_hedge"])
@pytest.mark.parametrize("seed", range(12))
def test_longer_windows_against_every_trade_alone_and_every_chain_of_them(seed: int, execution: str) -> None:
    tape = ruled_tape_of(seed, 1, 2 + seed % 2, lots=execution == "taker" or seed % 3 == 0, execution=execution)
    plan, gain, _ = played(tape, 8, 32, size_usd=SIZE)
    assert gain == pytest.approx(plan.gain_usd, abs=1e-7)
    assert gain == pytest.approx(best_chain_by_engine(tape, 8, 32), abs=1e-7)


def test_the_seeded_markets_fill_wholly_partly_and_not_at_all() -> None:
    found: set[tuple[str, str]] = set()
    for seed in range(12):
        found |= kinds(played(ruled_tape_of(seed, 1, 2 + seed % 2, lots=seed % 3 == 0), 8, 32, size_usd=SIZE)[2])
    assert {("RESTED", name) for name in ("WHOLLY_FILLED", "PARTLY_FILLED", "NOT_FILLED")} <= found
    assert ("CANCELLED", "NOT_FILLED") in found


def test_an_exit_that_is_filled_for_small_positions_only_is_reckoned_for_these_only() -> None:
    """Prices double: 50 coins before, 25 after. At row 7 there are buyers 1 % higher for about 37, at row 8 funding."""
    price = [100.0] * 3 + [200.0] * 7
    fill = [100.0] * 3 + [200.0] * 4 + [202.0] + [200.0] * 2
    wide = {"high": [101.0] * 3 + [201.0] * 4 + [203.0] + [201.0] * 2, "low": [99.0] * 3 + [199.0] * 7}
    legs = {
        ("AAAUSDT", "alpha"): LegSketch(price=price, fill=fill, volume=7.5e7, rates={8: -0.01}, interval=8, **wide),
        ("AAAUSDT", "beta"): LegSketch(price=price, fill=price, volume=7.5e7, rates={8: 0.0}, interval=8, **wide),
    }
    given = plain_settings(position_size_usd=5_000.0, execution="maker_then_hedge", maker={"leg": "long"})
    tape = prepare(small_market(legs, 10), given)
    plan, gain, records = played(tape, 0, 9, size_usd=5_000.0)
    assert gain == pytest.approx(best_chain_by_engine(tape, 0, 9), abs=1e-9)
    assert (plan.trades["closed"][-1], records.trades["quantity"][-1]) == (8, 25.0)
    assert gain > 80.0


def test_what_rests_may_be_forced_out_in_the_hour_in_which_it_is_booked() -> None:
    """Bought 1 % below all other hours in the last hour before the end, and no time for an exit."""
    plan, gain, records = played(with_a_cheap_hour(HOURS - 2), HOURS - 2, HOURS - 1, size_usd=5_000.0)
    assert plan.trades[["opened", "closed", "forced"]].tolist() == [(HOURS - 1, HOURS - 1, 1)]
    assert records.trades[["opened", "closed"]].tolist() == [(HOURS - 1, HOURS - 1)]
    assert gain == pytest.approx(plan.gain_usd, abs=1e-9)
    assert 35.0 < gain < 50.0


def test_what_rests_may_leave_by_order_in_the_last_hour() -> None:
    """The mirror, bought back there: sold short before, an exit that is filled is better than the end of the data."""
    plan, gain, records = played(with_a_cheap_hour(HOURS - 2), 0, HOURS - 1, size_usd=5_000.0)
    assert plan.trades[["closed", "forced"]].tolist() == [(HOURS - 1, 0)]
    assert Reason(records.trades["reason"][0]) == Reason.SIGNAL
    assert gain == pytest.approx(plan.gain_usd, abs=1e-9)


def with_a_cheap_hour(row: int, **rates: Any) -> Tape:
    """Both legs cost 100, the long one for an hour 99; it may rest, and there is turnover enough for that."""
    fill = [100.0] * HOURS
    fill[row] = 99.0
    legs = {
        ("AAAUSDT", "alpha"): LegSketch(fill=fill, high=100.5, low=98.5, volume=1e9, **rates),
        ("AAAUSDT", "beta"): LegSketch(fill=100.0, high=100.5, low=99.5, volume=1e9),
    }
    given = plain_settings(position_size_usd=5_000.0, execution="maker_then_hedge", maker={"leg": "long"})
    return prepare(small_market(legs, HOURS), given)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_never_filled_is_the_plan_of_takers_an_hour_late_bit_for_bit(seed: int, persistent: bool) -> None:
    """But for the cost of an entry by the unit, which the kernel gives as a price and fees: to 1e-9."""
    waits = ruled_tape_of(seed, 2, 3, maker=NEVER)
    takes = ruled_tape_of(seed, 2, 3, execution="taker", latency_hours=1)
    one, other = (played(tape, 5, 59, size_usd=SIZE, persistent=persistent) for tape in (waits, takes))
    if not persistent:  # where one that rests may alter two hours, its slot waits two hours
        np.testing.assert_array_equal(one[0].trades[["pair", "opened", "closed", "forced"]],
                                      other[0].trades[["pair", "opened", "closed", "forced"]])  # fmt: skip
        assert one[2].ledger.tobytes() == other[2].ledger.tobytes()
        assert one[0].bound_usd == pytest.approx(other[0].bound_usd, abs=1e-9)
    assert one[1] <= other[1] + 1e-9


# --- what is stated as a bound ---


@pytest.mark.parametrize(
    "changes",
    [{"maker": MakerSettings(fallback="cancel", volume_share=0.05)}, {}, {"lots": True, "execution": "taker"}],
)
@pytest.mark.parametrize("seed", range(6))
def test_with_an_impact_of_several_sizes_it_is_a_bound_and_no_sequence_of_orders_exceeds_it(
    seed: int, changes: dict[str, Any]
) -> None:
    tape = ruled_tape_of(seed, 1, 2, impact_coefficient=0.05, **changes)
    first = int(np.random.default_rng(seed).integers(4, 50))
    plan, gain, _ = played(tape, first, first + 7, size_usd=SIZE)
    assert not plan.is_exact
    assert not has_one_impact(tape)
    assert gain == pytest.approx(plan.gain_usd, abs=1e-7)
    assert gain <= best_by_engine(tape, first, first + 7) + 1e-7 <= plan.bound_usd + 2e-7


def test_the_bound_has_exits_that_pay_the_impact_of_the_smallest_size() -> None:
    """0.1 x sqrt(5,000 / 1e9) are 2.2 bps of the leg that hedges, which 10 USD hardly pay."""
    tape = fixed_size(with_a_cheap_hour(3, rates={8: -0.01}, interval=8), 5_000.0)
    dear = replace(tape, settings=tape.settings.model_copy(update={"impact_coefficient": 0.1}))
    plan = best_plan(prepare(dear.market, dear.settings), 0, HOURS - 1)
    assert plan.bound_usd - plan.gain_usd > 0.5


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_more_slots_stay_below_as_many_times_one(seed: int, persistent: bool) -> None:
    tape = ruled_tape_of(seed, 2, 3, lots=seed % 2 == 0, position_size_usd=1_000.0, max_positions=3)
    plan, gain, _ = played(tape, 5, 59, size_usd=1_000.0, persistent=persistent)
    assert gain == pytest.approx(plan.gain_usd, abs=1e-7)
    assert gain <= plan.bound_usd + 1e-9
    alone = best_plan(fixed_size(ruled_tape_of(seed, 2, 3, lots=seed % 2 == 0), 1_000.0), 5, 59, persistent=persistent)
    assert plan.bound_usd == pytest.approx(3 * alone.bound_usd)


@pytest.mark.parametrize("seed", range(30, 40))
def test_late_takers_with_several_slots_stay_below_the_exact_plans_of_one(seed: int) -> None:
    """The exit of a position may be ordered before it is seen open by whoever knows its slot."""
    plan = best_plan(tape_of(seed, 2, 3, latency_hours=1, max_positions=2), 5, 59)
    assert plan.bound_usd == pytest.approx(2 * best_plan(tape_of(seed, 2, 3, latency_hours=1), 5, 59).gain_usd)


def random_tape(seed: int) -> Tape:
    """Any settings that hindsight knows, mostly with orders that rest."""
    rng = np.random.default_rng(seed)
    case = random_case(rng, 2, 3, 80)
    market = with_bars(rng, case.market)
    if rng.random() < 0.5:
        market = with_instruments(rng, market, near_usd=case.settings.initial_capital_usd / 10)
    # Sizes that shrink to what is free are not those of a plan.
    given = case.settings.model_copy(update={"fit_to_free_margin": False})
    return prepare(market, resting(given, random_maker(rng)) if rng.random() < 0.8 else given)


def with_ample_capital(tape: Tape) -> Tape:
    """The same rules, and more than any number of positions takes as margin."""
    given = tape.settings
    return ruled(tape, given.model_copy(update={"initial_capital_usd": 1_000.0 * given.initial_capital_usd}))


def assert_played_on(seed: int) -> int:
    """Trades that were played. Never above the bound, and on ample capital what the plan says, to the last order."""
    tape = random_tape(seed)
    size, trades = fixed_size(tape).settings.position_size_usd, 0
    for persistent in (False, True):
        plan, gain, records = played(tape, 5, 79, size_usd=size, persistent=persistent)
        # ``played`` reckons from the capital of its own settings.
        gain += CAPITAL - tape.settings.initial_capital_usd
        assert gain <= plan.bound_usd + 1e-6
        ample = with_ample_capital(tape)
        same, reached, kept = played(ample, 5, 79, size_usd=size, persistent=persistent)
        reached += CAPITAL - ample.settings.initial_capital_usd
        np.testing.assert_array_equal(same.trades, plan.trades)
        assert reached == pytest.approx(plan.gain_usd, abs=1e-6)
        assert not (kept.notes["kind"] == int(NoteKind.REFUSED)).any()
        # Margin that is short as an order is posted is no refusal: it does not rest, and may be taken an hour later.
        if np.array_equal(records.notes, kept.notes):
            assert gain == pytest.approx(plan.gain_usd, abs=1e-6)
        trades += len(records.trades)
    return trades


@pytest.mark.parametrize("seed", range(30))
def test_what_the_engine_makes_of_a_plan_never_exceeds_its_bound(seed: int) -> None:
    assert_played_on(seed)


def test_and_the_plans_of_these_markets_are_played() -> None:
    assert sum(assert_played_on(seed) > 3 for seed in range(12)) > 6


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(303)  # margin that is short for an hour
@example(1136)  # a forced exit at a fill that another slot has replaced
@given(st.integers(0, 2**32 - 1))
def test_nor_on_any_other_market(seed: int) -> None:
    assert_played_on(seed)


def test_an_order_that_lacks_margin_as_it_is_posted_is_taken_an_hour_later() -> None:
    """Two positions take all of the capital. At row 20 it is 8 USD short, at 21 it is there again."""
    tape, rows = random_tape(303), {}
    size = fixed_size(tape).settings.position_size_usd
    for name, market in (("short", tape), ("ample", with_ample_capital(tape))):
        _, _, records = played(market, 5, 79, size_usd=size, persistent=True)
        assert not {"REFUSED", "CANCELLED"} & {kind for kind, _ in kinds(records)}
        rested = records.notes[records.notes["kind"] == int(NoteKind.RESTED)]
        trade = records.trades[records.trades["pair"] == 2][0]
        rows[name] = (trade["opened"], (21, 1, 2) in rested[["hour", "order", "target"]].tolist(), trade["quantity"])
    assert rows["short"][:2] == (21, False)
    assert rows["ample"][:2] == (21, True)
    assert rows["short"][2] != rows["ample"][2]


# --- persistent ---


@pytest.mark.parametrize("seed", range(10))
def test_a_persistent_plan_is_played_as_it_was_made_and_earns_no_more(seed: int) -> None:
    tape = ruled_tape_of(seed, 2, 3, lots=seed % 2 == 1)
    plan, gain, _ = played(tape, 8, 55, size_usd=SIZE, persistent=True)
    assert gain == pytest.approx(plan.gain_usd, abs=1e-7)
    assert gain <= played(tape, 8, 55, size_usd=SIZE)[1] + 1e-7


def test_a_lucky_bar_is_worth_nothing_to_a_persistent_plan() -> None:
    """The long leg is paid 1 % at row 8. Bought in the hour after row 3 it costs 1 % less than in all others."""
    tape = with_a_cheap_hour(3, rates={8: -0.01}, interval=8)
    lucky, kept = (best_plan(tape, 0, HOURS - 1, persistent=persistent) for persistent in (False, True))
    assert lucky.trades["opened"][0] == 4
    assert lucky.gain_usd - kept.gain_usd == pytest.approx(50.0, abs=2.0)
    assert 35.0 < kept.gain_usd < 50.0


# --- the window, refusals ---


def test_nothing_after_the_window_counts() -> None:
    tape = ruled_tape_of(3, 2, 3)
    quotes, bars = tape.arrays.quotes.copy(), tape.arrays.bars.copy()
    quotes["fill"][:, 31:], quotes["price"][:, 31:] = 1.0, 1.0
    bars["high"][:, 30:], bars["low"][:, 30:] = 1e9, 1e-9
    other = replace(tape, arrays=tape.arrays._replace(quotes=quotes, bars=bars))
    for persistent in (False, True):
        plans = [best_plan(side, 5, 30, persistent=persistent) for side in (tape, other)]
        np.testing.assert_array_equal(plans[0].trades, plans[1].trades)
        assert len(plans[0].trades) > 0


def test_an_entry_that_is_refused_leaves_the_rest_of_the_plan_to_be_played() -> None:
    """Three times 3,400 twice over is more than the capital: the third of three positions lacks margin."""
    refused = 0
    for seed in range(6):
        tape = ruled_tape_of(seed, 2, 3, max_positions=3, position_size_usd=1_700.0)
        plan, gain, records = played(tape, 5, 59, size_usd=1_700.0)
        assert gain <= plan.bound_usd + 1e-7
        notes = kinds(records)
        assert ("REFUSED", "NO_POSITION") not in notes
        if any(reason == "MARGIN" for _, reason in notes):
            refused += 1
            assert len(records.trades) > 0
    assert refused > 0


def test_sizes_are_whole_lots_and_what_exchanges_refuse_is_not_planned() -> None:
    tape = ruled_tape_of(7, 2, 3, lots=True)
    free = ruled_tape_of(7, 2, 3, lots=True, instruments="ignore")
    _, gain, records = played(tape, 5, 59, size_usd=SIZE)
    assert not {reason for _, reason in kinds(records)} & {"BELOW_EXCHANGE_MINIMUM", "LEVERAGE_LIMIT"}
    assert (records.trades["notional"] < SIZE).any()
    assert gain != played(free, 5, 59, size_usd=SIZE)[1]


def test_settings_decide_whether_it_is_exact() -> None:
    assert settings_of().impact_coefficient == 0
    assert has_one_impact(ruled_tape_of(0, lots=True))
    dear: dict[str, Any] = {"impact_coefficient": 0.1}
    assert not has_one_impact(ruled_tape_of(0, **dear))
    assert has_one_impact(ruled_tape_of(0, execution="taker", **dear))
    assert not has_one_impact(ruled_tape_of(0, execution="taker", lots=True, **dear))
