"""Orders of which one leg rests: worked out by hand, against the second implementation, and what never happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, Played, near, play_pair
from hypothesis import HealthCheck, given, settings
from market_strategies import Case, random_maker, random_resting_case, resting, resting_cases, with_bars
from reference_records import Exit
from same_records import TOLERANCE, assert_same
from scripted import Scripted
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.books import Kind, NoteKind, Reason
from engine.accounting.records import Records
from engine.accounting.resting import look
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import SettingsError
from engine.market.counterfactual import with_other_future
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings, MakerSettings, parse_settings

LIMIT = 100 * (1 - 2e-4)
"""Of a purchase that rests 2 bps below a first trade at 100 USD."""
HOURS = 5


def leg(low: float = 99.0, high: float = 101.0, **more: Any) -> LegSketch:
    return LegSketch(**({"price": 100.0, "fill": 100.0, "low": low, "high": high, "volume": 1e9} | more))


def play(bought: LegSketch, sold: LegSketch, orders: Any = None, **changes: Any) -> Played:
    """The long leg rests on alpha (maker 0.02 %), the short one is taken on beta (0.06 %)."""
    maker = MakerSettings(**({"leg": "long", "adverse_bps": 0.0, "hedge_bps": 0.0} | changes.pop("maker", {})))
    more = {"execution": "maker_then_hedge", "maker": maker, **changes}
    return play_pair(bought, sold, HOURS, orders or {0: [ENTER]}, **more)


def rested(played: Played) -> list[tuple[int, str]]:
    return [(row, reason) for row, kind, reason in played.refusals() if kind == "rested"]


@pytest.mark.parametrize(
    ("low", "filled"),
    [(LIMIT, False), (LIMIT * (1 - 1e-4), False), (LIMIT * (1 - 1e-4) - 1e-9, True), (99.0, True)],
    ids=["touched", "through by as much as must be passed", "a little further", "far through"],
)
def test_a_touch_fills_nothing_and_a_trade_beyond_does(low: float, filled: bool) -> None:
    played = play(leg(low=low), leg(), maker={"volume_share": 1.0})
    assert rested(played) == [(1, "wholly_filled" if filled else "not_filled")]
    assert played.records.trades["long_entry"][0] == near(LIMIT if filled else 100.0)


def test_what_rested_pays_the_makers_fee_at_its_limit_and_the_other_leg_follows_it_and_pays_the_takers() -> None:
    """10,000 USD, N = 5,000, q = 50: bought at 99.98; sold at 100 * 99.98 / 100 less 2 bps of slippage and 1 more."""
    played = play(leg(), leg(), slippage_bps=2.0, maker={"hedge_bps": 1.0, "adverse_bps": 3.0})
    bought, sold = LIMIT * (1 + 3e-4), LIMIT * (1 - 3e-4)
    assert played.booked("fee")[:2] == [(1, "long", near(-50 * bought * 0.0002)), (1, "short", near(-50 * sold * 6e-4))]
    trade = played.records.trades[0]
    assert (trade["long_entry"], trade["short_entry"]) == (near(bought), near(sold))
    assert trade["slippage"] == near(50 * (bought - LIMIT + LIMIT - sold) + 50 * 200 * 2e-4)
    assert trade["opened"] == 1


def test_the_leg_that_saves_more_rests_and_of_equal_ones_that_of_the_thinner_market() -> None:
    """Alpha saves 3 bps of fees, beta 5; half a spread of 5 bps on alpha turns it round."""
    auto = {"leg": "auto"}
    assert play(leg(), leg(), maker=auto).booked("fee")[1][2] == near(-50 * 100 * (1 + 2e-4) * 1e-4)
    wide = play(leg(spread=1e-3), leg(), maker=auto)
    # Half the known spread is the least distance of the limit.
    assert wide.records.trades["long_entry"][0] == near(100 * (1 - 5e-4))
    assert wide.booked("fee")[0][2] == near(-50 * 100 * (1 - 5e-4) * 2e-4)
    fees = {name: [{"since": "2020-01-01", "maker": 1e-4, "taker": 5e-4}] for name in ("alpha", "beta")}
    for volumes, price in (((1e9, 2e9), LIMIT), ((2e9, 1e9), 100 * (1 + 2e-4))):
        tied = play(leg(volume=volumes[0]), leg(volume=volumes[1]), maker=auto, fees=fees)
        assert tied.records.trades["long_entry"][0] == near(price)


def test_an_entry_is_booked_after_the_settlement_of_its_hour_and_an_exit_too() -> None:
    """Rates at every row from 1 on: the position that was ordered at 0 and left at 2 earns those of 2 and 3 only."""
    pays = leg(rates=dict.fromkeys(range(1, HOURS), 0.001), interval=1)
    played = play(leg(rates={1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0}, interval=1), pays, {0: [ENTER], 2: [Exit(0)]})
    assert rested(played) == [(1, "wholly_filled"), (3, "wholly_filled")]
    assert [row for row, side, amount in played.booked("funding") if side == "short"] == [2, 3]
    assert played.exits() == [(3, "signal")]
    trade = played.records.trades[0]
    # Leaving, the long leg rests above the market, and the short one is bought back at as much above it.
    assert (trade["long_exit"], trade["short_exit"]) == (near(100 * (1 + 2e-4)), near(100 * (1 + 2e-4)))


def test_what_is_not_filled_is_taken_an_hour_late_or_given_up() -> None:
    dull = leg(low=100.0)
    late = play(dull, leg())
    assert [row for row, _, _ in late.booked("fee")[:2]] == [1, 1]
    assert late.booked("fee")[0][2] == near(-50 * 100 * 0.0005)
    given_up = play(dull, leg(), maker={"fallback": "cancel"})
    assert given_up.refusals() == [(1, "rested", "not_filled"), (1, "cancelled", "not_filled")]
    assert not len(given_up.records.ledger)


def test_an_exit_is_taken_when_it_does_not_fill_whatever_becomes_of_entries() -> None:
    stays = leg(high=[101.0, 101.0, 100.0, 101.0, 101.0])
    played = play(stays, leg(), {0: [ENTER], 2: [Exit(0)]}, maker={"fallback": "cancel"})
    assert rested(played) == [(1, "wholly_filled"), (3, "not_filled")]
    assert played.exits() == [(3, "signal")]
    assert played.booked("fee")[2][2] == near(-50 * 100 * 0.0005)


@pytest.mark.parametrize("fallback", ["taker", "cancel"])
def test_a_part_is_filled_on_both_legs_alike_and_the_rest_is_taken_or_not(fallback: str) -> None:
    """24,000 USD a day are 1,000 an hour; the bar is half beyond the limit, of which we get all: about 500 USD."""
    share = (LIMIT - 99) / 2
    played = play(leg(volume=24_000.0), leg(), maker={"volume_share": 1.0, "fallback": fallback})
    part = 1_000 * share / LIMIT
    assert rested(played) == [(1, "partly_filled")]
    trade = played.records.trades[0]
    quantities = played.records.ledger["quantity"][played.records.ledger["kind"] == int(Kind.FEE)]
    if fallback == "cancel":
        assert played.refusals()[1] == (1, "cancelled", "not_filled")
        assert (trade["quantity"], trade["notional"]) == (near(part), near(100 * part))
        assert quantities.tolist() == near([part] * 4)
    else:
        assert (trade["quantity"], trade["notional"]) == (near(50.0), near(5_000.0))
        assert quantities.tolist() == near([part, part, 50 - part, 50 - part, 50.0, 50.0])
        assert trade["long_entry"] == near((part * LIMIT + (50 - part) * 100) / 50)


def test_so_little_that_no_exchange_would_take_it_as_an_order_is_not_filled() -> None:
    dust = play(leg(volume=240.0), leg(), maker={"volume_share": 1.0, "fallback": "cancel"})
    assert rested(dust) == [(1, "not_filled")]
    assert not len(dust.records.ledger)


@pytest.mark.parametrize(
    "known",
    [{"volume": np.nan}, {"high": np.nan}, {"fill": np.nan}, {"high": 99.9}, {"price": [100.0, np.nan] + [100.0] * 3}],
    ids=["no turnover", "no high", "no trade", "a high below the first trade", "a stale price"],
)
def test_nothing_rests_in_an_hour_of_which_too_little_is_known(known: dict[str, Any]) -> None:
    order = {1: [ENTER]} if "price" in known else {0: [ENTER]}
    for legs in ((leg(**known), leg()), (leg(), leg(**known))):
        if "volume" in known and legs[0].volume == 1e9:
            continue  # only the turnover of the leg that rests is asked for
        played = play(*legs, order)
        assert all(reason == "not_filled" for _, reason in rested(played))


def test_the_other_leg_does_not_follow_out_of_its_own_bar_and_pays_its_costs_there() -> None:
    """At 99.98 it would be sold, but in its bar nobody traded below 99.99; 2 bps of slippage and 1 more go off that."""
    costs = {"slippage_bps": 2.0, "maker": {"hedge_bps": 1.0}}
    sold = play(leg(), leg(low=99.99), **costs)
    assert sold.records.trades["short_entry"][0] == near(99.99 * (1 - 3e-4))
    left = play(leg(), leg(high=[101.0, 101.0, 100.01, 101.0, 101.0]), {0: [ENTER], 2: [Exit(0)]}, **costs)
    assert left.records.trades["short_exit"][0] == near(100.01 * (1 + 3e-4))


def test_what_protects_takes_and_does_not_wait() -> None:
    falls = leg(price=[100, 100, 100, 50, 50], fill=[100, 100, 100, 50, 50], low=49.0)
    played = play(falls, leg(), max_position_loss_pct=-1.5)
    assert played.exits() == [(3, "stop_loss")]
    assert [row for row, _, _ in played.booked("fee")] == [1, 1, 3, 3]
    assert played.booked("fee")[2][2] == near(-50 * 50 * 0.0005)
    assert rested(played) == [(1, "wholly_filled")]


def test_a_position_may_be_opened_and_left_in_one_hour() -> None:
    """Its prices are those that were paid: 0 hours are no failed order."""
    dark = leg(price=[100.0, 100.0, 100.0, 100.0, 100.0], delisting=(2, 0))
    played = play(dark, leg())
    trade = played.records.trades[0] if len(played.records.trades) else None
    assert trade is None or not np.isnan(trade["long_entry"])
    last = play(leg(), leg(), {HOURS - 2: [ENTER]})
    assert last.exits() == [(HOURS - 1, "end_of_data")]
    assert (last.records.trades["opened"][0], last.records.trades["long_entry"][0]) == (HOURS - 1, near(LIMIT))


def test_without_high_and_low_it_is_refused_and_nothing_is_guessed() -> None:
    market = small_market({ALPHA: LegSketch(fill=100.0), BETA: LegSketch(fill=100.0)}, 3)
    with pytest.raises(SettingsError, match="high and low of the bars are not known"):
        prepare(market, plain_settings(execution="maker_then_hedge"))


# --- random markets ---


def seeded(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    return random_resting_case(rng, int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(40, 121)))


@pytest.mark.parametrize("seed", range(40))
def test_kernel_agrees_with_the_reference_on_seeded_markets(seed: int) -> None:
    assert_same(seeded(seed))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resting_cases())
def test_kernel_agrees_with_the_reference_on_random_markets(case: Case) -> None:
    assert_same(case)


def played_of(case: Case, given: EngineSettings | None = None) -> Records:
    builder = OpportunityBuilder(prepare(case.market, given or case.settings))
    return run_backtest(builder, Scripted(case.market, case.orders), case.first, case.last)


def test_the_seeded_markets_fill_wholly_partly_and_not_at_all() -> None:
    reasons: Counter[str] = Counter()
    for seed in range(40):
        notes = played_of(seeded(seed)).notes
        reasons += Counter(Reason(one["reason"]).name for one in notes[notes["kind"] == int(NoteKind.RESTED)])
    assert min(reasons[name] for name in ("WHOLLY_FILLED", "PARTLY_FILLED", "NOT_FILLED")) > 10


@pytest.mark.parametrize("seed", range(20))
def test_when_nothing_is_ever_filled_it_is_the_taker_an_hour_late_bit_for_bit(seed: int) -> None:
    case = seeded(seed)
    never = replace_maker(case.settings, through_bps=1e12, fallback="taker")
    late = {"execution": "taker", "latency_hours": case.settings.latency_hours + 1}
    rests, takes = played_of(case, never), played_of(case, case.settings.model_copy(update=late))
    for name in ("ledger", "trades", "hours"):
        assert getattr(rests, name).tobytes() == getattr(takes, name).tobytes()
    assert rests.notes[rests.notes["kind"] != int(NoteKind.RESTED)].tobytes() == takes.notes.tobytes()


def replace_maker(given: EngineSettings, **changes: Any) -> EngineSettings:
    return given.model_copy(update={"maker": given.maker.model_copy(update=changes)})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(resting_cases())
def test_equity_is_capital_and_ledger_and_both_legs_are_of_one_size(case: Case) -> None:
    records = played_of(case)
    booked = case.settings.initial_capital_usd + records.ledger["amount"].sum()
    assert records.hours["cash"][-1] == pytest.approx(booked, rel=TOLERANCE)
    assert records.hours["equity"][-1] == pytest.approx(booked, rel=TOLERANCE)
    least = case.settings.min_notional_usd
    assert all(trade["notional"] >= least * (1 - TOLERANCE) for trade in records.trades)
    for trade in records.trades:
        of_it = records.ledger["position_id"] == trade["position_id"]
        prices = records.ledger[of_it & (records.ledger["kind"] == int(Kind.PRICE))]
        assert prices["quantity"].tolist() == [trade["quantity"]] * len(prices)


def test_a_fill_is_never_better_than_the_limit_nor_than_what_was_traded_in_the_bar() -> None:
    """Whoever knew the bar would take M at its limit and H at the best price of its bar, without any cost."""
    filled = 0
    for case in map(seeded, range(12)):
        # Of a leg without any turnover there is no impact, and no entry either.
        tape = prepare(case.market, case.settings.model_copy(update={"impact_coefficient": 0.0}))
        quotes, bars = tape.arrays.quotes, tape.arrays.bars
        for t in range(1, len(case.market.hours)):
            for pair in tape.arrays.pairs:
                seen = look(tape.arrays, t, pair, 1.0, 1e-6, 10.0)
                if seen.quantity > 0:
                    filled += 1
                    assert seen.long.price >= seen.long.raw * (1 - 1e-12) >= bars["low"][pair["long"], t] * (1 - 2e-12)
                    assert seen.short.price <= seen.short.raw * (1 + 1e-12)
                    assert seen.short.raw <= bars["high"][pair["short"], t] * (1 + 1e-12)
                    rests = {one.rate == bars["maker_fee"][one.leg, t]: one for one in (seen.long, seen.short)}[True]
                    away = max(case.settings.maker.offset_bps / 1e4, quotes["half_spread"][rests.leg, t])
                    sign = -1 if rests is seen.long else 1
                    assert rests.raw == near(quotes["fill"][rests.leg, t] * (1 + sign * away))
    assert filled > 200


@pytest.mark.trap(9)
@pytest.mark.parametrize("seed", range(6))
def test_trap_9_bars_after_an_hour_change_nothing_up_to_it(seed: int) -> None:
    case = seeded(seed)
    for cut in range(case.first + 1, case.last + 1, 5):
        rng = np.random.default_rng(seed)
        other = with_other_future(case.market, cut, rng, fill_too=True, tables=("high", "low"))
        assert not np.array_equal(other.high, case.market.high, equal_nan=True)
        until = replace(case, last=cut)
        ours, theirs = played_of(until), played_of(replace(until, market=other))
        for name in ("ledger", "trades", "notes", "hours"):
            assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes()


def test_random_makers_stay_within_the_settings() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        given = resting(plain_settings(), random_maker(rng))
        assert parse_settings(EngineSettings, given.model_dump()) == given


def test_bars_that_were_made_for_tests_hold_their_first_trade_mostly() -> None:
    market = with_bars(np.random.default_rng(1), seeded(3).market)
    assert market.high is not None
    assert market.low is not None
    known = ~np.isnan(market.fill_price + market.high + market.low)
    assert np.mean((market.low <= market.fill_price)[known] & (market.fill_price <= market.high)[known]) > 0.9
