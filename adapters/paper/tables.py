"""Pages of a journal's tables, under the names that the files of a run have; newest rows first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adapters.paper.entries import RECORD_FIELDS
from adapters.paper.journal import Journal
from adapters.paper.messages import shown
from adapters.paper.recorded_run import one_blank_hour
from adapters.paper.schema import RECORD_TABLES
from adapters.paper.setup import settings_of
from adapters.storage.run_files import equity_frame, ledger_frame, notes_frame, trades_frame
from engine.accounting.books import Kind, OrderKind
from engine.accounting.records import NO_RECORDS, Records
from engine.accounting.tape import Tape, prepare
from engine.windows import time_of

MOST_ROWS = 1000
MOST_POINTS = 5000
ZERO_HOUR = 0
FRAMES: Mapping[str, Callable[[Records, Tape], pd.DataFrame]] = {
    "trades": trades_frame, "ledger": ledger_frame, "notes": notes_frame, "equity": equity_frame,
}  # fmt: skip


class Page(NamedTuple):
    """Rows by column name; ``after`` of the next older page, None where this is the last one."""

    rows: list[dict[str, Any]]
    after: int | None


def page_of(journal: Journal, tape: Tape, table: str, after: int | None, limit: int) -> Page:
    """At most ``limit`` rows of ``trades``, ``ledger``, ``notes``, ``events`` or ``hours`` before row ``after``.

    Raises ``KeyError`` for another table.
    """
    if table == "events":
        return _events(journal, after, limit)
    if table == "hours":
        return _hours(journal, tape, after, limit)
    rows, ids = rows_of(journal, table, "id < ?", (_before(after),), limit)
    return Page(plain_rows(FRAMES[table](rows, tape), ids), ids[-1] if len(ids) == limit else None)


def _before(after: int | None) -> int:
    return 2**62 if after is None else after


def rows_of(journal: Journal, table: str, where: str, values: tuple[Any, ...], limit: int) -> tuple[Records, list[int]]:
    """Rows of a table of the kernel's, newest first, and their ids; hours since 1970, late funding with its trade."""
    dtype = RECORD_TABLES[table]
    columns = ", ".join(f'"{name}"' for name in dtype.names or ())
    found = journal.rows(f"SELECT id, {columns} FROM {table} WHERE {where} ORDER BY id DESC LIMIT ?", *values, limit)
    part: dict[str, Any] = {RECORD_FIELDS[table]: np.array([row[1:] for row in found], dtype)}
    if table == "trades":
        late = _late_funding(journal)
        part["trades"]["funding"] += [late.get(int(row), 0.0) for row in part["trades"]["position_id"]]
    return replace(NO_RECORDS, **part), [row[0] for row in found]


def _late_funding(journal: Journal) -> dict[int, float]:
    """Funding in USD that was booked after the close of a position, by its id: its trade had been written by then."""
    return dict(
        journal.rows(
            "SELECT position_id, total(amount) FROM ledger JOIN trades USING (position_id) WHERE kind = ? AND "
            "hour > closed GROUP BY position_id", int(Kind.FUNDING),
        )
    )  # fmt: skip


def plain_rows(frame: pd.DataFrame, ids: list[int] | None = None) -> list[dict[str, Any]]:
    """Rows as JSON knows them: times as text, None where nothing is known."""
    columns: dict[str, list[Any]] = {}
    for name in frame.columns:
        values = frame[name]
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            columns[name] = [*map("{:%Y-%m-%dT%H:%MZ}".format, values)]
        else:
            columns[name] = [None if isinstance(one, float) and np.isnan(one) else one for one in values.tolist()]
    numbered = {} if ids is None else {"id": ids}
    every = {**numbered, **columns}
    return [dict(zip(every, row, strict=True)) for row in zip(*every.values(), strict=True)]


def naming_tape(journal: Journal) -> Tape:
    """Enough of a tape to name what records point to; it stays the same while a state lives. Slow for many legs."""
    return prepare(one_blank_hour(journal, ZERO_HOUR), settings_of(journal.meta))


def _events(journal: Journal, after: int | None, limit: int) -> Page:
    found = journal.rows(
        "SELECT id, hour, kind, text FROM events WHERE id < ? ORDER BY id DESC LIMIT ?", _before(after), limit
    )
    rows = [{"id": row, "time": shown(hour), "kind": kind, "text": text} for row, hour, kind, text in found]
    return Page(rows, found[-1][0] if len(found) == limit else None)


def _hours(journal: Journal, tape: Tape, after: int | None, limit: int) -> Page:
    found = journal.rows(
        "SELECT hour, status, detail, decisions.orders, decisions.no_decision FROM slots LEFT JOIN decisions "
        "USING (hour) WHERE hour < ? ORDER BY hour DESC LIMIT ?", _before(after), limit,
    )  # fmt: skip
    rows = [
        {
            "time": shown(hour), "status": status, "detail": detail,
            "orders": None if orders is None else [order_words(tape, *order) for order in json.loads(orders)],
            "no_decision": why,
        }
        for hour, status, detail, orders, why in found
    ]  # fmt: skip
    return Page(rows, found[-1][0] if len(found) == limit else None)


