"""The three places that an hour to scan can be from: the exchanges, a data set, the journal of paper trading."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.datasets.layout import read_info
from adapters.datasets.load import load_dataset
from adapters.exchanges.clients import Clock, machine_milliseconds
from adapters.exchanges.live import LiveMarket
from adapters.exchanges.settings import ExchangesSettings
from adapters.paper.history_progress import Progress
from adapters.paper.journal import Journal
from adapters.paper.live import LiveTrading, open_live
from adapters.paper.settings import PaperConfig
from adapters.paper.setup import REPLAY, prepare_player, session_of, settings_of
from adapters.research.markets import filtered
from adapters.scan.scene import DATASET, LIVE, STATE, Scene, Source
from engine.accounting.books import Books, Status
from engine.accounting.tape import prepare
from engine.errors import ArbError, UserError
from engine.market.counterfactual import up_to
from engine.market.data import MarketData
from engine.observation.features import build_tables
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings
from engine.windows import EPOCH, time_of

NOBODY = "hold"
"""Who plays the hours before a live look: they have to be gone through as paper trading does, without a trade."""


@contextmanager
def live_scenes(
    config: PaperConfig, exchanges: ExchangesSettings, clock: Clock | None, progress: Progress | None = None
) -> Iterator[Callable[[], Scene]]:
    """Looks at the exchanges, each as the current hour of paper trading would: its gate, history and clocks are used.

    The first one fetches the history that the windows need into a state that is thrown away at the end.
    """
    player = prepare_player(NOBODY, config.engine, (), 0)
    with (
        tempfile.TemporaryDirectory(prefix="arb-scan-") as folder,
        LiveMarket(exchanges, clock=clock) as live,
        open_live(Path(folder), config.paper, exchanges, player, live) as journal,
    ):
        journal.sync_every_hour(wanted=False)
        session = session_of(journal, player, excuse_errors=False)
        trading = LiveTrading(session, live, clock or machine_milliseconds, progress=progress)
        source = Source(LIVE, "live", ", ".join(sorted(exchanges.exchanges)), synthetic=False)

        def look() -> Scene:
            seen = trading.look()
            builder = session.rolling.with_hour(seen.facts).builder()
            events = tuple(event.text for event in (*seen.events, *seen.news))
            at = _time_of_quotes(quote["collected_ms"] for quote in seen.quotes.values())
            return Scene(source, builder, at or time_of(seen.facts.hour), quotes=seen.quotes, events=events)

        yield look


def dataset_scene(path: Path, at: datetime, settings: ArbSettings) -> Scene:
    """An hour of a data set, made of the hours up to it alone. Raises ``UserError`` for an hour outside the data."""
    dataset = load_dataset(path, settings.gate)
    info, market = dataset.info, filtered(dataset.market, settings.filters)
    return market_scene(market, at, settings, Source(DATASET, info.name, info.source, info.is_synthetic))


def market_scene(market: MarketData, at: datetime, settings: EngineSettings, source: Source) -> Scene:
    """An hour of a market, seen at that hour. Raises ``UserError`` for an hour outside of it."""
    tape = prepare(up_to(market, market.index_of(at)), settings)
    return Scene(source, OpportunityBuilder(tape, build_tables(tape, tape.hours - 1)), at)


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
        at = _time_of_quotes(quote["collected_ms"] for quote in quotes.values())
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


def _time_of_quotes(collected_ms: Iterator[int]) -> datetime | None:
    newest = max(collected_ms, default=None)
    return None if newest is None else EPOCH + timedelta(milliseconds=newest)
