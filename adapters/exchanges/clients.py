"""ccxt clients: built from quirks and settings, strict about answers that are no JSON, closed in every case."""

from __future__ import annotations

import asyncio
import json
import ssl
import string
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import ccxt.async_support as ccxt

from adapters.configuration.settings import merge
from adapters.exchanges.bounded import bound_answers
from adapters.exchanges.calls import BrokenAnswer, Caller
from adapters.exchanges.coins import Listing, listings
from adapters.exchanges.quirks import QUIRKS
from adapters.exchanges.settings import CollectionSettings, ExchangeSettings, ExchangesSettings

Clock = Callable[[], int]
"""Milliseconds since 1970 that count as now."""


def machine_milliseconds() -> int:
    """The clock of the machine."""
    return time.time_ns() // 1_000_000


def clock_at(now: datetime | None) -> Clock | None:
    """A clock that stands still at ``now``; None is the clock of the machine."""
    if now is None:
        return None
    stands_at = round(now.timestamp() * 1000)
    return lambda: stands_at


def build_client(
    exchange: str, settings: ExchangeSettings, clock: Clock | None, collection: CollectionSettings | None = None
) -> Any:
    """A ccxt client. ccxt takes several decisions by its own clock, so a simulated one is given to it too."""
    client = getattr(ccxt, exchange)(merge(QUIRKS[exchange].ccxt, settings.ccxt))
    if clock is not None:
        client.milliseconds = clock
        client.seconds = lambda: clock() // 1000
    # What a user says about certificates is left to ccxt.
    if client.verify is True and not client.options.get("include_OS_certificates"):
        client.ssl_context = tls_context(client.cafile)
    _refuse_what_is_no_json(client)
    _encode_addresses(client)
    bound_answers(client, (collection or CollectionSettings()).max_answer_mb)
    return client


@lru_cache
def tls_context(cafile: str) -> ssl.SSLContext:
    """Reading the certificates takes longer than many requests; clients that live for one look share them."""
    return ssl.create_default_context(cafile=cafile)


class Clients:
    """The clients of one errand, one for each exchange that is asked for, all closed at its end.

    Errands that run side by side share them, so that each exchange's rate limit holds for both together and its list
    of contracts is loaded once.
    """

    def __init__(self, settings: ExchangesSettings, clock: Clock | None) -> None:
        self._settings, self._clock = settings, clock
        self._clients: dict[str, Any] = {}
        self._listings: dict[str, dict[str, Listing]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(client.close() for client in self._clients.values()))

    def of(self, exchange: str) -> Any:
        """The ccxt client of an exchange."""
        if exchange not in self._clients:
            own, collection = self._settings.exchanges[exchange], self._settings.collection
            self._clients[exchange] = build_client(exchange, own, self._clock, collection)
        return self._clients[exchange]

    async def listings(self, exchange: str, caller: Caller) -> dict[str, Listing]:
        """The contract of every coin that the exchange lists now. Raises ``BrokenAnswer`` when there is none."""
        # Quotes and history ask at the same moment; the second must wait for what the first one loads.
        async with self._locks.setdefault(exchange, asyncio.Lock()):
            if exchange not in self._listings:
                self._listings[exchange] = await caller(load_listings, self.of(exchange), exchange)
            return self._listings[exchange]


@asynccontextmanager
async def sharing(clients: Clients | None, settings: ExchangesSettings, clock: Clock | None) -> AsyncIterator[Clients]:
    """The clients given, which their owner closes; without any, new ones for this errand alone."""
    if clients is not None:
        yield clients
        return
    async with Clients(settings, clock) as own:
        yield own


async def load_listings(client: Any, exchange: str) -> dict[str, Listing]:
    """The contract of every coin that the exchange lists now. Raises ``BrokenAnswer`` when there is none at all."""
    # True: from its cache ccxt would go on showing a contract as active after it was taken off.
    found = listings(exchange, (await client.load_markets(True)).values(), QUIRKS[exchange])
    if not found:
        raise BrokenAnswer(f"{exchange} lists no live perpetual")
    return found


def _encode_addresses(client: Any) -> None:
    # For some exchanges ccxt puts the names of contracts into the address as they are; no server reads 币安人生 there.
    fetch = client.fetch

    def fetch_encoded(url: str, *rest: Any, **more: Any) -> Any:
        return fetch(quote(url, safe=string.printable), *rest, **more)

    client.fetch = fetch_encoded


def _refuse_what_is_no_json(client: Any) -> None:
    # ccxt turns a page of HTML or half a JSON with status 200 into an empty answer without a word
    # (base/exchange.py, parse_json). Both hooks run in one breath, so the status is that of this answer.
    on_rest_response, parse_json = client.on_rest_response, client.parse_json
    status = 0

    def remember_status(code: int, *rest: Any) -> Any:
        nonlocal status
        status = code
        return on_rest_response(code, *rest)

    def parse(text: str) -> Any:
        value = parse_json(text)
        if value is None and 200 <= status < 300:
            return _read_leniently(client.id, text)
        return value

    client.on_rest_response, client.parse_json = remember_status, parse


def _read_leniently(exchange: str, text: str) -> Any:
    """JSON in which a number may be NaN or Infinity: one such value of one coin must not cost the whole answer."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    # A bare text or number is JSON too, and still no answer.
    if not isinstance(value, dict | list):
        raise BrokenAnswer(f"{exchange} answered with something that is no JSON: {text[:60]!r}")
    return value