def order_words(tape: Tape, kind: int, target: int) -> str:
    """An order of the kernel for people."""
    if kind != int(OrderKind.ENTER):
        return f"exit slot {target + 1}"
    return "enter {}, long {}, short {}".format(*tape.pair_name(target))


def whole_hour(journal: Journal, tape: Tape, hour: int) -> dict[str, Any] | None:
    """Everything that the journal has of one hour; None where it has nothing."""
    found = _hours(journal, tape, hour + 1, 1).rows
    if not found or found[0]["time"] != shown(hour):
        return None
    digest = journal.rows("SELECT observation_hash, strategy FROM decisions WHERE hour = ?", hour)
    ledger, _ = rows_of(journal, "ledger", "hour = ?", (hour,), 100_000)
    movements = plain_rows(ledger_frame(ledger, tape))[::-1]
    funding = Kind.FUNDING.name.lower()
    notes, _ = rows_of(journal, "notes", "hour = ?", (hour,), 100_000)
    events = journal.rows("SELECT kind, text FROM events WHERE hour = ? ORDER BY id", hour)
    return {
        **found[0],
        "strategy": digest[0][1] if digest else None,
        "observation_hash": digest[0][0] if digest else None,
        "fills": [row for row in movements if row["kind"] != funding],
        "settlements": [row for row in movements if row["kind"] == funding],
        "notes": plain_rows(notes_frame(notes, tape))[::-1],
        "events": [{"kind": kind, "text": text} for kind, text in events],
        "quotes": quotes_of(journal, hour),
    }


def quotes_of(journal: Journal, hour: int) -> list[dict[str, Any]]:
    """What was seen of every leg at an hour, as it was kept."""
    legs = journal.legs
    return [{**quote, "symbol": legs[leg][0], "exchange": legs[leg][1]} for leg, quote in journal.quotes(hour).items()]


def equity_points(journal: Journal, first: int, last: int, step_hours: int) -> list[dict[str, Any]]:
    """Equity at the end of hours ``first`` to ``last``, every ``step_hours``, with the drawdown from the peak in %.

    More than ``MOST_POINTS`` are thinned by keeping the lowest and the highest of each stretch: means would hide both.
    """
    rows = journal.rows("SELECT hour, equity, cash FROM equity WHERE hour <= ? ORDER BY hour", last)
    if not rows:
        return []
    hours, equity, cash = (np.array(column) for column in zip(*rows, strict=True))
    drawdown = 100.0 * (equity / np.maximum.accumulate(equity) - 1.0)
    kept = np.flatnonzero((hours >= first) & (((hours + 1) % step_hours == 0) | (hours == hours[-1])))
    kept = kept[thinned(equity[kept], MOST_POINTS)]
    return [
        {"time": shown(int(hours[k])), "equity_usd": float(equity[k]), "cash_usd": float(cash[k]),
         "drawdown_pct": float(drawdown[k])}
        for k in kept
    ]  # fmt: skip


def thinned(values: Any, most: int) -> Any:
    """Places of at most ``most`` values, ascending: the lowest and the highest of equal stretches, and both ends."""
    if len(values) <= most:
        return np.arange(len(values))
    stretches = np.array_split(np.arange(len(values)), max(1, (most - 2) // 2))
    ends = [0, len(values) - 1]
    extremes = [int(part[pick(values[part])]) for part in stretches for pick in (np.argmin, np.argmax)]
    return np.unique([*ends, *extremes])


def funding_of(
    journal: Journal, symbol: str | None, exchange: str | None, first: int, last: int, limit: int
) -> list[dict[str, Any]]:
    """Settled rates of legs, newest first, with what they moved in USD (None where nothing was held)."""
    moved = (
        "(SELECT sum(amount) FROM ledger WHERE ledger.leg = settlements.leg AND ledger.hour = settlements.hour "
        f"AND ledger.kind = {int(Kind.FUNDING)})"
    )
    found = journal.rows(
        f"SELECT settlements.hour, symbol, exchange, rate, known_hour, {moved} FROM settlements JOIN legs USING (leg) "
        "WHERE settlements.hour BETWEEN ? AND ? AND (? IS NULL OR symbol = ?) AND (? IS NULL OR exchange = ?) "
        "ORDER BY settlements.hour DESC, leg LIMIT ?", first, last, symbol, symbol, exchange, exchange, limit,
    )  # fmt: skip
    return [
        {
            "time": shown(hour), "symbol": name, "exchange": at, "rate": rate, "known": f"{time_of(known):%H:%MZ}",
            "amount_usd": amount,
        }
        for hour, name, at, rate, known, amount in found
    ]  # fmt: skip
