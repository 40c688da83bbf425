"""Traps 11 to 15: sizes, identity, protection, both legs or none, and what is not offered."""

from __future__ import annotations

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, GAMMA, near, play, play_pair
from reference_records import Enter, Exit
from small_market import NAN, LegSketch, plain_settings, small_market

from engine.accounting.tape import prepare
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.errors import SettingsError
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter as EnterPair
from engine.observation.view import Order, View
from engine.settings import EngineSettings, parse_settings

FLAT = LegSketch(fill=100)
COINS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")


def coins() -> dict[tuple[str, str], LegSketch]:
    return {(coin, exchange): FLAT for coin in COINS for exchange in ("alpha", "beta")}


# --- 11: sizes ---


@pytest.mark.trap(11)
def test_trap_11_a_position_too_small_to_pay_for_itself_is_refused_not_shrunk() -> None:
    for changes in ({"position_size_usd": 9.99}, {"initial_capital_usd": 19.0}, {"position_fraction": 0.0019}):
        played = play_pair(FLAT, FLAT, 3, **changes)
        assert played.refusals() == [(0, "refused", "below_min_notional")]
        assert len(played.records.ledger) == 0
    assert play_pair(FLAT, FLAT, 3, position_size_usd=10.0).refusals() == []


@pytest.mark.trap(11)
def test_trap_11_both_legs_count_against_equity_and_an_entry_beyond_it_is_refused_whole() -> None:
    """Per leg three times 2,000 would fit into 10,000 USD twice over; with both legs the third does not."""
    orders = {0: [Enter(coin, "alpha", "beta") for coin in COINS]}
    played = play(coins(), 3, orders, max_positions=3, position_size_usd=2_000.0)
    assert played.refusals() == [(0, "refused", "margin")]
    assert played.records.hours["committed"].tolist() == [8_000.0, 8_000.0, 0.0]
    assert play(coins(), 3, orders, max_positions=3, position_size_usd=1_600.0).refusals() == []


@pytest.mark.trap(11)
def test_trap_11_equal_parts_of_one_equity_use_it_up_and_no_more() -> None:
    orders = {0: [Enter(coin, "alpha", "beta") for coin in COINS]}
    played = play(coins(), 3, orders, max_positions=3)
    assert played.refusals() == []
    trades = played.records.trades
    # A sixth of 10,000 per leg, of the equity before the entries of the hour.
    assert trades["notional"].tolist() == near([10_000 / 6] * 3)
    assert played.records.hours["committed"][0] == near(10_000)


@pytest.mark.trap(11)
def test_trap_11_both_legs_hold_the_same_base_quantity() -> None:
    """At 100 and 300 USD: N = 5,000 at the mid of 200 is 25 coins on each side, not 50 and 16.7."""
    played = play_pair(LegSketch(fill=101), LegSketch(price=300, fill=299), 3)
    ledger = played.records.ledger
    assert set(ledger["quantity"].tolist()) == {25.0}
    fees = [(leg, amount) for row, leg, amount in played.booked("fee") if row == 0]
    assert fees == [("long", near(-25 * 101 * 0.0005)), ("short", near(-25 * 299 * 0.0006))]


# --- 12: identity ---


@pytest.mark.trap(12)
def test_trap_12_two_positions_on_one_coin_keep_their_own_prices_funding_and_exits() -> None:
    """Alpha/beta and gamma/alpha on BTC: 25 coins each. Beta moves, gamma pays; neither touches the other."""
    legs = {
        ALPHA: LegSketch(fill=100),
        BETA: LegSketch(price=[100, 100, 98, 98, 98], fill=[100, 100, 98, 98, 98]),
        GAMMA: LegSketch(fill=100, rates={2: 0.001}),
    }
    orders = {0: [ENTER, Enter("BTCUSDT", "gamma", "alpha")], 2: [Exit(0)]}
    played = play(legs, 5, orders, max_positions=2)
    first, second = played.records.trades
    assert (first["closed"], second["closed"]) == (2, 4)
    assert (first["price_pnl"], first["funding"]) == (near(25 * 2), 0.0)
    assert (second["price_pnl"], second["funding"]) == (0.0, near(-25 * 100 * 0.001))
    assert [row for row, _, _ in played.booked("funding")] == [2]


