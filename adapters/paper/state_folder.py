"""The files of a paper trading state: the database, the lock of its folder, and what their troubles are called."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.paper.log import LOG_FILE
from adapters.paper.schema import FORMAT
from adapters.storage.aside import file_aside
from adapters.storage.folder_lock import FolderLock
from adapters.storage.giving_way import check_parents
from adapters.storage.run_names import PAPER_DATABASE
from adapters.storage.sqlite_words import DAMAGED, code_of, in_words
from engine.errors import DataError, UserError

DATABASE = PAPER_DATABASE
NO_SPACE_BYTES = 1_000_000
"""With less than that SQLite cannot make the files that it needs beside a database, and calls it a failure."""
WAIT_SECONDS = 30
"""For another process that reads or writes the database."""
UNREADABLE = (ValueError, KeyError, TypeError, IndexError, OverflowError)
"""What reading raises where a value is not what was written."""
RESTORE = "restore a copy of it, or start another --state"


@contextmanager
def told(path: Path) -> Iterator[None]:
    """An error of SQLite's as one line that names the file; its code decides what is said."""
    try:
        yield
    except sqlite3.Error as error:
        if (code := code_of(error)) is None:
            raise  # misuse by us
        if code in DAMAGED:
            raise DataError(f"{in_words(error)}; {RESTORE}", file=str(path)) from error
        # A full disk that is called a failure would send people to look for a broken one.
        if code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < NO_SPACE_BYTES:
            raise UserError(f"{path}: the disk is full ({error.sqlite_errorname})") from error
        raise UserError(f"{path}: {in_words(error)}") from error
    except UnicodeDecodeError as error:  # of a text in the file, or of what SQLite says about it
        raise DataError(f"it is damaged (texts that are not UTF-8); {RESTORE}", file=str(path)) from error


def check_place_of_state(folder: Path) -> None:
    """Raise ``UserError`` or ``DataError`` when a state can neither be started nor be in this folder."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is no folder; give another --state")
    check_parents(folder)
    above = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{above}: no permission to write; give another --state")
    is_started(folder)


def require_state(folder: Path) -> None:
    """Raises ``UserError`` when there is no state in the folder, ``DataError`` when only its log is left."""
    if not is_started(folder):
        raise UserError(f"{folder} holds no paper trading state; start one with `arb paper-trade --state {folder}`")


def is_started(folder: Path) -> bool:
    """Whether the folder holds a state. A database appears whole; raises ``DataError`` for anything less."""
    path, log = folder / DATABASE, folder / LOG_FILE
    if not path.exists():
        if log.exists():
            problem = f"is missing, but its log is there: {RESTORE}; to start anew here move {log} away first"
            raise DataError(problem, file=str(path))
        return False
    if not path.is_file():
        raise UserError(f"{path}: it cannot be opened (it is no file)")
    with told(path):
        # SQLite opens an empty file as an empty database, so that only the version tells a state.
        database = connect(read_only(path), uri=True)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
        finally:
            database.close()
    if not version:
        what = "is empty" if path.stat().st_size == 0 else "is no paper trading state"
        raise DataError(f"{what}: {RESTORE}; to start anew here move the files of {folder} away first", file=str(path))
    return True


def connect(path: Path | str, *, uri: bool = False) -> sqlite3.Connection:
    """A connection without transactions of its own, for use from any thread."""
    return sqlite3.connect(path, uri=uri, isolation_level=None, timeout=WAIT_SECONDS, check_same_thread=False)


def read_only(path: Path) -> str:
    """The address of a database for whoever writes nothing into it."""
    return path.resolve().as_uri() + "?mode=ro"


def locked(folder: Path) -> FolderLock:
    """The lock of a state's folder. Raises what ``FolderLock`` raises."""
    return FolderLock(folder, by="another `arb paper-trade`", instead=", or give another --state")


def create_database(folder: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make the database of a new state aside and put it in its place, whole or not at all; an old one is replaced."""
    path = folder / DATABASE
    with file_aside(path) as aside:
        with told(aside):
            database = connect(aside)
            try:
                fill(database)
            finally:
                database.close()
        for suffix in ("-wal", "-shm"):  # what has not been written back of a database that is replaced
            path.with_name(DATABASE + suffix).unlink(missing_ok=True)
        aside.replace(path)


def check_version(database: sqlite3.Connection, folder: Path) -> None:
    """Raise ``DataError`` when a database was made by another version."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise DataError(
            f"was made by another version of arb ({_maker(database)}): go on with that one, or start another --state",
            file=str(folder / DATABASE),
        )


def _maker(database: sqlite3.Connection) -> str:
    """The code version that started the state, as far as it can be read."""
    try:
        return str(json.loads(database.execute("SELECT value FROM meta WHERE name = 'code_version'").fetchone()[0]))
    except (sqlite3.DatabaseError, TypeError, ValueError):
        return "unknown"
