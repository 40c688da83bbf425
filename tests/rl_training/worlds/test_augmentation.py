"""Augmented markets: what is scaled, what stays, and that nothing comes from later or from elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import SEEDS, SIZES, random_market, with_instruments
from small_market import LegSketch, small_market

from engine.errors import SettingsError
from engine.market.counterfactual import rows_of, with_other_future
from engine.market.data import PER_LEG_FLOATS, MarketData, RecordedOpportunities, facts_of
from engine.settings import parse_settings
from rl_training.worlds.augmentation import augmented, factors
from rl_training.worlds.settings import AugmentationSettings

UNTOUCHED = ("funding_interval_hours", "volume_24h_usd", "depth_usd")
WILD = AugmentationSettings(segment_days=(1, 2), spike_share=0.7)
"""Segments short enough for markets of a few days."""
FLAT = AugmentationSettings(spike_share=0, calm_factors=(1, 1))


def cap(exchange: str) -> float:
    return {"binanceusdm": 0.02, "bybit": 0.003}.get(exchange, 0.01)


def with_bars(market: MarketData, rng: np.random.Generator) -> MarketData:
    """The same market with highs and lows around its fills, some of them missing."""
    known = np.where(rng.random(market.price.shape) < 0.1, np.nan, market.fill_price)
    high, low = known * (1 + rng.uniform(0, 0.02, known.shape)), known * (1 - rng.uniform(0, 0.02, known.shape))
    return replace(market, high=high, low=low)


def made(seed: int, size: dict[str, int], asked: AugmentationSettings = WILD) -> tuple[MarketData, MarketData]:
    """A random market and what is made of it."""
    market = with_bars(random_market(np.random.default_rng(seed), **size), np.random.default_rng(seed))
    return market, augmented(market, asked, np.random.default_rng(seed + 1), cap)


def same_facts(one: MarketData, two: MarketData, *, stop: int | None = None) -> None:
    others = facts_of(two, np.copy)
    for name, values in facts_of(one, np.copy).items():
        np.testing.assert_array_equal(values[:, :stop], others[name][:, :stop], err_msg=name)


def log_mean(values: np.ndarray, market: MarketData) -> np.ndarray:
    """Mean logarithm of what the legs of each coin have, ``[symbols, hours]``; 0 where none has anything."""
    rows = []
    for symbol in range(len(market.symbols)):
        legs = values[market.leg_symbol == symbol]
        known = ~np.isnan(legs)
        rows.append(np.log(np.where(known, legs, 1)).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    return np.array(rows)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_equal_seeds_make_equal_markets_and_the_recorded_one_is_not_written(seed: int, size: dict[str, int]) -> None:
    market, other = made(seed, size)
    before = random_market(np.random.default_rng(seed), **size)
    same_facts(replace(market, high=None, low=None), before)
    same_facts(other, made(seed, size)[1])
    if size["hours"] > 24:
        assert not np.array_equal(
            factors(market, WILD, np.random.default_rng(seed)), factors(market, WILD, np.random.default_rng(seed + 1))
        )


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_what_is_missing_stays_missing_and_settlements_keep_their_hours(seed: int, size: dict[str, int]) -> None:
    market, other = made(seed, size)
    others = facts_of(other, np.copy)
    for name, values in facts_of(market, np.copy).items():
        np.testing.assert_array_equal(np.isnan(values), np.isnan(others[name]), err_msg=name)
    for name in (*UNTOUCHED, "hours", "leg_symbol", "leg_exchange", "delisting_hour", "delisting_known_hour"):
        np.testing.assert_array_equal(getattr(other, name), getattr(market, name), err_msg=name)
    assert (other.symbols, other.exchanges) == (market.symbols, market.exchanges)
    assert other.settlement_grace_hours == market.settlement_grace_hours
    assert (other.funding_known_hour is None) == (market.funding_known_hour is None)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_prices_are_positive_and_their_mean_over_exchanges_stays(seed: int, size: dict[str, int]) -> None:
    market, other = made(seed, size)
    for name in ("price", "fill_price", "mark_price"):
        values = getattr(other, name)
        assert np.all(values[~np.isnan(values)] > 0)
        np.testing.assert_allclose(log_mean(values, market), log_mean(getattr(market, name), market), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES, exponent=st.floats(0, 1))
def test_deviations_are_scaled_by_the_factor_to_the_power(seed: int, size: dict[str, int], exponent: float) -> None:
    asked = WILD.model_copy(update={"deviation_exponent": exponent})
    market, other = made(seed, size, asked)
    wider = factors(market, asked, np.random.default_rng(seed + 1))[market.leg_symbol] ** exponent
    for name in ("price", "fill_price", "mark_price"):
        old, new = getattr(market, name), getattr(other, name)
        known = ~np.isnan(old)
        mean = log_mean(old, market)[market.leg_symbol]
        np.testing.assert_allclose(
            (np.log(new) - mean)[known], (wider * (np.log(old) - mean))[known], rtol=1e-7, atol=1e-9
        )


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_high_and_low_go_with_the_fill_which_stays_between_them(seed: int, size: dict[str, int]) -> None:
    market, other = made(seed, size)
    assert market.high is not None
    assert other.high is not None
    assert other.low is not None
    known = ~np.isnan(market.high)
    np.testing.assert_allclose((other.high / other.fill_price)[known], (market.high / market.fill_price)[known])
    assert np.all((other.low <= other.fill_price)[known])
    assert np.all((other.fill_price <= other.high)[known])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_rates_are_scaled_up_to_the_cap_of_their_exchange(seed: int, size: dict[str, int]) -> None:
    market, other = made(seed, size)
    scaled = market.funding_rate * factors(market, WILD, np.random.default_rng(seed + 1))[market.leg_symbol]
    caps = np.array([cap(market.leg_name(leg)[1]) for leg in range(market.legs)])[:, None]
    most = np.maximum(caps, np.abs(market.funding_rate))
    settled = ~np.isnan(market.funding_rate)
    assert np.all(np.abs(other.funding_rate)[settled] <= most[settled])
    within = settled & (np.abs(scaled) <= most)
    np.testing.assert_array_equal(other.funding_rate[within], scaled[within])
    np.testing.assert_array_equal(np.sign(other.funding_rate[settled]), np.sign(market.funding_rate[settled]))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_quoted_spreads_grow_with_the_deviations_and_never_shrink(seed: int, size: dict[str, int]) -> None:
    market, other = made(seed, size)
    wider = factors(market, WILD, np.random.default_rng(seed + 1))[market.leg_symbol] ** 0.5
    known = ~np.isnan(market.bid_ask_spread)
    expected = market.bid_ask_spread * np.maximum(wider, 1)
    np.testing.assert_array_equal(other.bid_ask_spread[known], expected[known])


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_under_a_factor_of_one_every_fact_is_the_recorded_one_bit_for_bit(seed: int, size: dict[str, int]) -> None:
    market, other = made(seed, size, FLAT)
    same_facts(market, other)


def test_where_a_factor_is_one_the_rates_are_the_recorded_ones_though_other_hours_are_scaled() -> None:
    """A spike that is over within hours leaves factors of exactly 1 behind it."""
    rates = dict.fromkeys(range(0, 720, 8), 0.000123)
    legs = {(coin, exchange): LegSketch(rates=rates) for coin in "AB" for exchange in ("binanceusdm", "bybit")}
    asked = AugmentationSettings(
        segment_days=(30, 30), spike_share=1, calm_factors=(1, 1), half_life_spread=0,
        decay=({"from_bps": 0, "half_life_hours": 1},),
    )  # fmt: skip
    market = small_market(legs, 720)
    rng = np.random.default_rng(0)
    factor, other = factors(market, asked, np.random.default_rng(0)), augmented(market, asked, rng, cap)
    assert np.all(factor[:, :8] > 1.2)
    assert np.all(factor[:, 200:] == 1.0)
    np.testing.assert_array_equal(other.funding_rate[:, 200:], market.funding_rate[:, 200:])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=SIZES, cut=st.floats(0, 1))
def test_what_is_made_of_an_hour_knows_nothing_later(seed: int, size: dict[str, int], cut: float) -> None:
    market = replace(made(seed, size)[0], funding_known_hour=None)
    last = int(cut * (size["hours"] - 1))
    other = with_other_future(market, last, np.random.default_rng(seed))
    one, two = (augmented(each, WILD, np.random.default_rng(3), cap) for each in (market, other))
    same_facts(one, two, stop=last + 1)


def test_it_holds_no_memory_of_the_market_that_it_was_made_of() -> None:
    market = random_market(np.random.default_rng(1), hours=80)
    expected = augmented(rows_of(market, 0, 50), WILD, np.random.default_rng(2), cap)
    market.price[:, 50:] = 1e9
    market.funding_rate[:, 50:] = 0.01
    same_facts(augmented(rows_of(market, 0, 50), WILD, np.random.default_rng(2), cap), expected)


def test_each_coin_is_scaled_by_a_factor_of_its_own_and_its_legs_alike() -> None:
    rates = dict.fromkeys(range(0, 240, 8), 0.0001)
    legs = {(coin, exchange): LegSketch(rates=rates) for coin in "ABC" for exchange in ("binanceusdm", "okx")}
    other = augmented(small_market(legs, 240), WILD, np.random.default_rng(0), cap)
    settled = other.funding_rate[:, ::8]
    np.testing.assert_array_equal(settled[::2], settled[1::2])
    assert not np.array_equal(settled[0], settled[2])


def test_the_factor_of_a_spike_falls_by_the_half_life_of_its_size() -> None:
    """1 bp a day on one leg, 100 on the other: a pair of 99, which is a spike of more than 50 at any factor."""
    legs = {
        ("A", "alpha"): LegSketch(rates=dict.fromkeys(range(0, 240, 8), 0.0001 / 3)),
        ("A", "beta"): LegSketch(rates=dict.fromkeys(range(0, 240, 8), 0.01 / 3)),
    }
    asked = AugmentationSettings(
        segment_days=(5, 5), spike_share=1, spike_factors=(4, 4), calm_factors=(1, 1), half_life_spread=0,
        smoothing_hours=1,
        decay=({"from_bps": 0, "half_life_hours": 1000}, {"from_bps": 300, "half_life_hours": 12}),
    )  # fmt: skip
    (factor,) = factors(small_market(legs, 240), asked, np.random.default_rng(0))
    # At row 0 one settlement is known, 33 bps a day so far: the class of small spikes.
    np.testing.assert_allclose(factor[:120], 1 + 3 * 0.5 ** (np.arange(120) / 1000))
    np.testing.assert_allclose(factor[120:], 1 + 3 * 0.5 ** (np.arange(120) / 12))


def test_smoothed_factors_do_not_jump() -> None:
    asked = AugmentationSettings(segment_days=(1, 1), spike_share=0.5, smoothing_hours=24)
    market = small_market({("A", "x"): LegSketch(), ("A", "y"): LegSketch()}, 24 * 60)
    (factor,) = factors(market, asked, np.random.default_rng(0))
    assert factor.max() > 5
    assert np.abs(np.diff(factor)).max() <= 40 / 24


def test_shares_and_ranges_of_factors_are_those_asked_for() -> None:
    asked = AugmentationSettings(
        segment_days=(1, 1), smoothing_hours=1, decay=({"from_bps": 0, "half_life_hours": 1e9},)
    )
    market = small_market({("A", "x"): LegSketch(), ("A", "y"): LegSketch()}, 24 * 4000)
    (factor,) = factors(market, asked, np.random.default_rng(0))
    starts = factor[::24]
    spikes = starts[starts > 2]
    assert np.mean(starts > 2) == pytest.approx(0.3, abs=0.03)
    assert np.median(np.log(spikes)) == pytest.approx(np.log(2 * 40) / 2, abs=0.15)
    assert starts[starts < 2].min() == pytest.approx(0.5, abs=0.01)
    assert starts[starts < 2].max() == pytest.approx(1.5, abs=0.01)


def test_rules_of_orders_stay_and_recorded_opportunities_are_dropped() -> None:
    market = random_market(np.random.default_rng(4), hours=50)
    recorded = RecordedOpportunities(np.zeros(51, np.int64), np.empty(0, np.int64), np.empty((0, 1)), ("fund_apr",))
    market = with_instruments(np.random.default_rng(4), replace(market, recorded=recorded), 1000)
    other = augmented(market, WILD, np.random.default_rng(0), cap)
    assert other.recorded is None
    assert other.instruments is market.instruments
    assert other.order_books is market.order_books


def test_every_array_of_a_market_was_thought_of() -> None:
    assert {*PER_LEG_FLOATS} - {*UNTOUCHED} == {
        "price", "fill_price", "mark_price", "funding_rate", "bid_ask_spread",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"segment_days": (9, 5)}, "segment_days: the lowest, 9, is above the highest, 5"),
        ({"spike_factors": (3, 2)}, "spike_factors"),
        ({"decay": ()}, "decay needs classes"),
        ({"decay": ({"from_bps": 5, "half_life_hours": 1},)}, "the first one from 0"),
        ({"spike_share": 1.1}, "less than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(values: dict[str, object], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        parse_settings(AugmentationSettings, values)
