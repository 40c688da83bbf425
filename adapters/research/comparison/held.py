"""The positions of a saved run, rebuilt from its ledger, within a span of hours.

The ledger holds open positions too, which the trades do not. Hours are numbers as in ``engine.market.data``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters.storage.saved_run import SavedRun
from engine.errors import DataError
from engine.market.data import NEVER

LONG, SHORT = "long", "short"
OPEN = "open"


@dataclass(frozen=True)
class Held:
    """One position as far as it lies within a span; money in USD, signed from the portfolio's view.

    ``closed`` None: open at the end of the span. ``carried_in``: open at its beginning. ``price_usd`` is the price P&L
    within the span; where ``price_known`` is False it lacks the value at an end of the span, which is known only for
    several positions together.
    """

    number: int
    symbol: str
    exchanges: Mapping[str, str]
    quantity: float
    opened: int
    closed: int | None
    reason: str
    carried_in: bool
    entry: Mapping[str, float]  # fill price by leg
    entry_fees: float
    exit_costs: float  # fees of exits and of liquidations
    funding: Mapping[tuple[str, int], float]  # by leg and hour of booking
    price_usd: float
    price_known: bool

    @property
    def funding_usd(self) -> float:
        return sum(self.funding.values())

    @property
    def pnl_usd(self) -> float:
        """All of it within the span, as far as it is known."""
        return self.price_usd + self.funding_usd + self.entry_fees + self.exit_costs


@dataclass(frozen=True)
class Book:
    """A run within a span: its positions, what only several of them have together, and what belongs to none."""

    positions: Sequence[Held]
    shared_usd: float  # value at the ends of the span of the positions whose price P&L is not known one by one
    elsewhere_usd: float  # entries of the ledger without a position, such as transfers
    pnl_usd: float  # change of equity over the span


def hour_numbers(times: pd.Series[Any]) -> NDArray[np.int64]:
    """Whole hours since 1970 of aware times."""
    return np.asarray(times.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[s]").astype("int64") // 3600)


def book_of(run: SavedRun, first: int, last: int) -> Book:
    """A run from hour ``first`` to ``last``, both inclusive; both are hours of its equity."""
    hours = hour_numbers(run.equity["time"])
    before, end = int(np.searchsorted(hours, first)) - 1, int(np.searchsorted(hours, last, side="right")) - 1
    unrealised, equity = run.equity["unrealised_usd"].to_numpy(), run.equity["equity_usd"].to_numpy()
    start_equity = equity[before] if before >= 0 else run.initial_capital_usd
    first = int(hours[before]) + 1 if before >= 0 else -NEVER  # what follows the equity at the start
    ledger = run.ledger.assign(hour=hour_numbers(run.ledger["time"]))
    ledger = ledger[ledger["hour"] <= last]
    of_positions = _by_position(ledger[ledger["leg"].isin([LONG, SHORT])])
    reasons = dict(zip(run.trades["position_id"], run.trades["exit_reason"], strict=True))
    drafts = [_draft(rows, reasons, first) for rows in of_positions]
    ends = (unrealised[before] if before >= 0 else 0.0), unrealised[end]
    positions, shared = _valued([draft for draft in drafts if draft is not None], *ends)
    elsewhere = ledger[~ledger["leg"].isin([LONG, SHORT]) & (ledger["hour"] >= first)]
    return Book(positions, shared, float(elsewhere["amount_usd"].sum()), float(equity[end] - start_equity))


Columns = Mapping[str, NDArray[Any]]


def _by_position(ledger: pd.DataFrame) -> Iterator[Columns]:
    """The entries of each position in their order, as arrays: a frame for each would take seconds for thousands."""
    ledger = ledger.sort_values("position_id", kind="stable")
    names = ("position_id", "hour", "kind", "leg", "exchange", "symbol", "quantity", "price", "amount_usd")
    columns = {name: ledger[name].to_numpy() for name in names}
    starts = np.flatnonzero(np.diff(columns["position_id"], prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(ledger)]):
        yield {name: values[start:stop] for name, values in columns.items()}


def _draft(rows: Columns, reasons: Mapping[int, str], first: int) -> Held | None:
    """A position with the price P&L that was realised in the span; None when nothing of it lies there."""
    hour, kind, leg, amount, price = (rows[name] for name in ("hour", "kind", "leg", "amount_usd", "price"))
    number, is_fee = int(rows["position_id"][0]), kind == "fee"
    if not is_fee.any():
        raise DataError(f"position {number} has no entry in the ledger")
    # The ledger has no entry of an opening itself; the first fee is paid by it.
    opened = int(hour[is_fee].min())
    is_entry = is_fee & (hour == opened)
    entry = {str(leg[k]): float(price[k]) for k in np.flatnonzero(is_entry)}
    left = {str(leg[k]): int(hour[k]) for k in np.flatnonzero(kind == "price")}
    # With one leg gone and the other not, money can still be won and lost: it is open.
    closed = max(left.values()) if set(left) >= set(entry) else None
    inside = hour >= first
    if not inside.any() and closed is not None:
        return None
    is_funding = kind == "funding"
    funding: dict[tuple[str, int], float] = {}
    for k in np.flatnonzero(is_funding & inside):
        key = (str(leg[k]), int(hour[k]))
        # One hour can book several settlements of a leg, when one of them came late.
        funding[key] = funding.get(key, 0.0) + float(amount[k])
    exits = inside & ~is_entry & ~is_funding & (kind != "price")
    return Held(
        number=number,
        symbol=str(rows["symbol"][0]),
        exchanges={str(side): str(name) for side, name in zip(leg, rows["exchange"], strict=True)},
        quantity=float(rows["quantity"][0]),
        opened=opened,
        closed=closed,
        reason=OPEN if closed is None else reasons.get(number, OPEN),
        carried_in=opened < first and (closed is None or closed >= first),
        entry=entry,
        entry_fees=float(amount[is_entry & inside].sum()),
        exit_costs=float(amount[exits].sum()),
        funding=funding,
        price_usd=float(amount[(kind == "price") & inside].sum()),
        price_known=True,
    )


def _valued(drafts: Sequence[Held], start_value: float, end_value: float) -> tuple[list[Held], float]:
    """Positions with their value at the ends of the span, where one alone has it; and what several share."""
    carried = [held for held in drafts if held.carried_in]
    still_open = [held for held in drafts if held.closed is None]
    # The equity has one value of all open positions: with a single one it is that position's own.
    shared = (end_value if len(still_open) != 1 else 0.0) - (start_value if len(carried) != 1 else 0.0)
    return [_with_value(held, carried, still_open, start_value, end_value) for held in drafts], float(shared)


def _with_value(
    held: Held, carried: Sequence[Held], still_open: Sequence[Held], start_value: float, end_value: float
) -> Held:
    price, known = held.price_usd, True
    if held.carried_in:
        # The equity at the start holds that value already; only the rest was earned in the span.
        price, known = (price - start_value, known) if len(carried) == 1 else (price, False)
    if held.closed is None:
        price, known = (price + end_value, known) if len(still_open) == 1 else (price, False)
    return replace(held, price_usd=float(price), price_known=known)
