"""The journal against the backtester: the same observations must give the same books and the same decisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from adapters.paper.digests import observation_hash
from adapters.paper.entries import RECORD_FIELDS, Decision
from adapters.paper.journal import Journal
from adapters.paper.recorded_run import market_of, played_hours, records_of
from adapters.paper.replay import CLOSED
from adapters.paper.session import blank_books
from adapters.paper.setup import Player, settings_of
from engine.accounting.books import seen_from
from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.records import Records, join
from engine.accounting.tape import prepare
from engine.live_window import MAX_DELAY_HOURS
from engine.market.data import MarketData
from engine.observation.answers import answer
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import View
from engine.windows import time_of

NOT_REPLAYED = ("meta", "legs")
"""Tables that the replay is made from; what the others hold must come out of it."""


@dataclass(frozen=True)
class Verdict:
    """What was compared, and the first difference in words (None: everything agrees)."""

    hours: int
    decisions: int
    ledger_entries: int
    difference: str | None


def verify(journal: Journal, player: Player) -> Verdict:
    """Replay what is recorded: books under the recorded orders, then the strategy's answers to the observations."""
    first, last = played_hours(journal)
    market, decisions = market_of(journal), journal.decisions()
    begin = int(market.hours[0])
    found: list[str] = []
    records = _replay(journal, market, player, decisions, found)
    differences = [
        *_missing_hours(decisions, first, last),
        *_other_observations(journal, decisions),
        *_other_books(records_of(journal, begin), records),
        *found,
    ]
    asked = sum(made.no_decision is None for made in decisions.values())
    return Verdict(len(decisions), asked, len(records.ledger), differences[0] if differences else None)


def _replay(
    journal: Journal, market: MarketData, player: Player, decisions: dict[int, Decision], found: list[str]
) -> Records:
    """The books under the recorded orders, rows of the market; other answers of the strategy go to ``found``."""
    # One tape of all hours, where the session had a window that moved: the comparison tests the window too.
    builder = OpportunityBuilder(prepare(market, settings_of(journal.meta)))
    loop = HourlyLoop(builder.tape, max_delay_hours=MAX_DELAY_HOURS)
    books, begin = blank_books(builder.tape.wallet_shares, builder.tape.settings), int(market.hours[0])
    closed = bool(journal.rows("SELECT 1 FROM slots WHERE status = ?", CLOSED))
    parts = []
    for hour in range(min(decisions), max(decisions) + 1):
        loop.resume(builder.tape, hour - begin, books)
        made = decisions.get(hour)
        # Where nothing was decided (a missed hour), asking now would draw from the generator and change later answers.
        if made is not None and made.no_decision is None:
            answered = tuple(answer(player.strategy, View(loop, builder)))
            if answered != made.orders:
                found.append(f"{_shown(hour)}: decided then {list(made.orders)}, now {list(answered)}")
        # A replay's last hour was closed as a backtest's end of data; a live state stays open.
        if closed and hour == max(decisions):
            loop.close()
        else:
            loop.fill(order_records([] if made is None else list(made.orders)))
        parts.append(loop.drain())
        books = seen_from(loop.books, 0)
    return join(parts)


def _missing_hours(decisions: dict[int, Decision], first: int, last: int) -> Iterator[str]:
    for hour in range(first, last + 1):
        if hour not in decisions:
            yield f"{_shown(hour)}: the hour is missing from the journal"


def _other_observations(journal: Journal, decisions: dict[int, Decision]) -> Iterator[str]:
    for facts in journal.facts(min(decisions), max(decisions)):
        if facts.hour in decisions and observation_hash(facts) != decisions[facts.hour].observation_hash:
            yield f"{_shown(facts.hour)}: the observation is not the one that was decided on"


def _other_books(journalled: Records, replayed: Records) -> Iterator[str]:
    for table, name in RECORD_FIELDS.items():
        pairs = zip_longest(getattr(journalled, name).tolist(), getattr(replayed, name).tolist())
        fields = getattr(replayed, name).dtype.names
        for number, (ours, theirs) in enumerate(pairs, start=1):
            if ours is None or theirs is None:
                missing = "journal" if ours is None else "backtester"
                yield f"{table} row {number}: the {missing} has none"
            elif repr(ours) != repr(theirs):  # to the sign of a zero; one nan is like another
                yield f"{table} row {number}: {_first_other(fields, ours, theirs)}"


def _first_other(fields: Any, ours: Any, theirs: Any) -> str:
    name, mine, its = next(
        (name, mine, its) for name, mine, its in zip(fields, ours, theirs, strict=True) if repr(mine) != repr(its)
    )
    return f"{name} is {mine!r} in the journal and {its!r} by the backtester"


def _shown(hour: int) -> str:
    return f"{time_of(hour):%Y-%m-%dT%H:%MZ}"