# --- 13: risk ---


@pytest.mark.trap(13)
def test_trap_13_drawdown_counts_what_an_open_position_loses() -> None:
    """50 coins fall by 4 and come back: closed trades alone would show no drawdown but fees."""
    swing = LegSketch(price=[100, 96, 100, 100], fill=100)
    played = play_pair(swing, FLAT, 4)
    assert compute_metrics(played.records, 10_000.0)["max_drawdown_pct"] == near(100 * (200 + 5.5) / 10_000)


@pytest.mark.trap(13)
def test_trap_13_the_stop_loss_is_checked_in_hours_without_a_settlement() -> None:
    """-1.5 % of 2N = 10,000 is 150 USD; 50 coins lose 3.2 each at row 3, between the settlements of rows 0 and 8."""
    falling = LegSketch(price=[100, 100, 98, 96.8, 100], fill=[100, 100, 98, 96, 100], rates={0: 0.0}, interval=8)
    played = play_pair(falling, FLAT, 5, max_position_loss_pct=-1.5)
    assert played.exits() == [(3, "stop_loss")]
    # It fills at once, at the first trade after the hour.
    assert played.records.trades["long_exit"].tolist() == [96.0]


@pytest.mark.trap(13)
@pytest.mark.parametrize(
    ("price", "rate", "stops"),
    [
        # 50 * 2.9 = 145 and 5.5 of entry fees are more than 150; without the fees they would not be.
        (97.1, 0.0, True),
        (97.12, 0.0, False),
        # Funding of 10 paid so far by the long leg brings 97.2 (140 + 5.5) to the stop; 10 received keeps it off.
        (97.2, 0.002, True),
        (97.2, 0.0, False),
        (97.1, -0.002, False),
    ],
)
def test_trap_13_the_stop_loss_counts_funding_and_entry_fees(price: float, rate: float, stops: bool) -> None:
    long_leg = LegSketch(price=[100, 100, price, price], mark=100, fill=100, rates={1: rate})
    played = play_pair(long_leg, FLAT, 4, max_position_loss_pct=-1.5)
    assert played.exits() == [(2, "stop_loss") if stops else (3, "end_of_data")]


@pytest.mark.trap(13)
def test_trap_13_leverage_is_refused_while_nobody_is_liquidated() -> None:
    with pytest.raises(SettingsError, match="leverage above 1 needs account=by_exchange"):
        parse_settings(EngineSettings, {"leverage": 1.01})


# --- 14: both legs or none ---


def legs_booked(records_ledger: np.ndarray) -> list[tuple[int, int]]:
    """(row, side) of the fees: one each side for a whole fill."""
    fees = records_ledger[records_ledger["kind"] == 0]
    return [(int(row["hour"]), int(row["side"])) for row in fees]


@pytest.mark.trap(14)
@pytest.mark.parametrize("dead", ["long", "short"])
def test_trap_14_an_entry_with_one_silent_leg_is_refused_whole(dead: str) -> None:
    silent = LegSketch(price=[100, NAN, 100], fill=100)
    played = play_pair(*((silent, FLAT) if dead == "long" else (FLAT, silent)), 3, {1: [ENTER]})
    assert played.refusals() == [(1, "refused", "stale_leg")]
    assert len(played.records.ledger) == 0
    assert played.records.hours["open_positions"].tolist() == [0, 0, 0]


@pytest.mark.trap(14)
@pytest.mark.parametrize("dead", ["long", "short"])
def test_trap_14_a_leg_that_dies_takes_the_other_with_it(dead: str) -> None:
    silent = LegSketch(price=[100.0] + [NAN] * 4, fill=[100.0] + [NAN] * 4)
    legs = (silent, FLAT) if dead == "long" else (FLAT, silent)
    played = play_pair(*legs, 5, max_stale_hours=2)
    assert played.exits() == [(3, "data_outage")]
    assert legs_booked(played.records.ledger) == [(0, 0), (0, 1), (3, 0), (3, 1)]


