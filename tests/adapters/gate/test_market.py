"""The gate over whole markets: the same as hour by hour, nothing from later hours, nothing real refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_gate import COINS, EXCHANGES, PRICES, changed, disturb, first_rows, plausible, scaled, two_exchanges

from adapters.datasets.load import load_dataset
from adapters.gate import price_hours
from adapters.gate.limits import GateSettings
from adapters.gate.market import Gated, gate_market
from adapters.gate.refusals import Refusal
from adapters.gate.values import INTERVAL
from engine.market.data import PER_LEG_FLOATS, MarketData

SHORT = GateSettings(memory_hours=24)
SAMPLE = Path("data/sample")


def told(gated: Gated) -> set[tuple[str, str, int, str, str]]:
    """What was refused, as a set."""
    return {(r.exchange, r.symbol, r.hour, r.field, repr(r.value)) for r in gated.refusals}


def fields(gated: Gated) -> list[tuple[str, str, str, int]]:
    """(symbol, exchange, field, row) of everything that was refused, in order."""
    first = int(gated.market.hours[0])
    return sorted((r.symbol, r.exchange, r.field, r.hour - first) for r in gated.refusals)


def hour_by_hour(market: MarketData, limits: GateSettings) -> Gated:
    """Each hour judged on its own, with nothing but what was believed before and what was refused last."""
    believed, refusals = first_rows(market, 0), []
    pending: dict[int, tuple[int, float]] = {}
    leg_of = {market.leg_name(leg): leg for leg in range(market.legs)}
    for row in range(len(market.hours)):
        kinds: dict[str, Any] = {
            name: np.hstack([getattr(believed, name), getattr(market, name)[:, row : row + 1]])
            for name in PER_LEG_FLOATS
        }
        so_far = replace(market, hours=market.hours[: row + 1], **kinds)
        refused = np.full(market.legs, np.nan)
        for leg, (at, value) in pending.items():
            if row - at <= limits.memory_hours and np.isnan(so_far.funding_interval_hours[leg, at + 1 : row]).all():
                refused[leg] = value
        gated = gate_market(so_far, limits, since=row, refused_intervals=refused)
        for refusal in gated.refusals:
            if refusal.field == INTERVAL and isinstance(refusal.value, float):
                pending[leg_of[refusal.symbol, refusal.exchange]] = row, refusal.value
        believed = gated.market
        refusals += gated.refusals
    return Gated(believed, tuple(refusals))


def assert_same(one: MarketData, two: MarketData) -> None:
    for name in PER_LEG_FLOATS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exchanges=st.integers(1, 3), count=st.integers(0, 25))
def test_all_hours_at_once_are_judged_like_hour_by_hour(seed: int, exchanges: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    market = disturb(rng, plausible(rng, 60, exchanges=EXCHANGES[:exchanges]), count)
    at_once, one_by_one = gate_market(market, SHORT), hour_by_hour(market, SHORT)
    assert told(at_once) == told(one_by_one)
    assert_same(at_once.market, one_by_one.market)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 25), cut=st.integers(1, 59))
def test_what_comes_later_changes_no_judgement(seed: int, count: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    market = disturb(rng, plausible(rng, 60), count)
    whole, part = gate_market(market, SHORT), gate_market(first_rows(market, cut), SHORT)
    assert_same(first_rows(whole.market, cut), part.market)
    before = int(market.hours[0]) + cut
    assert {each for each in told(whole) if each[2] < before} == told(part)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exchanges=st.integers(1, 3), count=st.integers(0, 25))
def test_hours_that_are_no_suspects_need_no_judgement(seed: int, exchanges: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    market = disturb(rng, plausible(rng, 60, exchanges=EXCHANGES[:exchanges]), count)
    quick = gate_market(market, SHORT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(price_hours, "Suspects", EverythingIsSuspect)
        slow = gate_market(market, SHORT)
    assert told(quick) == told(slow)


class EverythingIsSuspect:
    """Every hour is judged."""

    def __init__(self, market: MarketData, _: Any, since: int, __: GateSettings) -> None:
        self.flags = np.ones(len(market.hours) - since, np.bool_)

    def refused(self, leg: int, column: int) -> None:
        """Nothing to find out."""


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 25))
def test_a_refused_value_is_absent_and_the_others_stay_as_they_are(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    market = disturb(rng, plausible(rng, 40), count)
    gated = gate_market(market, SHORT)
    first = int(market.hours[0])
    for name in PER_LEG_FLOATS:
        before, after = getattr(market, name), getattr(gated.market, name)
        kept = ~np.isnan(after)
        np.testing.assert_array_equal(after[kept], before[kept])
    for refusal in gated.refusals:
        leg = market.leg(refusal.symbol, refusal.exchange)
        assert np.isnan(getattr(gated.market, refusal.field)[leg, refusal.hour - first])


def test_a_plausible_market_is_given_back_as_it_is() -> None:
    market = plausible(np.random.default_rng(1), 200)
    assert gate_market(market, GateSettings()) == (market, ())
    assert gate_market(market, GateSettings()).market is market


@pytest.mark.parametrize("factor", [1e9, 60.0, 100.0, 1.3, 0.7, 0.01])
def test_a_lone_spike_is_refused_and_nothing_else(factor: float) -> None:
    market = scaled(plausible(np.random.default_rng(1), 100), 4, 50, factor)
    found = fields(gate_market(market, GateSettings()))
    assert found == [("BBBUSDT", "bybit", kind, 50) for kind in sorted(PRICES)]


def test_with_its_price_go_spread_and_depth_but_not_volume_rate_and_interval() -> None:
    market = changed(plausible(np.random.default_rng(1), 100), "price", 4, 48, 1e4)
    gated = gate_market(market, GateSettings()).market
    absent = {name for name in PER_LEG_FLOATS if np.isnan(getattr(gated, name)[4, 48])}
    assert absent == {"price", "bid_ask_spread", "depth_usd"}


def test_a_spread_that_cannot_be_takes_the_quote_along() -> None:
    market = changed(plausible(np.random.default_rng(1), 100), "bid_ask_spread", 4, 48, 0.3)
    gated = gate_market(market, GateSettings())
    assert fields(gated) == [("BBBUSDT", "bybit", "bid_ask_spread", 48)]
    absent = {name for name in PER_LEG_FLOATS if np.isnan(getattr(gated.market, name)[4, 48])}
    assert absent == {"price", "fill_price", "bid_ask_spread", "depth_usd"}


def test_a_crash_that_all_exchanges_show_is_believed() -> None:
    market = scaled(plausible(np.random.default_rng(1), 100), slice(0, 3), slice(50, None), 0.24)
    assert gate_market(market, GateSettings()).refusals == ()


@pytest.mark.parametrize("factor", [1.03, 0.9, 1.15])
@pytest.mark.parametrize("exchanges", [2, 3])
def test_a_whole_exchange_that_moves_away_is_not_believed(factor: float, exchanges: int) -> None:
    market = plausible(np.random.default_rng(1), 100)
    market = market if exchanges == 3 else two_exchanges(market)
    legs = np.flatnonzero(market.leg_exchange == 1)
    found = fields(gate_market(scaled(market, legs, slice(50, 53), factor), GateSettings()))
    assert {(exchange, row) for _, exchange, kind, row in found if kind == "price"} == {
        ("bybit", row) for row in (50, 51, 52)
    }
    assert {symbol for symbol, *_ in found} == set(COINS)


def test_fills_and_marks_of_a_whole_exchange_that_are_off_its_prices_are_not_believed() -> None:
    market = plausible(np.random.default_rng(1), 100)
    legs = np.flatnonzero(market.leg_exchange == 1)
    for kind in ("fill_price", "mark_price"):
        found = fields(gate_market(scaled(market, legs, 50, 1.04, [kind]), GateSettings()))
        assert found == [(symbol, "bybit", kind, 50) for symbol in COINS]


def test_a_mark_alone_is_refused_and_the_price_stands_in() -> None:
    market = changed(plausible(np.random.default_rng(1), 100), "mark_price", 2, 48, 1e9)
    gated = gate_market(market, GateSettings())
    assert fields(gated) == [("AAAUSDT", "hyperliquid", "mark_price", 48)]
    assert not np.isnan(gated.market.price[2, 48])


def test_a_mark_without_a_price_is_measured_by_the_last_price_and_by_the_others() -> None:
    market = plausible(np.random.default_rng(1), 100)
    holes = changed(market, "price", 2, slice(40, 60), np.nan)
    wrong = changed(holes, "mark_price", 2, 50, holes.mark_price[2, 50] * 2)
    assert ("AAAUSDT", "hyperliquid", "mark_price", 50) in fields(gate_market(wrong, GateSettings()))
    never = changed(changed(market, "price", 2, slice(None), np.nan), "fill_price", 2, slice(None), np.nan)
    wrong = changed(never, "mark_price", 2, 50, never.mark_price[2, 50] * 2)
    assert fields(gate_market(wrong, GateSettings())) == [("AAAUSDT", "hyperliquid", "mark_price", 50)]


def test_the_next_trade_may_go_where_all_exchanges_go() -> None:
    market = plausible(np.random.default_rng(1), 100)
    for kind, rows in (("fill_price", 50), ("price", slice(51, None)), ("fill_price", slice(51, None))):
        market = scaled(market, slice(0, 3), rows, 0.5, [kind])
    assert [f for f in fields(gate_market(market, GateSettings())) if f[2] != "mark_price"] == []


def test_marks_are_judged_by_the_price_that_is_believed() -> None:
    market = changed(plausible(np.random.default_rng(1), 100), "price", 2, 48, 1e4)
    assert fields(gate_market(market, GateSettings())) == [("AAAUSDT", "hyperliquid", "price", 48)]


def test_another_limit_believes_more() -> None:
    market = scaled(plausible(np.random.default_rng(1), 100), 4, 50, 1.3)
    assert gate_market(market, GateSettings(max_price_disagreement=0.4, max_mark_distance=0.4)).refusals == ()


def test_refusals_name_exchange_coin_hour_field_value_and_limit() -> None:
    market = changed(plausible(np.random.default_rng(1), 100), "mark_price", 2, 48, 1e9)
    (refusal,) = gate_market(market, GateSettings()).refusals
    assert refusal == Refusal("hyperliquid", "AAAUSDT", int(market.hours[48]), "mark_price", 1e9, refusal.limit)
    assert str(refusal).startswith("AAAUSDT on hyperliquid, 2024-10-06T00:00Z: mark_price 1e+09 is not believed (")


def test_nothing_of_the_sample_is_refused() -> None:
    assert not [note for note in load_dataset(SAMPLE).notes if "not believed" in note]
