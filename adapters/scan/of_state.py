"""The last hour of paper trading as something to scan: from its journal alone, without any exchange."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.datasets.layout import read_info
from adapters.paper.journal import Journal
from adapters.paper.setup import REPLAY, prepare_player, session_of, settings_of
from adapters.scan.scene import STATE, Scene, Source
from engine.accounting.books import Books, Status
from engine.errors import ArbError, UserError
from engine.windows import EPOCH, time_of

NOBODY = "hold"
"""Who plays the hours before a look: they have to be gone through as paper trading does, without a trade."""


def state_scene(folder: Path) -> Scene:
    """The last hour of a paper trading state, from its journal alone; it is only read.

    Raises ``UserError`` where there is no state, or no hour in it yet.
    """
    with Journal.open_for_reading(folder) as journal:
        if not journal.was_played:
            raise UserError(f"{folder}: no hour has been played yet")
        player = prepare_player(NOBODY, settings_of(journal.meta), (), 0)
        session = session_of(journal, player, excuse_errors=False)
        hour = session.hour
        assert hour is not None  # one was played
        quotes = {leg: quote for leg in range(len(journal.legs)) if (quote := journal.quote(leg, hour))}
        events = journal.rows("SELECT text FROM events WHERE hour = ? ORDER BY id", hour)
        at = time_of_quotes(quote["collected_ms"] for quote in quotes.values())
        return Scene(
            source_of_state(folder, journal.meta),
            session.rolling.builder(),
            at or time_of(hour),
            held=_held(session.books),
            quotes=quotes,
            events=tuple(text for (text,) in events),
        )


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
