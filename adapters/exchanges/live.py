"""The exchanges for callers that do not use asyncio: one object for the life of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from adapters.exchanges.clients import Clients, Clock
from adapters.exchanges.collector import collect_quotes
from adapters.exchanges.history import ExchangeHistory, Watcher, fetch_history
from adapters.exchanges.leg_source import Wanted
from adapters.exchanges.quotes import Collection, ExchangeOutcome
from adapters.exchanges.ranking import top_symbols
from adapters.exchanges.settings import ExchangesSettings


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
    ) -> tuple[Collection, dict[str, ExchangeHistory]]:
        """Quotes of ``symbols``, and beside them history of ``past[exchange]``: both within one time limit."""

        async def both() -> tuple[Collection, dict[str, ExchangeHistory]]:
            async with Clients(self.settings, self.clock) as clients:
                limit = self.settings.collection.time_limit_seconds
                return await asyncio.gather(
                    collect_quotes(
                        self.settings, symbols, clock=self.clock, book_symbols=book_symbols, clients=clients
                    ),
                    fetch_history(
                        self.settings, past, wanted, clock=self.clock, time_limit_seconds=limit, clients=clients
                    ),
                )

        return self._runner.run(both())

    def history(
        self,
        symbols: Mapping[str, Sequence[str]],
        wanted: Wanted,
        *,
        watcher: Watcher | None = None,
        time_limit_seconds: float | None = None,
    ) -> dict[str, ExchangeHistory]:
        """Candles and settled funding of ``symbols[exchange]`` (``history.fetch_history``)."""
        return self._runner.run(
            fetch_history(
                self.settings,
                symbols,
                wanted,
                clock=self.clock,
                watcher=watcher,
                time_limit_seconds=time_limit_seconds,
            )
        )

    def top_symbols(self, count: int) -> tuple[list[str], list[ExchangeOutcome]]:
        """The symbols traded most (``ranking.top_symbols``)."""
        return self._runner.run(top_symbols(self.settings, count, clock=self.clock))
