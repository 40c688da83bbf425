"""An hour of paper trading as something to scan: from its journal alone, without any exchange."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.datasets.layout import read_info
from adapters.paper.journal import Journal
from adapters.paper.messages import shown
from adapters.paper.recorded_run import market_of
from adapters.paper.setup import REPLAY, prepare_player, session_of, settings_of
from adapters.scan.scene import STATE, Scene, Source, market_scene
from engine.accounting.books import Books, Status
from engine.errors import ArbError, UserError
from engine.windows import EPOCH, hour_of, time_of

NOBODY = "hold"
"""Who plays the hours before a look: they have to be gone through as paper trading does, without a trade."""


def state_scene(folder: Path, at: datetime | None = None) -> Scene:
    """The last hour of a paper trading state, or an earlier one, from its journal alone; it is only read.

    What was held at an earlier hour is not kept, so that nothing counts as held there. Raises ``UserError`` where there
    is no state, or no such hour in it.
    """
    with Journal.open_for_reading(folder) as journal:
        if not journal.was_played:
            raise UserError(f"{folder}: no hour has been played yet")
        if at is not None and hour_of(at) != journal.last_hour:
            return _earlier(folder, journal, hour_of(at))
        player = prepare_player(NOBODY, settings_of(journal.meta), (), 0)
        session = session_of(journal, player, excuse_errors=False)
        hour = session.hour
        assert hour is not None  # one was played
        scene = Scene(source_of_state(folder, journal.meta), session.rolling.builder(), time_of(hour))
        return replace(_with_what_was_said(scene, journal, hour), held=_held(session.books))


def _earlier(folder: Path, journal: Journal, hour: int) -> Scene:
    if not journal.rows("SELECT 1 FROM decisions WHERE hour = ?", hour):
        raise UserError(f"{folder}: {shown(hour)} is no hour that was played")
    market, settings = market_of(journal, hour), settings_of(journal.meta)
    scene = market_scene(market, time_of(hour), settings, source_of_state(folder, journal.meta))
    return _with_what_was_said(scene, journal, hour)


def _with_what_was_said(scene: Scene, journal: Journal, hour: int) -> Scene:
    quotes = journal.quotes(hour)
    events = journal.rows("SELECT text FROM events WHERE hour = ? ORDER BY id", hour)
    seen = time_of_quotes(quote["collected_ms"] for quote in quotes.values())
    return replace(scene, seen=seen or scene.seen, quotes=quotes, events=tuple(text for (text,) in events))


def source_of_state(folder: Path, meta: dict[str, Any]) -> Source:
    """What a state trades on, and whether that is a market."""
    if meta["mode"] != REPLAY:
        exchanges = ", ".join(meta["universe"]["exchanges"])
        return Source(STATE, str(folder), f"live: {exchanges}", synthetic=False)
    synthetic = None
    # The journal itself does not know, and the data set may have moved or be of an older layout.
    with suppress(ArbError):
        synthetic = read_info(Path(meta["dataset_path"])).is_synthetic
    return Source(STATE, str(folder), f"a replay of {meta['source']['dataset']}", synthetic)


def _held(books: Books | None) -> frozenset[int]:
    if books is None:
        return frozenset()
    slots = books.slots[0]
    return frozenset(slots["pair"][slots["status"] != int(Status.FREE)].tolist())


def time_of_quotes(collected_ms: Iterator[int]) -> datetime | None:
    """When the newest of them was taken."""
    newest = max(collected_ms, default=None)
    return None if newest is None else EPOCH + timedelta(milliseconds=newest)