@pytest.mark.trap(14)
def test_trap_14_an_exit_on_a_silent_leg_closes_both_sides_at_what_is_known() -> None:
    silent = LegSketch(price=[100, NAN, NAN], fill=[100, NAN, NAN])
    played = play_pair(silent, FLAT, 3, {0: [ENTER], 1: [Exit(0)]})
    assert legs_booked(played.records.ledger) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert played.records.fills_at_last_trade == 1


@pytest.mark.trap(14)
def test_trap_14_a_late_order_on_a_silent_leg_is_cancelled_and_recorded_both_ways() -> None:
    """Filled two hours late. The exit that finds no price is gone, and the position goes on being settled."""
    silent = LegSketch(
        price=[100, 100, 100, 100, NAN, 100, 100, 100], fill=100, rates=dict.fromkeys(range(8), 0.001), interval=1
    )
    played = play_pair(silent, FLAT, 8, {0: [ENTER], 2: [Exit(0)]}, latency_hours=2)
    assert played.refusals() == [(4, "cancelled", "stale_leg")]
    assert played.exits() == [(7, "end_of_data")]
    assert [row for row, _, _ in played.booked("funding")] == [3, 4, 5, 6, 7]
    entry = play_pair(silent, FLAT, 8, {2: [ENTER], 4: [ENTER]}, latency_hours=2)
    assert entry.refusals() == [(4, "cancelled", "stale_leg")]
    # The slot that the first entry held is free for the second.
    assert entry.records.trades["opened"].tolist() == [6]


# --- 15: what is held ---


class Watcher:
    """Enters the first pair at row 1 and notes what is on offer and shown."""

    def __init__(self) -> None:
        self.offered: list[list[int]] = []
        self.shown: list[list[int]] = []

    def decide(self, view: View) -> list[Order]:
        spec = ObservationSpec(positions=view.max_positions, opportunities=4, features=("fund_apr",))
        _, visible = view.observe(encoding_of(spec, Scaler(mean=(0.0,), deviation=(1.0,))), spec)
        self.offered.append(np.flatnonzero(view.offered).tolist())
        self.shown.append(sorted(pair for pair in visible.tolist() if pair >= 0))
        return [EnterPair(0)] if len(self.offered) == 2 else []


@pytest.mark.trap(15)
@pytest.mark.parametrize("latency", [0, 3])
def test_trap_15_what_is_held_or_on_its_way_is_not_offered_nor_is_its_mirror(latency: int) -> None:
    settling = LegSketch(fill=100, rates=dict.fromkeys(range(6), 0.001), interval=1)
    market = small_market({leg: settling for leg in coins() if leg[0] != "CCCUSDT"}, 6)
    watcher = Watcher()
    builder = OpportunityBuilder(prepare(market, plain_settings(max_positions=2, latency_hours=latency)))
    run_backtest(builder, watcher, 0, 5)
    # Pairs 0 and 1 are AAA in both directions, 2 and 3 are BBB.
    assert watcher.offered == [[0, 1, 2, 3]] * 2 + [[2, 3]] * 3
    assert watcher.shown == watcher.offered


@pytest.mark.trap(15)
@pytest.mark.parametrize("again", [ENTER, Enter("BTCUSDT", "beta", "alpha")])
@pytest.mark.parametrize("latency", [0, 2])
def test_trap_15_an_order_for_what_is_held_or_its_mirror_is_refused(again: Enter, latency: int) -> None:
    played = play_pair(FLAT, FLAT, 6, {0: [ENTER, again], 1: [again]}, max_positions=3, latency_hours=latency)
    assert played.refusals() == [(0, "refused", "already_held"), (1, "refused", "already_held")]
    assert len(played.records.trades) == 1
