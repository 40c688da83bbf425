"""One trade hour by hour: prices of both legs around it, its settlements, and what it had made by then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.books import Kind, Leg, Reason
from engine.accounting.records import Records, trade_pnl
from engine.accounting.tape import Tape
from engine.errors import UserError
from engine.market.data import Floats, Ints
from engine.market.schedule import ACTUAL

AROUND_HOURS = 48
"""Hours shown before the entry and after the exit."""


@dataclass(frozen=True, eq=False)
class TradePath:
    """A closed trade and the hours around it; hours are hour numbers, money in USD from the portfolio's view.

    ``long_price`` and ``short_price`` ``[hours]`` are last known prices, nan before the first. ``entry`` and ``exit``
    are fill prices (long, short), nan of a leg that was not filled. ``settled`` and ``funding`` ``[settlements]`` are
    hours and amounts, of both legs, ``assumed`` which of them were. ``pnl_usd`` ``[hours]`` is what the trade had made
    by then, marked at last known prices, costs of the fills so far included: 0 before the entry, ``made_usd`` from the
    last booking on.
    """

    symbol: str
    long_exchange: str
    short_exchange: str
    opened: int
    closed: int
    reason: str
    notional_usd: float
    made_usd: float
    price_usd: float
    funding_usd: float
    fees_usd: float
    hours: Ints
    long_price: Floats
    short_price: Floats
    entry: tuple[float, float]
    exit: tuple[float, float]
    settled: Ints
    funding: Floats
    assumed: NDArray[np.bool_]
    pnl_usd: Floats


def trade_path(records: Records, tape: Tape, k: int, *, around_hours: int = AROUND_HOURS) -> TradePath:
    """Trade ``k`` of the records of a run on a tape, with the hours around it as far as there is data.

    Raises ``UserError`` when there is no such trade.
    """
    if not 0 <= k < len(records.trades):
        raise UserError(f"the run has {len(records.trades)} closed trades; there is no trade {k}")
    trade: Any = records.trades[k]
    ledger = records.ledger[records.ledger["position_id"] == trade["position_id"]]
    # Funding may be booked after the exit, where it became known late.
    end = max(int(trade["closed"]), int(ledger["hour"].max()))
    rows = np.arange(max(int(trade["opened"]) - around_hours, 0), min(end + around_hours, tape.hours - 1) + 1)
    symbol, long, short = tape.pair_name(int(trade["pair"]))
    prices = _prices(tape, int(trade["pair"]), rows)
    settled = ledger[ledger["kind"] == int(Kind.FUNDING)]
    first = int(tape.market.hours[0])
    return TradePath(
        symbol=symbol, long_exchange=long, short_exchange=short,
        opened=first + int(trade["opened"]), closed=first + int(trade["closed"]),
        reason=Reason(int(trade["reason"])).name.lower(), notional_usd=float(trade["notional"]),
        made_usd=float(trade_pnl(records.trades[k : k + 1])[0]), price_usd=float(trade["price_pnl"]),
        funding_usd=float(trade["funding"]),
        fees_usd=float(trade["entry_fees"] + trade["exit_fees"] + trade["liquidation_fees"]),
        hours=first + rows, long_price=prices[0], short_price=prices[1],
        entry=(float(trade["long_entry"]), float(trade["short_entry"])),
        exit=(float(trade["long_exit"]), float(trade["short_exit"])),
        settled=first + settled["hour"], funding=settled["amount"], assumed=settled["booking"] != ACTUAL,
        pnl_usd=_pnl(trade, ledger, rows, prices),
    )  # fmt: skip


def _prices(tape: Tape, pair: int, rows: Ints) -> tuple[Floats, Floats]:
    legs = (int(tape.pairs.long_leg[pair]), int(tape.pairs.short_leg[pair]))
    long, short = (tape.arrays.quotes["price"][leg, rows] for leg in legs)
    return long, short


def _pnl(trade: Any, ledger: NDArray[Any], rows: Ints, prices: tuple[Floats, Floats]) -> Floats:
    """What was booked by each row and what open legs are worth at it."""
    order = np.argsort(ledger["hour"], kind="stable")
    booked = np.append(0.0, np.cumsum(ledger["amount"][order]))
    found: Floats = booked[np.searchsorted(ledger["hour"][order], rows, side="right")]
    for leg, sign, price in ((Leg.LONG, 1.0, prices[0]), (Leg.SHORT, -1.0, prices[1])):
        name = leg.name.lower()
        is_open = (rows >= trade["opened"]) & (rows < trade[f"{name}_closed"])
        found[is_open] += sign * trade["quantity"] * (price[is_open] - trade[f"{name}_entry"])
    return found
