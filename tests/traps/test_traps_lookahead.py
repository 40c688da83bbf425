"""Traps 9 and 10, in small: what is known at an hour, and what stands in when a price is not there.

Replays with other futures are in ``test_lookahead``, files and their times in ``test_datasets_*``.
"""

from __future__ import annotations

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, features_at, near, offered_at, play, play_pair
from reference_records import Exit
from small_market import NAN, LegSketch, plain_settings, small_market

from engine.accounting.tape import prepare
from engine.market.data import MarketData
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of, fit_scaler, rank_hour
from engine.observation.features import COLUMN
from engine.observation.opportunities import OpportunityBuilder

FLAT = LegSketch(fill=100)


@pytest.mark.trap(9)
def test_trap_09_an_order_gets_the_first_trade_after_the_hour_and_nobody_sees_it_then() -> None:
    jump = LegSketch(price=[100, 100, 130, 130], fill=[100, 130, 130, 130])
    calm = LegSketch(price=[100, 100, 130, 130], fill=[100, 100, 130, 130])
    jumped, calmed = (play_pair(leg, FLAT, 4, {1: [ENTER]}) for leg in (jump, calm))
    assert jumped.records.trades["long_entry"].tolist() == [130.0]
    assert calmed.records.trades["long_entry"].tolist() == [100.0]
    np.testing.assert_array_equal(features_at(jumped, 1), features_at(calmed, 1))
    # Quantity comes from the prices that were known: 5,000 / 100.
    assert jumped.records.trades["quantity"].tolist() == [50.0]


@pytest.mark.trap(9)
def test_trap_09_a_gap_holds_the_price_before_it_never_the_one_after() -> None:
    beta = LegSketch(price=[NAN, 102, NAN, NAN, 110])
    played = play_pair(FLAT, beta, 5, {})
    spreads = [features_at(played, row)[0, COLUMN["spread"]] for row in range(5)]
    assert spreads == pytest.approx([NAN, 0.02, 0.02, 0.02, 0.1], nan_ok=True)
    assert [offered_at(played, row)[0] for row in range(5)] == [False, True, False, False, True]


@pytest.mark.trap(9)
def test_trap_09_a_rate_counts_from_its_settlement_on() -> None:
    played = play_pair(FLAT, LegSketch(rates={2: 0.001, 4: 0.009}, interval=2), 6, {})
    rates = [features_at(played, row)[0, COLUMN["short_funding_rate"]] for row in range(6)]
    assert rates == pytest.approx([NAN, NAN, 0.1, 0.1, 0.9, 0.9], nan_ok=True)


@pytest.mark.trap(9)
def test_trap_09_windows_end_with_the_hour_itself() -> None:
    prices = [100.0] * 30 + [200.0]
    played = play_pair(FLAT, LegSketch(price=prices), 31, {})
    for name, hours in (("spread8hAvg", 8), ("priceSpread24hAvg", 24), ("spread30SampleAvg", 30)):
        assert features_at(played, 29)[0, COLUMN[name]] == 0.0
        assert features_at(played, 30)[0, COLUMN[name]] == near(1 / hours)


def climbing(last_rate: float) -> MarketData:
    """Beta pays shorts 1 bp an hour, and in the last two of eight hours something else."""
    rates = {row: 0.0001 if row < 6 else last_rate for row in range(8)}
    still = LegSketch(rates=dict.fromkeys(range(8), 0.0), interval=1)
    return small_market({ALPHA: still, BETA: LegSketch(rates=rates, interval=1)}, 8)


@pytest.mark.trap(9)
def test_trap_09_a_scaler_knows_its_training_hours_only() -> None:
    spec = ObservationSpec(positions=1, opportunities=1, features=("fund_apr",))
    scalers = [
        fit_scaler(OpportunityBuilder(prepare(climbing(rate), plain_settings())), spec, 0, 5) for rate in (0.0001, 0.5)
    ]
    assert scalers[0] == scalers[1]
    apr = 0.01 * 24 * 365
    # Both directions of the pair are candidates: mean 0, deviation the APR itself.
    assert (scalers[0].mean, scalers[0].deviation) == ((near(0.0),), (near(apr),))


@pytest.mark.trap(9)
def test_trap_09_a_ranking_compares_the_rates_of_its_hour() -> None:
    """The pair that will pay best is not first before it does."""
    rates = {("BTCUSDT", "beta"): [3e-4] * 8, ("ETHUSDT", "beta"): [1e-4] * 6 + [9e-4] * 2}
    legs = {
        (coin, "alpha"): LegSketch(rates=dict.fromkeys(range(8), 0.0), interval=1) for coin in ("BTCUSDT", "ETHUSDT")
    }
    legs |= {leg: LegSketch(rates=dict(enumerate(values)), interval=1) for leg, values in rates.items()}
    builder = OpportunityBuilder(prepare(small_market(legs, 8), plain_settings()))
    spec = ObservationSpec(positions=1, opportunities=1, features=("fund_apr",))
    encoding = encoding_of(spec, Scaler(mean=(0.0,), deviation=(1.0,)))
    best = []
    for row in range(8):
        ranked = encoding.blank(builder, 1)
        rank_hour(encoding, builder, row, builder.at(row), ranked, 0)
        best.append(int(ranked.pairs[0, 0]))
    assert best == [0] * 6 + [2] * 2


@pytest.mark.trap(10)
def test_trap_10_a_dead_market_shows_its_loss_and_leaves_at_the_last_known_price() -> None:
    """The entry price never stands in for a missing one: 50 coins fell from 100 to 90 before the price went away."""
    prices = [100.0, 100.0, 90.0] + [NAN] * 5
    played = play_pair(LegSketch(price=prices, fill=[100.0, *([NAN] * 7)]), FLAT, 8, max_stale_hours=3)
    assert [played.equity(row) for row in (1, 2, 3, 5)] == near([9_994.5, 9_494.5, 9_494.5, 9_494.5])
    assert played.exits() == [(6, "data_outage")]
    trade = played.records.trades[0]
    assert trade["long_exit"] == near(90 * (1 - 0.005))
    assert trade["short_exit"] == near(100 * (1 + 0.005))
    assert played.records.stale_hours == 4


@pytest.mark.trap(10)
def test_trap_10_a_coin_that_never_traded_there_is_neither_offered_nor_entered() -> None:
    played = play_pair(LegSketch(price=NAN), FLAT, 3)
    assert [offered_at(played, row) for row in range(3)] == [[False, False]] * 3
    assert played.refusals() == [(0, "refused", "stale_leg")]
    assert len(played.records.ledger) == 0


@pytest.mark.trap(10)
def test_trap_10_a_fill_whose_price_is_not_known_is_counted_not_hidden() -> None:
    long_leg = LegSketch(price=[100, 101, 102, 103], fill=[NAN, 99, NAN, 99])
    played = play({ALPHA: long_leg, BETA: FLAT}, 4, {0: [ENTER], 2: [Exit(0)]})
    trade = played.records.trades[0]
    assert (trade["long_entry"], trade["long_exit"]) == (100.0, 102.0)
    assert played.records.fills_at_last_trade == 2
