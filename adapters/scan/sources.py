"""The three places that an hour to scan can be from: the exchanges, a data set, the journal of paper trading."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from adapters.configuration.settings import ArbSettings
from adapters.datasets.load import load_dataset
from adapters.exchanges.clients import Clock, machine_milliseconds
from adapters.exchanges.live import LiveMarket
from adapters.exchanges.settings import ExchangesSettings
from adapters.paper.history_progress import Progress
from adapters.paper.live import LiveTrading, open_live
from adapters.paper.settings import PaperConfig
from adapters.paper.setup import prepare_player, session_of
from adapters.research.markets import filtered
from adapters.scan.of_state import NOBODY, time_of_quotes
from adapters.scan.scene import DATASET, LIVE, Scene, Source, market_scene
from engine.windows import time_of


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
            at = time_of_quotes(quote["collected_ms"] for quote in seen.quotes.values())
            return Scene(source, builder, at or time_of(seen.facts.hour), quotes=seen.quotes, events=events)

        yield look


def dataset_scene(path: Path, at: datetime, settings: ArbSettings) -> Scene:
    """An hour of a data set, made of the hours up to it alone. Raises ``UserError`` for an hour outside the data."""
    dataset = load_dataset(path, settings.gate)
    info, market = dataset.info, filtered(dataset.market, settings.filters)
    return market_scene(market, at, settings, Source(DATASET, info.name, info.source, info.is_synthetic))
