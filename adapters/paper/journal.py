"""The journal of paper trading on disk: one transaction an hour, one writer at a time.

It is checked when it is opened: hours follow each other, every table is what its digest says, cash is what was booked.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from adapters.paper.digests import (
    chained,
    chained_records,
    extremes_by_leg,
    levels_of,
    observation_hash,
    snapshot_digest,
)
from adapters.paper.entries import RECORD_FIELDS, Event, HourEntry, Snapshot
from adapters.paper.integrity import CHECKED, damage_of, heads_of, hour_of_log
from adapters.paper.journal_reader import JournalReader
from adapters.paper.schema import DIGESTED, FORMAT, additions, script
from adapters.paper.state_folder import (
    DATABASE,
    check_version,
    connect,
    create_database,
    is_started,
    locked,
    read_only,
    require_state,
    told,
)
from adapters.storage.folder_lock import FolderLock
from engine.errors import ArbError, DataError
from engine.live_window import HourFacts

__all__ = ["DATABASE", "Journal", "is_started"]


class Journal(JournalReader):
    """An open state folder. ``create`` and ``open_for_writing`` hold its lock until ``close``.

    As a context it asks, when something fails inside, whether the journal is damaged, and then says that instead.
    """

    def __init__(self, folder: Path, database: sqlite3.Connection, lock: FolderLock | None) -> None:
        super().__init__(folder, database)
        self._lock = lock
        self._heads: dict[str, int] | None = None

    @classmethod
    def create(cls, folder: Path, meta: Mapping[str, Any], legs: Sequence[tuple[str, str, int, int]]) -> Self:
        """A new state with its unchanging facts: ``legs`` are (symbol, exchange, delisting hour, its notice).

        A state in which no hour was played gives way.
        """
        folder.mkdir(parents=True, exist_ok=True)

        def fill(database: sqlite3.Connection) -> None:
            # executescript commits what is open before it begins, so the transaction is opened inside it.
            database.executescript(f"BEGIN;\n{script()}PRAGMA user_version = {FORMAT};")
            database.executemany("INSERT INTO legs VALUES (?, ?, ?, ?, ?)", [(i, *leg) for i, leg in enumerate(legs)])
            rows = [(name, json.dumps(value)) for name, value in meta.items()]
            database.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            database.execute("COMMIT")

        lock = locked(folder)
        try:
            create_database(folder, fill)
            return cls._opened(folder, connect(folder / DATABASE), lock)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def open_for_writing(cls, folder: Path) -> Self:
        """Raises ``UserError`` when another process has the state open, ``DataError`` when it is not whole."""
        require_state(folder)
        lock = locked(folder)
        try:
            return cls._opened(folder, connect(folder / DATABASE), lock, log_hour=hour_of_log(folder))
        except BaseException:
            lock.close()
            raise

    @classmethod
    def open_for_reading(cls, folder: Path, *, checked: Collection[str] = CHECKED) -> Self:
        """Reads beside a process that writes. Raises ``UserError`` when there is no state, ``DataError`` when it is not
        whole; who compares the rows of some tables himself leaves them out of those ``checked``.
        """
        require_state(folder)
        log_hour = hour_of_log(folder)  # before the moment of which the journal is read
        with told(folder / DATABASE):
            database = connect(read_only(folder / DATABASE), uri=True)
            return cls._opened(folder, database, None, log_hour=log_hour, checked=checked)

    @classmethod
    def _opened(
        cls, folder: Path, database: sqlite3.Connection, lock: FolderLock | None, *,
        log_hour: int | None = None, checked: Collection[str] = CHECKED,
    ) -> Self:  # fmt: skip
        journal = cls(folder, database, lock)
        try:
            with told(folder / DATABASE):
                check_version(database, folder)
                if lock is not None:
                    database.executescript(additions())
                # A writer's log is written behind the database; a reader's look is of one moment.
                database.execute("PRAGMA journal_mode = WAL" if lock is not None else "BEGIN")
            problem = damage_of(journal, log_hour=log_hour, tables=checked)
            if problem is not None:
                raise DataError(problem, file=str(folder / DATABASE))
        except BaseException:
            database.close()
            raise
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        problem = None
        if isinstance(error, Exception) and not isinstance(error, ArbError):
            # Errors that are ours and told already say what is wrong; any other may come
            # from a value altered on the disk.
            problem = damage_of(self, thorough=True)
        self.close()
        if problem is not None:
            raise DataError(problem, file=str(self.folder / DATABASE)) from error

    def close(self) -> None:
        """Give database and lock back."""
        last_reader = None if self._lock is None else self._leave_log()
        self._database.close()
        if last_reader is not None:
            last_reader.close()
        if self._lock is not None:
            self._lock.close()

    def _leave_log(self) -> sqlite3.Connection | None:
        """Write the log back, and have somebody who only reads close the database last: SQLite then leaves the files of
        the empty log beside it, without which nobody can read it where nothing can be written."""
        with suppress(sqlite3.Error):  # it is closed in any case
            self._database.execute("PRAGMA busy_timeout = 0")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            reader = connect(read_only(self.folder / DATABASE), uri=True)
            try:
                reader.execute("PRAGMA user_version").fetchall()
            except BaseException:
                reader.close()
                raise
            return reader
        return None

    def sync_every_hour(self, *, wanted: bool) -> None:
        """Whether an hour must survive a power cut too; it survives a kill in any case."""
        self.rows(f"PRAGMA synchronous = {'FULL' if wanted else 'NORMAL'}")
        # Without a flush every hour the disk is waited for only when the log is written
        # back, so that is done less often.
        self.rows(f"PRAGMA wal_autocheckpoint = {1_000 if wanted else 20_000}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside becomes part of the journal, or none of it.

        Raises ``UserError`` when the disk does not take it; then the journal is as it was before.
        """
        # The digests run ahead of the disk: after a rollback they must not cover rows that are not there.
        heads = self._heads
        with told(self.folder / DATABASE):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._heads = heads
                if self._database.in_transaction:  # on a full disk SQLite has rolled back already
                    self._database.execute("ROLLBACK")
                raise

    def add_hour(self, entry: HourEntry) -> None:
        """Append one hour; inside a transaction, together with its snapshot."""
        hour = entry.facts.hour
        facts = observation_hash(entry.facts) if entry.decision is None else entry.decision.observation_hash
        self._insert("slots", [(hour, entry.status, entry.detail, facts)])
        self._add_facts(entry.facts)
        self._insert("quotes", [(hour, leg, json.dumps(quote)) for leg, quote in entry.quotes.items()])
        if entry.decision is not None:
            made = entry.decision
            row = (hour, made.strategy, json.dumps(made.orders), made.no_decision, made.observation_hash)
            self._insert("decisions", [row])
        self._insert("events", [(None, hour, *_columns_of(event)) for event in entry.events])
        if entry.records is not None:
            for table, name in RECORD_FIELDS.items():
                records = getattr(entry.records, name)
                self._insert(table, [(None, *row) for row in records.tolist()])
                heads = self._running_heads()
                self._heads = heads | {table: chained_records(heads[table], records)}

    def _add_facts(self, facts: HourFacts) -> None:
        known = np.flatnonzero(~np.isnan(facts.values).all(axis=0))
        rows = zip(known.tolist(), facts.values[:, known].T.tolist(), strict=True)
        self._insert("observations", [(facts.hour, leg, *values) for leg, values in rows])
        self._insert("settlements", [(s.leg, s.hour, s.rate, facts.hour) for s in facts.settled])
        self._insert("notices", [(facts.hour, notice.leg, notice.hour) for notice in facts.notices])
        books = [(json.dumps(levels_of(book.bids)), json.dumps(levels_of(book.asks))) for book in facts.books]
        self._insert("order_books", [(facts.hour, of.leg, *book) for of, book in zip(facts.books, books, strict=True)])
        self._insert("extremes", [(facts.hour, *known) for known in extremes_by_leg(facts)])
        if facts.recorded is not None:
            pairs, features = facts.recorded
            each = zip(pairs.tolist(), features, strict=True)
            rows_of = [(facts.hour, row, pair, values.tobytes()) for row, (pair, values) in enumerate(each)]
            self._insert("recorded", rows_of)

    def store(self, snapshot: Snapshot) -> None:
        """Replace the snapshot; inside the transaction of its hour."""
        # Python would write NaN, which is no JSON: others who read the state could not.
        report = json.dumps(snapshot.report, allow_nan=False)
        books = (snapshot.portfolio, snapshot.slots, snapshot.awaiting_settlement, snapshot.wallets)
        row = (snapshot.hour, snapshot.before, *books, snapshot.generator, report)
        heads = self._running_heads()
        self._insert("snapshot", [(1, *row, json.dumps(heads), snapshot_digest(row, heads))], "INSERT OR REPLACE")

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]], verb: str = "INSERT") -> None:
        if not rows:
            return
        if table in DIGESTED:
            heads = self._running_heads()
            written = rows if rows[0][0] is not None else [row[1:] for row in rows]  # ids are the database's
            self._heads = heads | {table: chained(heads[table], written)}
        self._database.executemany(f"{verb} INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    def _running_heads(self) -> dict[str, int]:
        """The digests of the tables up to what was inserted last."""
        if self._heads is None:
            self._heads = self.heads() or heads_of(self)
        return self._heads


def _columns_of(event: Event) -> tuple[Any, ...]:
    """Kind and text of an event, and the columns of what was refused."""
    refusal = event.refusal
    if refusal is None:
        return event.kind, event.text, None, None, None, None, None
    leg = None if event.leg is None else int(event.leg)
    return event.kind, event.text, leg, refusal.field, int(refusal.hour), refusal.value, refusal.limit
