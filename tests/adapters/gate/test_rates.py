"""Which settled rates are believed: x60 of a usual one is not, real extremes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from support_gate import changed, plausible

from adapters.gate.limits import RATE_CAPS, GateSettings
from adapters.gate.market import gate_market
from adapters.gate.rates import Evidence
from engine.market.data import MarketData

HOURS, NOW = 97, 96
USUAL = 1e-4
A, B, OTHER = 0, 1, 2
"""A coin on two exchanges that settle every 8 h, and another coin."""


def evidence(rates: Mapping[int, Mapping[int, float]], move: float = 0.0, **limits: float) -> Evidence:
    """Rates by leg and row; prices stand still but for one move of the coin 10 h before now."""
    table = np.full((3, HOURS), np.nan)
    for leg, by_row in rates.items():
        for row, rate in by_row.items():
            table[leg, row] = rate
    prices = np.full((3, HOURS), 100.0)
    prices[:2, NOW - 10 :] *= 1 + move
    return Evidence(table, prices, np.array([0, 0, 1]), np.array([0, 1, 1]), GateSettings(**limits))


def usual(*rows: int, rate: float = USUAL) -> dict[int, float]:
    """The same rate every 8 h up to now, other than in these rows."""
    return {row: rate for row in range(0, HOURS, 8) if row not in rows}


def refused(found: Evidence) -> list[tuple[int, int]]:
    """(leg, row) of what is not believed of the rates of now."""
    new = np.zeros((3, HOURS), np.bool_)
    new[:, NOW] = True
    return [(leg, row) for leg, row, _ in found.judge(new)]


def test_sixty_times_a_usual_rate_is_refused_and_eight_times_is_not() -> None:
    assert refused(evidence({A: {**usual(), NOW: 60 * USUAL}, B: usual()})) == [(A, NOW)]
    assert refused(evidence({A: {**usual(), NOW: -60 * USUAL}, B: usual()})) == [(A, NOW)]
    assert refused(evidence({A: {**usual(), NOW: 8 * USUAL}, B: usual()})) == []


def test_a_rate_up_to_the_usual_needs_nothing_to_compare_with() -> None:
    small = usual(rate=1e-6)
    assert refused(evidence({A: {**small, NOW: 0.002}, B: small})) == []
    assert refused(evidence({A: {**small, NOW: 0.0021}, B: small})) == [(A, NOW)]


def test_an_hourly_rate_is_usual_up_to_less() -> None:
    hourly = dict.fromkeys(range(HOURS), 1e-6)
    assert refused(evidence({A: {**hourly, NOW: 0.0004}, B: usual(rate=1e-6)})) == []
    assert refused(evidence({A: {**hourly, NOW: 0.0005}, B: usual(rate=1e-6)})) == [(A, NOW)]


def test_an_extreme_that_the_own_rates_announce_is_believed() -> None:
    announced = {**usual(NOW - 8), NOW - 8: 0.0015, NOW: 0.0119}
    assert refused(evidence({A: announced, B: usual()})) == []
    forgotten = {**usual(NOW - 80), NOW - 80: 0.0015, NOW: 0.0119}
    assert refused(evidence({A: forgotten, B: usual()})) == [(A, NOW)]


def test_an_extreme_that_another_exchange_shows_is_believed() -> None:
    assert refused(evidence({A: {**usual(), NOW: -0.0121}, B: {**usual(), NOW: -0.0020}})) == []
    assert refused(evidence({A: {**usual(), NOW: -0.0121}, OTHER: {**usual(), NOW: -0.0020}})) == [(A, NOW)]


def test_an_extreme_of_a_coin_whose_price_moved_is_believed() -> None:
    assert refused(evidence({A: {**usual(), NOW: -0.0177}, B: usual()}, move=0.41)) == []
    assert refused(evidence({A: {**usual(), NOW: -0.0177}, B: usual()}, move=0.05)) == [(A, NOW)]


def test_an_extreme_of_a_coin_whose_price_moves_only_later_is_refused() -> None:
    found = evidence({A: {**usual(), NOW - 16: -0.0177}, B: usual()}, move=0.41)
    new = np.zeros((3, HOURS), np.bool_)
    new[:, NOW - 16] = True
    assert [(leg, row) for leg, row, _ in found.judge(new)] == [(A, NOW - 16)]


def test_a_young_leg_and_one_with_nothing_beside_it_are_believed_up_to_the_cap() -> None:
    assert refused(evidence({A: {NOW - 16: USUAL, NOW - 8: USUAL, NOW: -0.02}, B: usual()})) == []
    alone = evidence({A: {**usual(), NOW: -0.02}})
    alone.prices[:] = np.nan
    assert refused(alone) == []


def test_a_refused_rate_announces_nothing() -> None:
    found = evidence({A: {**usual(NOW - 8), NOW - 8: 0.012, NOW: 0.012}, B: usual()})
    new = np.zeros((3, HOURS), np.bool_)
    new[:, NOW - 8 :] = True
    assert [(leg, row) for leg, row, _ in found.judge(new)] == [(A, NOW - 8), (A, NOW)]


@pytest.mark.parametrize("exchange", sorted(RATE_CAPS))
def test_no_exchange_settles_beyond_its_cap(exchange: str) -> None:
    cap, market = RATE_CAPS[exchange], _market(exchange)
    assert gate_market(changed(market, "funding_rate", 0, 0, cap), GateSettings()).refusals == ()
    for rate in (cap * 1.001, -cap * 1.001, 3.0, float("inf")):
        (refusal,) = gate_market(changed(market, "funding_rate", 0, 0, rate), GateSettings()).refusals
        assert (refusal.field, refusal.exchange) == ("funding_rate", exchange)


def test_caps_can_be_set_by_exchange_and_others_keep_theirs() -> None:
    limits = GateSettings(rate_caps={"bybit": 0.005}, rate_cap_elsewhere=0.01)
    assert (limits.rate_cap("bybit"), limits.rate_cap("okx"), limits.rate_cap("elsewhere")) == (0.005, 0.03, 0.01)


def _market(exchange: str) -> MarketData:
    return plausible(np.random.default_rng(1), 4, coins=("AAAUSDT",), exchanges=(exchange,))


PAIR = ("binanceusdm", "bybit")


def whole_exchange(factor: float, coins: int = 4, exchanges: tuple[str, ...] = PAIR) -> list[float]:
    """Shares of the rates of bybit, and of binance, that are refused when all of bybit are times a factor."""
    names = tuple(f"C{i}USDT" for i in range(coins))
    market = plausible(np.random.default_rng(1), 97, coins=names, exchanges=exchanges)
    usual_rate = market.funding_interval_hours * USUAL / 8
    rates = np.where(np.isnan(market.funding_rate), np.nan, usual_rate)
    legs = np.flatnonzero(market.leg_exchange == 1)
    rates[legs, NOW] *= factor
    gated = gate_market(replace(market, funding_rate=rates), GateSettings()).market
    lost = np.isnan(gated.funding_rate[:, NOW]) & ~np.isnan(rates[:, NOW])
    return [float(lost[market.leg_exchange == each].mean()) for each in (1, 0)]


@pytest.mark.parametrize("exchanges", [("binanceusdm", "bybit"), ("binanceusdm", "bybit", "hyperliquid", "okx")])
def test_all_rates_of_an_exchange_that_move_at_once_are_not_believed(exchanges: tuple[str, ...]) -> None:
    assert whole_exchange(15.0, exchanges=exchanges) == [1.0, 0.0]
    assert whole_exchange(-15.0, exchanges=exchanges) == [1.0, 0.0]


def test_rates_that_rise_everywhere_or_a_little_or_on_few_coins_are_believed() -> None:
    assert whole_exchange(5.0) == [0.0, 0.0]
    assert whole_exchange(15.0, coins=2) == [0.0, 0.0]
    market = plausible(np.random.default_rng(1), 97, exchanges=("binanceusdm", "bybit"))
    everywhere = changed(market, "funding_rate", slice(None), NOW, market.funding_rate[:, NOW] * 20)
    assert gate_market(everywhere, GateSettings()).refusals == ()
