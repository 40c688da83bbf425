"""The past of many legs on all exchanges at once: each exchange with its own pace, its own failures, its own limit."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.exchanges.calls import Caller, in_one_line
from adapters.exchanges.clients import Clients, Clock, sharing
from adapters.exchanges.coins import Listing
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.leg_source import LegSource, Wanted
from adapters.exchanges.settings import ExchangesSettings
from adapters.gate.limits import GateSettings
from adapters.naming.symbols import coin_of
from engine.errors import DataError

DEAD_AFTER = 3
"""An exchange on which this many legs in a row failed is given up for this run."""


@dataclass
class ExchangeHistory:
    """What one exchange gave: its legs by symbol, the symbols it does not list, and how it went."""

    exchange: str
    legs: dict[str, LegHistory] = field(default_factory=dict)
    not_listed: tuple[str, ...] = ()
    error: str | None = None
    is_silent: bool = False
    """Nothing at all came from it, or nothing for as long as one look at the exchanges may take."""
    retries: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)


class Patience:
    """A time limit for everything, and one for every silence in between; None is no limit."""

    def __init__(self, whole_seconds: float | None, silence_seconds: float | None) -> None:
        self._whole, self._silence = whole_seconds, silence_seconds
        self._end = math.inf if whole_seconds is None else asyncio.get_running_loop().time() + whole_seconds
        self.timeout = asyncio.timeout_at(self._next())

    def renew(self) -> None:
        """Something came."""
        # asyncio refuses to move a timeout that is already over.
        if not self.timeout.expired():
            self.timeout.reschedule(self._next())

    def was_silent(self) -> bool:
        """Whether it was a silence that was too long."""
        return asyncio.get_running_loop().time() < self._end

    def complaint(self) -> str:
        """Which limit it was, in words."""
        return f"no answer for {self._silence:g} s" if self.was_silent() else f"not done within {self._whole or 0:g} s"

    def _next(self) -> float | None:
        silent_at = math.inf if self._silence is None else asyncio.get_running_loop().time() + self._silence
        at = min(self._end, silent_at)
        return None if math.isinf(at) else at


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
    silence_limit_seconds: float | None = None,
    clients: Clients | None = None,
) -> dict[str, ExchangeHistory]:
    """History of ``symbols[exchange]`` by exchange. What fails, or is not done in time, says so in its ``error``.

    An exchange may take ``time_limit_seconds``, but with ``silence_limit_seconds`` none of them without any answer.
    """
    look = watcher or Watcher()
    results = {name: ExchangeHistory(name) for name in symbols}

    async def one(result: ExchangeHistory) -> None:
        caller = Caller(settings.collection)
        patience = Patience(time_limit_seconds, silence_limit_seconds)
        caller.on_answer = patience.renew
        try:
            async with patience.timeout:
                await _exchange(shared, result, symbols[result.exchange], wanted, look, caller, settings.gate)
        except TimeoutError:
            result.error, result.is_silent = patience.complaint(), patience.was_silent()
        except Exception as error:  # whatever it is, the other exchanges go on and this one says why it could not
            # There are legs only after the list of contracts came: then it has answered.
            result.error, result.is_silent = in_one_line(error), not result.legs
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
    limits: GateSettings,
) -> None:
    listed = await clients.listings(result.exchange, caller)
    result.not_listed = tuple(symbol for symbol in symbols if coin_of(symbol) not in listed)
    chosen = [listed[coin_of(symbol)] for symbol in symbols if coin_of(symbol) in listed]
    result.legs = {listing.symbol: _known(listing, watcher) for listing in chosen}
    legs = [leg for leg in result.legs.values() if leg.error is None]
    watcher.started(result.exchange, len(legs))
    source = LegSource(clients.of(result.exchange), result.exchange, caller, limits)
    await _legs(legs, source, wanted, watcher, caller.settings.requests_at_once)


def _known(listing: Listing, watcher: Watcher) -> LegHistory:
    """The leg as it is known; one whose rows cannot be read is not asked for, so that nothing is lost."""
    try:
        return watcher.known(listing)
    except DataError as error:
        return LegHistory(listing, error=str(error))


async def _legs(legs: list[LegHistory], source: LegSource, wanted: Wanted, watcher: Watcher, at_once: int) -> None:
    free, failed_in_a_row = asyncio.Semaphore(at_once), 0
    for leg in legs:
        # Stands until the leg is done: when the time limit cancels all of them, the rest must not look complete.
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
