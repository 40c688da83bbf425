"""Which coins are traded most on two exchanges at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from adapters.exchanges.clients import Clients, Clock
from adapters.exchanges.collector import Look
from adapters.exchanges.quotes import ExchangeOutcome
from adapters.exchanges.settings import ExchangesSettings


async def top_symbols(
    settings: ExchangesSettings, count: int, *, clock: Clock | None = None
) -> tuple[list[str], list[ExchangeOutcome]]:
    """The ``count`` symbols with the highest 24 h volume, and how the look at each exchange went.

    The volume of a coin is the smaller of the two where it is traded most: a position needs both legs. With a
    single exchange its own volume counts.
    """
    names = sorted(settings.exchanges)
    looks = [Look(name, settings.collection, None, (), bulk_only=True, limits=settings.gate) for name in names]
    async with Clients(settings, clock) as clients:
        outcomes = await asyncio.gather(*(look.run(clients) for look in looks))
    volumes: dict[str, list[float]] = {}
    for look in looks:
        for quote in look.quotes():
            if quote.volume_24h_usd is not None:
                volumes.setdefault(quote.symbol, []).append(quote.volume_24h_usd)
    return rank(volumes, count, legs=min(2, len(looks))), list(outcomes)


def rank(volumes: Mapping[str, Sequence[float]], count: int, *, legs: int) -> list[str]:
    """Symbols by the ``legs``-th highest of their volumes, highest first, ties by name."""
    shared = {symbol: sorted(each, reverse=True)[legs - 1] for symbol, each in volumes.items() if len(each) >= legs}
    return sorted(shared, key=lambda symbol: (-shared[symbol], symbol))[:count]
