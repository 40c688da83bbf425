"""The journal of paper trading on disk: one transaction an hour, one writer at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from adapters.gate.refusals import Refusal
from adapters.paper.schema import FORMAT, HOUR_COLUMNS, RECORD_TABLES, script
from engine.errors import DataError, UserError
from engine.notices import Notice
from engine.records import Records
from engine.rolling import FACTS, HourFacts, Settled

DATABASE = "paper.sqlite"
LOCK = "lock.sqlite"
RECORD_FIELDS = {"ledger": "ledger", "trades": "trades", "notes": "notes", "equity": "hours"}


@dataclass(frozen=True)
class Decision:
    """What was decided at an hour: orders as (kind, target), or why nothing was decided."""

    strategy: str
    orders: tuple[tuple[int, int], ...]
    no_decision: str | None
    observation_hash: str


@dataclass(frozen=True)
class Event:
    """Something that a person may want to know of an hour; ``refusal``: the value of ``leg`` that is not believed."""

    kind: str
    text: str
    leg: int | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Snapshot:
    """What the next hour starts from; the books are None before the first one played."""

    hour: int
    before: bytes
    portfolio: bytes | None
    slots: bytes | None
    ghosts: bytes | None
    wallets: bytes | None
    generator: str | None
    report: Mapping[str, Any]


@dataclass(frozen=True)
class HourEntry:
    """All that one hour adds to the journal. ``records`` count hours since 1970."""

    facts: HourFacts
    status: str
    detail: str = ""
    decision: Decision | None = None
    records: Records | None = None
    events: tuple[Event, ...] = ()
    quotes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


class Journal:
    """An open state folder. ``create`` and ``open_for_writing`` hold its lock until ``close``."""

    def __init__(self, folder: Path, database: sqlite3.Connection, lock: sqlite3.Connection | None) -> None:
        self.folder, self._database, self._lock = folder, database, lock

    @classmethod
    def create(cls, folder: Path, meta: Mapping[str, Any], legs: Sequence[tuple[str, str, int, int]]) -> Self:
        """A new state with its unchanging facts: ``legs`` are (symbol, exchange, delisting hour, its notice)."""
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        (folder / DATABASE).unlink(missing_ok=True)  # left by a start that was cut before its only transaction
        database = _connect(folder / DATABASE)
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(f"BEGIN;\n{script()}PRAGMA user_version = {FORMAT};")
        database.executemany("INSERT INTO legs VALUES (?, ?, ?, ?, ?)", [(i, *leg) for i, leg in enumerate(legs)])
        rows = [(name, json.dumps(value)) for name, value in meta.items()]
        database.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        database.execute("COMMIT")
        return cls(folder, database, lock)

    @classmethod
    def open_for_writing(cls, folder: Path) -> Self:
        """Raises ``UserError`` when another process has the state open, ``DataError`` when it is no state of ours."""
        require_state(folder)
        lock = _locked(folder)
        return cls(folder, _checked(_connect(folder / DATABASE), folder), lock)

    @classmethod
    def open_for_reading(cls, folder: Path) -> Self:
        """Reads beside a process that writes. Raises ``UserError`` when there is no state."""
        require_state(folder)
        uri = (folder / DATABASE).resolve().as_uri() + "?mode=ro"
        database = _checked(_connect(uri, uri=True), folder)
        database.execute("BEGIN")  # all that is read is of one moment
        return cls(folder, database, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give database and lock back."""
        self._database.close()
        if self._lock is not None:
            self._lock.close()

    def sync_every_hour(self, *, wanted: bool) -> None:
        """Whether an hour must survive a power cut too; it survives a kill in any case."""
        self._database.execute(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
        self._database.execute(f"PRAGMA wal_autocheckpoint = {1_000 if wanted else 20_000}")

    # --- reading ---------------------------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._database.execute(query, values).fetchall()

    @property
    def meta(self) -> dict[str, Any]:
        """The unchanging facts of the state."""
        return {name: json.loads(value) for name, value in self.rows("SELECT name, value FROM meta")}

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

    def snapshot(self) -> Snapshot | None:
        """What the next hour starts from."""
        names = "hour, before, portfolio, slots, ghosts, wallets, generator, report"
        found = self.rows(f"SELECT {names} FROM snapshot")
        if not found:
            return None
        hour, before, portfolio, slots, ghosts, wallets, generator, report = found[0]
        return Snapshot(hour, before, portfolio, slots, ghosts, wallets, generator, json.loads(report))

    def facts(self, first: int, last: int) -> Iterator[HourFacts]:
        """The facts of the hours ``first`` to ``last`` that are in the journal, ascending, as they were given."""
        legs = self.rows("SELECT count(*) FROM legs")[0][0]
        for (hour,) in self.rows("SELECT hour FROM slots WHERE hour BETWEEN ? AND ? ORDER BY hour", first, last):
            values = np.full((len(FACTS), legs), np.nan)
            for leg, *known in self.rows(f"SELECT leg, {', '.join(FACTS)} FROM observations WHERE hour = ?", hour):
                values[:, leg] = [np.nan if value is None else value for value in known]
            settled = self.rows("SELECT leg, hour, rate FROM settlements WHERE known_hour = ? ORDER BY leg, hour", hour)
            said = self.rows("SELECT leg, delisting_hour FROM notices WHERE seen_hour = ? ORDER BY leg", hour)
            notices = tuple(Notice(*row) for row in said)
            yield HourFacts(hour, values, tuple(Settled(*row) for row in settled), self._recorded(hour), notices)

    def _recorded(self, hour: int) -> tuple[Any, Any] | None:
        found = self.rows("SELECT pair, features FROM recorded WHERE hour = ? ORDER BY row", hour)
        if not found:
            return None
        pairs = np.array([pair for pair, _ in found], np.int64)
        return pairs, np.array([np.frombuffer(features, np.float64) for _, features in found])

    def running_rate(self, leg: int, hour: int) -> float | None:
        """The exchange's own estimate, at an hour, of the rate that would be settled next."""
        found = self.rows("SELECT quote FROM quotes WHERE hour = ? AND leg = ?", hour, leg)
        rate: float | None = json.loads(found[0][0]).get("funding_rate") if found else None
        return rate

    def refused(self, first: int) -> list[tuple[Any, ...]]:
        """(hour, leg, field, hour of the value, value) of everything that was not believed from an hour on."""
        query = "SELECT hour, leg, field, of_hour, value FROM events WHERE hour >= ? AND field IS NOT NULL ORDER BY id"
        return self.rows(query, first)

    def records(self, name: str) -> Any:
        """All rows of a record table as the kernel's array, hours since 1970, nan for NULL."""
        dtype = RECORD_TABLES[name]
        columns = ", ".join(f'"{column}"' for column in dtype.names or ())
        found = [
            tuple(np.nan if value is None else value for value in row)
            for row in self.rows(f"SELECT {columns} FROM {name} ORDER BY id")
        ]
        return np.array(found, dtype)

    def decisions(self) -> dict[int, Decision]:
        """Every decision by hour."""
        found = self.rows("SELECT hour, strategy, orders, no_decision, observation_hash FROM decisions ORDER BY hour")
        return {
            hour: Decision(strategy, tuple((kind, target) for kind, target in json.loads(orders)), why, digest)
            for hour, strategy, orders, why, digest in found
        }

    # --- writing ---------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside becomes part of the journal, or none of it."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def add_hour(self, entry: HourEntry) -> None:
        """Append one hour; inside a transaction, together with its snapshot."""
        hour = entry.facts.hour
        self._insert("slots", [(hour, entry.status, entry.detail)])
        self._add_facts(entry.facts)
        self._insert("quotes", [(hour, leg, json.dumps(quote)) for leg, quote in entry.quotes.items()])
        if entry.decision is not None:
            made = entry.decision
            row = (hour, made.strategy, json.dumps(made.orders), made.no_decision, made.observation_hash)
            self._insert("decisions", [row])
        self._insert("events", [(None, hour, *_columns_of(event)) for event in entry.events])
        if entry.records is not None:
            for table, name in RECORD_FIELDS.items():
                self._insert(table, [(None, *row) for row in getattr(entry.records, name).tolist()])

    def _add_facts(self, facts: HourFacts) -> None:
        known = np.flatnonzero(~np.isnan(facts.values).all(axis=0))
        rows = zip(known.tolist(), facts.values[:, known].T.tolist(), strict=True)
        self._insert("observations", [(facts.hour, leg, *values) for leg, values in rows])
        self._insert("settlements", [(s.leg, s.hour, s.rate, facts.hour) for s in facts.settled])
        self._insert("notices", [(facts.hour, notice.leg, notice.hour) for notice in facts.notices])
        if facts.recorded is not None:
            pairs, features = facts.recorded
            each = zip(pairs.tolist(), features, strict=True)
            rows_of = [(facts.hour, row, pair, values.tobytes()) for row, (pair, values) in enumerate(each)]
            self._insert("recorded", rows_of)

    def store(self, snapshot: Snapshot) -> None:
        """Replace the snapshot; inside the transaction of its hour."""
        report = json.dumps(snapshot.report, allow_nan=False)
        books = (snapshot.portfolio, snapshot.slots, snapshot.ghosts, snapshot.wallets)
        row = (1, snapshot.hour, snapshot.before, *books, snapshot.generator, report)
        self._insert("snapshot", [row], "INSERT OR REPLACE")

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]], verb: str = "INSERT") -> None:
        if rows:
            self._database.executemany(f"{verb} INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _columns_of(event: Event) -> tuple[Any, ...]:
    """Kind and text of an event, and the columns of what was refused."""
    refusal = event.refusal
    if refusal is None:
        return event.kind, event.text, None, None, None, None, None
    return event.kind, event.text, event.leg, refusal.field, refusal.hour, refusal.value, refusal.limit


def require_state(folder: Path) -> None:
    """Raises ``UserError`` when there is no state in the folder."""
    if not (folder / DATABASE).is_file():
        raise UserError(f"{folder} holds no paper trading state; start one with `arb paper-trade --state {folder}`")


def is_started(folder: Path) -> bool:
    """Whether the folder holds a state, and not only what a start left that was cut before its first transaction."""
    path = folder / DATABASE
    if not path.is_file():
        return False
    database = _connect(path)
    try:
        return bool(database.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError:
        raise DataError("is no paper trading state", file=str(path)) from None
    finally:
        database.close()


def shifted(records: Records, hours: int) -> Records:
    """Records whose hours count ``hours`` more: from rows to hour numbers, or back."""
    parts = {}
    for table, name in RECORD_FIELDS.items():
        rows = getattr(records, name).copy()
        for column in HOUR_COLUMNS[table]:
            rows[column] += hours
        parts[name] = rows
    counters = records.missing_settlements, records.fills_at_last_trade, records.stale_hours
    return Records(parts["ledger"], parts["trades"], parts["notes"], parts["hours"], *counters)


def _connect(path: Path | str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(path, uri=uri, isolation_level=None, timeout=30, check_same_thread=False)


def _locked(folder: Path) -> sqlite3.Connection:
    """The lock of the folder; the system gives it back when the process ends, however it ends."""
    lock = sqlite3.connect(folder / LOCK, isolation_level=None, timeout=0, check_same_thread=False)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        raise UserError(
            f"{folder} is in use by another `arb paper-trade`; wait for it, stop it, or give another --state"
        ) from None
    return lock


def _checked(database: sqlite3.Connection, folder: Path) -> sqlite3.Connection:
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        database.close()
        raise DataError(f"is no paper trading state ({error})", file=str(folder / DATABASE)) from None
    if version != FORMAT:
        problem = (
            f"was made by another version of arb ({_maker(database)}): go on with that one, or start another --state"
        )
        database.close()
        raise DataError(problem, file=str(folder / DATABASE))
    return database


def _maker(database: sqlite3.Connection) -> str:
    """The code version that started the state, as far as it can be read."""
    try:
        return str(json.loads(database.execute("SELECT value FROM meta WHERE name = 'code_version'").fetchone()[0]))
    except (sqlite3.DatabaseError, TypeError, ValueError):
        return "unknown"
