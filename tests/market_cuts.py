"""Parts of a market by hours, and markets whose future was replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.market import PER_LEG_FLOATS, MarketData, RecordedOpportunities


def up_to(market: MarketData, last: int) -> MarketData:
    """The rows 0 to ``last`` inclusive."""
    return _rows(market, 0, last + 1)


def starting_at(market: MarketData, first: int) -> MarketData:
    """The rows from ``first`` on."""
    return _rows(market, first, len(market.hours))


def _rows(market: MarketData, start: int, stop: int) -> MarketData:
    known = market.funding_known_hour
    changes: dict[str, Any] = {name: getattr(market, name)[:, start:stop].copy() for name in PER_LEG_FLOATS}
    return replace(
        market,
        hours=market.hours[start:stop],
        funding_known_hour=None if known is None else known[:, start:stop].copy(),
        recorded=None if market.recorded is None else _recorded_rows(market.recorded, start, stop),
        **changes,
    )


def _recorded_rows(recorded: RecordedOpportunities, start: int, stop: int) -> RecordedOpportunities:
    first, last = recorded.offsets[start], recorded.offsets[stop]
    return replace(
        recorded,
        offsets=recorded.offsets[start : stop + 1] - first,
        pair=recorded.pair[first:last],
        features=recorded.features[first:last],
    )
