"""An entry that lacks margin takes what is free when the settings say so, and never less than the least notional."""

from __future__ import annotations

import pytest
from hand_runs import near, play
from reference_records import Enter
from small_market import LegSketch

FLAT = LegSketch(fill=100)
COINS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
LEGS = {(coin, exchange): FLAT for coin in COINS for exchange in ("alpha", "beta")}
ORDERS = {0: [Enter(coin, "alpha", "beta") for coin in COINS]}


def test_the_last_slot_takes_what_is_free() -> None:
    """Twice 2,000 a leg of 10,000 USD leave 2,000: 1,000 a leg."""
    played = play(LEGS, 3, ORDERS, max_positions=3, position_size_usd=2_000.0, fit_to_free_margin=True)
    assert played.refusals() == []
    assert played.records.trades["notional"].tolist() == near([2_000.0, 2_000.0, 1_000.0])
    assert played.records.hours["committed"][0] == near(10_000)


def test_what_fits_is_not_touched() -> None:
    plain = play(LEGS, 3, ORDERS, max_positions=3, position_size_usd=1_500.0)
    fitted = play(LEGS, 3, ORDERS, max_positions=3, position_size_usd=1_500.0, fit_to_free_margin=True)
    assert fitted.records.ledger.tobytes() == plain.records.ledger.tobytes()


@pytest.mark.parametrize(("least", "refusals"), [(1_000.0, []), (1_000.01, [(0, "refused", "margin")])])
def test_nothing_below_the_least_notional_is_opened(least: float, refusals: list[tuple[int, str, str]]) -> None:
    changes = {"position_size_usd": 2_000.0, "min_notional_usd": least, "fit_to_free_margin": True}
    assert play(LEGS, 3, ORDERS, max_positions=3, **changes).refusals() == refusals


def test_a_wallet_with_little_limits_the_size() -> None:
    """Alpha holds a tenth of 10,000 USD: 1,000 a leg at once, then nothing."""
    margin = {"wallet_shares": {"alpha": 0.1, "beta": 0.9}, "rebalance_below": None}
    changes = {"position_size_usd": 2_000.0, "account": "by_exchange", "margin": margin, "fit_to_free_margin": True}
    played = play(LEGS, 3, {0: ORDERS[0][:2]}, max_positions=2, **changes)
    assert played.records.trades["notional"].tolist() == near([1_000.0])
    assert played.refusals() == [(0, "refused", "margin")]
