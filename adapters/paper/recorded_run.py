"""A journal read back as what a backtest leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from adapters.paper.dataset_hours import without_hours
from adapters.paper.entries import RECORD_FIELDS, Snapshot, shifted
from adapters.paper.journal import Journal
from adapters.paper.setup import legs_market, settings_of
from engine.accounting.books import PORTFOLIO
from engine.accounting.records import NO_RECORDS, Records, join
from engine.errors import UserError
from engine.live_window import FACTS, MAX_DELAY_HOURS
from engine.market.data import BAR_EXTREMES, PER_LEG_FLOATS, MarketData, RecordedOpportunities
from engine.market.order_books import OrderBooks


def records_of(journal: Journal, first_hour: int) -> Records:
    """Everything that was booked, hours counted from ``first_hour``, late funding added to its trades."""
    portfolio = portfolio_of(journal.snapshot())
    parts: dict[str, Any] = {name: journal.records(table) for table, name in RECORD_FIELDS.items()}
    counters = ("missing_settlements", "fills_at_last_trade", "stale_hours")
    if portfolio is not None:
        # The kernel keeps counters in the portfolio, so they are in the snapshot and not in any table of rows.
        parts |= {name: int(portfolio[name]) for name in counters}
    return join([shifted(replace(NO_RECORDS, **parts), -first_hour)])


def portfolio_of(snapshot: Snapshot | None) -> Any:
    """The portfolio of a snapshot; None before the first hour that was played."""
    if snapshot is None or snapshot.portfolio is None:
        return None
    return np.frombuffer(snapshot.portfolio, PORTFOLIO)[0]


def played_hours(journal: Journal) -> tuple[int, int]:
    """First and last hour that were played. Raises ``UserError`` when there is none yet."""
    first, last = journal.rows("SELECT min(hour), max(hour) FROM decisions")[0]
    if first is None:
        raise UserError(f"{journal.folder}: no hour has been played yet")
    return int(first), int(last)


def market_of(journal: Journal, until: int = 2**40) -> MarketData:
    """All recorded observations, up to an hour, as one market. It begins before them: settlements of then became known
    in them."""
    facts = list(journal.facts(0, until))
    empty = legs_market(journal)
    first, count = facts[0].hour - MAX_DELAY_HOURS, len(facts) + MAX_DELAY_HOURS
    rests = settings_of(journal.meta).orders_rest
    names = (*PER_LEG_FLOATS, *BAR_EXTREMES) if rests else PER_LEG_FLOATS
    values = {name: np.full((empty.legs, count), np.nan) for name in names}
    # The hour at which a rate became known, not its own: a replay that saw it earlier would decide by the future.
    known = np.arange(first, first + count) + np.zeros((empty.legs, 1), np.int64)
    for row, hour in enumerate(facts, start=MAX_DELAY_HOURS):
        for name, of_legs in zip(FACTS, hour.values, strict=True):
            values[name][:, row] = of_legs
        if rests and hour.extremes is not None:
            # Known when the bar is over; its row is the one at which it opens.
            values["high"][:, row - 1], values["low"][:, row - 1] = hour.extremes
        for settled in hour.settled:
            values["funding_rate"][settled.leg, settled.hour - first] = settled.rate
            known[settled.leg, settled.hour - first] = hour.hour
    columns = journal.meta["recorded_columns"]
    recorded = (
        None
        if columns is None
        else _recorded([*[None] * MAX_DELAY_HOURS, *(hour.recorded for hour in facts)], tuple(columns))
    )
    hours = np.arange(first, first + count, dtype=np.int64)
    facts_by_name: dict[str, Any] = dict(values)
    facts_by_name["order_books"] = OrderBooks.of(book for hour in facts for book in hour.books)
    return replace(empty, hours=hours, funding_known_hour=known, recorded=recorded, **facts_by_name)


def _recorded(by_hour: list[tuple[Any, Any] | None], columns: tuple[str, ...]) -> RecordedOpportunities:
    none = np.empty(0, np.int64), np.empty((0, len(columns)))
    parts = [none if part is None else part for part in by_hour]
    offsets = np.concatenate(([0], np.cumsum([len(pairs) for pairs, _ in parts]))).astype(np.int64)
    pairs = np.concatenate([pairs for pairs, _ in parts])
    return RecordedOpportunities(offsets, pairs, np.concatenate([features for _, features in parts]), columns)


def one_blank_hour(journal: Journal, hour: int) -> MarketData:
    """The legs at a single hour at which nothing is known: enough to name what records point to."""
    names = (*PER_LEG_FLOATS, *BAR_EXTREMES)
    blank: dict[str, Any] = {name: np.full((len(journal.legs), 1), np.nan) for name in names}
    return replace(without_hours(legs_market(journal)), hours=np.array([hour], np.int64), **blank)
