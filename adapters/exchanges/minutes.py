"""What was traded in the minutes after an order was posted: high and low of single coins, from minute candles."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.exchanges.calls import Caller, in_one_line
from adapters.exchanges.clients import Clients
from adapters.exchanges.coins import Listing
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.leg_source import MINUTE_MS, LegSource
from adapters.exchanges.settings import ExchangesSettings
from adapters.gate.refusals import Refusal
from adapters.naming.symbols import coin_of


@dataclass(frozen=True, slots=True)
class Minutes:
    """The whole minutes of one coin on one exchange that open in ``[since, until)``, times in ms."""

    symbol: str
    exchange: str
    since: int
    until: int


@dataclass
class Extremes:
    """High and low in USD per coin by (symbol, exchange), where anything was traded; ``complaints``: what failed, and
    ``refused``: candles that are not believed."""

    found: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def whole_minutes(symbol: str, exchange: str, since_ms: int, until_ms: int) -> Minutes:
    """The span of the minutes that lie wholly within two instants: in one that was under way before an order was
    posted nobody knows what came first, and one that is not over is not known."""
    return Minutes(symbol, exchange, -(-since_ms // MINUTE_MS) * MINUTE_MS, until_ms // MINUTE_MS * MINUTE_MS)


async def fetch_extremes(settings: ExchangesSettings, spans: Sequence[Minutes], clients: Clients) -> Extremes:
    """High and low over each span. What an exchange does not tell in time is a complaint and never an error."""
    by_exchange: dict[str, list[Minutes]] = {}
    for span in spans:
        by_exchange.setdefault(span.exchange, []).append(span)
    result = Extremes()

    async def one(exchange: str, wanted: Sequence[Minutes]) -> None:
        limit = settings.collection.time_limit_seconds
        try:
            async with asyncio.timeout(limit):
                await _exchange(settings, exchange, wanted, clients, result)
        except TimeoutError:
            result.complaints.append(f"{exchange}: no minutes within {limit:g} s")
        except Exception as error:  # whatever it is, the orders on the other exchanges can be judged
            result.complaints.append(f"{exchange}: no minutes ({in_one_line(error)})")

    await asyncio.gather(*(one(exchange, wanted) for exchange, wanted in sorted(by_exchange.items())))
    return result


async def _exchange(
    settings: ExchangesSettings, exchange: str, wanted: Sequence[Minutes], clients: Clients, result: Extremes
) -> None:
    caller = Caller(settings.collection)
    listed: Mapping[str, Listing] = await clients.listings(exchange, caller)
    source = LegSource(clients.of(exchange), exchange, caller, settings.gate)
    for span in wanted:
        listing = listed.get(coin_of(span.symbol))
        if listing is None:
            result.complaints.append(f"{exchange}: {span.symbol} is not listed any more")
            continue
        leg = LegHistory(listing)
        await source.minutes(leg, span.since, span.until)
        result.refused.extend(leg.refused.values())
        if bars := leg.bars.sorted():
            high, low = max(bar[2] for bar in bars), min(bar[3] for bar in bars)
            result.found[span.symbol, exchange] = high / listing.multiplier, low / listing.multiplier
