"""What a run leaves behind: rows of ledger, trades, notes and hours, exactly as the kernel wrote them.

Metrics and files are pure functions of these rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.books import HOUR, LEDGER, NOTE, TRADE, Books, Kind


@dataclass(frozen=True, eq=False)
class Records:
    """Rows in the order of their making; hours are rows of the market. Counters are those of the portfolio so far."""

    ledger: NDArray[Any]
    trades: NDArray[Any]
    notes: NDArray[Any]
    hours: NDArray[Any]
    missing_settlements: int = 0
    fills_at_last_trade: int = 0
    stale_hours: int = 0


NO_RECORDS = Records(np.zeros(0, LEDGER), np.zeros(0, TRADE), np.zeros(0, NOTE), np.zeros(0, HOUR))


def drain(books: Books, b: int) -> Records:
    """Copy the records of portfolio b out of the books and empty its buffers."""
    portfolio: Any = books.portfolios[b]
    records = Records(
        books.ledger[b, : portfolio["ledger_rows"]].copy(),
        books.trades[b, : portfolio["trade_rows"]].copy(),
        books.notes[b, : portfolio["note_rows"]].copy(),
        books.hours[b, : portfolio["hour_rows"]].copy(),
        int(portfolio["missing_settlements"]),
        int(portfolio["fills_at_last_trade"]),
        int(portfolio["stale_hours"]),
    )
    for field in ("ledger_rows", "trade_rows", "note_rows", "hour_rows"):
        books.portfolios[field][b] = 0
    return records


def join(parts: Sequence[Records]) -> Records:
    """One run from its drained parts. Funding that was booked after a trade's close is added to the trade."""
    if not parts:
        return NO_RECORDS
    # The counters of a portfolio run on through all parts: the last one has the totals.
    joined = replace(
        parts[-1],
        ledger=np.concatenate([part.ledger for part in parts]),
        trades=np.concatenate([part.trades for part in parts]),
        notes=np.concatenate([part.notes for part in parts]),
        hours=np.concatenate([part.hours for part in parts]),
    )
    return replace(joined, trades=_with_late_funding(joined.trades, joined.ledger))


def _with_late_funding(trades: NDArray[Any], ledger: NDArray[Any]) -> NDArray[Any]:
    funding = ledger[ledger["kind"] == int(Kind.FUNDING)]
    if not len(trades) or not len(funding):
        return trades
    # A position that is still open has no trade, so nothing of it is late.
    closed = np.full(int(max(trades["position_id"].max(), funding["position_id"].max())) + 1, np.iinfo(np.int64).max)
    closed[trades["position_id"]] = trades["closed"]
    # The row of a trade was written at its close, before a settlement that was published later.
    late = funding[funding["hour"] > closed[funding["position_id"]]]
    extra = np.zeros(len(closed))
    np.add.at(extra, late["position_id"], late["amount"])
    updated = trades.copy()
    updated["funding"] += extra[trades["position_id"]]
    return updated


def trade_pnl(trades: NDArray[Any]) -> NDArray[np.float64]:
    """Profit and loss of each trade in USD: price P&L plus funding minus the fees of its fills and liquidations."""
    pnl: NDArray[np.float64] = trades["price_pnl"] + trades["funding"] - trades["entry_fees"] - trades["exit_fees"]
    pnl -= trades["liquidation_fees"]
    return pnl


def hold_hours(trades: NDArray[Any]) -> NDArray[np.int64]:
    """Hours from entry to exit of each trade."""
    hours: NDArray[np.int64] = trades["closed"] - trades["opened"]
    return hours
