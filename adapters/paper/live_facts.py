"""From one look at the exchanges to the facts of an hour (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from adapters.exchanges.quotes import Collection, ExchangeOutcome, Quote
from adapters.gate.limits import GateSettings
from adapters.gate.refusals import Refusal, as_given
from adapters.paper.entries import Event
from adapters.paper.hour_gate import HourGate
from engine.live_window import FACTS, HourFacts, Settled
from engine.market.order_books import SeenBook

HARMLESS_FAULTS = frozenset({"no funding rate", "no funding interval"})
"""Running estimates decide nothing and intervals are carried; any other fault voids the quote."""

PRICE = FACTS.index("price")

LegName = tuple[str, str]
"""(symbol, exchange)."""


@dataclass(frozen=True, eq=False)
class LiveHour:
    """An hour as the exchanges showed it. ``no_decision`` says why nothing can be decided on it; ``news`` are events
    that are no fault, such as an end that was announced."""

    facts: HourFacts
    quotes: Mapping[int, Mapping[str, Any]]
    events: tuple[Event, ...]
    detail: str
    no_decision: str | None
    news: tuple[Event, ...] = ()

    @property
    def status(self) -> str:
        """``degraded`` when anything that should be there is not."""
        return "degraded" if self.events or self.no_decision else "ok"


def live_hour(
    hour: int,
    legs: Sequence[LegName],
    collection: Collection,
    settled: Sequence[Settled],
    gate: HourGate,
    *,
    complaints: Sequence[Event] = (),
    retries: str = "",
    refused: Sequence[Refusal] = (),
) -> LiveHour:
    """The facts of ``hour``: what is believed of usable quotes, and settled rates that became known.

    Price and fill price are the mid, so that half the quoted spread more is the ask and half less the bid.
    ``complaints`` say what else went wrong, such as settled rates that could not be had, ``retries`` what was repeated,
    and ``refused`` what was not believed of them already.
    """
    index = {leg: i for i, leg in enumerate(legs)}
    values = np.full((len(FACTS), len(legs)), np.nan)
    by_leg = {index[quote.symbol, quote.exchange]: quote for quote in collection.quotes}
    usable = {leg: quote for leg, quote in by_leg.items() if is_usable(quote)}
    for leg, quote in usable.items():
        values[:, leg] = [np.nan if value is None else value for value in facts_of_quote(quote)]
    # Judged with all legs at once: a price is believed by the other exchanges' prices of the same hour.
    books = tuple(
        SeenBook(index[leg], hour, *book) for leg, book in sorted(collection.books.items()) if index[leg] in usable
    )
    (gated,) = gate.judge([HourFacts(hour, values, tuple(settled), books=books)])
    priced = np.isfinite(gated.facts.values[PRICE])
    # After the gate: index and last price are measured by a price that is itself believed.
    for leg in np.flatnonzero(priced).tolist():
        by_leg[leg] = _beside_its_price(by_leg[leg], hour, gate.limits)
    refusals = [*(each for quote in by_leg.values() for each in quote.refused), *gated.refusals, *refused]
    events = [
        *(_event(outcome) for outcome in collection.outcomes if outcome.status == "failed"),
        *(Event("bad_quote", _fault(quote)) for leg, quote in by_leg.items() if leg not in usable),
        *complaints,
        *gate.events(hour, refusals),
    ]
    return LiveHour(
        facts=gated.facts,
        quotes={leg: _as_json(quote) for leg, quote in by_leg.items()},
        events=tuple(events),
        detail=_detail(collection, int(priced.sum()), retries),
        no_decision=None if priced.any() else "no exchange gave a usable quote",
    )


def _beside_its_price(quote: Quote, hour: int, limits: GateSettings) -> Quote:
    """The quote without an index or last price that is far from its believed price: nothing is computed from them."""
    mid = quote.mid_price
    assert mid is not None  # it is the price that is believed
    changes: dict[str, Any] = {}
    refused = list(quote.refused)
    for name in ("index_price", "last_price"):
        value = getattr(quote, name)
        if value is not None and abs(value / mid - 1) > limits.max_price_disagreement:
            text = f"more than {100 * limits.max_price_disagreement:g} % from the price {mid:g}"
            refused.append(Refusal(quote.exchange, quote.symbol, hour, name, as_given(value), text))
            changes[name] = None
    return replace(quote, **changes, refused=tuple(refused)) if changes else quote


def is_usable(quote: Quote) -> bool:
    """Whether its price may be used; a quote with no price has a fault that says so."""
    return quote.mid_price is not None and HARMLESS_FAULTS.issuperset(quote.faults)


def facts_of_quote(quote: Quote) -> tuple[float | None, ...]:
    """The values of a usable quote in the order of ``FACTS``."""
    named = {
        "price": quote.mid_price,
        "fill_price": quote.mid_price,
        "mark_price": quote.mark_price,
        "funding_interval_hours": quote.funding_interval_hours,
        "volume_24h_usd": quote.volume_24h_usd,
        "bid_ask_spread": quote.spread,
        "depth_usd": quote.depth_usd,
    }
    return tuple(named[name] for name in FACTS)


def _event(outcome: ExchangeOutcome) -> Event:
    return Event("exchange_failed", f"{outcome.exchange}: {outcome.error}")


def _fault(quote: Quote) -> str:
    return f"{quote.symbol} on {quote.exchange}: {', '.join(quote.faults)}"


def _detail(collection: Collection, usable: int, retries: str) -> str:
    seconds = max((outcome.seconds for outcome in collection.outcomes), default=0.0)
    notes = [f"{outcome.exchange}: {note}" for outcome in collection.outcomes for note in outcome.notes]
    return "; ".join([f"{usable} legs in {seconds:.1f} s", *([retries] if retries else []), *notes])


def _as_json(quote: Quote) -> dict[str, Any]:
    return {name: value for name, value in asdict(quote).items() if name not in ("exchange", "symbol")}
