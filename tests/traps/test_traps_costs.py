"""Traps 1 to 3: what trading costs, and that everybody is charged the same."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from hand_runs import ALPHA, BETA, ENTER, features_at, near, play, play_pair
from reference_records import Exit
from small_market import LegSketch, plain_settings, small_market

import adapters
from adapters.configuration.settings import load_settings
from engine.accounting.books import OrderKind
from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.tape import prepare
from engine.errors import SettingsError
from engine.observation.features import COLUMN
from engine.settings import EngineSettings, FeeRow, fee_rate

FLAT = LegSketch(price=100, fill=100)
HOLD, BUY, SELL = (0, 0), (int(OrderKind.ENTER), 0), (int(OrderKind.EXIT), 0)


def row(since: str, taker: float, maker: float = 0.0001, source: str = "") -> FeeRow:
    return FeeRow(since=date.fromisoformat(since), maker=maker, taker=taker, source=source)


@pytest.mark.trap(1)
def test_trap_01_the_rate_is_that_of_the_latest_row_dated_at_or_before_the_fill() -> None:
    # The market starts on 2024-01-01; row 24 is the first hour of the day on which alpha becomes dearer.
    fees = {
        "alpha": (row("2024-01-02", 0.001), row("2023-01-01", 0.0005)),
        "beta": (row("2031-01-01", 0.001), row("2030-01-01", 0.0006)),
    }
    played = play_pair(FLAT, FLAT, 30, {0: [ENTER], 24: [Exit(0)]}, fees=fees)
    # Beta has no row for 2024, so its earliest one counts.
    expected = [(0, "long", near(-2.5)), (0, "short", near(-3)), (24, "long", near(-5)), (24, "short", near(-3))]
    assert played.booked("fee") == expected


@pytest.mark.trap(1)
def test_trap_01_the_hash_of_the_table_changes_with_every_rate_and_date_but_not_with_its_source() -> None:
    def hash_of(*rows: FeeRow) -> str:
        return EngineSettings(fees={"bybit": rows}).cost_table_hash()

    plain = hash_of(row("2025-01-01", 0.0005))
    others = [
        hash_of(row("2025-01-01", 0.0004)),
        hash_of(row("2025-01-01", 0.0005, maker=0)),
        hash_of(row("2025-01-02", 0.0005)),
        hash_of(row("2025-01-01", 0.0005), row("2026-01-01", 0.0005)),
        EngineSettings(fees={"okx": (row("2025-01-01", 0.0005),)}).cost_table_hash(),
    ]
    assert len({plain, *others}) == 6
    assert hash_of(row("2025-01-01", 0.0005, source="elsewhere")) == plain


@pytest.mark.trap(1)
def test_trap_01_an_exchange_without_rates_is_refused_not_free() -> None:
    market = small_market({ALPHA: FLAT, ("BTCUSDT", "omega"): FLAT}, 3)
    with pytest.raises(SettingsError, match="no fee rates for exchange omega"):
        prepare(market, plain_settings())


@pytest.mark.trap(1)
def test_trap_01_no_published_rate_stands_in_the_code() -> None:
    root = Path(adapters.__file__).parent.parent
    table = yaml.safe_load((root / "configs" / "fees.yaml").read_text())
    ordinary = [one for rows in table.values() for one in rows if "tier" not in one]
    rates = {rate for one in ordinary for rate in (one["maker"], one["taker"]) if rate}
    assert {0.0005, 0.00055, 0.00045} <= rates
    literals = {
        (path.relative_to(root).as_posix(), node.value)
        for package in ("engine", "strategies", "rl_training", "adapters")
        for path in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value in rates
    }
    assert literals == set()


@pytest.mark.trap(2)
def test_trap_02_a_buyer_pays_more_and_a_seller_gets_less_on_all_four_fills() -> None:
    # 10 bps slippage, and beta quotes a spread of 20 bps, half of which is paid.
    beta = LegSketch(price=100, fill=100, spread=0.002)
    trade = play_pair(FLAT, beta, 4, {0: [ENTER], 2: [Exit(0)]}, slippage_bps=10.0).records.trades[0]
    assert trade["long_entry"] == near(100.1)
    assert trade["short_entry"] == near(99.8)
    assert trade["long_exit"] == near(99.9)
    assert trade["short_exit"] == near(100.2)
    assert trade["slippage"] == near(50 * (0.1 + 0.2 + 0.1 + 0.2))
    assert trade["price_pnl"] == near(-50 * 0.6)


@pytest.mark.trap(2)
def test_trap_02_market_orders_pay_taker_fees_and_each_exchange_its_own() -> None:
    fills = {0: [ENTER], 1: [Exit(0)]}
    taker = play_pair(FLAT, FLAT, 3, fills).booked("fee")
    assert [amount for _, _, amount in taker] == [near(-2.5), near(-3.0), near(-2.5), near(-3.0)]


@pytest.mark.trap(2)
@pytest.mark.parametrize("value", ["maker", "taker"])
def test_trap_02_a_sure_fill_at_the_rate_of_resting_orders_cannot_be_set(value: str) -> None:
    with pytest.raises(SettingsError, match=r"liquidity = .*: no setting any more.*set execution to maker_then_hedge"):
        load_settings(None, [f"liquidity={value}"])
    rows = (FeeRow(since=date(2024, 1, 1), maker=0.0001, taker=0.0007),)
    when = datetime(2025, 1, 1, tzinfo=UTC)
    assert (fee_rate(rows, "taker", when), fee_rate(rows, "maker", when)) == (0.0007, 0.0001)


@pytest.mark.trap(2)
def test_trap_02_protective_and_final_exits_pay_slippage_and_fees_too() -> None:
    falling = LegSketch(price=[100, 100, 90, 90], fill=[100, 100, 90, 90])
    stopped = play_pair(falling, FLAT, 4, slippage_bps=10.0, max_position_loss_pct=-2.0)
    ended = play_pair(FLAT, FLAT, 4, slippage_bps=10.0)
    assert (stopped.exits(), ended.exits()) == ([(2, "stop_loss")], [(3, "end_of_data")])
    for played, price in ((stopped, 90), (ended, 100)):
        trade = played.records.trades[0]
        assert (trade["long_exit"], trade["short_exit"]) == (near(price * 0.999), near(100.1))
        assert len(played.booked("fee")) == 4


@pytest.mark.trap(3)
@pytest.mark.trap(16)
@pytest.mark.parametrize("close_at_end", [True, False])
def test_trap_03_steps_gain_what_the_ledger_books_once_costs_and_forced_close_included(close_at_end: bool) -> None:
    """What rewards are made of. 50 coins; entry costs 50 * 100 * (0.0011 + 2 * 0.001) = 15.5 with slippage."""
    legs = {ALPHA: LegSketch(price=[100, 100, 101, 101], fill=100), BETA: LegSketch(fill=100, rates={1: 0.001})}
    tape = prepare(small_market(legs, 4), plain_settings(slippage_bps=10.0))
    loop = HourlyLoop(tape, close_at_end=close_at_end)
    loop.start(0, 3)
    gains = [float(loop.advance(order_records([order]))[0]) for order in (BUY, HOLD, HOLD)]
    records, books = loop.drain(), loop.books.portfolios[0]
    paid = 50 * (100.1 * 0.0005 + 99.9 * 0.0006 + 0.2)
    # The entry is paid in the step that orders it; funding of row 1 arrives in the same step, the price gain later.
    closing = -50 * (101 - 99.9 + 0.1 + 99.9 * 0.0005 + 100.1 * 0.0006) if close_at_end else 0.0
    assert gains == near([5.0 - paid, 50.0, closing])
    assert sum(gains) == near(float(books["equity"]) - 10_000)
    unrealised = float(books["equity"] - books["cash"])
    assert np.sum(records.ledger["amount"]) + unrealised == near(sum(gains))
    assert unrealised == near(0.0 if close_at_end else 50 * 1.0 - 50 * 0.2)


@pytest.mark.trap(3)
def test_trap_03_a_stress_multiple_scales_what_is_booked_and_what_is_shown() -> None:
    """Fees in the ledger and the cost that a strategy or policy sees come from one table and one multiple."""
    played = play({ALPHA: FLAT, BETA: FLAT}, 3, {0: [ENTER], 1: [Exit(0)]}, cost_multiple=3.0, slippage_bps=10.0)

    shown = features_at(played, 0)[0, COLUMN["positionCostPercent"]]
    assert shown == near(3 * 2 * (0.05 + 0.06))
    trade = played.records.trades[0]
    assert trade["long_entry"] == near(100.3)
    assert trade["entry_fees"] == near(3 * 50 * (0.0005 * 100.3 + 0.0006 * 99.7))
