"""Metrics of docs/design.md section 7: by hand on small series, by a second formula on random ones, where undefined."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.accounting.books import HOUR, LEDGER, NOTE, TRADE, Kind
from engine.accounting.records import Records, join
from engine.analysis.metrics import Metrics, compute_metrics, return_metrics, trade_metrics
from engine.market.schedule import ACTUAL, IMPUTED, REVERSAL

NAMES = (
    *("initial_capital_usd", "final_equity_usd", "pnl_usd", "pnl_pct", "pnl_pct_per_7d", "trades", "win_rate_pct"),
    *("profit_factor", "avg_trade_hours", "sharpe", "sharpe_trades", "sortino", "max_drawdown_pct", "avg_win_usd"),
    *("avg_loss_usd", "win_loss_ratio", "fees_usd", "funding_usd", "price_pnl_usd", "slippage_usd", "exposure_pct"),
    *("assumed_funding_pct", "missing_settlements", "stale_hours", "fills_at_last_trade", "hours"),
    *("liquidations", "liquidation_fees_usd", "transfers", "transfer_costs_usd", "leg_failures"),
)


def rows_of(dtype: np.dtype[Any], rows: Sequence[Mapping[str, float]]) -> Any:
    out = np.zeros(len(rows), dtype)
    for row, values in zip(out, rows, strict=True):
        for name, value in values.items():
            row[name] = value
    return out


def trade(pnl: float, hours: int = 10, notional: float = 1_000.0, **more: float) -> dict[str, float]:
    """A trade whose price P&L makes up the rest of the wanted P&L."""
    parts = {"funding": 3.0, "entry_fees": 1.0, "exit_fees": 2.0, **more}
    price_pnl = pnl - parts["funding"] + parts["entry_fees"] + parts["exit_fees"]
    return {"opened": 5, "closed": 5 + hours, "notional": notional, "price_pnl": price_pnl, **parts}


def records_of(
    equity: Sequence[float],
    trades: Sequence[Mapping[str, float]] = (),
    ledger: Sequence[tuple[Kind, float]] = (),
    committed: Sequence[float] | None = None,
    **counters: int,
) -> Records:
    used = committed or [0.0] * len(equity)
    hours = [
        {"hour": t, "equity": e, "cash": e, "committed": c} for t, (e, c) in enumerate(zip(equity, used, strict=True))
    ]
    entries = [{"kind": int(kind), "amount": amount} for kind, amount in ledger]
    return Records(
        rows_of(LEDGER, entries), rows_of(TRADE, trades), np.zeros(0, NOTE), rows_of(HOUR, hours), **counters
    )


def metric(name: str, metrics: Metrics) -> Any:
    return metrics[name]


def test_a_run_by_hand() -> None:
    records = records_of(
        [1_010.0, 990.0, 1_020.0, 1_020.0],
        [trade(30.0, 4, 500.0, slippage=0.4), trade(-10.0, 8, 250.0, slippage=0.6)],
        [
            *((Kind.FEE, -2.0), (Kind.FEE, -4.0), (Kind.FUNDING, 6.0), (Kind.FUNDING, -1.0), (Kind.PRICE, 24.5)),
            *((Kind.LIQUIDATION_FEE, -0.5), (Kind.LIQUIDATION_FEE, -1.0), (Kind.TRANSFER_FEE, -2.0)),
            *((Kind.TRANSFER, -90.0), (Kind.TRANSFER, 90.0)),
        ],
        committed=[500.0, 990.0, 0.0, 0.0],
        missing_settlements=2,
        stale_hours=3,
        fills_at_last_trade=1,
    )
    metrics = compute_metrics(records, 1_000.0)
    returns = [0.01, 990 / 1010 - 1, 1020 / 990 - 1, 0.0]
    mean, year = sum(returns) / 4, 8760**0.5
    downside = (returns[1] ** 2 / 3) ** 0.5
    assert metrics == pytest.approx(
        {
            "initial_capital_usd": 1_000.0,
            "final_equity_usd": 1_020.0,
            "pnl_usd": 20.0,
            "pnl_pct": 2.0,
            "pnl_pct_per_7d": 2.0 * 168 / 4,
            "trades": 2,
            "win_rate_pct": 50.0,
            "profit_factor": 3.0,
            "avg_trade_hours": 6.0,
            "sharpe": mean / statistics.stdev(returns) * year,
            # 3 % and -2 % of 2N, twelve trades a day.
            "sharpe_trades": 0.5 / statistics.stdev([3.0, -2.0]) * (2 / (4 / 24)) ** 0.5,
            "sortino": mean / downside * year,
            "max_drawdown_pct": 100 * 20 / 1010,
            "avg_win_usd": 30.0,
            "avg_loss_usd": -10.0,
            "win_loss_ratio": 3.0,
            "fees_usd": 6.0,
            "liquidation_fees_usd": 1.5,
            "transfer_costs_usd": 2.0,
            "funding_usd": 5.0,
            "price_pnl_usd": 24.5,
            "slippage_usd": 1.0,
            "exposure_pct": 100 * (500 / 1010 + 990 / 990) / 4,
            "break_even_cost_multiple": (20 + 10.5) / 10.5,
            "assumed_funding_pct": 0.0,
            "missing_settlements": 2,
            "stale_hours": 3,
            "fills_at_last_trade": 1,
            "liquidations": 2,
            "transfers": 1,
            "leg_failures": 0,
            "hours": 4,
        },
        rel=1e-12,
    )


def test_every_metric_of_the_contract_is_there_and_one_more() -> None:
    metrics = compute_metrics(records_of([1.0]), 1.0)
    assert set(metrics) == {*NAMES, "break_even_cost_multiple"}


@pytest.mark.parametrize(
    ("amounts", "share"),
    [
        ([], 0.0),
        ([(5.0, ACTUAL)], 0.0),
        ([(-5.0, IMPUTED)], 100.0),
        ([(6.0, ACTUAL), (-3.0, ACTUAL), (-1.0, IMPUTED)], 10.0),
        # What was taken back is neither assumed nor funding; what was assumed at zero weighs nothing.
        ([(8.0, ACTUAL), (-2.0, IMPUTED), (2.0, REVERSAL), (-2.0, IMPUTED), (0.0, IMPUTED)], 20.0),
    ],
)
def test_share_of_funding_that_is_assumed(amounts: list[tuple[float, int]], share: float) -> None:
    records = records_of([1.0], ledger=[(Kind.FUNDING, amount) for amount, _ in amounts])
    records.ledger["booking"] = [booking for _, booking in amounts]
    assert compute_metrics(records, 1.0)["assumed_funding_pct"] == pytest.approx(share)


def test_without_trades_the_trade_metrics_are_undefined_and_money_is_zero() -> None:
    metrics = compute_metrics(records_of([500.0, 500.0, 500.0]), 500.0)
    undefined = {name for name, value in metrics.items() if value is None}
    assert undefined == {
        *("win_rate_pct", "profit_factor", "avg_trade_hours", "sharpe", "sharpe_trades", "sortino"),
        *("avg_win_usd", "avg_loss_usd", "win_loss_ratio", "break_even_cost_multiple"),
    }
    money = ("pnl_usd", "pnl_pct", "fees_usd", "funding_usd", "price_pnl_usd", "slippage_usd", "max_drawdown_pct")
    assert [metrics[name] for name in money] == [0.0] * 7
    assert "-" not in repr([metrics[name] for name in money])


@pytest.mark.parametrize(
    ("pnls", "expected"),
    [
        ([4.0, 2.0], {"profit_factor": None, "win_loss_ratio": None, "avg_loss_usd": None, "win_rate_pct": 100.0}),
        ([-4.0], {"profit_factor": 0.0, "win_loss_ratio": None, "avg_win_usd": None, "win_rate_pct": 0.0}),
        ([0.0, 5.0, -2.0, -3.0], {"profit_factor": 1.0, "win_loss_ratio": 2.0, "win_rate_pct": 25.0}),
        ([0.0], {"profit_factor": None, "avg_win_usd": None, "avg_loss_usd": None, "win_rate_pct": 0.0}),
    ],
)
def test_wins_and_losses(pnls: list[float], expected: dict[str, float | None]) -> None:
    metrics = trade_metrics(rows_of(TRADE, [trade(pnl) for pnl in pnls]), 24)
    assert {name: metrics[name] for name in expected} == expected


def test_sharpe_of_trades_needs_two_that_differ() -> None:
    for pnls in ([], [3.0], [3.0, 3.0, 3.0]):
        assert trade_metrics(rows_of(TRADE, [trade(pnl) for pnl in pnls]), 24)["sharpe_trades"] is None
    assert trade_metrics(rows_of(TRADE, [trade(1.0), trade(2.0)]), 0)["sharpe_trades"] is None


def test_a_trade_is_worth_its_price_pnl_and_funding_less_four_fees() -> None:
    """The P&L behind the metrics of trades, not the price P&L alone."""
    rows = [{"price_pnl": 1.0, "funding": 5.0, "entry_fees": 2.0, "exit_fees": 1.0, "notional": 100.0}]
    assert trade_metrics(rows_of(TRADE, rows), 24)["avg_win_usd"] == 3.0
    rows = [{"price_pnl": 1.0, "funding": -5.0, "entry_fees": 2.0, "exit_fees": 1.0, "notional": 100.0}]
    assert trade_metrics(rows_of(TRADE, rows), 24)["avg_loss_usd"] == -7.0


def test_returns_without_a_loss_have_no_sortino_and_constant_ones_no_sharpe() -> None:
    rising = return_metrics(np.array([100.0, 101.0, 103.0]))
    assert rising["sortino"] is None
    assert rising["max_drawdown_pct"] == 0.0
    assert metric("sharpe", rising) > 0
    assert return_metrics(np.array([100.0, 110.0]))["sharpe"] is None
    assert return_metrics(np.array([100.0, 200.0, 400.0]))["sharpe"] is None


def test_the_first_hour_counts_from_the_initial_capital() -> None:
    """Costs paid in the very first hour are a loss and a drawdown."""
    metrics = compute_metrics(records_of([990.0, 990.0]), 1_000.0)
    assert metrics["max_drawdown_pct"] == pytest.approx(1.0)
    assert metrics["pnl_pct"] == pytest.approx(-1.0)
    assert metric("sharpe", metrics) < 0


POSITIVE = st.floats(10, 1e6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(POSITIVE, st.floats(0, 5e5)), min_size=1, max_size=60), POSITIVE)
def test_hourly_metrics_agree_with_pandas(hours: list[tuple[float, float]], capital: float) -> None:
    equity = pd.Series([capital, *(value for value, _ in hours)])
    metrics = compute_metrics(records_of(equity[1:].tolist(), committed=[used for _, used in hours]), capital)
    returns = equity.pct_change().dropna()
    deviation = returns.std()
    drawdown = (equity.cummax() - equity) / equity.cummax() * 100
    used = pd.Series([used for _, used in hours]) / equity[1:].reset_index(drop=True)
    assert metrics["max_drawdown_pct"] == pytest.approx(drawdown.max(), rel=1e-9, abs=1e-12)
    assert metrics["exposure_pct"] == pytest.approx(100 * used.mean(), rel=1e-9)
    assert metrics["pnl_pct_per_7d"] == pytest.approx(
        (equity.iloc[-1] / capital - 1) * 100 / len(hours) * 168, rel=1e-9, abs=1e-9
    )
    if len(returns) < 2 or deviation < 1e-12:
        return
    assert metrics["sharpe"] == pytest.approx(np.sqrt(24 * 365) * returns.mean() / deviation, rel=1e-9, abs=1e-9)
    losses = returns.clip(upper=0)
    if (losses < -1e-12).any():
        below = (losses.pow(2).sum() / (len(returns) - 1)) ** 0.5
        assert metrics["sortino"] == pytest.approx(np.sqrt(24 * 365) * returns.mean() / below, rel=1e-9, abs=1e-9)


TRADES = st.lists(st.tuples(st.floats(-500, 500), st.integers(1, 200), st.floats(10, 5_000)), min_size=2, max_size=40)


@settings(max_examples=50, deadline=None)
@given(TRADES, st.integers(1, 5_000))
def test_trade_metrics_agree_with_pandas(rows: list[tuple[float, int, float]], hours: int) -> None:
    metrics = trade_metrics(rows_of(TRADE, [trade(pnl, held, size) for pnl, held, size in rows]), hours)
    table = pd.DataFrame(rows, columns=["pnl", "held", "size"])
    # The P&L comes back through price P&L, funding and fees, so a hair's breadth around zero may change its sign.
    table["pnl"] = [
        row["price_pnl"] + row["funding"] - row["entry_fees"] - row["exit_fees"] for row in (trade(*r) for r in rows)
    ]
    wins, losses = table["pnl"][table["pnl"] > 0], table["pnl"][table["pnl"] < 0]
    assert metrics["trades"] == len(rows)
    assert metrics["win_rate_pct"] == pytest.approx(100 * (table["pnl"] > 0).mean())
    assert metrics["avg_trade_hours"] == pytest.approx(table["held"].mean())
    if len(wins) and len(losses):
        assert metrics["profit_factor"] == pytest.approx(wins.sum() / abs(losses.sum()), rel=1e-9)
        assert metrics["win_loss_ratio"] == pytest.approx(wins.mean() / abs(losses.mean()), rel=1e-9)
    pct = 100 * table["pnl"] / (2 * table["size"])
    if pct.std() > 1e-9:
        expected = pct.mean() / pct.std() * (len(rows) * 24 / hours) ** 0.5
        assert metrics["sharpe_trades"] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_funding_that_is_booked_after_the_close_is_part_of_the_trade() -> None:
    ledger = [
        {"hour": 4, "position_id": 1, "kind": int(Kind.FUNDING), "amount": 1.0},
        {"hour": 6, "position_id": 1, "kind": int(Kind.FUNDING), "amount": 10.0},
        {"hour": 6, "position_id": 2, "kind": int(Kind.FUNDING), "amount": 100.0},
        {"hour": 7, "position_id": 1, "kind": int(Kind.FEE), "amount": 1_000.0},
        {"hour": 8, "position_id": 3, "kind": int(Kind.FUNDING), "amount": 5.0},
    ]
    trades = [
        {"position_id": 1, "opened": 1, "closed": 5, "funding": 1.0},
        {"position_id": 2, "opened": 1, "closed": 6, "funding": 100.0},
    ]
    parts = [
        Records(rows_of(LEDGER, ledger[:2]), rows_of(TRADE, trades[:1]), np.zeros(0, NOTE), np.zeros(0, HOUR), 1, 1, 1),
        Records(rows_of(LEDGER, ledger[2:]), rows_of(TRADE, trades[1:]), np.zeros(0, NOTE), np.zeros(0, HOUR), 3, 2, 4),
    ]
    joined = join(parts)
    assert joined.trades["funding"].tolist() == [11.0, 100.0]
    assert len(joined.ledger) == 5
    # Counters are totals of the portfolio, not sums over parts.
    assert (joined.missing_settlements, joined.fills_at_last_trade, joined.stale_hours) == (3, 2, 4)
