"""Orders that rest at live exchanges: which minutes tell what became of them, and what is believed of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.exchanges.minutes import Extremes, Minutes, whole_minutes
from adapters.gate.limits import GateSettings
from adapters.gate.refusals import Refusal, as_given
from adapters.paper.entries import Event
from adapters.paper.live_facts import LegName
from adapters.paper.session import Session
from adapters.storage.stamps import HOUR_MS
from engine.accounting.books import Reason, Status
from engine.live_window import NOW
from engine.market.data import BAR_EXTREMES, Floats


def resting_spans(session: Session, legs: Sequence[LegName], hour: int) -> list[Minutes]:
    """The minutes in which orders rested that ``hour``, the next one, books: from the quotes that they were posted by
    until the hour. Both legs, for the other leg's bar bounds the price at which it is taken."""
    books = session.books
    if books is None or not session.settings.orders_rest:
        return []
    slots, pairs = books.slots[0], session.rolling.pairs
    # Rows are those of the hour before: what rests now is due in the next one.
    entries = slots["status"] == int(Status.PENDING)
    exits = (slots["status"] == int(Status.OPEN)) & (slots["reason"] == int(Reason.SIGNAL))
    rest = slots["pair"][(slots["due"] == NOW + 1) & (entries | exits)]
    spans = []
    for pair in rest.tolist():
        both = int(pairs.long_leg[pair]), int(pairs.short_leg[pair])
        quotes = [session.journal.quote(leg, hour - 1) for leg in both]
        # Without a quote of both there was nothing to post an order by, as after an hour that was missed.
        if all(quotes):
            since = max(int(quote["collected_ms"]) for quote in quotes)
            spans += [whole_minutes(*legs[leg], since, hour * HOUR_MS) for leg in both]
    return spans


@dataclass(frozen=True, eq=False)
class Rested:
    """``extremes`` ``[2, legs]``: high and low since the quotes of the hour before, nan where unknown (None: all are);
    ``events``: what could not be had; ``refused``: what is not believed."""

    extremes: Floats | None
    events: tuple[Event, ...]
    refused: tuple[Refusal, ...]


def believed_extremes(
    session: Session, legs: Sequence[LegName], found: Extremes, hour: int, limits: GateSettings
) -> Rested:
    """What is believed of the minutes in which orders rested.

    The price of the quotes that they were posted by is part of what was seen, so it lies between high and low.
    """
    fills = session.rolling.market().fill_price[:, NOW]
    extremes, refused = np.full((len(BAR_EXTREMES), len(legs)), np.nan), list(found.refused)
    most = 1 + limits.max_lone_move
    for leg, (symbol, exchange) in enumerate(legs):
        if (symbol, exchange) not in found.found or np.isnan(fills[leg]):
            continue
        (high, low), fill = found.found[symbol, exchange], float(fills[leg])
        for name, value in zip(BAR_EXTREMES, (high, low), strict=True):
            if not 1 / most <= value / fill <= most:
                text = f"not within {1 / most:.3g} and {most:.3g} times the price {fill:g} of the hour before"
                refused.append(Refusal(exchange, symbol, hour, name, as_given(value), text))
                break
        else:
            extremes[:, leg] = max(high, fill), min(low, fill)
    events = tuple(Event("no_minutes", complaint) for complaint in found.complaints)
    return Rested(extremes if np.isfinite(extremes).any() else None, events, tuple(refused))
