"""What SQLite's error codes mean, in words for people."""

from __future__ import annotations

import sqlite3

WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "it is in use by another process",
    sqlite3.SQLITE_LOCKED: "it is in use by another process",
    sqlite3.SQLITE_READONLY: "it can only be read (the file, its folder or the disk is read-only)",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened (no permission, no such folder, or too many files are open)",
    sqlite3.SQLITE_PERM: "no permission",
    sqlite3.SQLITE_AUTH: "no permission",
    sqlite3.SQLITE_IOERR: "the disk failed, or a file may not grow",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is damaged, or no SQLite database",
    sqlite3.SQLITE_SCHEMA: "it has other tables than it should",
    sqlite3.SQLITE_TOOBIG: "a value is too large",
    sqlite3.SQLITE_PROTOCOL: "its locks do not work on this disk",
    sqlite3.SQLITE_NOLFS: "this disk takes no large files",
}
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_ERROR})
"""Codes that say what is in the file; SQLITE_ERROR is a query that does not fit the tables."""


def code_of(error: BaseException) -> int | None:
    """The primary result code of an error of SQLite, where it has one."""
    extended = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary code; the rest tells the operation, for which there are dozens.
    return None if extended is None else int(extended) & 0xFF


def in_words(error: BaseException) -> str:
    """What happened, with SQLite's own name for it."""
    code, name = code_of(error), getattr(error, "sqlite_errorname", type(error).__name__)
    return f"{WORDS.get(code or 0, str(error))} ({name})"
