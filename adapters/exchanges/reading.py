"""From the bulk answers of one exchange to one typed quote with its faults (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.exchanges.coins import Listing
from adapters.exchanges.fields import (
    Tables,
    depth_within,
    interval_hours,
    look_up,
    milliseconds,
    number,
    oldest_time,
    positive,
)
from adapters.exchanges.quirks import Quirks
from adapters.exchanges.quotes import Quote
from adapters.exchanges.settings import CollectionSettings


def read_quote(
    listing: Listing,
    tables: Tables,
    quirks: Quirks,
    settings: CollectionSettings,
    collected_ms: int,
    inferred_intervals: Mapping[str, float],
) -> Quote:
    """The quote of one listed coin; a field that no answer holds is None, and never 0."""

    def raw(name: str) -> Any:
        return look_up(tables, quirks.paths(name), listing.listed)

    def price(name: str) -> float | None:
        listed_price = positive(raw(name))
        return None if listed_price is None else listed_price / listing.multiplier

    bid, ask, last = price("bid"), price("ask"), price("last")
    rate = number(raw("rate"))
    if quirks.zero_rate_without_book_is_missing and rate == 0 and bid is None and ask is None:
        rate = None
    interval = _interval(raw("interval"), listing, tables, quirks, inferred_intervals)
    stamp = oldest_time(tables, quirks.times, listing.listed)
    crossed = bid is not None and ask is not None and bid > ask
    return Quote(
        exchange=listing.exchange,
        symbol=listing.symbol,
        listed=listing.listed,
        multiplier=listing.multiplier,
        quote_currency=listing.quote_currency,
        funding_rate=rate,
        funding_interval_hours=interval,
        next_settlement_ms=milliseconds(raw("next_settlement")),
        mark_price=price("mark"),
        index_price=price("index"),
        last_price=last,
        bid_price=None if crossed else bid,
        ask_price=None if crossed else ask,
        depth_usd=_depth(listing, tables, quirks, settings),
        volume_24h_usd=_volume(raw, last, listing),
        exchange_time_ms=stamp,
        collected_ms=collected_ms,
        faults=_faults(rate, interval, bid, ask, crossed, _off_by(stamp, collected_ms, settings)),
    )


def _interval(
    stated: Any, listing: Listing, tables: Tables, quirks: Quirks, inferred: Mapping[str, float]
) -> float | None:
    hours = interval_hours(stated)
    if hours is None and "intervals" in tables:
        hours = quirks.default_interval_hours
    return inferred.get(listing.listed) if hours is None else hours


def _volume(raw: Any, last: float | None, listing: Listing) -> float | None:
    usd = number(raw("volume_usd"))
    if usd is not None:
        return usd
    coins = number(raw("volume_coins"))
    return None if coins is None or last is None else coins * last * listing.multiplier


def _depth(listing: Listing, tables: Tables, quirks: Quirks, settings: CollectionSettings) -> float | None:
    book = tables.get("book", {}).get(listing.listed)
    if book is None:
        return None
    unit = listing.contract_size if quirks.book_in_contracts else 1.0
    return depth_within(book["bids"], book["asks"], bps=settings.depth_bps, unit=unit)


def _off_by(stamp: int | None, collected_ms: int, settings: CollectionSettings) -> float:
    """Seconds by which the stamp is too far from our clock: positive when old, negative when ahead, 0 when fine."""
    seconds = 0.0 if stamp is None else (collected_ms - stamp) / 1000
    return seconds if abs(seconds) > settings.max_quote_age_seconds else 0.0


def _faults(
    rate: float | None, interval: float | None, bid: float | None, ask: float | None, crossed: bool, off_by: float
) -> tuple[str, ...]:
    found = {
        "no funding rate": rate is None,
        "no funding interval": interval is None,
        "no bid or no ask": bid is None or ask is None,
        "bid above ask": crossed,
        f"stale by {off_by:.0f} s": off_by > 0,
        f"stamped {-off_by:.0f} s ahead of our clock": off_by < 0,
    }
    return tuple(fault for fault, present in found.items() if present)
