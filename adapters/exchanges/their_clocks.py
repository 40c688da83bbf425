"""What time it is by the exchanges: their stamps against our clock."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from adapters.exchanges.calls import Caller
from adapters.exchanges.clients import Clients
from adapters.exchanges.collector import Look
from adapters.exchanges.fields import milliseconds
from adapters.exchanges.quirks import QUIRKS
from adapters.exchanges.quotes import Quote
from adapters.exchanges.settings import ExchangesSettings
from adapters.naming.symbols import coin_of
from adapters.storage.stamps import HOUR_MS


@dataclass(frozen=True)
class Stamp:
    """The newest time that an exchange has put on an answer, and our clock when the answer was there; milliseconds."""

    exchange: str
    theirs_ms: int
    ours_ms: int

    @property
    def ahead_ms(self) -> int:
        """By how much they are ahead of us."""
        return self.theirs_ms - self.ours_ms

    @property
    def is_of_another_hour(self) -> bool:
        """Whether something else would be booked by their clock."""
        return self.theirs_ms // HOUR_MS != self.ours_ms // HOUR_MS


def stamps_of(quotes: Iterable[Quote]) -> list[Stamp]:
    """One stamp of each exchange that stamps its answers: other coins may just not have been traded lately."""
    newest: dict[str, Stamp] = {}
    for quote in quotes:
        if quote.exchange_time_ms is not None:
            stamp = Stamp(quote.exchange, quote.exchange_time_ms, quote.collected_ms)
            known = newest.get(quote.exchange, stamp)
            newest[quote.exchange] = max(known, stamp, key=lambda one: one.theirs_ms)
    return list(newest.values())


def another_time(stamps: Sequence[Stamp], tolerance_seconds: float) -> list[Stamp]:
    """Those that agree with each other on another hour than ours, if they are to be believed; else none.

    They are when they are all that answered, or at least two and more than confirm our hour. A stamp within the
    tolerance of our clock confirms it, on either side of a whole hour.
    """
    tolerance_ms = 1000 * tolerance_seconds
    far = [one for one in stamps if abs(one.ahead_ms) > tolerance_ms and one.is_of_another_hour]
    if not far:
        return []
    # Clocks that are wrong each in its own way agree on nothing; only a common difference is ours.
    middle = median(one.ahead_ms for one in far)
    agreed = [one for one in far if abs(one.ahead_ms - middle) <= tolerance_ms]
    confirming = sum(abs(one.ahead_ms) <= tolerance_ms for one in stamps)
    return agreed if len(agreed) == len(stamps) or len(agreed) > max(1, confirming) else []


async def read_clocks(
    settings: ExchangesSettings, symbols: Sequence[str], clients: Clients, *, silent: Container[str] = ()
) -> list[Stamp]:
    """A stamp of every exchange that answers in time and says one; the ``silent`` ones are not asked."""
    names = [name for name in sorted(settings.exchanges) if name not in silent]
    return [one for one in await asyncio.gather(*(_read(settings, name, symbols, clients) for name in names)) if one]


async def _read(settings: ExchangesSettings, exchange: str, symbols: Sequence[str], clients: Clients) -> Stamp | None:
    """From the bulk answers; where those are not stamped from one order book."""
    coins = [coin_of(symbol) for symbol in symbols]
    look = Look(exchange, settings.collection, coins, (), bulk_only=True)
    await look.run(clients)
    found = stamps_of(look.quotes())
    return found[0] if found else await _of_a_book(settings, exchange, look, clients)


async def _of_a_book(settings: ExchangesSettings, exchange: str, look: Look, clients: Clients) -> Stamp | None:
    listings = [look.listed[coin] for coin in look.coins or () if coin in look.listed]
    if not listings:
        return None
    client, caller = clients.of(exchange), Caller(settings.collection)
    try:
        async with asyncio.timeout(settings.collection.time_limit_seconds):
            book = await caller(client.fetch_order_book, listings[0].listed, QUIRKS[exchange].book_limit)
    except Exception:  # whatever it is: an exchange that does not answer says no time, and the others do
        return None
    stamp = milliseconds(book.get("timestamp"))
    # Our clock after the answer: read before it, a slow answer would look like a clock that is ahead.
    return None if stamp is None else Stamp(exchange, stamp, int(client.milliseconds()))
