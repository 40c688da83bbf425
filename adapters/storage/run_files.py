"""The five files of a run (and the notes on orders that were not filled), as tables of what the kernel recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from adapters.storage.csv_files import write_table
from engine.accounting.books import Kind, Leg, NoteKind, OrderKind, Reason
from engine.accounting.records import Records, trade_pnl
from engine.accounting.tape import Tape
from engine.analysis.metrics import Metrics
from engine.market.schedule import ACTUAL
from engine.windows import time_of

IN_TRANSIT_NAME = "in_transit"


def write_run(folder: Path, records: Records, tape: Tape, metrics: Metrics, manifest: Mapping[str, Any]) -> None:
    """Write ``metrics.json``, ``trades.csv``, ``ledger.parquet``, ``equity.parquet``, ``manifest.json``, ``notes.csv``.

    The folder must exist; the caller sees to it that it appears whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", metrics)
    write_table(folder / "trades.csv", trades_frame(records, tape))
    ledger_frame(records, tape).to_parquet(folder / "ledger.parquet", index=False)
    equity_frame(records, tape).to_parquet(folder / "equity.parquet", index=False)
    write_table(folder / "notes.csv", notes_frame(records, tape))
    write_json(folder / "manifest.json", manifest)


def folder_name(strategy: str) -> str:
    """The folder of a strategy beside others: a name that every file system takes, without the path to its file."""
    place, colon, attribute = strategy.rpartition(":")
    return f"{PurePath(place).name.removesuffix('.py')}.{attribute}" if colon else strategy


def write_comparison(path: Path, results: Mapping[str, Metrics]) -> None:
    """One row of metrics for each strategy, at full precision."""
    write_table(path, pd.DataFrame([{"strategy": name, **metrics} for name, metrics in results.items()]))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """JSON with an end of line; a number that is not finite is an error, not a word that JSON does not know."""
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def trades_frame(records: Records, tape: Tape) -> pd.DataFrame:
    """Closed trades in the order of closing; money in USD, ``pnl_pct`` of 2N, prices are fills.

    A leg that failed to open has no prices and leaves in the hour of the entry.
    """
    trades = records.trades
    pnl = trade_pnl(trades)
    symbols, long_exchanges = _leg_names(tape, tape.pairs.long_leg[trades["pair"]])
    _, short_exchanges = _leg_names(tape, tape.pairs.short_leg[trades["pair"]])
    return pd.DataFrame(
        {
            "position_id": trades["position_id"],
            "symbol": symbols,
            "long_exchange": long_exchanges,
            "short_exchange": short_exchanges,
            "entry_time": _times(tape, trades["opened"]),
            "exit_time": _times(tape, trades["closed"]),
            "duration_hours": trades["closed"] - trades["opened"],
            "quantity": trades["quantity"],
            "position_size_usd": trades["notional"],
            "entry_long_price": trades["long_entry"],
            "entry_short_price": trades["short_entry"],
            "exit_long_price": trades["long_exit"],
            "exit_short_price": trades["short_exit"],
            "entry_fees_usd": trades["entry_fees"],
            "exit_fees_usd": trades["exit_fees"],
            "funding_usd": trades["funding"],
            "price_pnl_usd": trades["price_pnl"],
            "slippage_usd": trades["slippage"],
            "pnl_usd": pnl,
            # The notional is that of one leg, and a position has two.
            "pnl_pct": 100 * pnl / (2 * trades["notional"]),
            "exit_reason": _names(Reason, trades["reason"]),
            "liquidation_fees_usd": trades["liquidation_fees"],
            "exit_long_time": _times(tape, trades["long_closed"]),
            "exit_short_time": _times(tape, trades["short_closed"]),
        }
    )


def ledger_frame(records: Records, tape: Tape) -> pd.DataFrame:
    """Every movement of cash in order, USD, signed from the portfolio's view; ``assumed`` marks funding booked
    for a settlement that was missing, and its reversal. A transfer between exchanges has no leg and no symbol; what is
    on its way is at the exchange ``in_transit``."""
    ledger = records.ledger
    exchanges = np.array([*tape.market.exchanges, IN_TRANSIT_NAME], dtype=object)  # the last is that of IN_TRANSIT
    symbols = np.array([*tape.market.symbols, ""], dtype=object)
    # A transfer has leg -1 and takes the last entry, which leads to the empty name.
    symbol_of_leg = np.append(tape.market.leg_symbol, -1)
    return pd.DataFrame(
        {
            "time": _times(tape, ledger["hour"]),
            "position_id": ledger["position_id"],
            "kind": _names(Kind, ledger["kind"]),
            "leg": ["" if name == "none" else name for name in _names(Leg, ledger["side"])],
            "exchange": exchanges[ledger["exchange"]],
            "symbol": symbols[symbol_of_leg[ledger["leg"]]],
            "quantity": ledger["quantity"],
            "price": ledger["price"],
            "rate": ledger["rate"],
            "amount_usd": ledger["amount"],
            "assumed": ledger["booking"] != ACTUAL,
        }
    )


def equity_frame(records: Records, tape: Tape) -> pd.DataFrame:
    """Equity at the end of each hour."""
    hours = records.hours
    return pd.DataFrame(
        {
            "time": _times(tape, hours["hour"]),
            "equity_usd": hours["equity"],
            "cash_usd": hours["cash"],
            "unrealised_usd": hours["equity"] - hours["cash"],
            "open_positions": hours["open_positions"],
        }
    )


def notes_frame(records: Records, tape: Tape) -> pd.DataFrame:
    """Orders that were refused or cancelled, with the reason; ``target`` is a pair or a slot."""
    notes = records.notes
    targets = [
        _pair_name(tape, int(target)) if kind == int(OrderKind.ENTER) else f"slot {int(target)}"
        for kind, target in zip(notes["order"], notes["target"], strict=True)
    ]
    return pd.DataFrame(
        {
            "time": _times(tape, notes["hour"]),
            "what": _names(NoteKind, notes["kind"]),
            "order": _names(OrderKind, notes["order"]),
            "target": targets,
            "reason": _names(Reason, notes["reason"]),
        }
    )


def _pair_name(tape: Tape, pair: int) -> str:
    if not 0 <= pair < len(tape.pairs):
        return ""
    return "{} long {} short {}".format(*tape.pair_name(pair))


def _leg_names(tape: Tape, legs: Any) -> tuple[Any, Any]:
    market = tape.market
    symbols, exchanges = np.array(market.symbols, dtype=object), np.array(market.exchanges, dtype=object)
    return symbols[market.leg_symbol[legs]], exchanges[market.leg_exchange[legs]]


def _names(kinds: type[Kind | Leg | NoteKind | OrderKind | Reason], values: Any) -> list[str]:
    words = {int(kind): kind.name.lower() for kind in kinds}
    return [words[int(value)] for value in values]


def _times(tape: Tape, rows: Any) -> pd.DatetimeIndex:
    first = pd.Timestamp(time_of(int(tape.market.hours[0]))).as_unit("s")
    return first + pd.to_timedelta(np.asarray(rows, np.int64), unit="h")
