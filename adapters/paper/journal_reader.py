"""Reading the journal of paper trading: every value is what was written, or the file is said to be damaged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from adapters.paper.digests import observation_hash, snapshot_digest
from adapters.paper.entries import Decision, Snapshot
from adapters.paper.schema import ADDED_TABLES, META, RECORD_TABLES
from adapters.paper.state_folder import DATABASE, RESTORE, UNREADABLE, told
from engine.errors import DataError, in_words
from engine.live_window import FACTS, HourFacts, Settled
from engine.market.data import Floats
from engine.market.notices import Notice
from engine.market.order_books import SeenBook, Side
from engine.windows import time_of


class JournalReader:
    """The tables of an open state."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self.folder, self._database = folder, database

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises ``DataError`` when the database is damaged, ``UserError`` for other troubles."""
        with told(self.folder / DATABASE):
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A value that is not what was written is damage of this file."""
        try:
            yield
        except UNREADABLE as error:
            raise DataError(f"is damaged ({in_words(error)}); {RESTORE}", file=str(self.folder / DATABASE)) from error

    @property
    def meta(self) -> dict[str, Any]:
        """The unchanging facts of the state."""
        with self._reading():
            found = {name: json.loads(value) for name, value in self.rows("SELECT name, value FROM meta")}
            return found | {name: found[name] for name in META}

    @property
    def legs(self) -> list[tuple[str, str, int, int]]:
        """(symbol, exchange, delisting hour, its notice) by leg."""
        return self.rows("SELECT symbol, exchange, delisting_hour, delisting_known_hour FROM legs ORDER BY leg")

    def notices(self) -> list[tuple[int, Notice]]:
        """(hour at which it was seen, notice) of every notice after the start, in that order."""
        found = self.rows("SELECT seen_hour, leg, delisting_hour FROM notices ORDER BY seen_hour, leg")
        return [(seen, Notice(leg, hour)) for seen, leg, hour in found]

    @property
    def last_hour(self) -> int | None:
        """The last hour that is in the journal."""
        hour: int | None = self.rows("SELECT max(hour) FROM slots")[0][0]
        return hour

    @property
    def was_played(self) -> bool:
        """Whether any hour was played, and not only remembered."""
        return bool(self.rows("SELECT 1 FROM decisions LIMIT 1"))

    def snapshot(self) -> Snapshot | None:
        """What the next hour starts from. Raises ``DataError`` when it is not what was stored."""
        names = "hour, before, portfolio, slots, ghosts, wallets, generator, report"
        found = self.rows(f"SELECT {names}, digest FROM snapshot")
        if not found:
            return None
        *row, digest = found[0]
        with self._reading():
            if snapshot_digest(tuple(row), self.heads()) != digest:
                raise ValueError("what the next hour starts from was not written so")
            hour, before, portfolio, slots, awaiting, wallets, generator, report = row
            return Snapshot(hour, before, portfolio, slots, awaiting, wallets, generator, json.loads(report))

    def heads(self) -> dict[str, int]:
        """The digests of the tables as the last hour left them; empty before the first one."""
        found = self.rows("SELECT heads FROM snapshot")
        with self._reading():
            return dict(json.loads(found[0][0])) if found else {}

    def facts(self, first: int, last: int, *, checked: bool = False) -> Iterator[HourFacts]:
        """The facts of the hours ``first`` to ``last`` that are in the journal, ascending, as they were given.

        ``checked``: raises ``DataError`` for the first hour whose facts are not what was written.
        """
        legs = self.rows("SELECT count(*) FROM legs")[0][0]
        for (hour,) in self.rows("SELECT hour FROM slots WHERE hour BETWEEN ? AND ? ORDER BY hour", first, last):
            with self._reading():
                facts = self._facts(hour, legs)
                if checked and observation_hash(facts) != self.digest_of_facts(hour):
                    raise ValueError(f"the observations of {time_of(hour):%Y-%m-%dT%H:%MZ} were not written so")
            yield facts

    def _facts(self, hour: int, legs: int) -> HourFacts:
        values = np.full((len(FACTS), legs), np.nan)
        for leg, *known in self.rows(f"SELECT leg, {', '.join(FACTS)} FROM observations WHERE hour = ?", hour):
            values[:, leg] = [np.nan if value is None else value for value in known]
        settled = self.rows("SELECT leg, hour, rate FROM settlements WHERE known_hour = ? ORDER BY leg, hour", hour)
        said = self.rows("SELECT leg, delisting_hour FROM notices WHERE seen_hour = ? ORDER BY leg", hour)
        notices = tuple(Notice(*row) for row in said)
        told = tuple(Settled(*row) for row in settled)
        recorded, extremes = self._recorded(hour), self._extremes(hour, legs)
        return HourFacts(hour, values, told, recorded, notices, extremes, self._books(hour))

    def _extremes(self, hour: int, legs: int) -> Floats | None:
        found = self._added_rows("extremes", "SELECT leg, high, low FROM extremes WHERE hour = ?", hour)
        if not found:
            return None
        extremes = np.full((2, legs), np.nan)
        for leg, *high_and_low in found:
            extremes[:, leg] = high_and_low
        return extremes

    def _books(self, hour: int) -> tuple[SeenBook, ...]:
        query = "SELECT leg, bids, asks FROM order_books WHERE hour = ? ORDER BY leg"
        found = self._added_rows("order_books", query, hour)
        return tuple(SeenBook(leg, hour, *(_side(side) for side in sides)) for leg, *sides in found)

    def _added_rows(self, table: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a table that states of older versions, opened for reading, do not have."""
        return self.rows(query, *values) if table in self._added_tables else []

    @cached_property
    def _added_tables(self) -> frozenset[str]:
        names = self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        return frozenset(name for (name,) in names if name in ADDED_TABLES)

    def digest_of_facts(self, hour: int) -> str:
        """The digest of the facts that were written for an hour."""
        return str(self.rows("SELECT facts FROM slots WHERE hour = ?", hour)[0][0])

    def _recorded(self, hour: int) -> tuple[Any, Any] | None:
        found = self.rows("SELECT pair, features FROM recorded WHERE hour = ? ORDER BY row", hour)
        if not found:
            return None
        pairs = np.array([pair for pair, _ in found], np.int64)
        return pairs, np.array([np.frombuffer(features, np.float64) for _, features in found])

    def running_rate(self, leg: int, hour: int) -> float | None:
        """The exchange's own estimate, at an hour, of the rate that would be settled next."""
        rate: float | None = self.quote(leg, hour).get("funding_rate")
        return rate

    def quote(self, leg: int, hour: int) -> dict[str, Any]:
        """What was seen of a leg at an hour, by the names of ``exchanges.quotes.Quote``; empty where nothing was."""
        found = self.rows("SELECT quote FROM quotes WHERE hour = ? AND leg = ?", hour, leg)
        with self._reading():
            return dict(json.loads(found[0][0])) if found else {}

    def quotes(self, hour: int) -> dict[int, dict[str, Any]]:
        """``quote`` of every leg that was seen at an hour, by leg."""
        found = self.rows("SELECT leg, quote FROM quotes WHERE hour = ? ORDER BY leg", hour)
        with self._reading():
            return {leg: dict(json.loads(quote)) for leg, quote in found}

    def refused(self, first: int) -> list[tuple[Any, ...]]:
        """(hour, leg, field, hour of the value, value) of everything that was not believed from an hour on."""
        query = "SELECT hour, leg, field, of_hour, value FROM events WHERE hour >= ? AND field IS NOT NULL ORDER BY id"
        return self.rows(query, first)

    def records(self, name: str) -> Any:
        """All rows of a record table as the kernel's array, hours since 1970, nan for NULL."""
        dtype = RECORD_TABLES[name]
        columns = ", ".join(f'"{column}"' for column in dtype.names or ())
        with self._reading():
            return np.array(self.rows(f"SELECT {columns} FROM {name} ORDER BY id"), dtype)  # numpy reads None as nan

    def decisions(self) -> dict[int, Decision]:
        """Every decision by hour."""
        found = self.rows("SELECT hour, strategy, orders, no_decision, observation_hash FROM decisions ORDER BY hour")
        with self._reading():
            return {
                hour: Decision(strategy, tuple((kind, target) for kind, target in json.loads(orders)), why, digest)
                for hour, strategy, orders, why, digest in found
            }


def _side(text: str) -> Side:
    return tuple((price, quantity) for price, quantity in json.loads(text))
