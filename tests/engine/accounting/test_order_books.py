"""Takers that walk recorded order books: by hand, against the second implementation, and what never happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, Played, near
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from market_strategies import Case, book_cases, random_book_case
from reference_books import walk
from reference_legs import LegHistory
from reference_records import Exit
from same_records import TOLERANCE, assert_same, played
from scripted import Scripted
from small_market import START, LegSketch, plain_settings, small_market

from engine.accounting.books import Kind, Reason
from engine.accounting.order_books import fitting, walked
from engine.accounting.tape import Tape, prepare
from engine.analysis.hindsight import fixed_size, is_searchable
from engine.backtest import run_backtest
from engine.errors import UserError
from engine.market.counterfactual import rows_of, with_other_future
from engine.market.data import MarketData
from engine.market.order_books import OrderBooks, SeenBook, Side
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import MakerSettings

HOURS = 5
DEEP: Side = [(99.99, 1e9)]
"""1 bp below a mid of 100."""
DEEP_ASKS: Side = [(100.01, 1e9)]
Books = Mapping[int, tuple[Side, Side]]
"""(bids, asks) by row."""


def books_of(*legs: Books) -> OrderBooks | None:
    return OrderBooks.of(
        SeenBook(leg, START + row, bids, asks) for leg, books in enumerate(legs) for row, (bids, asks) in books.items()
    )


def always(bids: Side, asks: Side) -> Books:
    return dict.fromkeys(range(HOURS), (bids, asks))


def sketched(alpha: Books, beta: Books, legs: tuple[LegSketch, LegSketch] | None = None) -> MarketData:
    sketches = legs or (LegSketch(fill=100.0), LegSketch(fill=100.0))
    market = small_market(dict(zip((ALPHA, BETA), sketches, strict=True)), HOURS)
    return replace(market, order_books=books_of(alpha, beta))


def run_of(market: MarketData, orders: Any = None, **changes: Any) -> Played:
    tape = prepare(market, plain_settings(**changes))
    orders = orders or {0: [ENTER], 2: [Exit(0)]}
    return Played(run_backtest(OpportunityBuilder(tape), Scripted(market, orders), 0, HOURS - 1), tape, market)


def play(
    alpha: Books, beta: Books, legs: tuple[LegSketch, LegSketch] | None = None, orders: Any = None, **changes: Any
) -> Played:
    """50 coins for 5,000 USD a leg, long on alpha and short on beta, left at row 2."""
    return run_of(sketched(alpha, beta, legs), orders, **changes)


def prices(result: Played) -> list[float]:
    return [float(result.records.trades[0][name]) for name in ("long_entry", "short_entry", "long_exit", "short_exit")]


# --- prices ---


def test_each_fill_is_the_mean_of_the_levels_that_it_takes_on_its_own_side() -> None:
    """50 coins of 20 at +1 bp, 20 at +2 and 60 at +5 are +2.2 bps on average; of bids at -2 bps it is 2."""
    asks = [(100.01, 20.0), (100.02, 20.0), (100.05, 60.0)]
    result = play(always([(99.98, 50.0)], asks), always([(99.97, 60.0)], [(100.03, 60.0)]))
    # The mids are 99.995 and 100.
    long_in, long_out = 100.022 / 99.995, 99.98 / 99.995
    assert prices(result) == near([100 * long_in, 99.97, 100 * long_out, 100.03])
    assert not result.refusals()


def test_the_walk_stands_for_spread_and_impact_and_slippage_comes_on_top() -> None:
    wide = (LegSketch(fill=100.0, spread=0.01, volume=1e6), LegSketch(fill=100.0, spread=0.01, volume=1e6))
    result = play(
        always([(99.98, 1e9)], [(100.02, 1e9)]), always(DEEP, DEEP_ASKS), wide, slippage_bps=3.0, impact_coefficient=0.1
    )
    assert prices(result) == near([100.05, 99.96, 99.95, 100.04])
    dearer = play(always([(99.98, 1e9)], [(100.02, 1e9)]), always(DEEP, DEEP_ASKS), slippage_bps=3.0, cost_multiple=2.0)
    assert prices(dearer) == near([100.10, 99.92, 99.90, 100.08])


def test_the_walk_goes_with_the_first_trade_and_not_with_the_mid_of_the_book() -> None:
    moved = (LegSketch(fill=110.0), LegSketch(fill=110.0))
    assert prices(play(always(DEEP, [(100.01, 1e9)]), always(DEEP, DEEP_ASKS), moved)) == near(
        [110 * 1.0001, 110 * 0.9999, 110 * 0.9999, 110 * 1.0001]
    )


def test_what_is_beyond_the_recorded_levels_costs_the_last_of_them_and_impact() -> None:
    """30 of 50 coins are beyond the last level at 4 bps; they are worth 3,000 USD of a volume of 1.2 M: 0.05 roots."""
    asks = [(100.02, 10.0), (100.04, 10.0)]
    book = ([(99.98, 1e9)], asks)
    plain = play(always(*book), always(DEEP, DEEP_ASKS))
    assert prices(plain)[0] == near(100 + (10 * 0.02 + 40 * 0.04) / 50)
    legs = (LegSketch(fill=100.0, volume=1.2e6), LegSketch(fill=100.0, volume=1.2e6))
    impact = play(always(*book), always(DEEP, DEEP_ASKS), legs, impact_coefficient=0.001)
    extra = 100 * 0.001 * 0.05
    assert prices(impact)[0] == near(100 + (10 * 0.02 + 10 * 0.04 + 30 * (0.04 + extra)) / 50)
    # The side that is deep enough has none.
    assert prices(impact)[1:3] == near([99.99, 99.98])


def test_a_book_counts_at_its_own_hour_and_is_never_carried() -> None:
    """Entered at row 0 without a book, left at row 2 with one of row 2; that of row 1 is of no use."""
    spread = (LegSketch(fill=100.0, spread=0.002), LegSketch(fill=100.0, spread=0.002))
    far = ([(99.0, 1e9)], [(101.0, 1e9)])
    result = play({1: far, 2: (DEEP, DEEP_ASKS)}, {1: far}, spread)
    assert prices(result) == near([100.1, 99.9, 99.99, 100.1])


def test_with_latency_it_is_the_book_of_the_hour_of_the_fill() -> None:
    result = play({1: ([(99.5, 1e9)], [(100.5, 1e9)])}, {}, orders={0: [ENTER]}, latency_hours=1, max_walk_bps=None)
    assert prices(result)[0] == near(100.5)


def test_one_level_without_end_at_half_the_spread_is_a_quoted_spread() -> None:
    for half in (0.0001, 0.0013, 0.0024):
        book = ([(100 * (1 - half), 1e12)], [(100 * (1 + half), 1e12)])
        spread = (LegSketch(fill=101.0, spread=2 * half), LegSketch(fill=99.0, spread=2 * half))
        given = {"slippage_bps": 2.0, "cost_multiple": 1.5}
        ours, theirs = play(always(*book), always(*book), spread, **given), play({}, {}, spread, **given)
        assert prices(ours) == pytest.approx(prices(theirs), rel=1e-12)
        assert ours.equity(HOURS - 1) == pytest.approx(theirs.equity(HOURS - 1), rel=1e-12)


def test_ignored_or_absent_they_change_nothing_bit_for_bit() -> None:
    thin = always([(90.0, 1.0)], [(110.0, 1.0)])
    ignored, plain = play(thin, thin, order_books="ignore"), play({}, {})
    outside = play({HOURS: (DEEP, DEEP_ASKS), -1: (DEEP, DEEP_ASKS)}, {})
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(ignored.records, name).tobytes() == getattr(plain.records, name).tobytes()
        assert getattr(outside.records, name).tobytes() == getattr(plain.records, name).tobytes()
    assert not len(ignored.tape.arrays.levels)


# --- sizes ---


def test_an_entry_is_cut_to_what_walks_no_farther_than_allowed_on_both_legs() -> None:
    """Alpha: 10 coins at 5 bps save 200 of 25, spent at 45 bps on 10 more; beta: all but 5 beyond 25 are too far."""
    alpha = always([(99.95, 1e9)], [(100.05, 10.0), (100.45, 100.0)])
    result = play(alpha, always(DEEP, DEEP_ASKS))
    trade = result.records.trades[0]
    assert (trade["quantity"], trade["notional"]) == (near(20.0), near(2_000.0))
    assert trade["long_entry"] == near(100.25)
    assert result.records.ledger["quantity"].tolist() == near([20.0] * len(result.records.ledger))
    thinner = play(alpha, always([(99.9, 6.0), (99.6, 100.0)], [(100.1, 1e9)]))
    assert thinner.records.trades[0]["quantity"] == near(12.0)
    assert thinner.records.trades[0]["short_entry"] == near(99.75)


@pytest.mark.parametrize(
    ("most", "quantity"), [(100.0, 50.0), (45.0, 50.0), (None, 50.0), (25.0, 20.0), (10.0, 11.4286)]
)
def test_the_limit_is_a_setting(most: float | None, quantity: float) -> None:
    alpha = always([(99.95, 1e9)], [(100.05, 10.0), (100.45, 100.0)])
    cut = play(alpha, always(DEEP, DEEP_ASKS), max_walk_bps=most).records.trades[0]["quantity"]
    assert cut == pytest.approx(quantity, rel=1e-5)


def test_what_is_too_dear_beyond_the_recorded_levels_is_cut_to_them() -> None:
    """20 coins at 10 bps; the rest of 50 would have an impact of 1 times the root of 3,000 by 1.2 M on top: 5 %."""
    legs = (LegSketch(fill=100.0, volume=1.2e6), LegSketch(fill=100.0, volume=1.2e6))
    alpha = always([(99.9, 1e9)], [(100.1, 20.0)])
    result = play(alpha, always(DEEP, DEEP_ASKS), legs, impact_coefficient=1.0)
    assert result.records.trades[0]["quantity"] == near(20.0)
    cheap = play(alpha, always(DEEP, DEEP_ASKS), legs, impact_coefficient=0.0)
    assert cheap.records.trades[0]["quantity"] == near(50.0)


@pytest.mark.parametrize(
    ("asks", "changes"),
    [
        ([(100.3, 1e9)], {}),
        ([(100.1, 0.05), (101.0, 1e9)], {}),
        ([(100.1, 19.0), (109.0, 1e9)], {"min_notional_usd": 2e3}),
    ],
    ids=["the best is too far", "dust", "less than the run's own least"],
)
def test_an_entry_of_which_too_little_fits_is_refused_as_a_thin_book(asks: Side, changes: dict[str, float]) -> None:
    bids = [(200.0 - asks[0][0], 1e9)]
    result = play(always(bids, asks), always(DEEP, DEEP_ASKS), orders={0: [ENTER]}, **changes)
    assert result.refusals() == [(0, "refused", "thin_book")]
    assert not len(result.records.ledger)


def test_a_size_that_was_too_small_before_any_cut_is_no_matter_of_the_book() -> None:
    result = play(always(DEEP, DEEP_ASKS), always(DEEP, DEEP_ASKS), orders={0: [ENTER]}, min_notional_usd=6_000.0)
    assert result.refusals() == [(0, "refused", "below_min_notional")]


def test_exits_and_stop_losses_walk_as_far_as_they_must() -> None:
    thin: Side = [(99.9, 1.0), (90.0, 1e9)]
    alpha = {0: (DEEP, DEEP_ASKS), 2: (thin, [(100.1, 1.0)])}
    result = play(alpha, {})
    assert result.exits() == [(2, "signal")]
    assert result.records.trades[0]["quantity"] == near(50.0)
    assert prices(result)[2] == near(100 * (1 - (0.001 + 49 * 0.1) / 50))
    fallen = (LegSketch(price=[100, 100, 90, 90, 90], fill=100.0), LegSketch(fill=100.0))
    stopped = play(alpha, {}, fallen, orders={0: [ENTER]}, max_position_loss_pct=-1.0)
    assert stopped.exits() == [(2, "stop_loss")]
    assert prices(stopped)[2] == near(100 * (1 - (0.001 + 49 * 0.1) / 50))


# --- orders that rest ---


def rests(**maker: Any) -> dict[str, Any]:
    plain = {"leg": "long", "adverse_bps": 0.0, "hedge_bps": 1.0}
    return {"execution": "maker_then_hedge", "maker": MakerSettings(**(plain | maker))}


def bar(low: float = 99.0, **more: Any) -> LegSketch:
    return LegSketch(**({"price": 100.0, "fill": 100.0, "low": low, "high": 101.0, "volume": 1e9} | more))


def test_the_leg_that_hedges_walks_the_book_of_the_hour_in_which_the_other_one_rested() -> None:
    """20 coins at 1 bp and 30 at 4 are 2.8; the hedge itself has one more."""
    beta = {0: ([(99.99, 20.0), (99.96, 100.0)], DEEP_ASKS), 1: ([(90.0, 1e9)], [(110.0, 1e9)])}
    result = play({}, beta, (bar(), bar()), orders={0: [ENTER]}, **rests())
    assert result.refusals() == [(1, "rested", "wholly_filled")]
    assert prices(result)[:2] == near([99.98, 99.98 * (1 - 3.8e-4)])


def test_the_hedge_of_a_part_walks_for_the_part() -> None:
    """About 4.9 of 50 coins are filled: the first 20 bids are enough."""
    beta = {0: ([(99.99, 20.0), (99.96, 100.0)], DEEP_ASKS)}
    result = play(
        {}, beta, (bar(volume=24_000.0), bar()), orders={0: [ENTER]}, **rests(volume_share=1.0, fallback="cancel")
    )
    assert result.records.trades[0]["quantity"] < 5.0
    assert prices(result)[1] == near(99.98 * (1 - 2e-4))


def test_what_is_taken_of_the_rest_is_cut_by_the_books_of_its_own_hour() -> None:
    alpha = {1: ([(99.95, 1e9)], [(100.05, 10.0), (100.45, 100.0)])}
    result = play(alpha, {}, (bar(volume=24_000.0), bar()), orders={0: [ENTER]}, **rests(volume_share=1.0))
    fees = result.records.ledger[result.records.ledger["kind"] == int(Kind.FEE)]["quantity"]
    assert fees[2:4].tolist() == near([20.0, 20.0])
    assert result.records.trades[0]["quantity"] == near(fees[0] + 20.0)
    none = {1: ([(99.0, 1e9)], [(101.0, 1e9)])}
    result = play(none, {}, (bar(volume=24_000.0), bar()), orders={0: [ENTER]}, **rests(volume_share=1.0))
    assert [reason for _, _, reason in result.refusals()] == ["partly_filled", "not_filled"]


# --- laws ---


LEVELS = st.lists(st.tuples(st.floats(1e-6, 0.05), st.floats(1e-3, 1e3)), min_size=1, max_size=8)


def tape_of(steps: Sequence[tuple[float, float]], **changes: Any) -> Tape:
    """A book of alpha at row 0 whose levels lie these steps apart, both sides alike."""
    distances = np.cumsum([step for step, _ in steps])
    bids, asks = (
        [(100 * (1 + sign * d), q) for d, (_, q) in zip(distances.tolist(), steps, strict=True)] for sign in (-1, 1)
    )
    legs = (LegSketch(fill=100.0, volume=1e6), LegSketch(fill=100.0, volume=1e6))
    return prepare(sketched({0: (bids, asks)}, {}, legs), plain_settings(**changes))


def far(tape: Tape, quantity: float, direction: float = 1.0) -> float:
    return float(walked(tape.arrays, 0, 0, direction, quantity))


def test_walks_of_both_sides_by_hand() -> None:
    """Asks at 1, 4 and 9 bps, 10 coins each; bids at 1 and 2, of which the first is deep. 1 % of impact at 1 M USD."""
    asks = [(100.01, 10.0), (100.04, 10.0), (100.09, 10.0)]
    legs = (LegSketch(fill=100.0, volume=1e6), LegSketch(fill=100.0, volume=1e6))
    market = sketched({0: ([(99.99, 1e4), (99.98, 1.0)], asks)}, {}, legs)
    tape = prepare(market, plain_settings(impact_coefficient=0.01))
    walks = [1e4 * far(tape, coins) for coins in (5.0, 10.0, 20.0, 25.0, 30.0)]
    assert walks == pytest.approx([1.0, 1.0, 2.5, 3.8, 14 / 3], rel=1e-9)
    # 70 coins beyond the last level are 7,000 USD: 0.7 % of the volume.
    assert 1e4 * far(tape, 100.0) == pytest.approx((10 + 40 + 90 + 70 * (9 + 100 * 0.007**0.5)) / 100, rel=1e-9)
    assert [1e4 * far(tape, coins, -1.0) for coins in (25.0, 1e4)] == pytest.approx([1.0, 1.0], rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(LEVELS, st.lists(st.floats(1e-4, 1e5), min_size=2, max_size=10), st.sampled_from([0.0, 0.01]))
def test_more_never_walks_less_far_and_nothing_less_than_half_the_spread(
    steps: list[tuple[float, float]], quantities: list[float], impact: float
) -> None:
    tape = tape_of(steps, impact_coefficient=impact)
    walks = [far(tape, quantity) for quantity in sorted(quantities)]
    assert all(one <= two * (1 + 1e-12) for one, two in pairwise(walks))
    assert walks[0] >= steps[0][0] * (1 - 1e-9)
    assert [far(tape, quantity, -1.0) for quantity in sorted(quantities)] == pytest.approx(walks, rel=1e-9)
    assert np.isnan(walked(tape.arrays, 0, 1, 1.0, 1.0))
    assert np.isnan(walked(tape.arrays, 1, 0, 1.0, 1.0))


@settings(max_examples=200, deadline=None)
@given(LEVELS, st.floats(1e-4, 1e5), st.floats(0.1, 1000.0), st.sampled_from([0.0, 0.01]))
def test_what_fits_walks_no_farther_than_the_limit_and_more_of_the_book_would(
    steps: list[tuple[float, float]], quantity: float, most: float, impact: float
) -> None:
    tape = tape_of(steps, max_walk_bps=most, impact_coefficient=impact)
    fits = float(fitting(tape.arrays, 0, 0, 1.0, quantity))
    assert 0 <= fits <= quantity
    if fits > 0:
        assert far(tape, fits) <= most / 1e4 * (1 + 1e-9)
    if fits < quantity:
        assert far(tape, quantity) > most / 1e4
        recorded = sum(size for _, size in steps)
        assert fits == pytest.approx(recorded) or far(tape, min(quantity, fits + 1e-3)) > most / 1e4 * (1 - 1e-9)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(book_cases())
def test_equity_is_capital_and_ledger_and_no_entry_walks_too_far(case: Case) -> None:
    records = played(case)
    booked = case.settings.initial_capital_usd + records.ledger["amount"].sum()
    assert records.hours["equity"][-1] == pytest.approx(booked, rel=TOLERANCE)
    given, tape = case.settings, prepare(case.market, case.settings)
    if given.max_walk_bps is None or given.execution != "taker":
        return
    for trade in records.trades:
        for legs, sign in ((tape.pairs.long_leg, 1), (tape.pairs.short_leg, -1)):
            history = LegHistory(case.market, int(legs[trade["pair"]]), given.max_stale_hours)
            far_off = walk(given, history, Fraction(float(trade["quantity"])), sign, int(trade["opened"]))
            assert far_off is None or float(far_off) <= given.max_walk_bps / 1e4 * (1 + 1e-9)


# --- what must go with a market ---


def test_they_stay_with_their_hours_in_parts_of_a_market() -> None:
    market = sketched({0: (DEEP, DEEP_ASKS), 3: ([(99.5, 1.0)], [(100.5, 2.0)])}, {3: (DEEP, DEEP_ASKS)})
    part = rows_of(market, 2, HOURS)
    assert part.order_books is not None
    assert part.order_books.hour.tolist() == [START + 3, START + 3]
    tape = prepare(part, plain_settings(max_walk_bps=None))
    assert walked(tape.arrays, 0, 1, 1.0, 1.0) == near(0.005)
    assert np.isnan(walked(tape.arrays, 0, 0, 1.0, 1.0))
    assert rows_of(market, 1, 2).order_books is None


def test_another_future_has_other_books_after_the_hour_alone() -> None:
    market = sketched(always([(99.9, 5.0), (99.8, 5.0)], [(100.1, 5.0)]), always(DEEP, DEEP_ASKS))
    before = prepare(rows_of(market, 0, 3), plain_settings())
    changed = 0
    for seed in range(20):
        other = with_other_future(market, 2, np.random.default_rng(seed), fill_too=True)
        now = prepare(rows_of(other, 0, 3), plain_settings())
        assert now.arrays.levels.tobytes() == before.arrays.levels.tobytes()
        later = prepare(other, plain_settings()).arrays.levels
        changed += later.tobytes() != prepare(market, plain_settings()).arrays.levels.tobytes()
    assert changed == 20


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_is_booked_depends_on_later_books(seed: int) -> None:
    case = seeded(seed)
    cut = (case.first + case.last) // 2
    rng = np.random.default_rng(seed)
    other = with_other_future(case.market, cut, rng, tables=("order_books",))
    ours, theirs = played(case), played(replace(case, market=other))
    for name in ("ledger", "notes", "hours"):
        one, two = (getattr(records, name) for records in (ours, theirs))
        assert one[one["hour"] <= cut].tobytes() == two[two["hour"] <= cut].tobytes()


def test_hindsight_says_that_it_does_not_know_books() -> None:
    market = sketched(always(DEEP, DEEP_ASKS), {})
    tape = prepare(market, plain_settings())
    assert not is_searchable(tape)
    with pytest.raises(UserError, match="order_books=ignore"):
        fixed_size(tape)
    assert is_searchable(fixed_size(prepare(market, plain_settings(order_books="ignore"))))


# --- random markets ---


def seeded(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    return random_book_case(rng, int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(40, 121)))


@pytest.mark.parametrize("seed", range(40))
def test_kernel_agrees_with_the_reference_on_seeded_markets(seed: int) -> None:
    assert_same(seeded(seed))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(book_cases())
def test_kernel_agrees_with_the_reference_on_random_markets(case: Case) -> None:
    assert_same(case)


def test_the_seeded_markets_reach_every_rule() -> None:
    reasons: Counter[str] = Counter()
    cut = whole = 0
    for seed in range(40):
        case = seeded(seed)
        records, freely = (
            played(case),
            played(replace(case, settings=case.settings.model_copy(update={"max_walk_bps": None}))),
        )
        reasons += Counter(Reason(reason).name for reason in records.notes["reason"])
        same = {tuple(trade) for trade in freely.trades[["opened", "pair", "quantity"]].tolist()}
        for trade in records.trades[["opened", "pair", "quantity"]].tolist():
            whole += tuple(trade) in same
            cut += tuple(trade) not in same
    assert min(reasons[name] for name in ("THIN_BOOK", "PARTLY_FILLED", "WHOLLY_FILLED", "NOT_FILLED")) > 5, reasons
    assert min(cut, whole) > 15
