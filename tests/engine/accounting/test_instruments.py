"""What exchanges demand of orders: worked out by hand, against the second implementation, and what never happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, Played, near
from hypothesis import HealthCheck, given, settings
from market_strategies import Case, instrument_cases, random_instrument_case
from reference_records import Exit
from same_records import TOLERANCE, assert_same, played
from scripted import Scripted
from small_market import START, LegSketch, plain_settings, small_market

from engine.accounting.books import Kind, Reason
from engine.accounting.instruments import in_lots
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import DataError
from engine.market.counterfactual import rows_of
from engine.market.data import MarketData, select
from engine.market.instruments import Instruments
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import MakerSettings

NAN = float("nan")
HOURS = 5
Row = tuple[int, dict[str, float]]
"""Row of the market from which it holds, and what is known."""


def instruments(*legs: Sequence[Row]) -> Instruments:
    rows = [(leg, since, known) for leg, rows in enumerate(legs) for since, known in rows]

    def column(name: str) -> Any:
        return np.array([known.get(name, NAN) for *_, known in rows])

    return Instruments(
        leg=np.array([leg for leg, *_ in rows], np.int64),
        since=np.array([START + since for _, since, _ in rows], np.int64),
        tick=column("tick"),
        lot=column("lot"),
        min_notional_usd=column("least"),
        max_leverage=column("leverage"),
    )


def play(
    alpha: Sequence[Row] | dict[str, float],
    beta: Sequence[Row] | dict[str, float],
    *,
    orders: Any = None,
    legs: tuple[LegSketch, LegSketch] | None = None,
    **changes: Any,
) -> Played:
    """5,000 USD a leg, long on alpha (leg 0) and short on beta; a rule without a date holds from the first row."""
    sketches = legs or (LegSketch(fill=100.0), LegSketch(fill=100.0))
    demands = instruments(*([(0, rows)] if isinstance(rows, dict) else rows for rows in (alpha, beta)))
    market = replace(small_market(dict(zip((ALPHA, BETA), sketches, strict=True)), HOURS), instruments=demands)
    tape = prepare(market, plain_settings(**changes))
    records = run_backtest(OpportunityBuilder(tape), Scripted(market, orders or {0: [ENTER]}), 0, HOURS - 1)
    return Played(records, tape, market)


def rests(**maker: Any) -> dict[str, Any]:
    plain = {"leg": "long", "adverse_bps": 0.0, "hedge_bps": 0.0}
    return {"execution": "maker_then_hedge", "maker": MakerSettings(**(plain | maker))}


def bar(low: float = 99.0, **more: Any) -> LegSketch:
    return LegSketch(**({"price": 100.0, "fill": 100.0, "low": low, "high": 101.0, "volume": 1e9} | more))


# --- sizes ---


@pytest.mark.parametrize(
    ("alpha", "beta", "quantity"),
    [
        ({}, {"lot": 7.0}, 49.0),
        ({"lot": 0.1}, {"lot": 7.0}, 49.0),
        ({"lot": 12.5}, {"lot": 0.5}, 50.0),
        ({"lot": 0.3}, {"lot": 0.7}, 48.3),
        ({"lot": 3.0}, {"lot": 7.0}, 42.0),
        ({"tick": 0.5}, {"least": 5_000.0}, 50.0),
    ],
    ids=["of one leg", "the coarser one", "no more than that", "of tenths", "a multiple of both", "no lot at all"],
)
def test_sizes_are_rounded_down_to_whole_lots_of_both_legs_alike(
    alpha: dict[str, float], beta: dict[str, float], quantity: float
) -> None:
    """N = 5,000 at 100 USD: 50 coins before rounding."""
    result = play(alpha, beta)
    trade = result.records.trades[0]
    assert (trade["quantity"], trade["notional"]) == (near(quantity), near(100 * quantity))
    assert result.records.ledger["quantity"].tolist() == near([quantity] * len(result.records.ledger))


def test_a_size_that_is_whole_lots_already_stays_it_whatever_floats_make_of_it() -> None:
    for count in range(1, 2_000):
        for lot in (0.1, 0.001, 0.7, 25.0):
            assert in_lots(count * lot, lot) == count * lot
            assert in_lots(float(Fraction(str(lot)) * count), lot) == near(count * lot)
            assert in_lots(count * lot * (1 + 1e-6), lot) == near(count * lot)


@pytest.mark.parametrize(
    ("alpha", "beta", "reason"),
    [
        ({"lot": 60.0}, {}, "below_exchange_minimum"),
        ({"lot": 1.0}, {"lot": 1.00007}, "below_exchange_minimum"),
        ({}, {"least": 5_001.0}, "below_exchange_minimum"),
        ({"lot": 30.0}, {"least": 3_000.0}, None),
        ({"lot": 30.0}, {"least": 3_001.0}, "below_exchange_minimum"),
        ({"least": 5_000.0}, {}, None),
        ({"leverage": 1.0}, {}, None),
    ],
    ids=["a lot", "none common", "a minimum", "the minimum", "rounded below it", "met by the size", "leverage of 1"],
)
def test_what_is_below_the_minimum_of_either_exchange_is_refused_with_the_reason(
    alpha: dict[str, float], beta: dict[str, float], reason: str | None
) -> None:
    assert play(alpha, beta).refusals() == ([] if reason is None else [(0, "refused", reason)])


def test_a_minimum_is_measured_at_the_price_of_its_own_leg() -> None:
    """50 coins by the mid of 90 and 110: worth 4,500 on alpha and 5,500 on beta."""
    legs = (LegSketch(price=90.0, fill=90.0), LegSketch(price=110.0, fill=110.0))
    assert not play({"least": 4_500.0}, {"least": 5_500.0}, legs=legs).refusals()
    for alpha, beta in ((4_501.0, 1.0), (1.0, 5_501.0)):
        assert play({"least": alpha}, {"least": beta}, legs=legs).refusals()[0][2] == "below_exchange_minimum"


def test_the_run_s_own_minimum_holds_for_the_rounded_size() -> None:
    assert play({"lot": 30.0}, {}, min_notional_usd=3_000.0).refusals() == []
    assert play({"lot": 30.0}, {}, min_notional_usd=3_001.0).refusals() == [(0, "refused", "below_min_notional")]


@pytest.mark.parametrize("most", [2.0, 3.0])
def test_leverage_above_the_limit_of_either_exchange_is_refused(most: float) -> None:
    wanted = {"account": "by_exchange", "leverage": 3.0, "position_fraction": 0.2}
    for alpha, beta in (({"leverage": most}, {}), ({}, {"leverage": most})):
        refused = play(alpha, beta, **wanted).refusals()
        assert refused == ([] if most == 3.0 else [(0, "refused", "leverage_limit")])


def test_the_row_in_force_is_the_latest_one_dated_by_then_else_the_earliest() -> None:
    dated = [(1, {"lot": 7.0}), (2, {"lot": 30.0}), (4, {"lot": 20.0})]
    for row, quantity in ((0, 49.0), (1, 49.0), (2, 30.0), (3, 30.0)):
        assert play(dated, {}, orders={row: [ENTER]}).records.trades["quantity"][0] == near(quantity)


def test_with_latency_the_lots_are_those_of_the_hour_of_the_fill() -> None:
    dated = [(0, {"lot": 7.0}), (2, {"lot": 30.0})]
    assert play(dated, {}, latency_hours=2).records.trades["quantity"][0] == near(30.0)


def test_ignored_or_unknown_they_change_nothing_bit_for_bit() -> None:
    plain = run_of(replace(play({"lot": 7.0}, {}).market, instruments=None))
    ignored = play({"lot": 7.0, "least": 1e9}, {}, instruments="ignore")
    empty = play({"tick": 1.0}, {})
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(ignored.records, name).tobytes() == getattr(plain, name).tobytes()
        assert getattr(empty.records, name).tobytes() == getattr(plain, name).tobytes()
    assert not len(ignored.tape.arrays.instruments)


def run_of(market: MarketData) -> Any:
    tape = prepare(market, plain_settings())
    return run_backtest(OpportunityBuilder(tape), Scripted(market, {0: [ENTER]}), 0, HOURS - 1)


# --- orders that rest ---


def test_limits_are_rounded_to_ticks_away_from_the_market() -> None:
    """Bought 2 bps below 100 is 99.98: at ticks of 0.05 it is 99.95; sold 2 bps above it is 100.05."""
    result = play({"tick": 0.05}, {}, legs=(bar(), bar()), orders={0: [ENTER], 2: [Exit(0)]}, **rests())
    trade = result.records.trades[0]
    assert (trade["long_entry"], trade["long_exit"]) == (near(99.95), near(100.05))
    # The other leg follows to where the first one stands.
    assert (trade["short_entry"], trade["short_exit"]) == (near(99.95), near(100.05))
    exact = play({"tick": 0.02}, {}, legs=(bar(), bar()), **rests())
    assert exact.records.trades["long_entry"][0] == near(99.98)
    other = play({}, {"tick": 0.05}, legs=(bar(), bar()), **rests())
    assert other.records.trades["long_entry"][0] == near(99.98)


@pytest.mark.parametrize(
    ("low", "through_bps", "filled"),
    [(99.95, 0, False), (99.901, 0, False), (99.9, 0, True), (99.0, 0, True), (99.8, 20, False), (99.7, 20, True)],
)
def test_a_whole_tick_and_no_less_than_set_must_be_traded_through(low: float, through_bps: float, filled: bool) -> None:
    """The limit stands at 99.95, the next tick at 99.9; 20 bps below the limit is 99.75."""
    result = play({"tick": 0.05}, {}, legs=(bar(low=low), bar()), **rests(through_bps=through_bps))
    assert result.refusals()[0] == (1, "rested", "wholly_filled" if filled else "not_filled")


def test_parts_are_filled_in_whole_lots_and_below_one_nothing_is() -> None:
    """1,000 USD an hour, half the bar beyond the limit: about 4.9 coins."""
    legs = (bar(volume=24_000.0), bar())
    given_up = rests(volume_share=1.0, fallback="cancel")
    for lot, quantity in ((2.0, 4.0), (0.5, 4.5), (0.8, 4.8)):
        result = play({}, {"lot": lot}, legs=legs, **given_up)
        trade = result.records.trades[0]
        assert result.refusals()[0] == (1, "rested", "partly_filled")
        assert (trade["quantity"], trade["notional"]) == (near(quantity), near(100 * quantity))
    dust = play({}, {"lot": 5.0}, legs=legs, **given_up)
    assert dust.refusals() == [(1, "rested", "not_filled"), (1, "cancelled", "not_filled")]
    small = play({}, {"lot": 2.0, "least": 401.0}, legs=legs, **given_up)
    assert small.refusals()[0] == (1, "rested", "not_filled")


def test_what_is_left_of_a_part_is_taken_in_whole_lots_too() -> None:
    result = play({}, {"lot": 2.0}, legs=(bar(volume=24_000.0), bar()), **rests(volume_share=1.0))
    fees = result.records.ledger[result.records.ledger["kind"] == int(Kind.FEE)]
    assert fees["quantity"].tolist() == near([4.0, 4.0, 46.0, 46.0, 50.0, 50.0])


def test_a_position_of_older_lots_is_left_whole() -> None:
    dated = [(0, {"lot": 7.0}), (2, {"lot": 30.0})]
    result = play(dated, {}, legs=(bar(), bar()), orders={0: [ENTER], 2: [Exit(0)]}, **rests())
    assert [reason for _, _, reason in result.refusals()] == ["wholly_filled", "wholly_filled"]
    assert result.records.trades["quantity"][0] == near(49.0)


# --- what must go with a market ---


def test_they_stay_with_their_legs_and_hours() -> None:
    market = play([(0, {"lot": 7.0}), (3, {"lot": 30.0})], {"lot": 2.0}).market
    later = prepare(rows_of(market, 3, HOURS), plain_settings())
    assert later.arrays.instruments["since"].tolist() == [-3, 0, -3]
    of_beta = select(market, exchanges=["beta"]).instruments
    assert of_beta is not None
    assert (of_beta.leg.tolist(), of_beta.lot.tolist()) == ([0], [2.0])
    alone = replace(market, instruments=instruments([(0, {"lot": 1.0})]))
    assert select(alone, exchanges=["beta"]).instruments is None


def test_rows_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="lot of an instrument is not a positive number"):
        instruments([(0, {"lot": 0.0})])
    with pytest.raises(DataError, match="one row each"):
        instruments([(0, {"lot": 1.0}), (0, {"lot": 2.0})])
    with pytest.raises(DataError, match="legs that the market does not have"):
        replace(small_market({ALPHA: LegSketch()}, 2), instruments=instruments([], [(0, {"lot": 1.0})]))


# --- random markets ---


def seeded(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    return random_instrument_case(rng, int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(40, 121)))


@pytest.mark.parametrize("seed", range(40))
def test_kernel_agrees_with_the_reference_on_seeded_markets(seed: int) -> None:
    assert_same(seeded(seed))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(instrument_cases())
def test_kernel_agrees_with_the_reference_on_random_markets(case: Case) -> None:
    assert_same(case)


def test_the_seeded_markets_reach_every_rule() -> None:
    reasons: Counter[str] = Counter()
    trades = 0
    for seed in range(40):
        records = played(seeded(seed))
        trades += len(records.trades)
        reasons += Counter(Reason(reason).name for reason in records.notes["reason"])
    wanted = ("LEVERAGE_LIMIT", "BELOW_EXCHANGE_MINIMUM", "PARTLY_FILLED", "WHOLLY_FILLED", "NOT_FILLED")
    assert min(reasons[name] for name in wanted) > 5, reasons
    assert trades > 100


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(instrument_cases())
def test_equity_is_capital_and_ledger_and_no_position_is_of_broken_lots(case: Case) -> None:
    records = played(case)
    booked = case.settings.initial_capital_usd + records.ledger["amount"].sum()
    assert records.hours["equity"][-1] == pytest.approx(booked, rel=TOLERANCE)
    known = case.market.instruments
    assert known is not None
    tape = prepare(case.market, case.settings)
    for trade in records.trades:
        for leg in (tape.pairs.long_leg[trade["pair"]], tape.pairs.short_leg[trade["pair"]]):
            rows = known.leg == leg
            if rows.sum() == 1 and not np.isnan(known.lot[rows][0]):
                lots = trade["quantity"] / known.lot[rows][0]
                assert lots == pytest.approx(round(lots), rel=1e-8)
                assert round(lots) > 0
