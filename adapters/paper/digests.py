"""Digests of what a journal holds: a bit that has turned over on the disk is found, wherever it is (pure)."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.live_window import HourFacts
from engine.market.order_books import Side

HEX_DIGITS = 16
NOTHING = 0
"""The digest of a table without rows."""


def observation_hash(facts: HourFacts) -> str:
    """Sixteen hex digits over everything that became known at an hour; every nan counts as the same one."""
    digest = hashlib.sha256(str(facts.hour).encode())
    # A nan has many bit patterns, and the journal gives back only one: an absent value is NULL there.
    digest.update(np.where(np.isnan(facts.values), np.nan, facts.values).tobytes())
    # Sorted, because exchanges answer in any order and the journal is read back by leg.
    for settled in sorted((s.leg, s.hour, s.rate) for s in facts.settled):
        digest.update(repr(settled).encode())
    for notice in sorted((notice.leg, notice.hour) for notice in facts.notices):
        digest.update(f"notice {notice}".encode())
    for leg, high, low in extremes_by_leg(facts):
        digest.update(f"extremes {leg} {high!r} {low!r}".encode())
    for book in sorted(facts.books):
        digest.update(f"book {book.leg} {levels_of(book.bids)} {levels_of(book.asks)}".encode())
    if facts.recorded is not None:
        pairs, features = facts.recorded
        digest.update(pairs.tobytes() + np.where(np.isnan(features), np.nan, features).tobytes())
    return digest.hexdigest()[:HEX_DIGITS]


def extremes_by_leg(facts: HourFacts) -> list[tuple[int, float, float]]:
    """(leg, high, low) of the legs of which both are known."""
    if facts.extremes is None:
        return []
    legs = enumerate(zip(*facts.extremes.tolist(), strict=True))
    return [(leg, high, low) for leg, (high, low) in legs if high == high and low == low]  # not nan


def levels_of(side: Side) -> list[list[float]]:
    """A side of an order book as plain lists, as JSON gives it back."""
    return [[float(price), float(quantity)] for price, quantity in side]


def chained(digest: int, rows: Iterable[tuple[Any, ...]]) -> int:
    """The digest of a table after more rows: it depends on every row so far and on their order.

    Rows are as the database gives them back: numbers, texts, and None where there is nothing. A checksum, for it
    is against accidents, and a year of hours is to be gone over in a moment.
    """
    for row in rows:
        digest = zlib.crc32(repr(row).encode(), digest)
    return digest


def chained_records(digest: int, records: NDArray[Any]) -> int:
    """The same for rows of what the kernel recorded; every nan counts as the same one."""
    # Fields are packed without the gaps of the kernel's aligned rows: what lies in a gap is chance.
    packed = records.astype(np.dtype([(name, records.dtype[name]) for name in records.dtype.names or ()]))
    for name in packed.dtype.names or ():
        if packed.dtype[name].kind == "f":
            packed[name][np.isnan(packed[name])] = np.nan
    return zlib.crc32(packed.tobytes(), digest)


def snapshot_digest(row: tuple[Any, ...], heads: Mapping[str, int]) -> str:
    """Sixteen hex digits over all that the next hour starts from, and over the digests of the tables."""
    return hashlib.sha256(repr((row, sorted(heads.items()))).encode()).hexdigest()[:HEX_DIGITS]
