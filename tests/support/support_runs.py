"""Saved runs for tests, built position by position: ledger, trades and equity tell one story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from adapters.storage.saved_run import SavedRun

START = 474_000
"""Hour number of row 0."""
FEE_RATE = 0.0005


@dataclass(frozen=True)
class Made:
    """One position by rows; ``funding`` is (row, leg, USD), ``closed`` None leaves it open; fills by (long, short)."""

    opened: int = 2
    closed: int | None = 8
    symbol: str = "BTCUSDT"
    exchanges: tuple[str, str] = ("alpha", "beta")
    quantity: float = 10.0
    entry: tuple[float, float] = (100.0, 100.0)
    exit: tuple[float, float] = (110.0, 109.0)
    funding: Sequence[tuple[int, str, float]] = ()
    reason: str = "signal"
    fee_rate: float = FEE_RATE
    legs: tuple[str, ...] = ("long", "short")
    moved: Mapping[int, float] = field(default_factory=dict)  # USD between wallets or out of them, by row


def time(row: int) -> pd.Timestamp:
    return pd.Timestamp((START + row) * 3600, unit="s", tz="UTC")


def marks(symbol: str, exchange: str, row: int) -> float:
    """A price that every run sees alike."""
    seed = sum(map(ord, symbol + exchange))
    return 100 + 5 * float(np.sin(seed + 0.7 * row)) + 0.3 * row


def made_run(
    positions: Sequence[Made],
    hours: Sequence[int],
    *,
    capital: float = 10_000.0,
    name: str = "run",
    settings: Mapping[str, Any] | None = None,
) -> SavedRun:
    """A run over the rows ``hours``; rows may be missing in between, where the service was down."""
    entries: list[dict[str, Any]] = []
    trades: list[dict[str, Any]] = []
    for number, made in enumerate(positions, start=1):
        entries += _entries(number, made, last=max(hours))
        if made.closed is not None and made.closed <= max(hours):
            trades.append({"position_id": number, "exit_reason": made.reason})
    ledger = pd.DataFrame(entries, columns=COLUMNS).sort_values("row", kind="stable", ignore_index=True)
    rows = [_hour(row, ledger, positions, capital) for row in hours]
    manifest = {"strategy": name, "settings": {"initial_capital_usd": capital, **(settings or {})}}
    return SavedRun(
        Path(name), {}, manifest, pd.DataFrame(trades, columns=["position_id", "exit_reason"]),
        ledger.drop(columns="row").assign(time=pd.to_datetime(ledger["row"].map(time), utc=True)),
        pd.DataFrame(rows), pd.DataFrame(),
    )  # fmt: skip


COLUMNS = ("row", "position_id", "kind", "leg", "exchange", "symbol", "quantity", "price", "rate", "amount_usd")


def _entries(number: int, made: Made, last: int) -> list[dict[str, Any]]:
    found = []

    def book(row: int, kind: str, leg: str, price: float, amount: float) -> None:
        exchange = made.exchanges[leg == "short"] if leg in made.legs else "alpha"
        values = (row, number, kind, leg, exchange, made.symbol, made.quantity, price, FEE_RATE, amount)
        if row <= last:
            found.append(dict(zip(COLUMNS, values, strict=True)))

    for leg in made.legs:
        sign, entry, leave = _side(made, leg)
        book(made.opened, "fee", leg, entry, -made.fee_rate * made.quantity * entry)
        if made.closed is not None:
            book(made.closed, "fee", leg, leave, -made.fee_rate * made.quantity * leave)
            book(made.closed, "price", leg, leave, sign * made.quantity * (leave - entry))
    for row, leg, usd in made.funding:
        book(row, "funding", leg, 100.0, usd)
    for row, usd in made.moved.items():
        book(row, "transfer_fee", "none", float("nan"), usd)
    return found


def _side(made: Made, leg: str) -> tuple[int, float, float]:
    k = 0 if leg == "long" else 1
    return (1 if leg == "long" else -1), made.entry[k], made.exit[k]


def _hour(row: int, ledger: pd.DataFrame, positions: Sequence[Made], capital: float) -> dict[str, Any]:
    cash = capital + float(ledger["amount_usd"][ledger["row"] <= row].sum())
    held = [made for made in positions if made.opened <= row and (made.closed is None or made.closed > row)]
    value = sum(_value(made, leg, row) for made in held for leg in made.legs)
    equity = {"equity_usd": cash + value, "cash_usd": cash, "unrealised_usd": value}
    return {"time": time(row), **equity, "open_positions": len(held)}


def _value(made: Made, leg: str, row: int) -> float:
    sign, entry, _ = _side(made, leg)
    return sign * made.quantity * (marks(made.symbol, made.exchanges[leg == "short"], row) - entry)
