"""What a person wants to know of an hour: equity, positions, their legs, rates and what is still to be settled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.accounting.books import Leg, Status
from engine.accounting.loop import HourlyLoop
from engine.accounting.margin import liquidation_distance
from engine.accounting.marking import position_pnl, unrealised_price_pnl
from engine.market.schedule import NOT_YET
from engine.market.settlements import Settlements

RunningRate = Callable[[int, int], float | None]
"""(leg, hour number) to the exchange's estimate, at that hour, of the next rate."""


def hour_report(loop: HourlyLoop, running_rate: RunningRate) -> dict[str, Any]:
    """The open row of the loop as plain values; None where something is not known. Money in USD, hours since 1970."""
    portfolio: Any = loop.books.portfolios[0]
    slots = loop.books.slots[0]
    positions = [_position(loop, s, running_rate) for s in range(len(slots)) if slots["status"][s] == int(Status.OPEN)]
    pending = [s for s in range(len(slots)) if slots["status"][s] == int(Status.PENDING)]
    return {
        "equity_usd": float(portfolio["equity"]),
        "cash_usd": float(portfolio["cash"]),
        "missing_settlements": int(portfolio["missing_settlements"]),
        "positions": positions,
        "pending_entries": [_pair_name(loop, int(slots["pair"][s])) for s in pending],
        "pending_funding_usd": sum(leg["pending_funding_usd"] for position in positions for leg in position["legs"]),
    }


def _position(loop: HourlyLoop, s: int, running_rate: RunningRate) -> dict[str, Any]:
    slot: Any = loop.books.slots[0, s]
    row = int(loop.rows[0])
    first = int(loop.tape.market.hours[0])
    # One leg may have left before the other: what it realised stands in the slot until the position is closed.
    price_pnl = float(unrealised_price_pnl(loop.tape.arrays, loop.books, 0, s, row)) + float(slot["price_pnl"])
    pnl = float(position_pnl(loop.tape.arrays, loop.books, 0, s, row))
    stop = float(loop.tape.arrays.rules[0]["stop_loss_pct"])
    distance = float(liquidation_distance(loop.tape.arrays, loop.books, 0, s, row))
    pairs = loop.tape.pairs
    sides = ((Leg.LONG, pairs.long_leg, "long"), (Leg.SHORT, pairs.short_leg, "short"))
    legs = [(side, of, f"{name}_entry") for side, of, name in sides if slot[f"{name}_held"] > 0]
    return {
        "slot": s,
        "id": int(slot["id"]),
        **_pair_name(loop, int(slot["pair"])),
        "opened_hour": first + int(slot["opened"]),
        "hours_held": row - int(slot["opened"]),
        "notional_usd": float(slot["notional"]),
        "quantity": float(slot["quantity"]),
        "funding_usd": float(slot["funding"]),
        "entry_fees_usd": float(slot["entry_fees"]),
        "price_pnl_usd": price_pnl,
        "pnl_usd": pnl,
        # The notional is that of one leg, and a position has two.
        "pnl_pct": 100 * pnl / (2 * float(slot["notional"])),
        "leaving": bool(slot["due"] >= 0),
        # Points of P&L in % of 2N until the stop-loss; None where there is none.
        "stop_distance_pct": _known(100 * pnl / (2 * float(slot["notional"])) - stop),
        # Per cent that a mark may move against a leg until it is liquidated; None where the account is pooled.
        "liquidation_distance_pct": 100.0 * distance if len(loop.books.wallets[0]) else None,
        "legs": [_leg(loop, s, side, int(of[slot["pair"]]), name, running_rate) for side, of, name in legs],
    }


def _leg(loop: HourlyLoop, s: int, side: Leg, leg: int, entry: str, running_rate: RunningRate) -> dict[str, Any]:
    slot: Any = loop.books.slots[0, s]
    row, market = int(loop.rows[0]), loop.tape.market
    quote: Any = loop.tape.arrays.quotes[leg, row]
    settlements = loop.tape.settlements
    rate, interval = float(settlements.last_rate[leg, row]), float(settlements.interval_hours[leg, row])
    due = due_row(settlements, leg, row)
    pending = 0.0
    # A settlement at the very hour of the entry is not this position's: it was not held before it.
    if due is not None and int(slot["opened"]) < due <= row:
        # From the hour before it was due: later quotes estimate the settlement after it.
        estimate = running_rate(leg, int(market.hours[row]) - (row - due) - 1)
        # A positive rate is paid by the long leg and received by the short one.
        signed = -float(slot["quantity"]) if side == Leg.LONG else float(slot["quantity"])
        pending = signed * float(quote["price"]) * (rate if estimate is None else estimate)
    symbol, exchange = market.leg_name(leg)
    return {
        "side": side.name.lower(),
        "exchange": exchange,
        "symbol": symbol,
        "entry_price": float(slot[entry]),
        "price": _known(float(quote["price"])),
        "stale_hours": int(quote["stale"]),
        "last_settled_rate": _known(rate),
        # Shown and never decided by: there is no history of estimates that a backtest could decide by too.
        "running_rate": running_rate(leg, int(market.hours[row])),
        "interval_hours": _known(interval),
        "next_settlement_hour": None if due is None else int(market.hours[0]) + due,
        "settlements_missing": int(settlements.missed[leg]),
        "pending_funding_usd": _known(pending) or 0.0,
    }


def due_row(settlements: Settlements, leg: int, row: int) -> int | None:
    """Row at which the next settlement of a leg is due (in the past: its rate is not out yet); ``row`` is the last one.

    None while it has not settled, or its interval is not known.
    """
    last, interval = int(settlements.last_rows[leg]), float(settlements.interval_hours[leg, row])
    return None if last == NOT_YET or math.isnan(interval) else last + int(interval)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _pair_name(loop: HourlyLoop, pair: int) -> dict[str, str]:
    market, pairs = loop.tape.market, loop.tape.pairs
    symbol, long_exchange = market.leg_name(int(pairs.long_leg[pair]))
    short_exchange = market.leg_name(int(pairs.short_leg[pair]))[1]
    return {"symbol": symbol, "long_exchange": long_exchange, "short_exchange": short_exchange}
