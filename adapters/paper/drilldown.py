"""One position of a journal, open or closed, with all that happened to it: for whoever asks what it earned and why."""

from __future__ import annotations

import json
from typing import Any

from adapters.paper.journal import Journal
from adapters.paper.messages import shown
from adapters.paper.tables import order_words, rows_of
from engine.accounting.books import Kind, Leg, OrderKind, Reason
from engine.accounting.records import trade_pnl
from engine.accounting.tape import Tape

HOURS_AROUND = 24
"""Shown before the entry and after the exit."""


def position_of(journal: Journal, tape: Tape, position_id: int) -> dict[str, Any] | None:
    """A position by its id: legs, entry and exit, every movement of cash, prices of both legs by hour; None where the
    journal has none of this id.

    Times as text, USD, prices in USD; ``spread_bps`` is (short - long) / long.
    """
    found = _closed(journal, position_id) or _open(journal, tape, position_id)
    if found is None:
        return None
    pair, opened, closed = found.pop("pair"), found.pop("opened"), found.pop("closed")
    symbol, long_exchange, short_exchange = tape.pair_name(pair)
    legs = (int(tape.pairs.long_leg[pair]), int(tape.pairs.short_leg[pair]))
    last = journal.last_hour or opened
    first, until = opened - HOURS_AROUND, last if closed is None else min(last, closed + HOURS_AROUND)
    return {
        "id": position_id, "symbol": symbol, "long_exchange": long_exchange, "short_exchange": short_exchange,
        "entry_time": shown(opened), "exit_time": None if closed is None else shown(closed), **found,
        "movements": _movements(journal, position_id), "hours": _prices(journal, legs, first, until),
        "decision": _decision(journal, tape, opened, pair),
    }  # fmt: skip


def _closed(journal: Journal, position_id: int) -> dict[str, Any] | None:
    trades = rows_of(journal, "trades", "position_id = ?", (position_id,), 1)[0].trades
    if not len(trades):
        return None
    trade = trades[0]
    return {
        "pair": int(trade["pair"]), "opened": int(trade["opened"]), "closed": int(trade["closed"]),
        "notional_usd": float(trade["notional"]), "quantity": float(trade["quantity"]),
        "pnl_usd": float(trade_pnl(trades)[0]), "price_pnl_usd": float(trade["price_pnl"]),
        "funding_usd": float(trade["funding"]),
        "fees_usd": float(trade["entry_fees"] + trade["exit_fees"] + trade["liquidation_fees"]),
        "long_entry": float(trade["long_entry"]), "short_entry": float(trade["short_entry"]),
        "long_exit": float(trade["long_exit"]), "short_exit": float(trade["short_exit"]),
        "exit_reason": Reason(int(trade["reason"])).name.lower(), "leaving": False,
    }  # fmt: skip


def _open(journal: Journal, tape: Tape, position_id: int) -> dict[str, Any] | None:
    snapshot = journal.snapshot()
    positions = [] if snapshot is None else snapshot.report.get("positions", [])
    one = next((position for position in positions if position["id"] == position_id), None)
    if one is None:
        return None
    entries = {leg["side"]: leg["entry_price"] for leg in one["legs"]}
    return {
        "pair": _pair_of(tape, one), "opened": one["opened_hour"], "closed": None,
        "notional_usd": one["notional_usd"], "quantity": one["quantity"], "pnl_usd": one["pnl_usd"],
        "price_pnl_usd": one["price_pnl_usd"], "funding_usd": one["funding_usd"], "fees_usd": one["entry_fees_usd"],
        "long_entry": entries.get("long"), "short_entry": entries.get("short"), "long_exit": None, "short_exit": None,
        "exit_reason": None, "leaving": one["leaving"],
    }  # fmt: skip


def _pair_of(tape: Tape, position: dict[str, Any]) -> int:
    name = (position["symbol"], position["long_exchange"], position["short_exchange"])
    return next(pair for pair in range(len(tape.pairs)) if tape.pair_name(pair) == name)


def _movements(journal: Journal, position_id: int) -> list[dict[str, Any]]:
    found = journal.rows(
        "SELECT hour, kind, side, legs.exchange, quantity, price, rate, amount FROM ledger LEFT JOIN legs USING (leg) "
        "WHERE position_id = ? ORDER BY id", position_id,
    )  # fmt: skip
    return [
        {
            "time": shown(hour), "kind": Kind(kind).name.lower(), "leg": Leg(side).name.lower(), "exchange": exchange,
            "quantity": quantity, "price": price, "rate": rate, "amount_usd": amount,
        }
        for hour, kind, side, exchange, quantity, price, rate, amount in found
    ]  # fmt: skip


def _prices(journal: Journal, legs: tuple[int, int], first: int, last: int) -> list[dict[str, Any]]:
    query = "SELECT hour, price FROM observations WHERE leg = ? AND hour BETWEEN ? AND ? ORDER BY hour"
    long, short = (dict(journal.rows(query, leg, first, last)) for leg in legs)
    rows = []
    for hour in sorted({*long, *short}):
        a, b = long.get(hour), short.get(hour)
        spread = None if a is None or b is None else 1e4 * (b - a) / a
        rows.append({"time": shown(hour), "long": a, "short": b, "spread_bps": spread})
    return rows


def _decision(journal: Journal, tape: Tape, opened: int, pair: int) -> dict[str, Any] | None:
    """When it was decided: at the hour of the fill, or the hour before where fills are late."""
    found = journal.rows(
        "SELECT hour, orders FROM decisions WHERE hour <= ? AND hour > ? ORDER BY hour DESC", opened, opened - 24
    )
    entry = [int(OrderKind.ENTER), pair]
    for hour, orders in found:
        if entry in json.loads(orders):
            return {"time": shown(hour), "order": order_words(tape, *entry)}
    return None
