"""Every feature against a second computation, and the same bits whatever history is kept around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from feature_reference import LegSeries, expected_features, expected_on_request
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from market_strategies import random_market, random_settings
from small_market import NAN, LegSketch, plain_settings, small_market

from engine.accounting.tape import prepare
from engine.market.counterfactual import starting_at, up_to
from engine.market.data import MarketData, directed_pairs
from engine.observation.features import COLUMN, FEATURES, HISTORY_HOURS, ON_REQUEST
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings


def builder_of(market: MarketData, settings: EngineSettings) -> OpportunityBuilder:
    return OpportunityBuilder(prepare(market, settings))


def wild_market(seed: int, hours: int = 260) -> tuple[MarketData, EngineSettings]:
    """Two coins on up to three exchanges: gaps, young legs, changing intervals, missing and late settlements, depth."""
    rng = np.random.default_rng(seed)
    market = random_market(rng, coins=2, exchanges=3, hours=hours)
    depth = np.where(rng.random(market.price.shape) < 0.2, np.nan, 10 ** rng.uniform(2, 6, market.price.shape))
    depth[rng.random(depth.shape) < 0.02] = 0.0
    return replace(market, depth_usd=depth), random_settings(rng)


@pytest.mark.parametrize("seed", range(8))
def test_every_feature_agrees_with_a_second_computation(seed: int) -> None:
    market, settings = wild_market(seed)
    builder = builder_of(market, settings)
    legs = [LegSeries(market, leg, settings) for leg in range(market.legs)]
    pairs = builder.tape.pairs
    rows = [0, 1, 2, 7, 25, *np.random.default_rng(seed).integers(3, len(market.hours), 8).tolist()]
    for t in rows:
        features, _ = builder.at(t)
        for p in range(len(pairs)):
            expected = expected_features(legs[pairs.long_leg[p]], legs[pairs.short_leg[p]], t)
            assert list(expected) == list(FEATURES)
            for name, value in expected.items():
                got = features[p, COLUMN[name]]
                # Differences of window means cancel; rounding is relative to the spreads themselves.
                assert got == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), (t, p, name)


def test_the_random_markets_reach_every_rule_of_the_features() -> None:
    """Young legs, gaps, unknown and changing intervals, missing and late settlements all occur above."""
    seen = dict.fromkeys(("young", "gap", "unknown interval", "changing interval", "imputed", "reversal"), 0)
    for seed in range(8):
        market, settings = wild_market(seed)
        tape = prepare(market, settings)
        known = ~np.isnan(tape.arrays.quotes["price"])
        interval = tape.settlements.interval_hours
        seen["young"] += int((known.argmax(axis=1) > 24).sum())
        seen["gap"] += int((tape.arrays.quotes["stale"] > 0).any(axis=1).sum())
        seen["unknown interval"] += int(np.isnan(interval[:, 24:]).any(axis=1).sum())
        seen["changing interval"] += int((np.abs(np.diff(interval, axis=1)) > 0).any(axis=1).sum())
        seen["imputed"] += int((tape.settlements.bookings["kind"] == 1).any())
        seen["reversal"] += int((tape.settlements.bookings["kind"] == 2).any())
    assert min(seen.values()) >= 2, seen


def test_features_of_one_pair_by_hand() -> None:
    market = small_market(
        {
            ("BTCUSDT", "alpha"): LegSketch(
                price=[100, 100, 100, 100, 200], rates={0: 0.0004, 4: 0.0008}, interval=4, volume=5e6, spread=0.001
            ),
            ("BTCUSDT", "beta"): LegSketch(
                price=[101, 102, 103, 104, 206], rates={t: 0.0001 * t for t in range(5)}, interval=1, volume=100.0
            ),
        },
        5,
    )
    features, _ = builder_of(market, plain_settings()).at(4)
    alpha_beta = dict(zip(FEATURES, features[0].tolist(), strict=True))
    # Spreads 1, 2, 3, 4 and 3 %; alpha's last rate 0.08 % four-hourly is 0.48 % a day, beta's 0.04 % hourly 0.96 %.
    assert alpha_beta == pytest.approx(
        {
            "long_funding_rate": 0.08,
            "short_funding_rate": 0.04,
            "long_interval_8h": 0.5,
            "short_interval_8h": 0.125,
            "fund_profit_8h": 0.16,
            # Settled in the five hours there are: alpha 0.12 %, beta 0.1 %.
            "fundProfit8h24hProj": -0.02 * 24 / 5 / 3,
            "fundProfit8h3dProj": -0.02 * 24 / 5 / 3,
            "fund_apr": 0.48 * 365,
            "fundApr24hProj": -0.02 * 24 / 5 * 365,
            "fundApr3dProj": -0.02 * 24 / 5 * 365,
            "spread30SampleAvg": 0.026,
            "priceSpread24hAvg": 0.026,
            "priceSpread3dAvg": 0.026,
            "spread_volatility_stddev": (0.0001 * (1.6**2 + 0.6**2 + 0.4**2 + 1.4**2 + 0.4**2) / 5) ** 0.5,
            "log_volume_24h": 2.0,
            "bidAskSpreadPercent": 0.1,
            "log_orderbookDepthUsd": NAN,
            "estimatedProfitPercentage": 0.48 * 365,
            "positionCostPercent": 2 * 0.05 + 2 * 0.06,
            "spread30_minus_24h": 0.0,
            "apr_minus_apr24h": (0.48 + 0.02 * 24 / 5) * 365,
            "apr24h_minus_apr3d": 0.0,
            "volume_24h": 100.0,
            "orderbookDepthUsd": NAN,
            "spread": 0.03,
            "spread8hAvg": 0.026,
            "net_funding_24h_bps": -2 * 24 / 5,
            "net_funding_72h_bps": -2 * 24 / 5,
            "net_funding_168h_bps": -2 * 24 / 5,
        },
        rel=1e-9,
        abs=1e-12,
        nan_ok=True,
    )


def test_what_one_leg_does_not_know_is_unknown_for_the_pair_in_both_directions() -> None:
    legs = {("BTCUSDT", "alpha"): LegSketch(volume=5e6, spread=0.001), ("BTCUSDT", "beta"): LegSketch()}
    market = replace(small_market(legs, 3), depth_usd=np.array([[1e5] * 3, [NAN] * 3]))
    features, _ = builder_of(market, plain_settings()).at(2)
    for name in ("volume_24h", "log_volume_24h", "orderbookDepthUsd", "log_orderbookDepthUsd"):
        assert np.isnan(features[:, COLUMN[name]]).all(), name
    assert features[:, COLUMN["bidAskSpreadPercent"]].tolist() == [0.1, 0.1]


@pytest.mark.parametrize("seed", range(6))
def test_truncated_history_gives_the_same_bits(seed: int) -> None:
    market, settings = wild_market(seed)
    whole = builder_of(market, settings)
    t = int(np.random.default_rng(seed).integers(1, len(market.hours) - 1))
    cut = builder_of(up_to(market, t), settings)
    for row in {t // 3, t // 2, t - 1, t}:
        for ours, theirs in zip(whole.at(row), cut.at(row), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(whole.on_request(row), cut.on_request(row))


@pytest.mark.parametrize("seed", range(6))
def test_history_that_starts_later_gives_the_same_bits_where_the_windows_fit(seed: int) -> None:
    """Live collection starts some day: once it has the longest window, everything is as if it had always been there."""
    rng = np.random.default_rng(seed)
    market, settings = wild_market(seed, hours=420)
    interval = rng.choice([1.0, 2.0, 4.0, 8.0], size=market.legs)[:, None]
    market = replace(market, funding_interval_hours=np.broadcast_to(interval, market.price.shape).copy())
    market = replace(market, funding_known_hour=None)
    start = int(rng.integers(1, 100))
    whole, late = builder_of(market, settings), builder_of(starting_at(market, start), settings)
    pairs, compared = _known_since(market, start), 0
    # Two days before the first window, so that the schedule of settlements has come into step.
    for t in range(start + 48 + HISTORY_HOURS, len(market.hours), 7):
        ours, theirs = whole.at(t)[0][pairs], late.at(t - start)[0][pairs]
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(whole.on_request(t)[pairs], late.on_request(t - start)[pairs])
        compared += len(ours)
    assert compared > 20


def _known_since(market: MarketData, start: int) -> list[int]:
    """Pairs whose legs both traded, settled and had a volume in the two days after ``start``."""
    facts = (market.price, market.funding_rate, market.volume_24h_usd)
    known = np.all([~np.isnan(values[:, start : start + 48]).all(axis=1) for values in facts], axis=0)
    pairs = directed_pairs(market)
    return np.flatnonzero(known[pairs.long_leg] & known[pairs.short_leg]).tolist()


@pytest.mark.parametrize("seed", range(8))
def test_what_is_computed_on_request_agrees_with_a_second_computation(seed: int) -> None:
    market, settings = wild_market(seed)
    builder = builder_of(market, settings)
    legs = [LegSeries(market, leg, settings) for leg in range(market.legs)]
    pairs, known = builder.tape.pairs, 0
    rows = [0, 22, 23, 46, 47, 167, *np.random.default_rng(seed).integers(48, len(market.hours), 6).tolist()]
    for t in rows:
        got = builder.on_request(t)
        for p in range(len(pairs)):
            expected = expected_on_request(legs[pairs.long_leg[p]], legs[pairs.short_leg[p]], t)
            assert list(expected) == list(ON_REQUEST)
            assert got[p].tolist() == pytest.approx(list(expected.values()), rel=1e-9, abs=1e-9, nan_ok=True), (t, p)
            known += not np.isnan(got[p, 0])
    assert known > 20, "nothing is tested where nothing is known"


def _paid_by_day(bps: list[float]) -> OpportunityBuilder:
    """A coin whose short leg earned so many bps on each day, the first day first, in three settlements a day."""
    rates = {24 * day + 8 * k + 1: 1e-4 * paid / 3 for day, paid in enumerate(bps) for k in range(3)}
    legs = {("BTCUSDT", "alpha"): LegSketch(rates={1: 0.0}, interval=8), ("BTCUSDT", "beta"): LegSketch(rates=rates)}
    return builder_of(small_market(legs, 24 * len(bps)), plain_settings())


def test_the_last_seven_daily_nets_by_hand() -> None:
    builder = _paid_by_day([1000.0, 4.0, 8.0, 4.0, 8.0, 4.0, 8.0, 6.0])
    # Seven days of 4, 8, 4, 8, 4, 8, 6: mean 6, squares 4 x 6, by seven and not by six; the 1000 has left the window.
    assert builder.on_request(8 * 24 - 1)[0].tolist() == pytest.approx([(24 / 7) ** 0.5, 4.0])
    assert builder.on_request(8 * 24 - 1)[1].tolist() == pytest.approx([(24 / 7) ** 0.5, -8.0]), "the mirror"
    assert builder.on_request(3 * 24 - 1)[0].tolist() == pytest.approx([np.std([1000, 4, 8]), 4.0]), "three days"
    # A day ends at t, whatever the clock: eight hours on, the last one has two thirds of 8 and a third of 4.
    nets = [8 / 3 * 2 + 4 / 3, 4 / 3 * 2 + 8 / 3, 1000 / 3 * 2 + 4 / 3]
    assert builder.on_request(3 * 24 - 1 + 8)[0].tolist() == pytest.approx([np.std(nets), min(nets)])


def test_with_less_than_two_whole_days_of_both_legs_nothing_is_known() -> None:
    builder = _paid_by_day([1.0, 2.0, 3.0])
    assert np.isnan(builder.on_request(46)).all()
    assert not np.isnan(builder.on_request(47)).any()


@examples(max_examples=40, deadline=None)
@given(st.lists(st.floats(-500, 500), min_size=7, max_size=7), st.floats(-100, 100))
def test_laws_of_the_daily_nets(nets: list[float], more: float) -> None:
    deviation, lowest = _paid_by_day(nets).on_request(7 * 24 - 1)[0]
    assert deviation == pytest.approx(np.std(nets), abs=1e-6)
    assert lowest == pytest.approx(min(nets), abs=1e-6)
    moved = _paid_by_day([net + more for net in nets]).on_request(7 * 24 - 1)[0]
    assert moved.tolist() == pytest.approx([deviation, lowest + more], abs=1e-6)
    turned = _paid_by_day(nets[::-1]).on_request(7 * 24 - 1)[0]
    assert turned.tolist() == pytest.approx([deviation, lowest], abs=1e-6), "the order of days is none of theirs"
