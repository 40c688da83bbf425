"""Tables of a paper trading state. What has been written is history: only the snapshot is ever replaced."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from engine.accounting.books import AWAITING, HOUR, LEDGER, NOTE, PORTFOLIO, SLOT, TRADE, WALLET
from engine.live_window import FACTS
from engine.market.earlier_hours import LEG_BEFORE
from engine.market.schedule import ASSUMED, SCHEDULE

RECORD_TABLES = {"ledger": LEDGER, "trades": TRADE, "notes": NOTE, "equity": HOUR}
"""Tables of what the kernel recorded, with their rows; their ``hour`` columns are hour numbers since 1970."""
HOUR_COLUMNS = {
    "ledger": ("hour",),
    "trades": ("opened", "closed", "long_closed", "short_closed"),
    "notes": ("hour",),
    "equity": ("hour",),
}

# Numbers with a fraction stand in columns of type ANY: REAL would turn -0.0 into 0.0.
# ``ghosts`` holds closed positions that await settlement: a column keeps its name, so that older states stay readable.
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE legs (leg INTEGER PRIMARY KEY, symbol TEXT NOT NULL, exchange TEXT NOT NULL,
  delisting_hour INTEGER NOT NULL, delisting_known_hour INTEGER NOT NULL) STRICT;
CREATE TABLE slots (hour INTEGER PRIMARY KEY, status TEXT NOT NULL, detail TEXT NOT NULL, facts TEXT NOT NULL) STRICT;
CREATE TABLE observations (hour INTEGER, leg INTEGER, {facts}, PRIMARY KEY (hour, leg)) STRICT, WITHOUT ROWID;
CREATE TABLE settlements (leg INTEGER, hour INTEGER, rate ANY NOT NULL, known_hour INTEGER NOT NULL,
  PRIMARY KEY (leg, hour)) STRICT, WITHOUT ROWID;
CREATE INDEX settlements_known ON settlements (known_hour);
CREATE TABLE notices (seen_hour INTEGER, leg INTEGER, delisting_hour INTEGER NOT NULL,
  PRIMARY KEY (seen_hour, leg)) STRICT, WITHOUT ROWID;
CREATE TABLE recorded (hour INTEGER, row INTEGER, pair INTEGER NOT NULL, features BLOB NOT NULL,
  PRIMARY KEY (hour, row)) STRICT, WITHOUT ROWID;
CREATE TABLE quotes (hour INTEGER, leg INTEGER, quote TEXT NOT NULL, PRIMARY KEY (hour, leg)) STRICT, WITHOUT ROWID;
CREATE TABLE decisions (hour INTEGER PRIMARY KEY, strategy TEXT NOT NULL, orders TEXT NOT NULL,
  no_decision TEXT, observation_hash TEXT NOT NULL) STRICT;
CREATE TABLE events (id INTEGER PRIMARY KEY, hour INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
  leg INTEGER, field TEXT, of_hour INTEGER, value ANY, value_limit TEXT) STRICT;
CREATE TABLE snapshot (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), hour INTEGER NOT NULL,
  before BLOB NOT NULL, portfolio BLOB, slots BLOB, ghosts BLOB, wallets BLOB, generator TEXT,
  report TEXT NOT NULL, heads TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
"""
ADDED_TABLES = {
    "extremes": "hour INTEGER, leg INTEGER, high ANY NOT NULL, low ANY NOT NULL, PRIMARY KEY (hour, leg)",
    "order_books": "hour INTEGER, leg INTEGER, bids TEXT NOT NULL, asks TEXT NOT NULL, PRIMARY KEY (hour, leg)",
}
"""What came after states were in use: writing adds it to older ones, and reading takes its absence for emptiness."""
APPEND_ONLY = [
    "meta",
    "legs",
    "slots",
    "observations",
    "settlements",
    "notices",
    "recorded",
    "quotes",
    "decisions",
    "events",
    "ledger",
    "trades",
    "notes",
    "equity",
]


META = ("mode", "strategy", "models", "seed", "settings", "model_paths", "grace_hours", "recorded_columns")
"""Facts that every state has."""
DIGESTED = {
    "meta": ("name, value", "name"),
    "legs": ("leg, symbol, exchange, delisting_hour, delisting_known_hour", "leg"),
    "slots": ("hour, status, detail, facts", "hour"),
    "decisions": ("hour, strategy, orders, no_decision, observation_hash", "hour"),
    "events": ("hour, kind, text, leg, field, of_hour, value, value_limit", "id"),
}
"""Tables of texts whose rows are digested, with columns and order. So are the record tables; observations are by hour,
in ``slots``."""


def script() -> str:
    """The statements that make an empty state."""
    facts = ", ".join(f"{name} ANY" for name in FACTS)
    records = "".join(
        f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {_columns(dtype)}) STRICT;\n"
        for name, dtype in RECORD_TABLES.items()
    )
    return _TABLES.format(facts=facts) + records + _guards(APPEND_ONLY)


def additions() -> str:
    """The statements that bring an older state up to date, and change nothing in one that is."""
    tables = (
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) STRICT, WITHOUT ROWID;\n"
        for name, columns in ADDED_TABLES.items()
    )
    return "".join(tables) + _guards(ADDED_TABLES, "IF NOT EXISTS ")


def _guards(tables: Iterable[str], unless: str = "") -> str:
    return "".join(
        f"CREATE TRIGGER {unless}{name}_no_{verb.lower()} BEFORE {verb} ON {name} "
        f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END;\n"
        for name in tables
        for verb in ("UPDATE", "DELETE")
    )


def _columns(dtype: np.dtype[Any]) -> str:
    kinds = {"f": "ANY", "i": "INTEGER NOT NULL"}
    return ", ".join(f'"{name}" {kinds[dtype[name].kind]}' for name in dtype.names or ())


def _format() -> int:
    """A positive number that changes with the tables and with what the snapshot holds."""
    snapshot = [each.descr for each in (PORTFOLIO, SLOT, AWAITING, WALLET, LEG_BEFORE, SCHEDULE, ASSUMED)]
    # SQLite's version is a signed 32-bit number, and 0 is that of a database that nobody has filled.
    return zlib.crc32(repr((script(), snapshot)).encode()) >> 1 | 1


FORMAT = _format()
"""What the database calls its version: a state of other tables is refused, never read as far as it goes."""
