"""Margin by exchange worked out by hand: a liquidation, a transfer, a leg that fails, what the policy is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, Played, near, play, play_pair
from reference_records import Enter, Exit
from small_market import LegSketch, plain_settings, small_market

from engine.accounting.books import Kind, OrderKind
from engine.accounting.leg_failure import CLOSING, OPENING, leg_fails
from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.margin import liquidation_distance
from engine.accounting.tape import prepare
from engine.analysis.hindsight import fixed_size
from engine.analysis.metrics import compute_metrics
from engine.errors import SettingsError, UserError
from engine.settings import EngineSettings, MarginSettings, parse_settings

FLAT = LegSketch(price=100.0)
DOUBLES = LegSketch(price=[100, 100, 200, 200, 200])


def wallets(played: Played, row: int) -> Mapping[str, float]:
    """Balances at the end of a row by the ledger alone, from 5,000 USD each; ``in_transit`` too."""
    ledger = played.records.ledger
    booked = ledger[ledger["hour"] <= row]
    names = (*played.market.exchanges, "in_transit")
    start = dict.fromkeys(played.market.exchanges, 5_000.0) | {"in_transit": 0.0}
    return {
        name: start[name] + float(booked["amount"][booked["exchange"] % 3 == i].sum()) for i, name in enumerate(names)
    }


def three_times(**more: Any) -> dict[str, Any]:
    return {"account": "by_exchange", "leverage": 3.0, "margin": MarginSettings(rebalance_below=None, **more)}


def test_a_price_that_doubles_in_an_hour_liquidates_the_short_leg_at_3x_and_the_long_one_leaves_next_hour() -> None:
    """Full use of 10,000 USD: N = 15,000 per leg, q = 150, 5,000 USD of margin on each side."""
    played = play_pair(DOUBLES, DOUBLES, 5, **three_times())
    entry_fees, exit_fees = (15_000 * 0.0005, 15_000 * 0.0006), (30_000 * 0.0005, 30_000 * 0.0006)
    assert played.booked("liquidation_fee") == [(2, "short", near(-0.005 * 30_000))]
    assert played.booked("fee") == [
        *((0, "long", near(-entry_fees[0])), (0, "short", near(-entry_fees[1]))),
        *((2, "short", near(-exit_fees[1])), (3, "long", near(-exit_fees[0]))),
    ]
    assert played.booked("price") == [(2, "short", near(-15_000.0)), (3, "long", near(15_000.0))]
    # The short wallet is 10,000 USD below zero: nobody makes a gift of it.
    assert wallets(played, 2)["beta"] == near(5_000 - 9.0 - 15_000 - 18 - 150)
    assert wallets(played, 2)["alpha"] == near(5_000 - 7.5)
    assert played.exits() == [(3, "liquidation")]
    assert played.records.hours["cash"].tolist() == near([9983.5, 9983.5, -5184.5, 9800.5, 9800.5])
    assert played.records.hours["equity"].tolist() == near([9983.5, 9983.5, 9815.5, 9800.5, 9800.5])
    assert played.records.hours["committed"].tolist() == near([30_000, 30_000, 15_000, 0, 0])
    trade = played.records.trades[0]
    assert (trade["long_closed"], trade["short_closed"], trade["closed"]) == (3, 2, 3)
    metrics = compute_metrics(played.records, 10_000.0)
    assert metrics["liquidations"] == 1
    assert metrics["pnl_usd"] == near(-199.5)


@pytest.mark.trap(13)
@pytest.mark.parametrize(("price", "liquidated"), [(131.9, False), (132.0, True)])
def test_trap_13_liquidation_is_executed_at_the_maintenance_margin_and_against_the_leg(
    price: float, liquidated: bool
) -> None:
    """Wallet 4,991 USD after its fee: 4,991 - 150 (p - 100) falls below 1 % of 150 p at p = 131.954; a fall gains."""
    rises = LegSketch(price=[100, 100, price, price])
    assert bool(play_pair(FLAT, rises, 4, **three_times()).booked("liquidation_fee")) == liquidated
    falls = LegSketch(price=[100, 100, 200 - price, 200 - price])
    assert not play_pair(FLAT, falls, 4, **three_times()).booked("liquidation_fee")


@pytest.mark.trap(13)
def test_trap_13_the_mark_liquidates_not_the_last_trade() -> None:
    spike = LegSketch(price=[100, 100, 200, 100], mark=100)
    assert not play_pair(FLAT, spike, 4, **three_times()).booked("liquidation_fee")
    marked = LegSketch(price=100, mark=[100, 100, 200, 100])
    assert play_pair(FLAT, marked, 4, **three_times()).booked("liquidation_fee")


def test_a_pooled_account_is_not_liquidated() -> None:
    assert not play_pair(FLAT, DOUBLES, 5).booked("liquidation_fee")


def test_a_leg_that_is_alone_waits_for_a_fresh_price() -> None:
    gap = LegSketch(price=[100, 100, 200, np.nan, np.nan, 210, 210])
    played = play_pair(gap, LegSketch(price=[100, 100, *[200] * 5]), 7, **three_times())
    assert played.booked("price") == [(2, "short", near(-15_000.0)), (5, "long", near(16_500.0))]
    assert played.exits() == [(5, "liquidation")]


def test_a_lone_leg_is_still_settled_and_the_one_that_left_is_not() -> None:
    rates = {2: 0.001, 3: 0.002}
    long_leg = LegSketch(price=[100, 100, 200, 200, 200], rates=rates)
    played = play_pair(long_leg, LegSketch(price=[100, 100, 200, 200, 200], rates=rates), 5, **three_times())
    funding = [(2, "long", near(-30.0)), (2, "short", near(30.0)), (3, "long", near(-60.0))]
    assert played.booked("funding") == funding
    assert played.records.trades["funding"][0] == near(-60.0)


def test_a_poor_wallet_is_filled_up_from_a_rich_one_after_the_hours_a_transfer_takes() -> None:
    """Prices move 20 % up together: alpha gains what beta loses, 3,333 USD at q = 166.67 (2 x 8,333 USD each)."""
    up = LegSketch(price=[100, *[120] * 6])
    margin = MarginSettings(rebalance_below=0.5, transfer_hours=2, transfer_cost_usd=7.0, maintenance_margin_rate=0.001)
    settings = {"account": "by_exchange", "leverage": 4.0, "margin": margin, "position_size_usd": 15_000.0}
    played = play_pair(up, up, 7, **settings)
    transfers = played.records.ledger[played.records.ledger["kind"] == int(Kind.TRANSFER)]
    beta = 5_000 - 9.0 - 3_000  # equity of the poor wallet at row 1
    alpha = 5_000 - 7.5 + 3_000
    lack, free = (alpha + beta) / 2 - beta, (5_000 - 7.5) - 0
    sent = min(alpha - (alpha + beta) / 2 - 7.0, lack, alpha - 15_000 / 4 - 7.0, free - 7.0)
    assert transfers["hour"].tolist() == [1, 1, 3, 3]
    assert transfers["exchange"].tolist() == [0, -1, -1, 1]
    assert transfers["amount"].tolist() == near([-sent, sent, -sent, sent])
    assert wallets(played, 2)["in_transit"] == near(sent)
    assert wallets(played, 3)["in_transit"] == 0
    metrics = compute_metrics(played.records, 10_000.0)
    assert (metrics["transfers"], metrics["transfer_costs_usd"]) == (1, 7.0)


def test_no_entry_where_too_much_stands_already() -> None:
    margin = MarginSettings(wallet_shares={"alpha": 0.6, "beta": 0.4}, max_exchange_share=0.6, transfer_cost_usd=1e6)
    settings = {"account": "by_exchange", "margin": margin, "position_size_usd": 1_000.0}
    rises = LegSketch(price=[100, 150, 150, 150, 150])
    orders = {0: [ENTER], 2: [Exit(0)], 3: [ENTER]}
    played = play_pair(rises, LegSketch(price=100), 5, orders, **settings)
    assert played.refusals() == [(3, "refused", "exchange_limit")]


def test_an_entry_needs_its_margin_in_both_wallets() -> None:
    margin = MarginSettings(wallet_shares={"alpha": 0.9, "beta": 0.1})
    played = play_pair(FLAT, FLAT, 3, account="by_exchange", leverage=2.0, margin=margin, position_size_usd=2_001.0)
    assert played.refusals() == [(0, "refused", "margin")]
    played = play_pair(FLAT, FLAT, 3, account="by_exchange", leverage=2.0, margin=margin, position_size_usd=2_000.0)
    assert played.refusals() == []


def test_default_sizes_use_the_leverage() -> None:
    played = play_pair(FLAT, FLAT, 3, account="by_exchange", leverage=2.5)
    assert played.records.trades["notional"].tolist() == [12_500.0]


# --- legs that fail ---


def draws(seed: int, rows: int) -> dict[tuple[int, int, int, int], bool]:
    """(leg, row, side, way) of every fill that would fail with probability one half."""
    market = small_market({ALPHA: FLAT, BETA: FLAT}, rows)
    tape = prepare(market, plain_settings(leg_failure_probability=0.5, leg_failure_seed=seed)).arrays
    names = [
        (leg, t, side, way) for leg in (0, 1) for t in range(rows) for side in (0, 1) for way in (OPENING, CLOSING)
    ]
    return {name: bool(leg_fails(tape, *name)) for name in names}


def seed_where(**wanted: bool) -> int:
    """The first seed under which the named fills go as wanted, for example ``long_0_opening=True``."""
    ways, sides = {"opening": OPENING, "closing": CLOSING}, {"long": (0, 0), "short": (1, 1)}
    for seed in range(500):
        drawn = draws(seed, 6)
        parts = {name.split("_")[0] + name: name.split("_") for name in wanted}
        if all(
            drawn[sides[s][0], int(t), sides[s][1], ways[w]] == wanted[f"{s}_{t}_{w}"] for s, t, w in parts.values()
        ):
            return seed
    raise AssertionError("no seed found")


def failing(**wanted: bool) -> dict[str, Any]:
    return {"leg_failure_probability": 0.5, "leg_failure_seed": seed_where(**wanted)}


@pytest.mark.trap(14)
def test_trap_14_an_entry_of_which_one_leg_fails_is_undone_in_the_next_hour_and_accounted() -> None:
    drops = LegSketch(price=[100, 90, 90, 90])
    played = play_pair(FLAT, drops, 4, **failing(long_0_opening=True, short_0_opening=False))
    assert played.booked("fee") == [(0, "short", near(-3.0)), (1, "short", near(-2.7))]
    assert played.booked("price") == [(1, "short", near(500.0))]
    assert played.exits() == [(1, "leg_failure")]
    assert played.refusals() == [(0, "failed", "leg_failure")]
    trade = played.records.trades[0]
    assert np.isnan([trade["long_entry"], trade["long_exit"]]).all()
    assert (trade["long_closed"], trade["short_closed"]) == (0, 1)
    assert compute_metrics(played.records, 10_000.0)["leg_failures"] == 1


@pytest.mark.trap(14)
def test_trap_14_an_entry_of_which_both_legs_fail_is_refused() -> None:
    played = play_pair(FLAT, FLAT, 4, **failing(long_0_opening=True, short_0_opening=True))
    assert played.refusals() == [(0, "refused", "leg_failure")]
    assert not len(played.records.ledger)


@pytest.mark.trap(14)
def test_trap_14_an_exit_of_which_one_leg_fails_is_tried_again_until_it_is_done() -> None:
    settings = failing(
        long_0_opening=False, short_0_opening=False,
        long_1_closing=True, short_1_closing=False, long_2_closing=True, long_3_closing=False,
    )  # fmt: skip
    played = play_pair(LegSketch(price=[100, 100, 101, 103, 104, 105]), FLAT, 6, {0: [ENTER], 1: [Exit(0)]}, **settings)
    assert [row[:2] for row in played.booked("price")] == [(1, "short"), (3, "long")]
    assert played.exits() == [(3, "signal")]
    assert played.refusals() == [(1, "failed", "leg_failure"), (2, "failed", "leg_failure")]


def test_an_order_to_leave_what_is_leaving_by_itself_is_refused() -> None:
    settings = failing(long_0_opening=False, short_0_opening=False, long_1_closing=True, short_1_closing=False)
    played = play_pair(
        FLAT, LegSketch(price=[100, 100, np.nan, 100, 100]), 5, {0: [ENTER], 1: [Exit(0), Exit(0)]}, **settings
    )
    assert (1, "refused", "already_pending") in played.refusals()


def test_failures_are_as_frequent_as_asked_and_those_of_a_leg_the_same_whatever_else_is_traded() -> None:
    market = small_market({ALPHA: FLAT, BETA: FLAT}, 3_000)
    tape = prepare(market, plain_settings(leg_failure_probability=0.2)).arrays
    found = np.array([leg_fails(tape, leg, t, 0, OPENING) for leg in (0, 1) for t in range(3_000)])
    assert found.mean() == pytest.approx(0.2, abs=0.02)
    assert not np.array_equal(found[:3_000], found[3_000:])
    wider = small_market({ALPHA: FLAT, ("AAAUSDT", "alpha"): FLAT, BETA: FLAT}, 100)
    others = prepare(wider, plain_settings(leg_failure_probability=0.2)).arrays
    beta = wider.leg(*BETA)
    assert beta == 2
    assert [leg_fails(others, beta, t, 0, OPENING) for t in range(100)] == found[3_000:3_100].tolist()


# --- settings ---


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"leverage": 2.0}, "needs account=by_exchange"),
        ({"leverage": 21.0, "account": "by_exchange"}, "less than or equal to 20"),
        ({"margin": {"wallet_shares": {"alpha": 0.5, "beta": 0.4}}}, "must sum to 1, not 0.9"),
        ({"margin": {"transfer_hours": 0}}, "transfer_hours"),
        ({"leg_failure_probability": 1.0}, "leg_failure_probability"),
        ({"account": "split"}, "account"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: Mapping[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_settings(EngineSettings, values)


@pytest.mark.parametrize(
    ("margin", "message"),
    [
        ({"wallet_shares": {"alpha": 0.5, "gamma": 0.5}}, "no exchange 'gamma'"),
        ({"max_exchange_share": 0.4}, "below the share of capital at alpha"),
    ],
)
def test_wallets_that_do_not_fit_the_market_are_refused(margin: Mapping[str, Any], message: str) -> None:
    market = small_market({ALPHA: FLAT, BETA: FLAT}, 3)
    with pytest.raises(SettingsError, match=message):
        prepare(market, plain_settings(account="by_exchange", margin=MarginSettings(**margin)))


@pytest.mark.parametrize("changes", [{"account": "by_exchange"}, {"leg_failure_probability": 0.1}])
def test_hindsight_refuses_what_it_cannot_know(changes: Mapping[str, Any]) -> None:
    market = small_market({ALPHA: FLAT, BETA: FLAT}, 3)
    with pytest.raises(UserError, match="account=pooled"):
        fixed_size(prepare(market, plain_settings(**changes)))


# --- what a strategy is shown ---


def opened(settings: Mapping[str, Any], price: float) -> HourlyLoop:
    """The hour after an entry at 100, with the short leg's price at ``price``."""
    market = small_market({ALPHA: LegSketch(price=[100, 100, 100]), BETA: LegSketch(price=[100, price, price])}, 3)
    loop = HourlyLoop(prepare(market, plain_settings(**settings)))
    loop.start(0, 2)
    pair = int(np.flatnonzero(loop.tape.pairs.long_leg == 0)[0])
    loop.advance(order_records([(int(OrderKind.ENTER), pair)]))
    return loop


