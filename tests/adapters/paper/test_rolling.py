"""A window that rolls over a market gives the bits of the whole market, hour by hour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from market_strategies import random_market, random_settings
from small_market import START, LegSketch, plain_settings, small_market

from adapters.paper.dataset_hours import hours_of, without_hours
from engine.accounting.tape import prepare
from engine.errors import DataError
from engine.live_window import NOW, WALKED_ROWS, WINDOW_ROWS, HourFacts, RollingMarket, Settled
from engine.market.data import MarketData
from engine.market.earlier_hours import load_before
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of, rank_hour
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.transformed import pair_values
from engine.settings import EngineSettings


def assert_same_hour(whole: OpportunityBuilder, window: OpportunityBuilder, row: int) -> None:
    """Quotes, bookings, features and offers of a row of the whole market and of the last row of the window."""
    wanted, found = whole.tape.arrays.quotes[:, row], window.tape.arrays.quotes[:, NOW]
    for name in wanted.dtype.names:
        if name != "booking_start":
            np.testing.assert_array_equal(found[name], wanted[name], f"{name} at row {row}")
    for leg in range(len(wanted)):
        expected, booked = bookings(whole, leg, row), bookings(window, leg, NOW)
        booked["settle_hour"] += row - NOW
        assert booked.tobytes() == expected.tobytes(), (leg, row)
    (wanted_features, wanted_offers), (features, offers) = whole.at(row), window.at(NOW)
    np.testing.assert_array_equal(offers, wanted_offers)
    np.testing.assert_array_equal(features, wanted_features, f"features at row {row}")
    np.testing.assert_array_equal(window.on_request(NOW), whole.on_request(row), f"daily nets at row {row}")
    wanted_shown, shown = shown_of(whole, row), shown_of(window, NOW)
    assert shown == wanted_shown, f"candidates and live pairs at row {row}"


def shown_of(builder: OpportunityBuilder, row: int) -> list[bytes]:
    """The candidates of observation version 2, and the values that every pair would have if it were held."""
    exchanges = builder.tape.market.exchanges
    encoding = encoding_of(ObservationSpec(version=2, exchanges=exchanges), Scaler(mean=(), deviation=()))
    ranked = encoding.blank(builder, 1)
    rank_hour(encoding, builder, row, builder.at(row), ranked, 0)
    pairs = np.zeros((len(builder.tape.pairs), ranked.values.shape[2]), np.float32)
    figures = [pair_values(builder.tape.arrays, ranked.live, p, row, pairs[p]) for p in range(len(pairs))]
    arrays = (ranked.pairs, ranked.values, ranked.live.figures, ranked.live.offered, pairs, np.array(figures))
    return [array.tobytes() for array in arrays]


def bookings(builder: OpportunityBuilder, leg: int, row: int) -> np.ndarray:
    quote = builder.tape.arrays.quotes[leg, row]
    return builder.tape.arrays.bookings[quote["booking_start"] :][: quote["booking_count"]].copy()


def roll_through(market: MarketData, settings: EngineSettings, *, every: int = 1) -> None:
    """Compare every ``every``-th hour and all of the last day."""
    whole = OpportunityBuilder(prepare(market, settings))
    rolling, last = RollingMarket(without_hours(market), settings), len(market.hours) - 1
    for row, facts in enumerate(hours_of(market, 0, last)):
        rolling.append(facts)
        if row % every == 0 or row > last - 24:
            assert_same_hour(whole, rolling.builder(), row)


@pytest.mark.parametrize("seed", range(6))
def test_random_markets_with_gaps_late_and_missing_settlements(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, 2, 3, int(rng.integers(WINDOW_ROWS + 10, 500)))
    roll_through(market, random_settings(rng), every=3)


@pytest.mark.parametrize("max_stale_hours", [200, WINDOW_ROWS + 60])
def test_what_happened_before_the_window_is_not_forgotten(max_stale_hours: int) -> None:
    """Dark for longer than the window, funding missing for longer than the window, an interval stated long ago."""
    hours = 3 * WINDOW_ROWS
    rng = np.random.default_rng(5)
    price = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, hours)))
    dark = price.copy()
    dark[100 : 100 + WINDOW_ROWS + 50] = np.nan
    volume = np.full(hours, np.nan)
    volume[3] = 1e6
    every_8 = {t: 0.0001 * (t % 7) for t in range(0, hours, 8)}
    silent = {t: rate for t, rate in every_8.items() if t < 60 or t > 60 + WINDOW_ROWS + 30}
    interval = np.full(hours, np.nan)
    interval[2] = 8.0
    market = small_market(
        {
            ("AUSDT", "alpha"): LegSketch(price=dark.tolist(), rates=every_8, volume=volume.tolist()),
            ("AUSDT", "beta"): LegSketch(price=price.tolist(), rates=silent, interval=interval.tolist()),
            ("AUSDT", "gamma"): LegSketch(price=price.tolist(), rates=silent, known={t: t + 3 for t in silent}),
            ("BUSDT", "alpha"): LegSketch(rates=every_8, known={t: t + 40 for t in every_8}),
            ("BUSDT", "beta"): LegSketch(rates=every_8, known={t: t + 70 * (t % 5 == 0) for t in every_8}),
        },
        hours,
        grace=1,
    )
    roll_through(market, plain_settings(min_history_hours=72, max_stale_hours=max_stale_hours), every=5)


def test_a_window_goes_on_from_stored_bytes() -> None:
    rng = np.random.default_rng(11)
    market, settings = random_market(rng, 2, 3, WINDOW_ROWS + 120), random_settings(rng)
    facts = list(hours_of(market, 0, len(market.hours) - 1))
    rolling = RollingMarket(without_hours(market), settings)
    for hour in facts[:-40]:
        rolling.append(hour)
    before = load_before(rolling.before.dump(), market.legs, walked=WALKED_ROWS)
    again = RollingMarket(without_hours(market), settings, before=before)
    again.restore(facts[-40 - WINDOW_ROWS : -40])
    whole = OpportunityBuilder(prepare(market, settings))
    for row, hour in enumerate(facts[-40:], start=len(facts) - 40):
        again.append(hour)
        assert_same_hour(whole, again.builder(), row)


def test_stored_bytes_of_other_legs_are_refused() -> None:
    market = small_market({("AUSDT", "alpha"): LegSketch(), ("AUSDT", "beta"): LegSketch()}, 2)
    content = RollingMarket(without_hours(market), plain_settings()).before.dump()
    with pytest.raises(DataError, match="cut off"):
        load_before(content, 3, walked=WALKED_ROWS)
    with pytest.raises(DataError, match="does not belong"):
        load_before(content + b"1234", 2, walked=WALKED_ROWS)


def test_hours_must_follow_and_settlements_must_be_in_reach() -> None:
    market = small_market({("AUSDT", "alpha"): LegSketch(), ("AUSDT", "beta"): LegSketch()}, 3)
    rolling = RollingMarket(without_hours(market), plain_settings())
    first, second, third = hours_of(market, 0, 2)
    rolling.append(first)
    with pytest.raises(DataError, match="does not follow"):
        rolling.append(third)
    rolling.append(second)
    for hour in (START - 100, START + 3):
        with pytest.raises(DataError, match="cannot be booked"):
            rolling.append(replace(third, settled=(Settled(0, hour, 0.1),)))


def test_only_what_is_known_by_then_is_told() -> None:
    market = small_market(
        {("AUSDT", "alpha"): LegSketch(rates={1: 0.5}, known={1: 3}), ("AUSDT", "beta"): LegSketch()}, 5
    )
    told = list(hours_of(market, 0, 4))
    assert [hour.settled for hour in told] == [(), (), (), (Settled(0, START + 1, 0.5),), ()]
    assert isinstance(told[0], HourFacts)
