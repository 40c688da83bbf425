"""Markets in which an exchange falls silent for some hours: what stress tests replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from engine.market.data import MarketData, RecordedOpportunities, directed_pairs, facts_of
from engine.market.order_books import OrderBooks


@dataclass(frozen=True)
class Outage:
    """An exchange (index into ``MarketData.exchanges``) that is silent in the rows ``first`` to ``stop - 1``."""

    exchange: int
    first: int
    stop: int


def silenced(market: MarketData, outages: Sequence[Outage]) -> MarketData:
    """The same market without anything that the exchanges said during their outages.

    Prices, fills, marks, funding, volumes, spreads, depths and order books of the rows are unknown, and recorded
    opportunities with a leg there are gone. A settlement of the rows stays unknown for good; one from before that was
    to be published during the outage is published after it. Every other fact is the same.
    """
    silent = np.zeros(market.price.shape, bool)
    for outage in outages:
        silent[market.leg_exchange == outage.exchange, outage.first : outage.stop] = True
    changes: dict[str, Any] = dict(facts_of(market, lambda values: np.where(silent, np.nan, values)))
    if market.funding_known_hour is not None:
        changes["funding_known_hour"] = _published_later(market, outages)
    if market.recorded is not None:
        changes["recorded"] = _without_silent_legs(market, market.recorded, silent)
    if market.order_books is not None:
        changes["order_books"] = _without_silent_books(market, market.order_books, silent)
    return replace(market, **changes)


def _without_silent_books(market: MarketData, books: OrderBooks, silent: Any) -> OrderBooks | None:
    rows = books.hour - market.hours[0]
    is_here = (rows >= 0) & (rows < len(market.hours))
    return books.kept(~(is_here & silent[books.leg, np.where(is_here, rows, 0)]))


def _published_later(market: MarketData, outages: Sequence[Outage]) -> Any:
    assert market.funding_known_hour is not None
    known = market.funding_known_hour.copy()
    # By time: what one outage delays may fall into the next one, and is delayed again.
    for outage in sorted(outages, key=lambda outage: outage.first):
        first, stop = (int(market.hours[0]) + row for row in (outage.first, outage.stop))
        here = (market.leg_exchange == outage.exchange)[:, None]
        known[here & (known >= first) & (known < stop)] = stop
    return known


def _without_silent_legs(market: MarketData, recorded: RecordedOpportunities, silent: Any) -> RecordedOpportunities:
    pairs = directed_pairs(market)
    counts = np.diff(recorded.offsets)
    rows = np.repeat(np.arange(len(counts)), counts)
    legs = pairs.long_leg[recorded.pair], pairs.short_leg[recorded.pair]
    kept = ~(silent[legs[0], rows] | silent[legs[1], rows])
    ends = np.cumsum(np.bincount(rows[kept], minlength=len(counts)))
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    return replace(recorded, offsets=offsets, pair=recorded.pair[kept], features=recorded.features[kept])


def scattered_outages(
    rng: np.random.Generator, exchange: int, first: int, last: int, *, hours: int, count: int
) -> tuple[Outage, ...]:
    """Up to ``count`` outages of one exchange between the rows ``first`` and ``last``, one in each equal part of them.

    A part that is too short for ``hours`` has none.
    """
    edges = np.linspace(first, last + 1, count + 1).astype(int)
    outages = []
    for start, stop in pairwise(edges):
        if stop - start >= hours:
            begin = int(rng.integers(start, stop - hours + 1))
            outages.append(Outage(exchange, begin, begin + hours))
    return tuple(outages)
