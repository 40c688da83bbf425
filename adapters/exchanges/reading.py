"""From the bulk answers of one exchange to one typed quote with its faults (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.exchanges.coins import Listing
from adapters.exchanges.fields import (
    MILLISECONDS_PER_HOUR,
    Tables,
    depth_within,
    interval_hours,
    look_up,
    milliseconds,
    number,
    oldest_time,
)
from adapters.exchanges.quirks import Quirks
from adapters.exchanges.quotes import Book, Quote
from adapters.exchanges.settings import CollectionSettings
from adapters.gate.limits import GateSettings
from adapters.gate.refusals import Refusal, as_given
from adapters.gate.values import INTERVAL, RATE, can_be, range_text


def read_quote(
    listing: Listing,
    tables: Tables,
    quirks: Quirks,
    settings: CollectionSettings,
    collected_ms: int,
    inferred_intervals: Mapping[str, float],
    limits: GateSettings | None = None,
) -> Quote:
    """The quote of one listed coin; a field that no answer holds, or that cannot be true, is None and never 0."""
    look = _Look(listing, tables, quirks, limits or GateSettings(), collected_ms)
    bid, ask, last = look.price("bid"), look.price("ask"), look.price("last")
    rate = look.taken(RATE, look.raw("rate"))
    if quirks.zero_rate_without_book_is_missing and rate == 0 and bid is None and ask is None:
        rate = None
    interval = look.interval(inferred_intervals)
    stamp = oldest_time(tables, quirks.times, listing.listed)
    off_by = _off_by(stamp, collected_ms, settings)
    # Nobody knows which side of a crossed book is wrong, so neither is used, nor a middle made of both.
    crossed = bid is not None and ask is not None and bid > ask
    mid = None if bid is None or ask is None or crossed else (bid + ask) / 2
    return replace(
        _blank(listing, collected_ms),
        funding_rate=rate,
        funding_interval_hours=interval,
        next_settlement_ms=look.next_settlement(),
        mark_price=look.price("mark"),
        index_price=look.price("index"),
        last_price=last,
        bid_price=None if crossed else bid,
        ask_price=None if crossed else ask,
        depth_usd=look.taken("depth_usd", _depth(listing, tables, quirks, settings)),
        volume_24h_usd=look.volume(mid or last),
        exchange_time_ms=stamp,
        faults=_faults(rate, interval, bid, ask, crossed, off_by, has_no_time=look.has_impossible_time()),
        refused=tuple(look.refused),
    )


def read_book(listing: Listing, tables: Tables, quirks: Quirks) -> Book | None:
    """The order book of a coin; None where none was read."""
    found = tables.get("book", {}).get(listing.listed)
    if found is None:
        return None
    # Sizes may be contracts of so many listed units, and a listed unit so many coins.
    unit = listing.multiplier * (listing.contract_size if quirks.book_in_contracts else 1.0)
    bids, asks = (
        tuple((price / listing.multiplier, size * unit) for price, size, *_ in found[side]) for side in ("bids", "asks")
    )
    return Book(bids, asks)


def unreadable(listing: Listing, collected_ms: int, why: str) -> Quote:
    """A quote of which nothing can be read, with the reason as its fault."""
    return replace(_blank(listing, collected_ms), faults=(f"unreadable: {why}",))


def _blank(listing: Listing, collected_ms: int) -> Quote:
    """Whose quote it is and when it was looked at; what can be read is still to come."""
    return Quote(
        exchange=listing.exchange,
        symbol=listing.symbol,
        listed=listing.listed,
        multiplier=listing.multiplier,
        quote_currency=listing.quote_currency,
        funding_rate=None,
        funding_interval_hours=None,
        next_settlement_ms=None,
        mark_price=None,
        index_price=None,
        last_price=None,
        bid_price=None,
        ask_price=None,
        depth_usd=None,
        volume_24h_usd=None,
        exchange_time_ms=None,
        collected_ms=collected_ms,
    )


class _Look:
    """Takes the fields of one coin, each judged alone, and keeps what is refused."""

    def __init__(
        self, listing: Listing, tables: Tables, quirks: Quirks, limits: GateSettings, collected_ms: int
    ) -> None:
        self._listing, self._tables, self._quirks = listing, tables, quirks
        self._limits, self._collected_ms = limits, collected_ms
        self._cap = limits.rate_cap(listing.exchange)
        self.refused: list[Refusal] = []

    def raw(self, name: str) -> Any:
        return look_up(self._tables, self._quirks.paths(name), self._listing.listed)

    def taken(self, kind: str, given: Any, unit: float = 1.0) -> float | None:
        """The number that was given, divided by ``unit``, where it may be true; None also where nothing was given."""
        if given is None:
            return None
        value = number(given)
        if value is not None and can_be(kind, value / unit, self._limits, self._cap):
            return value / unit
        self._refuse(kind, given, range_text(kind, self._limits, self._cap))
        return None

    def price(self, name: str) -> float | None:
        return self.taken(f"{name}_price", self.raw(name), self._listing.multiplier)

    def interval(self, inferred: Mapping[str, float]) -> float | None:
        stated = self.raw("interval")
        if stated is not None:
            hours = interval_hours(stated)
            return self.taken(INTERVAL, stated if hours is None else hours)
        # That a coin is not on the list of intervals means the default only when the list itself came.
        listed = self._quirks.default_interval_hours if "intervals" in self._tables else None
        return inferred.get(self._listing.listed) if listed is None else listed

    def next_settlement(self) -> int | None:
        stated = self.raw("next_settlement")
        if stated is None:
            return None
        time, ahead = milliseconds(stated), self._limits.max_settlement_ahead_hours
        if time is not None and -MILLISECONDS_PER_HOUR < time - self._collected_ms <= ahead * MILLISECONDS_PER_HOUR:
            return time
        self._refuse("next_settlement", stated, f"within {ahead} hours from now")
        return None

    def has_impossible_time(self) -> bool:
        """Whether a stamp of the quote is none that can be: then nobody knows how old it is."""
        stamps = [look_up(self._tables, [path], self._listing.listed) for path in self._quirks.times]
        wrong = [stamp for stamp in stamps if stamp is not None and milliseconds(stamp) is None]
        for stamp in wrong:
            self._refuse("exchange_time", stamp, "milliseconds since 1970")
        return bool(wrong)

    def volume(self, price: float | None) -> float | None:
        """USD of a day: as stated, else the coins that were traded at the price per coin."""
        usd = self.raw("volume_usd")
        if usd is not None:
            return self.taken("volume_24h_usd", usd)
        coins = number(self.raw("volume_coins"))
        value = None if coins is None or price is None else coins * price * self._listing.multiplier
        return self.taken("volume_24h_usd", value)

    def _refuse(self, kind: str, given: Any, limit: str) -> None:
        hour = self._collected_ms // MILLISECONDS_PER_HOUR
        exchange, symbol = self._listing.exchange, self._listing.symbol
        self.refused.append(Refusal(exchange, symbol, hour, kind, as_given(given), limit))


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
    rate: float | None,
    interval: float | None,
    bid: float | None,
    ask: float | None,
    crossed: bool,
    off_by: float,
    *,
    has_no_time: bool,
) -> tuple[str, ...]:
    found = {
        "no funding rate": rate is None,
        "no funding interval": interval is None,
        "no bid or no ask": bid is None or ask is None,
        "bid above ask": crossed,
        f"stale by {off_by:.0f} s": off_by > 0,
        f"stamped {-off_by:.0f} s ahead of our clock": off_by < 0,
        "a time that cannot be": has_no_time,
    }
    return tuple(fault for fault, present in found.items() if present)
