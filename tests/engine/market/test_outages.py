"""Outages of stress tests: an exchange says nothing in its windows, and nothing else of the market changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, GAMMA
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import random_market
from scripted import Scripted
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.books import Kind, Reason
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.market.data import PER_LEG_FLOATS, MarketData, RecordedOpportunities, directed_pairs
from engine.market.outages import Outage, scattered_outages, silenced
from engine.observation.opportunities import OpportunityBuilder

HOURS = 60


def market_of(seed: int) -> MarketData:
    """A random market with recorded opportunities and settlements that are published late."""
    rng = np.random.default_rng(seed)
    market = random_market(rng, hours=HOURS)
    known = np.arange(HOURS) + int(market.hours[0]) + rng.choice([0, 0, 1, 3], (market.legs, HOURS))
    rows = [np.flatnonzero(rng.random(len(directed_pairs(market))) < 0.5) for _ in range(HOURS)]
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    pair = np.concatenate(rows)
    recorded = RecordedOpportunities(offsets, pair, rng.normal(size=(len(pair), 1)), ("fund_apr",))
    return replace(market, funding_known_hour=np.maximum.accumulate(known, axis=1), recorded=recorded)


def rows_by_hour(market: MarketData) -> list[list[tuple[int, float]]]:
    """(pair, feature) of the recorded opportunities of every hour."""
    recorded = market.recorded
    assert recorded is not None
    parts = [slice(*recorded.offsets[t : t + 2]) for t in range(HOURS)]
    return [list(zip(recorded.pair[part].tolist(), recorded.features[part, 0].tolist(), strict=True)) for part in parts]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), windows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 59)), max_size=3))
def test_the_exchange_is_silent_in_the_windows_and_nothing_else_changes(
    seed: int, windows: list[tuple[int, int]]
) -> None:
    market = market_of(seed)
    before = {name: getattr(market, name).copy() for name in PER_LEG_FLOATS}
    outages = [Outage(exchange, first, first + 7) for exchange, first in windows]
    quiet = silenced(market, outages)
    silent = np.array(
        [
            [any(o.exchange == exchange and o.first <= t < o.stop for o in outages) for t in range(HOURS)]
            for exchange in market.leg_exchange
        ]
    )
    for name in PER_LEG_FLOATS:
        np.testing.assert_array_equal(getattr(market, name), before[name], err_msg=name)
        assert np.isnan(getattr(quiet, name)[silent]).all(), name
        np.testing.assert_array_equal(getattr(quiet, name)[~silent], before[name][~silent], err_msg=name)
    for name in ("hours", "leg_symbol", "leg_exchange", "delisting_hour", "delisting_known_hour"):
        np.testing.assert_array_equal(getattr(quiet, name), getattr(market, name), err_msg=name)
    assert (quiet.symbols, quiet.exchanges) == (market.symbols, market.exchanges)
    pairs = directed_pairs(market)
    for t, (ours, theirs) in enumerate(zip(rows_by_hour(quiet), rows_by_hour(market), strict=True)):
        assert ours == [
            row for row in theirs if not (silent[pairs.long_leg[row[0]], t] or silent[pairs.short_leg[row[0]], t])
        ]


def test_settlements_published_in_the_window_are_published_at_its_end() -> None:
    rates = dict.fromkeys(range(0, 12, 2), 0.001)
    legs = {ALPHA: LegSketch(rates=rates, known={4: 6, 6: 9}), BETA: LegSketch(rates=rates, known={4: 6})}
    quiet = silenced(small_market(legs, 12), [Outage(0, 5, 8)])
    assert quiet.funding_known_hour is not None
    known = quiet.funding_known_hour - quiet.hours[0]
    assert known[0].tolist() == [0, 1, 2, 3, 8, 8, 9, 8, 8, 9, 10, 11]
    assert known[1].tolist() == [0, 1, 2, 3, 6, 5, 6, 7, 8, 9, 10, 11]
    assert np.flatnonzero(~np.isnan(quiet.funding_rate[0])).tolist() == [0, 2, 4, 8, 10]


def test_a_market_without_an_outage_is_the_same_market() -> None:
    market = random_market(np.random.default_rng(3))
    quiet = silenced(market, [])
    for name in PER_LEG_FLOATS:
        np.testing.assert_array_equal(getattr(quiet, name), getattr(market, name), err_msg=name)
    assert quiet.funding_known_hour is None or market.funding_known_hour is not None


def test_a_position_leaves_an_exchange_that_falls_silent_and_is_paid_as_the_rules_say() -> None:
    """Long alpha, short beta at 100, q = 50; beta is silent from row 10 on while the coin rises to 120."""
    price = [100.0] * 12 + [120.0] * 28
    rates = dict.fromkeys(range(0, 40, 4), 0.001)
    legs = {ALPHA: LegSketch(price=price), BETA: LegSketch(price=price, rates=rates, interval=4)}
    market = silenced(small_market(legs, 40), [Outage(1, 10, 30)])
    tape = prepare(market, plain_settings(outage_slippage_bps=0))
    records = run_backtest(OpportunityBuilder(tape), Scripted(market, {1: [ENTER]}), 0, 39)
    (trade,) = records.trades
    assert (int(trade["closed"]), int(trade["reason"])) == (16, int(Reason.DATA_OUTAGE))
    assert (trade["long_exit"], trade["short_exit"]) == (120.0, 100.0)
    funding = records.ledger[records.ledger["kind"] == int(Kind.FUNDING)]
    # 12 fell due in the silence: the last rate is charged, and flagged; at 16 the leg is silent for too long.
    assert funding["hour"].tolist() == [4, 8, 12]
    assert (funding["booking"] != 0).tolist() == [False, False, True]


def test_scattered_outages_lie_one_in_each_part_of_the_window_and_follow_the_seed() -> None:
    for seed in range(50):
        outages = scattered_outages(np.random.default_rng(seed), 2, 100, 399, hours=24, count=3)
        assert [outage.exchange for outage in outages] == [2, 2, 2]
        for k, outage in enumerate(outages):
            assert 100 + 100 * k <= outage.first
            assert outage.stop == outage.first + 24 <= 200 + 100 * k
        assert outages == scattered_outages(np.random.default_rng(seed), 2, 100, 399, hours=24, count=3)
    starts = {scattered_outages(np.random.default_rng(seed), 0, 0, 23, hours=24, count=1) for seed in range(9)}
    assert starts == {(Outage(0, 0, 24),)}
    assert scattered_outages(np.random.default_rng(0), 0, 0, 22, hours=24, count=1) == ()


@pytest.mark.parametrize("exchange", [0, 1, 2])
def test_other_exchanges_stay_open(exchange: int) -> None:
    market = small_market({ALPHA: LegSketch(), BETA: LegSketch(), GAMMA: LegSketch()}, 10)
    quiet = silenced(market, [Outage(exchange, 2, 5)])
    silent_legs = np.isnan(quiet.price[:, 3])
    assert np.flatnonzero(silent_legs).tolist() == [exchange]
