"""The hours of a data set one by one, as they would have become known live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import UserError
from engine.live_window import FACTS, MAX_DELAY_HOURS, HourFacts, Settled
from engine.market.data import BAR_EXTREMES, PER_LEG_FLOATS, Floats, MarketData
from engine.market.order_books import SeenBook
from engine.settings import EngineSettings


def without_hours(market: MarketData) -> MarketData:
    """The legs of a market without any hour."""
    nothing: dict[str, Any] = {name: np.empty((market.legs, 0)) for name in PER_LEG_FLOATS}
    # Hours come one by one from here on, and none holds what its bar will be.
    nothing |= dict.fromkeys((*BAR_EXTREMES, "order_books"))
    return replace(market, hours=market.hours[:0], funding_known_hour=None, recorded=None, **nothing)


def read_by(market: MarketData, settings: EngineSettings) -> MarketData:
    """The market without bars and order books that fills under these settings do not look at."""
    unread: dict[str, Any] = {} if settings.orders_rest else dict.fromkeys(BAR_EXTREMES)
    if settings.order_books == "ignore":
        unread["order_books"] = None
    return replace(market, **unread)


def hours_of(market: MarketData, first: int, last: int) -> Iterator[HourFacts]:
    """Rows ``first`` to ``last``, each with what became known in it and nothing later: of bars those that ended.

    Raises ``UserError`` when a settlement became known too late for a rolling window.
    """
    settled = _settled_by_known_row(market)
    books: dict[int, list[SeenBook]] = defaultdict(list)
    for book in () if market.order_books is None else market.order_books.seen():
        books[book.hour].append(book)
    for row in range(first, last + 1):
        values = np.array([getattr(market, name)[:, row] for name in FACTS])
        hour = int(market.hours[row])
        yield HourFacts(
            hour,
            values,
            tuple(settled.get(row, ())),
            _recorded(market, row),
            extremes=_bar_before(market, row),
            books=tuple(books.get(hour, ())),
        )


def _bar_before(market: MarketData, row: int) -> Floats | None:
    """High and low ``[2, legs]`` of the bar that ended at a row: they stand at the row at which it opened."""
    if row == 0 or market.high is None or market.low is None:
        return None
    return np.array([market.high[:, row - 1], market.low[:, row - 1]])


def _settled_by_known_row(market: MarketData) -> dict[int, list[Settled]]:
    legs, rows = np.nonzero(~np.isnan(market.funding_rate))
    known = rows
    if market.funding_known_hour is not None:
        # Whatever a data set states, no settlement is known before its own hour: that would show the future.
        known = np.maximum(market.funding_known_hour[legs, rows] - int(market.hours[0]), rows)
    if np.max(known - rows, initial=0) > MAX_DELAY_HOURS:
        raise UserError(f"a settlement became known more than {MAX_DELAY_HOURS} hours late; paper trading stops there")
    by_row: dict[int, list[Settled]] = defaultdict(list)
    for leg, row, known_row in zip(legs.tolist(), rows.tolist(), known.tolist(), strict=True):
        hour, rate = int(market.hours[row]), float(market.funding_rate[leg, row])
        by_row[known_row].append(Settled(leg, hour, rate))
    return by_row


def _recorded(market: MarketData, row: int) -> tuple[np.ndarray, np.ndarray] | None:
    if market.recorded is None:
        return None
    rows = slice(*market.recorded.offsets[row : row + 2].tolist())
    return market.recorded.pair[rows], market.recorded.features[rows]
