"""The past of many legs on all exchanges at once: each exchange with its own pace, its own failures, its own limit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.exchanges.calls import Caller, in_one_line
from adapters.exchanges.clients import Clients, Clock, sharing
from adapters.exchanges.coins import Listing, coin_of
from adapters.exchanges.leg_source import LegHistory, LegSource, Wanted
from adapters.exchanges.settings import ExchangesSettings

DEAD_AFTER = 3
"""An exchange on which this many legs in a row failed is given up for this run."""


@dataclass
class ExchangeHistory:
    """What one exchange gave: its legs by symbol, the symbols it does not list, and how it went."""

    exchange: str
    legs: dict[str, LegHistory] = field(default_factory=dict)
    not_listed: tuple[str, ...] = ()
    error: str | None = None
    retries: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)


class Watcher:
    """What a caller hears while history comes in; this one has nothing yet and keeps silent."""

    def known(self, listing: Listing) -> LegHistory:
        """The leg with the rows that are already there."""
        return LegHistory(listing)

    def started(self, exchange: str, legs: int) -> None:
        """The exchange answers and lists this many of the symbols."""

    def page_came(self, leg: LegHistory) -> None:
        """The leg has new rows."""

    def leg_ended(self, leg: LegHistory) -> None:
        """The leg is complete, or its ``error`` says why not."""


async def fetch_history(
    settings: ExchangesSettings,
    symbols: Mapping[str, Sequence[str]],
    wanted: Wanted,
    *,
    clock: Clock | None = None,
    watcher: Watcher | None = None,
    time_limit_seconds: float | None = None,
    clients: Clients | None = None,
) -> dict[str, ExchangeHistory]:
    """History of ``symbols[exchange]`` by exchange. What fails, or is not done in time, says so in its ``error``."""
    look = watcher or Watcher()
    results = {name: ExchangeHistory(name) for name in symbols}

    async def one(result: ExchangeHistory) -> None:
        caller = Caller(settings.collection)
        try:
            async with asyncio.timeout(time_limit_seconds):
                await _exchange(shared, result, symbols[result.exchange], wanted, look, caller)
        except TimeoutError:
            result.error = f"not done within {time_limit_seconds or 0:g} s"
        except Exception as error:  # whatever it is, the other exchanges go on and this one says why it could not
            result.error = in_one_line(error)
        result.retries, result.errors = caller.retries, dict(caller.errors)

    async with sharing(clients, settings, clock) as shared:
        await asyncio.gather(*(one(result) for result in results.values()))
    return results


async def _exchange(
    clients: Clients,
    result: ExchangeHistory,
    symbols: Sequence[str],
    wanted: Wanted,
    watcher: Watcher,
    caller: Caller,
) -> None:
    listed = await clients.listings(result.exchange, caller)
    result.not_listed = tuple(symbol for symbol in symbols if coin_of(symbol) not in listed)
    chosen = [listed[coin_of(symbol)] for symbol in symbols if coin_of(symbol) in listed]
    result.legs = {listing.symbol: watcher.known(listing) for listing in chosen}
    watcher.started(result.exchange, len(result.legs))
    source = LegSource(clients.of(result.exchange), result.exchange, caller)
    await _legs(list(result.legs.values()), source, wanted, watcher, caller.settings.requests_at_once)


async def _legs(legs: list[LegHistory], source: LegSource, wanted: Wanted, watcher: Watcher, at_once: int) -> None:
    free, failed_in_a_row = asyncio.Semaphore(at_once), 0
    for leg in legs:
        leg.error = "not reached in time"

    async def one(leg: LegHistory) -> None:
        nonlocal failed_in_a_row
        async with free:
            if failed_in_a_row >= DEAD_AFTER:
                leg.error = f"not tried: {DEAD_AFTER} coins in a row failed"
            else:
                leg.error = await _complete(leg, source, wanted, watcher)
                failed_in_a_row = failed_in_a_row + 1 if leg.error else 0
        watcher.leg_ended(leg)

    await asyncio.gather(*(one(leg) for leg in legs))


async def _complete(leg: LegHistory, source: LegSource, wanted: Wanted, watcher: Watcher) -> str | None:
    try:
        await source.complete(leg, wanted, lambda: watcher.page_came(leg))
    except Exception as error:  # one coin that cannot be had must not end the others
        return in_one_line(error)
    return None
