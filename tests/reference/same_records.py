"""Whether the kernel and the second implementation say the same, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from market_strategies import Case
from reference_engine import simulate
from reference_records import ReferenceResult
from scripted import Scripted

from engine.accounting.books import Kind, Leg, Reason
from engine.accounting.records import Records, trade_pnl
from engine.accounting.tape import prepare
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.market.data import MarketData, directed_pairs
from engine.market.schedule import ACTUAL
from engine.observation.opportunities import OpportunityBuilder

TOLERANCE = 1e-9


def simulated(case: Case) -> ReferenceResult:
    """What the second implementation makes of a case."""
    return simulate(case.market, case.settings, case.orders, case.first, case.last)


def played(case: Case) -> Records:
    """What the kernel makes of a case."""
    tape = prepare(case.market, case.settings)
    return run_backtest(OpportunityBuilder(tape), Scripted(case.market, case.orders), case.first, case.last)


def close(ours: float, theirs: Any, scale: float = 1.0) -> bool:
    return abs(ours - float(theirs)) <= TOLERANCE * max(scale, abs(float(theirs)))


def ledger_rows(records: Records, market: MarketData) -> list[tuple[Any, ...]]:
    return [
        (
            int(row["hour"]),
            int(row["position_id"]),
            Kind(row["kind"]).name.lower(),
            Leg(row["side"]).name.lower(),
            market.leg_name(int(row["leg"]))[0] if row["leg"] >= 0 else "",
            (*market.exchanges, "in_transit")[row["exchange"]],
            bool(row["booking"] != ACTUAL),
        )
        for row in records.ledger
    ]


def assert_same_ledger(records: Records, reference: ReferenceResult, market: MarketData, capital: float) -> None:
    theirs = [
        (row.hour, row.position_id, row.kind, row.leg, row.symbol, row.exchange, row.imputed)
        for row in reference.ledger
    ]
    assert ledger_rows(records, market) == theirs
    for ours, row in zip(records.ledger, reference.ledger, strict=True):
        assert close(ours["amount"], row.amount, capital), (ours, row)
        assert close(ours["quantity"], row.quantity), (ours, row)
        assert np.isnan(ours["price"]) if row.price is None else close(ours["price"], row.price), (ours, row)
        assert np.isnan(ours["rate"]) if row.rate is None else close(ours["rate"], row.rate), (ours, row)


def assert_same_hours(records: Records, reference: ReferenceResult, capital: float) -> None:
    assert records.hours["open_positions"].tolist() == reference.open_positions
    for ours, equity, cash in zip(records.hours, reference.equity, reference.cash, strict=True):
        assert close(ours["equity"], equity, capital), (ours, float(equity))
        assert close(ours["cash"], cash, capital), (ours, float(cash))


def assert_same_trades(records: Records, reference: ReferenceResult, market: MarketData, capital: float) -> None:
    pairs = directed_pairs(market)
    pnl = trade_pnl(records.trades)
    for ours, total, theirs in zip(records.trades, pnl, reference.trades, strict=True):
        symbol, long_exchange = market.leg_name(int(pairs.long_leg[ours["pair"]]))
        short_exchange = market.leg_name(int(pairs.short_leg[ours["pair"]]))[1]
        assert int(ours["position_id"]) == theirs.position_id
        assert (symbol, long_exchange, short_exchange) == (theirs.symbol, theirs.long_exchange, theirs.short_exchange)
        assert int(ours["closed"] - ours["opened"]) == theirs.duration_hours
        assert (int(ours["long_closed"]), int(ours["short_closed"])) == theirs.exit_rows
        assert Reason(ours["reason"]).name.lower() == theirs.exit_reason.replace("exit", "signal")
        for name, value in {
            "quantity": theirs.quantity,
            "notional": theirs.position_size_usd,
            "long_entry": theirs.entry_long_price,
            "short_entry": theirs.entry_short_price,
            "long_exit": theirs.exit_long_price,
            "short_exit": theirs.exit_short_price,
            "entry_fees": theirs.entry_fees_usd,
            "exit_fees": theirs.exit_fees_usd,
            "liquidation_fees": theirs.liquidation_fees_usd,
            "funding": theirs.funding_usd,
            "price_pnl": theirs.price_pnl_usd,
            "slippage": theirs.slippage_usd,
        }.items():
            same = np.isnan(ours[name]) if value is None else close(ours[name], value, capital)
            assert same, (name, ours, theirs)
        assert close(total, theirs.pnl_usd, capital)


def assert_same(case: Case, reference: ReferenceResult | None = None) -> None:
    """``reference`` is what the second implementation makes of the case, where it is known already."""
    records, reference = played(case), reference or simulated(case)
    capital = case.settings.initial_capital_usd
    assert_same_ledger(records, reference, case.market, capital)
    assert_same_hours(records, reference, capital)
    assert_same_trades(records, reference, case.market, capital)
    notes = [(int(note["hour"]), Reason(note["reason"]).name.lower()) for note in records.notes]
    assert notes == reference.refused
    metrics = compute_metrics(records, capital)
    assert metrics["missing_settlements"] == reference.missing_settlements
    assert metrics["fills_at_last_trade"] == reference.fills_at_last_trade
    assert close(metrics["max_drawdown_pct"] or 0.0, reference.max_drawdown_pct)
