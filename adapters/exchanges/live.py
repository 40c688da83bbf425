"""The exchanges for callers that do not use asyncio: one object for the life of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

from adapters.exchanges.clients import Clients, Clock
from adapters.exchanges.collector import collect_quotes
from adapters.exchanges.history import ExchangeHistory, Watcher, fetch_history
from adapters.exchanges.leg_source import Wanted
from adapters.exchanges.minutes import Extremes, Minutes, fetch_extremes
from adapters.exchanges.quotes import Collection, ExchangeOutcome, not_asked
from adapters.exchanges.ranking import top_symbols
from adapters.exchanges.settings import ExchangesSettings
from adapters.exchanges.their_clocks import Stamp, read_clocks


class HourAnswers(NamedTuple):
    """What the exchanges said of an hour."""

    collection: Collection
    histories: dict[str, ExchangeHistory]
    extremes: Extremes


class LiveMarket:
    """Quotes and history of the configured exchanges. Every call opens its connections and closes them again.

    One event loop serves all calls: closing a loop waits for name look-ups that hang, which must not happen hourly.
    """

    def __init__(self, settings: ExchangesSettings, *, clock: Clock | None = None) -> None:
        self.settings, self.clock = settings, clock
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the event loop back. The object cannot be used afterwards."""
        self._runner.close()

    def quotes(self, symbols: Sequence[str], *, book_symbols: Sequence[str] | None = None) -> Collection:
        """One look at all exchanges (``collector.collect_quotes``)."""
        return self._runner.run(collect_quotes(self.settings, symbols, clock=self.clock, book_symbols=book_symbols))

    def hour(
        self,
        symbols: Sequence[str],
        past: Mapping[str, Sequence[str]],
        wanted: Wanted,
        *,
        book_symbols: Sequence[str] | None = None,
        silent: Container[str] = (),
        spans: Sequence[Minutes] = (),
    ) -> HourAnswers:
        """Quotes of ``symbols``, and beside them history of ``past[exchange]`` and the minutes of ``spans``: each
        within one time limit.

        The ``silent`` exchanges have just not answered; they count as failed without being asked again.
        """
        asked = {name: each for name, each in self.settings.exchanges.items() if name not in silent}
        settings = self.settings.model_copy(update={"exchanges": asked})
        past = {name: symbols for name, symbols in past.items() if name in asked}
        spans = [span for span in spans if span.exchange in asked]

        async def all_of_them() -> tuple[Collection, dict[str, ExchangeHistory], Extremes]:
            async with Clients(self.settings, self.clock) as clients:
                limit = self.settings.collection.time_limit_seconds
                return await asyncio.gather(
                    collect_quotes(settings, symbols, clock=self.clock, book_symbols=book_symbols, clients=clients),
                    fetch_history(settings, past, wanted, clock=self.clock, time_limit_seconds=limit, clients=clients),
                    fetch_extremes(settings, spans, clients),
                )

        collection, histories, extremes = self._runner.run(all_of_them())
        skipped = [not_asked(name) for name in sorted(self.settings.exchanges) if name not in asked]
        return HourAnswers(replace(collection, outcomes=(*collection.outcomes, *skipped)), histories, extremes)

    def extremes(self, spans: Sequence[Minutes]) -> Extremes:
        """High and low of what was traded in minutes that have passed (``minutes.fetch_extremes``)."""

        async def ask() -> Extremes:
            async with Clients(self.settings, self.clock) as clients:
                return await fetch_extremes(self.settings, spans, clients)

        return self._runner.run(ask())

    def history(
        self,
        symbols: Mapping[str, Sequence[str]],
        wanted: Wanted,
        *,
        watcher: Watcher | None = None,
        time_limit_seconds: float | None = None,
    ) -> dict[str, ExchangeHistory]:
        """Candles and settled funding of ``symbols[exchange]`` (``history.fetch_history``).

        With a time limit an exchange that is silent for as long as a look may take is given up, too.
        """
        limit = self.settings.collection.time_limit_seconds
        return self._runner.run(
            fetch_history(
                self.settings,
                symbols,
                wanted,
                clock=self.clock,
                watcher=watcher,
                time_limit_seconds=time_limit_seconds,
                silence_limit_seconds=None if time_limit_seconds is None else limit,
            )
        )

    def clocks(self, symbols: Sequence[str], *, silent: Container[str] = ()) -> list[Stamp]:
        """What time it is by each exchange that says so (``their_clocks.read_clocks``)."""

        async def ask() -> list[Stamp]:
            async with Clients(self.settings, self.clock) as clients:
                return await read_clocks(self.settings, symbols, clients, silent=silent)

        return self._runner.run(ask())

    def top_symbols(self, count: int) -> tuple[list[str], list[ExchangeOutcome]]:
        """The symbols traded most (``ranking.top_symbols``)."""
        return self._runner.run(top_symbols(self.settings, count, clock=self.clock))
