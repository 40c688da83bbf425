"""Is a journal whole? What can be told at its opening, and what takes longer, for when something has failed already."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adapters.paper.digests import NOTHING, chained, chained_records, observation_hash
from adapters.paper.log import LOG_FILE
from adapters.paper.schema import DIGESTED, RECORD_TABLES
from adapters.paper.state_folder import RESTORE, UNREADABLE
from engine.accounting.books import PORTFOLIO
from engine.errors import DataError, in_words
from engine.windows import time_of

if TYPE_CHECKING:
    from adapters.paper.journal_reader import JournalReader

CHECKED = (*DIGESTED, *RECORD_TABLES)
"""Tables that are gone over when a journal is opened."""
LAST_BYTES_OF_LOG = 100_000
CASH_TOLERANCE = 1e-6
"""Of all that was ever booked: the kernel adds in another order."""


def damage_of(
    journal: JournalReader, *, log_hour: int | None = None, tables: Collection[str] = CHECKED, thorough: bool = False
) -> str | None:
    """The first thing that is wrong with a journal and what to do, in words; None when it is whole.

    ``log_hour`` is the last hour that its log tells of; ``tables``: of those alone the rows are looked at.
    ``thorough`` reads every page and every observation too.
    """
    try:
        problem = next(_damages(journal, log_hour, tables, thorough), None)
    except DataError as error:
        problem = error.problem
    except UNREADABLE as error:
        problem = f"is damaged ({in_words(error)})"
    return problem if problem is None or "restore " in problem else f"{problem}; {RESTORE}"


def heads_of(journal: JournalReader, tables: Collection[str] = CHECKED) -> dict[str, int]:
    """The digests of tables, from their rows."""
    return {table: _head(journal, table) for table in tables}


def _head(journal: JournalReader, table: str) -> int:
    if table in RECORD_TABLES:
        return chained_records(NOTHING, journal.records(table))
    columns, order = DIGESTED[table]
    return chained(NOTHING, journal.rows(f"SELECT {columns} FROM {table} ORDER BY {order}"))


def hour_of_log(folder: Path) -> int | None:
    """The last hour that the log of a state tells of, None where it tells of none. It is written after the journal."""
    try:
        with (folder / LOG_FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LAST_BYTES_OF_LOG))
            # The first line may be cut by the jump, and the last one by a kill: both count as lines without an hour.
            lines = file.read().splitlines()
    except OSError:
        return None
    return next((hour for line in reversed(lines) if (hour := _hour_in(line)) is not None), None)


def _hour_in(line: bytes) -> int | None:
    try:
        hour = json.loads(line).get("hour")
    except (ValueError, AttributeError, RecursionError):
        return None
    return hour if isinstance(hour, int) else None


def _damages(journal: JournalReader, log_hour: int | None, tables: Collection[str], thorough: bool) -> Iterator[str]:
    if thorough:
        yield from (f"is damaged ({problem})" for (problem,) in journal.rows("PRAGMA quick_check") if problem != "ok")
    first, last, count = journal.rows("SELECT min(hour), max(hour), count(*) FROM slots")[0]
    # Hours never have gaps: missed ones are booked too, so that a hole can only be lost rows.
    if "slots" in tables and count and last - first + 1 != count:
        yield f"is damaged: {last - first + 1 - count} of its hours are missing"
    snapshot, heads = journal.snapshot(), journal.heads()
    if (snapshot is None) != (not count) or (snapshot is not None and snapshot.hour != last):
        yield "is damaged: what the next hour starts from is not of the last hour"
    if snapshot is not None:
        others = (name for name, head in heads_of(journal, tables).items() if head != heads.get(name))
        yield from (f"is damaged: what its table {name} holds was not written so" for name in others)
    if snapshot is not None and "ledger" in tables:
        yield from _unbalanced(journal, snapshot.portfolio)
    # An older copy is whole in itself; only the log, which is written after each hour, knows that there was more.
    if log_hour is not None and (last is None or log_hour > last):
        ends = "before its first hour" if last is None else f"at {time_of(last):%Y-%m-%dT%H:%MZ}"
        yield (
            f"ends {ends}, its log at {time_of(log_hour):%Y-%m-%dT%H:%MZ}: hours were lost, or it is an older copy; "
            f"restore the newer one, or move {journal.folder / LOG_FILE} away to go on from there"
        )
    if thorough and count:
        for facts in journal.facts(first, last):
            if observation_hash(facts) != journal.digest_of_facts(facts.hour):
                yield f"is damaged: the observations of {time_of(facts.hour):%Y-%m-%dT%H:%MZ} were not written so"


def _unbalanced(journal: JournalReader, portfolio: bytes | None) -> Iterator[str]:
    """Cash is the capital and everything that was booked."""
    if portfolio is None:
        return
    cash = float(np.frombuffer(portfolio, PORTFOLIO)[0]["cash"])
    capital = float(journal.meta["settings"]["initial_capital_usd"])
    # total(), not sum(): of no rows it is 0.0, where sum() is NULL.
    booked, moved = journal.rows("SELECT total(amount), total(abs(amount)) FROM ledger")[0]
    if not abs(capital + booked - cash) <= CASH_TOLERANCE * (capital + moved):
        yield f"is damaged: cash is {cash:,.2f} USD, capital and ledger sum to {capital + booked:,.2f} USD"
