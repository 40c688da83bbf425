"""From one look at the exchanges to the facts of an hour (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adapters.exchanges.quotes import Collection, ExchangeOutcome, Quote
from adapters.paper.entries import Event
from engine.rolling import FACTS, HourFacts, Settled

HARMLESS_FAULTS = frozenset({"no funding rate", "no funding interval"})
"""Running estimates decide nothing and intervals are carried; any other fault voids the quote."""

LegName = tuple[str, str]
"""(symbol, exchange)."""


@dataclass(frozen=True, eq=False)
class LiveHour:
    """An hour as the exchanges showed it. ``no_decision`` says why nothing can be decided on it."""

    facts: HourFacts
    quotes: Mapping[int, Mapping[str, Any]]
    events: tuple[Event, ...]
    detail: str
    no_decision: str | None

    @property
    def status(self) -> str:
        """``degraded`` when anything that should be there is not."""
        return "degraded" if self.events or self.no_decision else "ok"


def live_hour(
    hour: int,
    legs: Sequence[LegName],
    collection: Collection,
    settled: Sequence[Settled],
    complaints: Sequence[str] = (),
    retries: str = "",
) -> LiveHour:
    """The facts of ``hour``: usable quotes as price, and settled rates that became known.

    Price and fill price are the mid, so that half the quoted spread more is the ask and half less the bid.
    ``complaints`` say what else went wrong, such as settled rates that could not be had, ``retries`` what was repeated.
    """
    index = {leg: i for i, leg in enumerate(legs)}
    values = np.full((len(FACTS), len(legs)), np.nan)
    by_leg = {index[quote.symbol, quote.exchange]: quote for quote in collection.quotes}
    usable = {leg: quote for leg, quote in by_leg.items() if is_usable(quote)}
    for leg, quote in usable.items():
        values[:, leg] = [np.nan if value is None else value for value in facts_of_quote(quote)]
    events = [
        *(_event(outcome) for outcome in collection.outcomes if outcome.status == "failed"),
        *(Event("bad_quote", _fault(quote)) for leg, quote in by_leg.items() if leg not in usable),
        *(Event("no_settlements", complaint) for complaint in complaints),
    ]
    return LiveHour(
        facts=HourFacts(hour, values, tuple(settled)),
        quotes={leg: _as_json(quote) for leg, quote in by_leg.items()},
        events=tuple(events),
        detail=_detail(collection, len(usable), retries),
        no_decision=None if usable else "no exchange gave a usable quote",
    )


def is_usable(quote: Quote) -> bool:
    """Whether its price may be used; a quote with no price has a fault that says so."""
    return quote.mid_price is not None and HARMLESS_FAULTS.issuperset(quote.faults)


def facts_of_quote(quote: Quote) -> tuple[float | None, ...]:
    """The values of a usable quote in the order of ``FACTS``."""
    named = {
        "price": quote.mid_price,
        "fill_price": quote.mid_price,
        "mark_price": quote.mark_price,
        "funding_interval_hours": _whole(quote.funding_interval_hours),
        "volume_24h_usd": quote.volume_24h_usd,
        "bid_ask_spread": quote.spread,
        "depth_usd": quote.depth_usd,
    }
    return tuple(named[name] for name in FACTS)


def _whole(hours: float | None) -> float | None:
    """An interval that is no whole number of hours is none that a settlement on the hour could follow."""
    return hours if hours is not None and hours >= 1 and hours == int(hours) else None


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
