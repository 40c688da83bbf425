"""One look at all exchanges: quotes of every coin, each exchange within its own time limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.datasets.settlement_intervals import intervals_in_force
from adapters.exchanges.calls import Caller, in_one_line
from adapters.exchanges.clients import Clients, Clock, machine_milliseconds, sharing
from adapters.exchanges.coins import Listing
from adapters.exchanges.fields import is_level, look_up
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.leg_source import LegSource, Wanted
from adapters.exchanges.quirks import QUIRKS, Quirks
from adapters.exchanges.quotes import Book, Collection, ExchangeOutcome, Quote
from adapters.exchanges.reading import read_book, read_quote, unreadable
from adapters.exchanges.settings import CollectionSettings, ExchangesSettings
from adapters.gate.limits import GateSettings
from adapters.naming.symbols import coin_of, symbol_of
from adapters.storage.stamps import HOUR_MS

INTERVAL_LOOK_BACK_HOURS = 49  # two settlements even at a 24 h interval


async def collect_quotes(
    settings: ExchangesSettings,
    symbols: Sequence[str],
    *,
    clock: Clock | None = None,
    book_symbols: Sequence[str] | None = None,
    clients: Clients | None = None,
) -> Collection:
    """Quotes of ``symbols`` on every exchange that lists them. Never raises for what an exchange does.

    ``book_symbols``: for which of them order books are read, in this order while time lasts (None: all).
    """
    now = clock or machine_milliseconds
    started = now()
    coins = list(dict.fromkeys(coin_of(symbol) for symbol in symbols))
    books = coins if book_symbols is None else [coin_of(symbol) for symbol in book_symbols]
    names = sorted(settings.exchanges)
    looks = [Look(name, settings.collection, coins, books, limits=settings.gate) for name in names]
    async with sharing(clients, settings, clock) as shared:
        outcomes = await asyncio.gather(*(look.run(shared) for look in looks))
    quotes = sorted((quote for look in looks for quote in look.quotes()), key=lambda each: (each.symbol, each.exchange))
    ends = {(each.symbol, each.exchange): each.end_hour(started) for look in looks for each in look.wanted()}
    read = {(each.symbol, each.exchange): book for look in looks for each, book in look.books()}
    return Collection(started, now(), tuple(quotes), tuple(outcomes), ends, read)


@dataclass
class Look:
    """The look at one exchange. Everything that arrives before the time limit stays, whatever happens after."""

    exchange: str
    settings: CollectionSettings
    coins: Sequence[str] | None  # None: all that are listed
    book_coins: Sequence[str]
    bulk_only: bool = False
    limits: GateSettings = field(default_factory=GateSettings)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    listed: dict[str, Listing] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    inferred_intervals: dict[str, float] = field(default_factory=dict)
    collected_ms: int = 0

    @property
    def quirks(self) -> Quirks:
        return QUIRKS[self.exchange]

    async def run(self, clients: Clients) -> ExchangeOutcome:
        """Look, and tell how it went."""
        began, caller, error = time.monotonic(), Caller(self.settings), None
        limit = self.settings.time_limit_seconds
        try:
            async with asyncio.timeout(limit):
                self.listed = await clients.listings(self.exchange, caller)
                await self._look(clients.of(self.exchange), caller)
        except TimeoutError:
            error = f"not done within {limit:g} s"
        except Exception as problem:  # whatever it is, the other exchanges go on and this one says why it could not
            error = in_one_line(problem)
        seconds = time.monotonic() - began
        # Quotes that came in time count although books or intervals did not: partial, not failed.
        if error is not None and self._has_quotes():
            self.notes.append(error)
            error = None
        missing = tuple(symbol_of(coin) for coin in self.coins or () if self.listed and coin not in self.listed)
        return ExchangeOutcome(
            exchange=self.exchange,
            status="failed" if error else "partial" if self.notes else "ok",
            error=error,
            notes=tuple(self.notes),
            missing=missing,
            retries=caller.retries,
            errors=dict(caller.errors),
            seconds=seconds,
        )

    def quotes(self) -> list[Quote]:
        """A quote of every wanted coin that is listed; none at all when no bulk answer came."""
        if not self._has_quotes():
            return []
        return [self._quote(listing) for listing in self.wanted()]

    def books(self) -> list[tuple[Listing, Book]]:
        """The order books that were read in time."""
        read = ((listing, read_book(listing, self.tables, self.quirks)) for listing in self.wanted())
        return [(listing, book) for listing, book in read if book is not None]

    def _quote(self, listing: Listing) -> Quote:
        now, intervals = self.collected_ms, self.inferred_intervals
        try:
            return read_quote(listing, self.tables, self.quirks, self.settings, now, intervals, self.limits)
        except Exception as problem:  # whatever an answer holds for one coin, the others go on
            return unreadable(listing, now, in_one_line(problem))

    def _has_quotes(self) -> bool:
        return any(name in self.tables for name in self.quirks.bulk)

    def wanted(self) -> list[Listing]:
        """The contracts of the wanted coins, as far as the list of contracts came."""
        coins = self.listed if self.coins is None else self.coins
        return [self.listed[coin] for coin in coins if coin in self.listed]

    async def _look(self, client: Any, caller: Caller) -> None:
        await self._bulk(client, caller)
        # As of the bulk answers: requests for single coins and books may go on for many seconds.
        self.collected_ms = int(client.milliseconds())
        if self.bulk_only:
            return
        if self.quirks.per_coin_rates:
            self.tables["rates"] = {}
            await self._each(self.wanted(), "rate", lambda listing: self._rate(client, caller, listing))
        await self._intervals(client, caller)
        books = [self.listed[coin] for coin in self.book_coins if coin in self.listed]
        self.tables["book"] = {}
        await self._each(books, "book", lambda listing: self._book(client, caller, listing))

    async def _bulk(self, client: Any, caller: Caller) -> None:
        calls = {**self.quirks.bulk, **self.quirks.optional}
        answers = await asyncio.gather(
            *(caller.bulk(getattr(client, method)) for method in calls.values()), return_exceptions=True
        )
        problems: list[BaseException] = []
        for name, answer in zip(calls, answers, strict=True):
            if isinstance(answer, BaseException):
                self.notes.append(f"no {name}: {in_one_line(answer)}")
                problems.append(answer)
            else:
                self.tables[name] = answer
        if not self._has_quotes():
            # The outcome has this as its error; a note would say it twice.
            self.notes.clear()
            raise problems[0]

    async def _each(
        self, listings: Sequence[Listing], what: str, request: Callable[[Listing], Awaitable[None]]
    ) -> None:
        free = asyncio.Semaphore(self.settings.requests_at_once)
        failed: list[str] = []

        async def one(listing: Listing) -> None:
            async with free:
                try:
                    await request(listing)
                except Exception as error:  # the field stays unknown; the note below says for which coins
                    failed.append(f"{listing.symbol} ({in_one_line(error)})")

        await asyncio.gather(*(one(listing) for listing in listings))
        if failed:
            self.notes.append(f"no {what}: {len(failed)} of {len(listings)} coins, the first: {min(failed)}")

    async def _rate(self, client: Any, caller: Caller, listing: Listing) -> None:
        self.tables["rates"][listing.listed] = await caller(client.fetch_funding_rate, listing.listed)

    async def _book(self, client: Any, caller: Caller, listing: Listing) -> None:
        book = await caller(client.fetch_order_book, listing.listed, self.quirks.book_limit)
        bids, asks = ([level for level in book[side] if is_level(level)] for side in ("bids", "asks"))
        self.tables["book"][listing.listed] = {
            "bids": bids,
            "asks": asks,
            "bid": bids[0][0] if bids else None,
            "ask": asks[0][0] if asks else None,
            "timestamp": book.get("timestamp"),
        }

    async def _intervals(self, client: Any, caller: Caller) -> None:
        """Where an exchange does not say the interval, the distance of the last two settlements does."""
        # One that is stated and refused stays unknown: the interval in force goes on.
        paths = self.quirks.paths("interval")
        silent = [listing for listing in self.wanted() if look_up(self.tables, paths, listing.listed) is None]
        quotes = [quote for quote in map(self._quote, silent) if quote.funding_rate is not None]
        unknown = {quote.listed for quote in quotes if quote.funding_interval_hours is None}
        source, until = LegSource(client, self.exchange, caller, self.limits), int(client.milliseconds())

        async def infer(listing: Listing) -> None:
            leg = LegHistory(listing)
            await source.complete(leg, Wanted(until - INTERVAL_LOOK_BACK_HOURS * HOUR_MS, until, bars=False))
            hours, _ = intervals_in_force(leg.settlements.times())
            if len(hours) > 1:
                self.inferred_intervals[listing.listed] = hours[-1]

        await self._each([listing for listing in silent if listing.listed in unknown], "interval", infer)
