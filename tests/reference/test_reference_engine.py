"""The reference implementation against numbers computed by hand from docs/design.md sections 3 and 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest
from reference_engine import Enter, Exit, ReferenceResult, simulate
from small_market import NAN, LegSketch, plain_settings, small_market

from engine.errors import UserError
from engine.settings import EngineSettings, FeeRow

BTC = ("BTCUSDT", "alpha", "beta")
ENTER = Enter(*BTC)
ALPHA, BETA, GAMMA = (("BTCUSDT", exchange) for exchange in ("alpha", "beta", "gamma"))


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=1e-12)


def run(
    long_leg: LegSketch,
    short_leg: LegSketch,
    orders: Mapping[int, Sequence[Enter | Exit]],
    hours: int,
    settings: EngineSettings | None = None,
    **more: Any,
) -> ReferenceResult:
    """Alpha is the long leg's exchange and beta the short leg's, over all hours."""
    market = small_market({ALPHA: long_leg, BETA: short_leg}, hours, **more)
    return simulate(market, settings or plain_settings(), orders, 0, hours - 1)


def amounts(result: ReferenceResult, kind: str) -> list[tuple[int, str, float]]:
    return [(row.hour, row.leg, float(row.amount)) for row in result.ledger if row.kind == kind]


# --- fills, fees, sizes ---


def test_entry_and_exit_with_fees_and_slippage() -> None:
    # mid = (99 + 101) / 2 = 100, N = 10,000 / 1 / 2 = 5,000, q = 50. Slippage 10 bps.
    # entry: long 99.5 * 1.001 = 99.5995, fee 0.0005 * 50 * 99.5995 = 2.4899875
    #        short 101 * 0.999 = 100.899, fee 0.0006 * 50 * 100.899 = 3.02697
    # exit:  long sells 102 * 0.999 = 101.898, fee 2.54745; short buys 103 * 1.001 = 103.103, fee 3.09309
    # price: long 50 * (101.898 - 99.5995) = 114.925; short 50 * (100.899 - 103.103) = -110.2
    result = run(
        LegSketch(price=[99, 100, 101, 101], fill=[99.5, 100.5, 102, 99]),
        LegSketch(price=[101, 102, 102, 102], fill=[101, 102, 103, 99]),
        {0: [ENTER], 2: [Exit(0)]},
        4,
        plain_settings(slippage_bps=10.0),
    )
    assert amounts(result, "fee") == [
        (0, "long", near(-2.4899875)),
        (0, "short", near(-3.02697)),
        (2, "long", near(-2.54745)),
        (2, "short", near(-3.09309)),
    ]
    assert amounts(result, "price") == [(2, "long", near(114.925)), (2, "short", near(-110.2))]
    trade = result.trades[0]
    assert (trade.position_id, trade.duration_hours, trade.exit_reason) == (1, 2, "exit")
    assert float(trade.quantity) == near(50)
    assert float(trade.position_size_usd) == near(5000)
    assert [float(trade.entry_long_price), float(trade.entry_short_price)] == [near(99.5995), near(100.899)]
    assert [float(trade.exit_long_price), float(trade.exit_short_price)] == [near(101.898), near(103.103)]
    assert float(trade.entry_fees_usd) == near(5.5169575)
    assert float(trade.exit_fees_usd) == near(5.64054)
    assert float(trade.price_pnl_usd) == near(4.725)
    assert float(trade.slippage_usd) == near(50 * (0.0995 + 0.101 + 0.102 + 0.103))
    assert float(trade.pnl_usd) == near(4.725 - 5.5169575 - 5.64054)
    assert float(trade.pnl_pct) == near((4.725 - 5.5169575 - 5.64054) / 100)
    # unrealised, row 0: 50 * (99 - 99.5995) + 50 * (100.899 - 101); row 1: 50 * (100 - 99.5995) + 50 * (100.899 - 102)
    assert [float(x) for x in result.unrealised] == [near(-35.025), near(-35.025), 0, 0]
    assert [float(x) for x in result.cash[:2]] == [near(9994.4830425)] * 2
    assert result.open_positions == [1, 1, 0, 0]
    assert result.fills_at_last_trade == 0


def test_quoted_spread_and_cost_multiple() -> None:
    # h = 0.002 / 2 on alpha, none on beta; m = 2: long 100 * (1 + 2 * (0.001 + 0.0002)) = 100.24, short 99.96
    result = run(
        LegSketch(fill=100, spread=0.002),
        LegSketch(fill=100),
        {0: [ENTER]},
        2,
        plain_settings(slippage_bps=2.0, cost_multiple=2.0),
    )
    assert [float(row.price) for row in result.ledger[:2]] == [near(100.24), near(99.96)]
    assert [float(row.amount) for row in result.ledger[:2]] == [near(-50 * 100.24 * 10e-4), near(-50 * 99.96 * 12e-4)]


def test_impact_grows_with_the_root_of_the_share_of_volume() -> None:
    # N / V: alpha 5,000 / 500,000 = 0.01, root 0.1; beta's volume of hour 0 is carried: 5,000 / 2,000,000, root 0.05
    result = run(
        LegSketch(fill=100, volume=500_000),
        LegSketch(fill=100, volume=[2_000_000, NAN, NAN]),
        {1: [ENTER]},
        3,
        plain_settings(impact_coefficient=0.02),
    )
    assert [float(row.price) for row in result.ledger[:2]] == [near(100.2), near(99.9)]


def test_a_missing_fill_price_takes_the_last_trade_and_is_counted() -> None:
    result = run(LegSketch(price=[99, 98]), LegSketch(price=101, fill=[102, NAN]), {0: [ENTER]}, 2)
    assert [float(row.price) for row in result.ledger if row.kind == "fee"] == [99, 102, 98, 101]
    assert result.fills_at_last_trade == 3


def test_fills_at_the_last_trade_on_purpose_are_all_counted() -> None:
    settings = plain_settings(fill_at="last_trade")
    result = run(LegSketch(price=[99, 98], fill=90), LegSketch(price=101), {0: [ENTER]}, 2, settings)
    assert [float(row.price) for row in result.ledger if row.kind == "fee"] == [99, 101, 98, 101]
    assert result.fills_at_last_trade == 4


def test_the_dated_fee_table_changes_at_midnight() -> None:
    # Rows are hours of 2024-01-01 from 00:00 on; row 24 is the first of 2024-01-02.
    rows = tuple(FeeRow(since=date(2024, 1, day), maker=0, taker=day / 1000) for day in (3, 2))
    fees = {"alpha": rows, "beta": rows}
    orders = {t: [ENTER if t in (0, 24, 48) else Exit(0)] for t in (0, 23, 24, 47, 48)}
    settling = LegSketch(rates={0: 0.0, 24: 0.0}, interval=24)
    result = run(settling, settling, orders, 50, plain_settings(fees=fees))
    longs = [(row.hour, float(row.rate or 0)) for row in result.ledger if row.kind == "fee" and row.leg == "long"]
    assert longs == [(0, 0.002), (23, 0.002), (24, 0.002), (47, 0.002), (48, 0.003), (49, 0.003)]


def test_an_exchange_without_fees_is_refused() -> None:
    with pytest.raises(UserError, match="beta"):
        run(LegSketch(), LegSketch(), {}, 2, plain_settings(fees={"alpha": plain_settings().fees["alpha"]}))


def test_sizes_follow_equity_after_protection_and_a_fixed_size_does_not() -> None:
    # Trade 1 loses: long 50 from 100 to 90 = -500; no fees on gamma. Equity 9,500: N = 4,750, mid 95, q = 50.
    market = small_market({GAMMA: LegSketch(price=[100, 90, 90, 90]), ALPHA: LegSketch(price=100)}, 4)
    free = {name: (FeeRow(since=date(2020, 1, 1), maker=0, taker=0),) for name in ("alpha", "gamma")}
    enter = Enter("BTCUSDT", "gamma", "alpha")
    orders: dict[int, list[Enter | Exit]] = {0: [enter], 1: [enter, Exit(0)]}
    result = simulate(market, plain_settings(fees=free), orders, 0, 3)
    assert [float(trade.quantity) for trade in result.trades] == [near(50), near(50)]
    assert [float(trade.position_size_usd) for trade in result.trades] == [near(5000), near(4750)]
    fixed = simulate(market, plain_settings(fees=free, position_size_usd=950.0), orders, 0, 3)
    assert [float(trade.quantity) for trade in fixed.trades] == [near(9.5), near(10)]


# --- protection ---


@pytest.mark.parametrize(("limit", "closed_at"), [(-1.05, 1), (-1.06, 2), (-1.6, 2), (-1.61, 3), (None, 3)])
def test_stop_loss_counts_fees_and_funding(limit: float | None, closed_at: int) -> None:
    # q = 50, entry fees 2.5 + 3. Hour 1: long at 98: (-100 - 5.5) / 10,000 = -1.055 %.
    # Hour 2: price 97, funding of hour 2: long pays 50 * 97 * 0.001 = 4.85: (-150 - 5.5 - 4.85) = -1.6035 %.
    result = run(
        LegSketch(price=[100, 98, 97, 97], rates={0: 0.01, 2: 0.001}, interval=2),
        LegSketch(price=100),
        {0: [ENTER]},
        4,
        plain_settings(max_position_loss_pct=limit),
    )
    assert result.trades[0].duration_hours == closed_at
    assert result.trades[0].exit_reason == ("end_of_data" if closed_at == 3 else "stop_loss")


def test_outage_closes_at_the_last_price_with_more_slippage() -> None:
    # Alpha's last price is 101 at row 1, its fill price of row 7 must not be used. Stale 6 at row 7: still held.
    # Row 8: stale 7: long sells 101 * (1 - 0.0002 - 0.005) = 100.4748, counted; short buys 99 * 1.0052 = 99.5148.
    gap = [100, 101, *[NAN] * 8]
    result = run(
        LegSketch(price=gap, fill=[100, 101, *[NAN] * 5, 50, 50, 50]),
        LegSketch(price=100, fill=[*[100] * 8, 99, 98]),
        {0: [ENTER]},
        10,
        plain_settings(slippage_bps=2.0),
    )
    trade = result.trades[0]
    assert (trade.duration_hours, trade.exit_reason) == (8, "data_outage")
    assert [float(trade.exit_long_price), float(trade.exit_short_price)] == [near(100.4748), near(99.5148)]
    assert result.fills_at_last_trade == 1
    # Marked at the carried 101 meanwhile: 50 * (101 - 100.02) + 50 * (99.98 - 100).
    assert float(result.unrealised[5]) == near(50 * 0.98 - 50 * 0.02)


def test_six_stale_hours_are_survived() -> None:
    result = run(LegSketch(price=[100, *[NAN] * 6, 100, 100]), LegSketch(), {0: [ENTER]}, 9)
    assert [(trade.duration_hours, trade.exit_reason) for trade in result.trades] == [(8, "end_of_data")]


@pytest.mark.parametrize(
    ("notice", "closed_at", "reason"), [(1, 4, "delisting"), (6, 6, "delisting"), (8, 7, "end_of_data")]
)
def test_delisting_exits_at_the_last_hour_before_it(notice: int, closed_at: int, reason: str) -> None:
    leg = LegSketch(delisting=(5, notice))
    orders = {0: [ENTER], 4: [ENTER], 6: [ENTER]}
    result = run(LegSketch(), leg, orders, 8)
    assert (result.trades[0].duration_hours, result.trades[0].exit_reason) == (closed_at, reason)
    assert len(result.trades) == 1
    refused = {1: [(4, "delisting"), (6, "delisting")], 6: [(4, "no_free_slot"), (6, "delisting")]}
    assert result.refused == refused.get(notice, [(4, "no_free_slot"), (6, "no_free_slot")])


def test_the_last_hour_closes_everything_and_decides_nothing() -> None:
    orders: dict[int, list[Enter | Exit]] = {0: [ENTER], 2: [Exit(0), ENTER]}
    result = run(LegSketch(price=[100, 100, 104], fill=[100, 100, 105]), LegSketch(), orders, 3)
    assert [(t.duration_hours, t.exit_reason, float(t.exit_long_price)) for t in result.trades] == [
        (2, "end_of_data", 105)
    ]
    assert result.refused == []
    assert result.equity[-1] == result.cash[-1]
    assert result.open_positions == [1, 1, 0]


# --- orders ---


def two_coins(**changes: Any) -> dict[tuple[str, str], LegSketch]:
    legs = {
        (symbol, exchange): LegSketch() for symbol in ("BTCUSDT", "ETHUSDT") for exchange in ("alpha", "beta", "gamma")
    }
    return legs | {("BTCUSDT", exchange): leg for exchange, leg in changes.items()}


REFUSALS: list[tuple[str, dict[str, LegSketch], dict[str, Any], list[Enter | Exit]]] = [
    ("no_such_opportunity", {}, {}, [Enter("XRPUSDT", "alpha", "beta")]),
    ("no_such_opportunity", {}, {}, [Enter("BTCUSDT", "alpha", "alpha")]),
    ("no_such_opportunity", {}, {}, [Enter("BTCUSDT", "alpha", "delta")]),
    ("no_free_slot", {}, {}, [ENTER, Enter("ETHUSDT", "alpha", "beta")]),
    ("no_free_slot", {}, {}, [ENTER, ENTER]),
    ("already_held", {}, {"max_positions": 2}, [ENTER, ENTER]),
    ("already_held", {}, {"max_positions": 2}, [ENTER, Enter("BTCUSDT", "beta", "alpha")]),
    ("stale_leg", {"beta": LegSketch(price=[100, NAN, 100, 100])}, {}, [ENTER]),
    ("stale_leg", {"alpha": LegSketch(price=[NAN, NAN, 100, 100])}, {}, [ENTER]),
    ("too_young", {"alpha": LegSketch(price=[NAN, 100, 100, 100])}, {"min_history_hours": 2}, [ENTER]),
    ("delisting", {"beta": LegSketch(delisting=(2, 1))}, {}, [ENTER]),
    ("filtered", {"beta": LegSketch(volume=99)}, {"filters": {"min_volume_24h_usd": 100.0}}, [ENTER]),
    ("filtered", {"beta": LegSketch(spread=0.02)}, {"filters": {"max_bid_ask_spread": 0.01}}, [ENTER]),
    ("filtered", {"alpha": LegSketch(depth=99)}, {"filters": {"min_depth_usd": 100.0}}, [ENTER]),
    ("no_volume", {}, {"impact_coefficient": 0.1}, [ENTER]),
    ("below_min_notional", {}, {"min_notional_usd": 5_000.01}, [ENTER]),
    ("margin", {}, {"position_size_usd": 5_000.01}, [ENTER]),
    ("no_position", {}, {}, [Exit(0)]),
    ("no_position", {}, {}, [Exit(7)]),
]


@pytest.mark.parametrize(("reason", "legs", "changes", "orders"), REFUSALS)
def test_every_refusal(
    reason: str, legs: dict[str, LegSketch], changes: dict[str, Any], orders: list[Enter | Exit]
) -> None:
    market = small_market(two_coins(**legs), 4)
    result = simulate(market, plain_settings(**changes), {1: orders}, 0, 3)
    assert result.refused == [(1, reason)]
    assert len(result.trades) == len(orders) - 1


def test_limits_that_are_just_met_are_accepted() -> None:
    legs = {name: LegSketch(volume=100, spread=0.01, depth=10, delisting=(3, 0)) for name in ("alpha", "beta")}
    filters = {"min_volume_24h_usd": 100.0, "max_bid_ask_spread": 0.01, "min_depth_usd": 10.0}
    settings = plain_settings(min_notional_usd=5_000.0, min_history_hours=2, filters=filters)
    result = simulate(small_market(two_coins(**legs), 5), settings, {1: [ENTER]}, 0, 4)
    assert result.refused == []
    assert [(trade.duration_hours, trade.exit_reason) for trade in result.trades] == [(1, "delisting")]


def test_margin_counts_what_is_open_and_two_pairs_may_share_a_coin() -> None:
    # Two positions of 2 * 2,000 fit into 10,000, on one coin through other legs; the third would make 12,000.
    settings = plain_settings(max_positions=3, position_size_usd=2_000.0)
    orders = {0: [ENTER, Enter("BTCUSDT", "alpha", "gamma"), Enter("ETHUSDT", "alpha", "beta")]}
    result = simulate(small_market(two_coins(), 3), settings, orders, 0, 2)
    assert [(trade.symbol, trade.short_exchange) for trade in result.trades] == [
        ("BTCUSDT", "beta"),
        ("BTCUSDT", "gamma"),
    ]
    assert result.refused == [(0, "margin")]


def test_exits_come_before_entries_and_the_lowest_free_slot_is_taken() -> None:
    pairs = [Enter(coin, "alpha", "beta") for coin in ("BTCUSDT", "ETHUSDT")] + [Enter("BTCUSDT", "beta", "gamma")]
    settings = plain_settings(max_positions=2, position_size_usd=1_000.0)
    orders: dict[int, Sequence[Enter | Exit]] = {0: pairs[:2], 1: [pairs[2], Exit(0)], 2: [Exit(0)]}
    result = simulate(small_market(two_coins(), 4), settings, orders, 0, 3)
    assert [(trade.position_id, trade.duration_hours, trade.exit_reason) for trade in result.trades] == [
        (1, 1, "exit"),
        (3, 1, "exit"),
        (2, 3, "end_of_data"),
    ]


# --- latency ---


def test_latency_fills_later_at_later_prices() -> None:
    # Decided at 0 and 2, filled at 2 and 4: mid at row 2 is 100, fills 98 and 102; exits 97 and 105.
    prices = [10, 20, 100, 100, 100, 100, 100]
    result = run(
        LegSketch(price=prices, fill=[1, 2, 98, 3, 97, 4, 5]),
        LegSketch(price=prices, fill=[1, 2, 102, 3, 105, 4, 5]),
        {0: [ENTER, ENTER, Exit(0)], 2: [Exit(0), Exit(0)]},
        7,
        plain_settings(latency_hours=2, max_positions=2, position_size_usd=5_000.0),
    )
    trade = result.trades[0]
    assert [row.hour for row in result.ledger] == [2, 2, 4, 4, 4, 4]
    assert float(trade.quantity) == near(50)
    assert [float(row.price) for row in result.ledger if row.kind == "fee"] == [98, 102, 97, 105]
    # In row 0 the exit is looked at first: the slot holds nothing yet.
    assert result.refused == [(0, "no_position"), (0, "already_held"), (2, "already_pending")]


def test_a_pending_order_is_cancelled_by_a_stale_leg_and_by_the_end() -> None:
    result = run(
        LegSketch(price=[100, NAN, 100, 100, NAN, 100, 100]),
        LegSketch(),
        {0: [ENTER], 1: [ENTER], 3: [Exit(0)], 5: [Exit(0)]},
        7,
        plain_settings(latency_hours=1),
    )
    assert result.refused == [(1, "stale_leg"), (4, "stale_leg"), (6, "end_of_data")]
    assert [(trade.duration_hours, trade.exit_reason) for trade in result.trades] == [(4, "end_of_data")]


def test_a_pending_entry_holds_its_slot() -> None:
    market = small_market(two_coins(), 5)
    other = Enter("ETHUSDT", "alpha", "beta")
    orders: dict[int, list[Enter | Exit]] = {0: [ENTER], 1: [other, Exit(0)], 3: [other]}
    result = simulate(market, plain_settings(latency_hours=2), orders, 0, 4)
    assert result.refused == [(1, "no_position"), (1, "no_free_slot"), (3, "no_free_slot")]


def test_protection_takes_a_pending_exit_along() -> None:
    result = run(
        LegSketch(price=[100, 100, 90, 90, 90]),
        LegSketch(),
        {0: [ENTER], 1: [Exit(0)]},
        5,
        plain_settings(latency_hours=1, max_position_loss_pct=-1.5),
    )
    # Filled at row 1 before the order of row 1; that exit waits for row 2, where the stop-loss comes first.
    assert [(trade.duration_hours, trade.exit_reason) for trade in result.trades] == [(1, "stop_loss")]
    assert result.refused == []


def test_an_immediate_exit_leaves_a_stale_leg_at_the_carried_price() -> None:
    result = run(LegSketch(price=[100, NAN, NAN]), LegSketch(fill=100), {0: [ENTER], 1: [Exit(0)]}, 3)
    assert (result.trades[0].duration_hours, float(result.trades[0].exit_long_price)) == (1, 100)
    assert result.fills_at_last_trade == 2


def test_drawdown_is_on_hourly_equity_and_starts_at_the_capital() -> None:
    # Long from 100, q = 50: 10,500 at row 1, 9,500 at row 2: 1,000 / 10,500.
    free = {name: (FeeRow(since=date(2020, 1, 1), maker=0, taker=0),) for name in ("alpha", "beta")}
    prices = [100, 110, 90, 100]
    result = run(LegSketch(price=prices), LegSketch(), {0: [ENTER]}, 4, plain_settings(fees=free))
    assert float(result.max_drawdown_pct) == near(1000 / 105)
    falling = run(LegSketch(fill=110), LegSketch(), {0: [ENTER]}, 2, plain_settings(fees=free))
    assert float(falling.max_drawdown_pct) == near(5)
