"""One look at the journal a second for everybody who listens, however many they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from adapters.paper.journal import Journal
from adapters.paper.messages import shown
from adapters.web.state import StateReader
from engine.accounting.tape import Tape
from engine.errors import UserError

POLL_SECONDS = 1.0
MOST_WAITING = 100
"""Events that may wait for a listener; one that is slower is sent away and fetches everything again."""
MOST_AT_ONCE = 500
PAIR = "{}, long {}, short {}"
OF_HOURS = ("hour", "entry", "exit", "degraded", "recovered")
"""Kinds that are told of an hour as a whole; they have the id of the last row before it."""


class Event(NamedTuple):
    """Something new in the journal. ``id`` is that of its row, hours have that of the last row before them."""

    id: int
    kind: str
    time: str
    text: str


@dataclass(eq=False)
class Listener:
    """A queue, and whether its owner was too slow."""

    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    is_lost: bool = False


def _of_hours(journal: Journal, tape: Tape, before: int, now: tuple[int, int]) -> list[Event]:
    """What the hours after ``before`` brought: exits, entries, how health changed, and the hour itself."""
    hour, row = now
    found = [
        Event(row, "exit", shown(closed), PAIR.format(*tape.pair_name(pair)))
        for closed, pair in journal.rows("SELECT closed, pair FROM trades WHERE closed > ? ORDER BY id", before)
    ]
    snapshot = journal.snapshot()
    positions = [] if snapshot is None else snapshot.report.get("positions", [])
    found += [
        Event(
            row,
            "entry",
            shown(one["opened_hour"]),
            PAIR.format(one["symbol"], one["long_exchange"], one["short_exchange"]),
        )
        for one in positions
        if one["opened_hour"] > before
    ]
    slots = journal.rows("SELECT status, detail FROM slots WHERE hour IN (?, ?) ORDER BY hour", before, hour)
    was, (status, detail) = slots[0][0], slots[-1]
    if "degraded" in (was, status) and was != status:
        kind = "degraded" if status == "degraded" else "recovered"
        found.append(Event(row, kind, shown(hour), detail or status))
    return [*found, Event(row, "hour", shown(hour), detail or status)]


class Poller:
    """Tells listeners of new hours and events. Runs while the service does."""

    def __init__(self, state: StateReader, *, seconds: float = POLL_SECONDS) -> None:
        self._state, self._seconds = state, seconds
        self._listeners: set[Listener] = set()
        self._last: tuple[int, int] | None = None
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Poll until ``close``."""
        while not self._closed.is_set():
            for event in await run_in_threadpool(self._news):
                self._tell(event)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), self._seconds)

    def close(self) -> None:
        """End all listening."""
        self._closed.set()
        for listener in list(self._listeners):
            self._send_away(listener)

    async def listen(self, after: int | None) -> AsyncIterator[Event]:
        """Events after a row of the journal (None: from now on), until the service ends or this listener is too slow.

        Raises ``UserError`` when the journal cannot be read.
        """
        listener = Listener()
        self._listeners.add(listener)
        try:
            sent = -1
            if after is not None:
                for event in await run_in_threadpool(self.since, after):
                    sent = max(sent, event.id)
                    yield event
            while not listener.is_lost and not self._closed.is_set():
                event_or_end = await listener.queue.get()
                if event_or_end is None:
                    return
                # Between the look at the past and the next poll an event may come both ways.
                if event_or_end.id > sent or event_or_end.kind in OF_HOURS:
                    yield event_or_end
        finally:
            self._listeners.discard(listener)

    def since(self, after: int) -> list[Event]:
        """Events of the journal after a row, oldest first; of very many the newest."""
        with self._state.journal() as journal:
            rows = journal.rows(
                "SELECT id, kind, hour, text FROM events WHERE id > ? ORDER BY id DESC LIMIT ?", after, MOST_AT_ONCE
            )
        return [Event(row, kind, shown(hour), text) for row, kind, hour, text in reversed(rows)]

    def _news(self) -> list[Event]:
        try:
            with self._state.journal() as journal:
                hour, row = journal.rows("SELECT (SELECT max(hour) FROM slots), (SELECT max(id) FROM events)")[0]
                now = (-1 if hour is None else hour, 0 if row is None else row)
                before, self._last = self._last, now
                if before is None or now == before:
                    return []
                # A state that was started anew begins again: whoever listens has to fetch everything.
                if now < before:
                    return [Event(now[1], "restart", shown(max(now[0], 0)), "another state")]
                found = self.since(before[1]) if now[1] > before[1] else []
                if now[0] > before[0]:
                    found += _of_hours(journal, self._state.tape(journal), before[0], now)
                return found
        except UserError:
            # Not there yet, or being replaced: the next look will tell.
            return []

    def _tell(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                listener.queue.put_nowait(event)
            except asyncio.QueueFull:
                self._send_away(listener)

    def _send_away(self, listener: Listener) -> None:
        listener.is_lost = True
        self._listeners.discard(listener)
        with suppress(asyncio.QueueEmpty):
            listener.queue.get_nowait()
        listener.queue.put_nowait(None)
