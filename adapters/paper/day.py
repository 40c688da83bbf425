"""What a UTC day of paper trading came to, read from its journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from adapters.paper.journal_reader import JournalReader
from engine.accounting.books import Kind
from engine.windows import time_of

HOURS_A_DAY = 24
FEES = (Kind.FEE, Kind.LIQUIDATION_FEE, Kind.TRANSFER_FEE)


@dataclass(frozen=True)
class Day:
    """The hours 00:00 to 23:00 of a day, as far as they were played; money in USD.

    What is settled at midnight belongs to the day that begins. ``fees_usd`` is positive and has fees of liquidations
    and transfers too; ``pnl_pct`` is of the equity before the day, None where there was none.
    """

    day: date
    hours: int
    missed: int
    degraded: int
    equity_usd: float
    pnl_usd: float
    pnl_pct: float | None
    funding_usd: float
    fees_usd: float
    trades: int
    open_positions: int


def day_before(journal: JournalReader, hour: int) -> Day | None:
    """The day that ended when ``hour`` was played; None where the hour played before it is of the same day, or none.

    Hours are booked without gaps, so that each day is that of exactly one hour, however late it was booked.
    """
    ((last,),) = journal.rows("SELECT max(hour) FROM equity WHERE hour < ?", hour)
    if last is None or last // HOURS_A_DAY == hour // HOURS_A_DAY:
        return None
    return _day(journal, last // HOURS_A_DAY * HOURS_A_DAY, last)


def _day(journal: JournalReader, first: int, last: int) -> Day:
    """The hours ``first`` to ``last``, which were played."""
    ((equity, open_positions),) = journal.rows("SELECT equity, open_positions FROM equity WHERE hour = ?", last)
    earlier = journal.rows("SELECT equity FROM equity WHERE hour < ? ORDER BY id DESC LIMIT 1", first)
    before = float(earlier[0][0] if earlier else journal.meta["settings"]["initial_capital_usd"])
    span = (first, last)
    played = "hour BETWEEN ? AND ? AND status <> 'history'"
    statuses = dict(journal.rows(f"SELECT status, count(*) FROM slots WHERE {played} GROUP BY status", *span))
    booked = dict(journal.rows("SELECT kind, sum(amount) FROM ledger WHERE hour BETWEEN ? AND ? GROUP BY kind", *span))
    pnl = float(equity) - before
    return Day(
        day=time_of(first).date(),
        hours=sum(statuses.values()),
        missed=statuses.get("missed", 0),
        degraded=statuses.get("degraded", 0),
        equity_usd=float(equity),
        pnl_usd=pnl,
        pnl_pct=100 * pnl / before if before > 0 else None,
        funding_usd=float(booked.get(int(Kind.FUNDING), 0.0)),
        # Plus zero, because no fees would otherwise be -0.0 and shown with a minus.
        fees_usd=-sum(float(booked.get(int(kind), 0.0)) for kind in FEES) + 0.0,
        trades=journal.rows("SELECT count(*) FROM trades WHERE closed BETWEEN ? AND ?", *span)[0][0],
        open_positions=int(open_positions),
    )
