"""What one look at the exchanges yields. Prices are USD per coin (multipliers divided out); None is "not known"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from adapters.gate.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Quote:
    """One coin on one exchange at one instant. ``faults`` says in words why a value must not be trusted."""

    exchange: str
    symbol: str  # as a person writes it, BTCUSDT
    listed: str  # as ccxt names the contract, 1000PEPE/USDT:USDT
    multiplier: int
    quote_currency: str  # USDT, or USDC which counts at par
    funding_rate: float | None  # the exchange's running estimate, decimal per interval; never a settled rate
    funding_interval_hours: float | None
    next_settlement_ms: int | None
    mark_price: float | None
    index_price: float | None
    last_price: float | None
    bid_price: float | None
    ask_price: float | None
    depth_usd: float | None  # the thinner side of the book within the configured distance from the mid
    volume_24h_usd: float | None
    exchange_time_ms: int | None  # the oldest stamp among the answers it was made of
    collected_ms: int
    faults: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()  # values that were given and are not believed; their fields are None

    @property
    def mid_price(self) -> float | None:
        """Middle of bid and ask; None unless both are known."""
        if self.bid_price is None or self.ask_price is None:
            return None
        return (self.bid_price + self.ask_price) / 2

    @property
    def spread(self) -> float | None:
        """Quoted spread as a fraction of the mid."""
        if self.bid_price is None or self.ask_price is None:
            return None
        return (self.ask_price - self.bid_price) * 2 / (self.ask_price + self.bid_price)


class Book(NamedTuple):
    """An order book: (price in USD per coin, quantity in coins) of each level, as the exchange sorts them."""

    bids: Sequence[tuple[float, float]]
    asks: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ExchangeOutcome:
    """How the look at one exchange went. ``partial``: the quotes are there, something optional is not (``notes``)."""

    exchange: str
    status: Literal["ok", "partial", "failed"]
    error: str | None  # why it failed
    notes: tuple[str, ...]
    missing: tuple[str, ...]  # symbols that were asked for and that it does not list
    retries: int
    errors: Mapping[str, int]  # failed attempts by kind of error, repeated ones included
    seconds: float


def not_asked(exchange: str) -> ExchangeOutcome:
    """The outcome of an exchange that did not answer a moment ago."""
    return ExchangeOutcome(exchange, "failed", "it gave no answer when its history was asked for", (), (), 0, {}, 0.0)


@dataclass(frozen=True, slots=True)
class Collection:
    """One look at all exchanges: quotes sorted by (symbol, exchange), and how it went at each exchange."""

    started_ms: int
    finished_ms: int
    quotes: tuple[Quote, ...]
    outcomes: tuple[ExchangeOutcome, ...]
    ends: Mapping[tuple[str, str], int | None] = field(default_factory=dict)
    """By (symbol, exchange) of what is listed: the hour number of its announced end, None when none is announced."""
    books: Mapping[tuple[str, str], Book] = field(default_factory=dict)
    """By (symbol, exchange), as far as they were read."""

    def quote(self, symbol: str, exchange: str) -> Quote | None:
        """The quote of one leg, None when there is none."""
        return next((q for q in self.quotes if q.symbol == symbol and q.exchange == exchange), None)

    @property
    def failed(self) -> tuple[str, ...]:
        """Exchanges that gave nothing."""
        return tuple(o.exchange for o in self.outcomes if o.status == "failed")