@pytest.mark.trap(13)
@pytest.mark.parametrize("price", [90.0, 100.0, 125.0])
def test_trap_13_the_distance_to_liquidation_is_where_liquidation_happens(price: float) -> None:
    loop = opened(three_times(), price)
    distance = float(liquidation_distance(loop.tape.arrays, loop.books, 0, 0, 1))
    short = (4_991 - 150 * (price - 100) - 0.01 * 150 * price) / (150 * price * 1.01)
    long = (4_992.5 - 0.01 * 15_000) / (15_000 * 0.99)
    assert distance == near(min(short, long))
    if short < long:
        for factor, happens in ((0.999, False), (1.001, True)):
            legs = (FLAT, LegSketch(price=[100, price, price * (1 + factor * short), 100]))
            assert bool(play_pair(*legs, 4, **three_times()).booked("liquidation_fee")) == happens


def test_the_distance_is_one_when_the_account_is_pooled() -> None:
    loop = opened({}, 120.0)
    assert liquidation_distance(loop.tape.arrays, loop.books, 0, 0, 1) == 1.0


def test_the_leg_that_loses_most_is_liquidated_first_and_one_is_enough() -> None:
    """Short on beta in two coins, 50 each at 100 (5,000 USD); 4,994 USD stand there and lose 500 and 2,500."""
    coins = {("AAAUSDT", e): LegSketch(price=[100, 100, 110, 110]) for e in ("alpha", "beta")}
    coins |= {("BBBUSDT", e): LegSketch(price=[100, 100, 150, 150]) for e in ("alpha", "beta")}
    orders = {0: [Enter(coin, "alpha", "beta") for coin in ("AAAUSDT", "BBBUSDT")]}
    margin = MarginSettings(rebalance_below=None, maintenance_margin_rate=0.2)
    settings = {"account": "by_exchange", "leverage": 3.0, "margin": margin, "position_size_usd": 5_000.0}
    played = play(coins, 4, orders, max_positions=2, **settings)
    ledger = played.records.ledger
    fees = ledger[ledger["kind"] == int(Kind.LIQUIDATION_FEE)]
    assert [(int(row["hour"]), int(row["position_id"])) for row in fees] == [(2, 2)]
    assert played.exits() == [(3, "liquidation"), (3, "end_of_data")]
