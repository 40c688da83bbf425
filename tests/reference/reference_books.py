"""What walking a recorded order book costs, in exact fractions: the slow second implementation (docs/design.md 4).

A book is two lists of (price, quantity), the best level first. Nothing is imported from the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from reference_costs import grained, square_root
from reference_legs import Book, LegHistory
from reference_records import Leg

from engine.settings import EngineSettings


def book_at(settings: EngineSettings, history: LegHistory, t: int) -> Book | None:
    """The book that was seen at the hour itself."""
    return None if settings.order_books == "ignore" else history.books.get(history.first_hour + t)


def walk(settings: EngineSettings, history: LegHistory, quantity: Fraction, direction: int, t: int) -> Fraction | None:
    """Mean distance from the mid, a fraction of it; None where no book was seen."""
    book = book_at(settings, history, t)
    if book is None:
        return None
    levels = _levels(book, direction)
    depth = sum(size for _, size in levels)
    paid = Fraction(0)
    for i, (distance, size) in enumerate(levels):
        before = sum((of for _, of in levels[:i]), Fraction(0))
        paid += distance * max(Fraction(0), min(size, quantity - before))
    if quantity > depth:
        beyond = quantity - depth
        paid += beyond * (levels[-1][0] + _impact(settings, history, beyond, t))
    return paid / quantity


def fitting(settings: EngineSettings, legs: Sequence[Leg], quantity: Fraction, t: int) -> Fraction:
    """The largest part of an entry that neither leg walks farther for than ``max_walk_bps``."""
    if settings.max_walk_bps is None:
        return quantity
    limit = Fraction(settings.max_walk_bps) / 10_000
    return min(_fitting(settings, leg.history, quantity, leg.sign, limit, t) for leg in legs)


def _fitting(
    settings: EngineSettings, history: LegHistory, quantity: Fraction, direction: int, limit: Fraction, t: int
) -> Fraction:
    whole = walk(settings, history, quantity, direction, t)
    if whole is None or whole <= limit:
        return quantity
    book = book_at(settings, history, t)
    assert book is not None
    # What is saved on the levels nearer than the limit is spent on those beyond it.
    saved, fits = Fraction(0), Fraction(0)
    for distance, size in _levels(book, direction):
        part = size if distance <= limit else min(size, saved / (distance - limit))
        fits, saved = fits + part, saved + part * (limit - distance)
        if part < size:
            break
    return grained(min(quantity, fits))


def _levels(book: Book, direction: int) -> list[tuple[Fraction, Fraction]]:
    """(distance from the mid, coins) of what a buy (+1) or a sale (-1) walks."""
    bids, asks = book
    mid = (Fraction(bids[0][0]) + Fraction(asks[0][0])) / 2
    side = asks if direction > 0 else bids
    return [(abs(Fraction(price) / mid - 1), Fraction(size)) for price, size in side]


def _impact(settings: EngineSettings, history: LegHistory, beyond: Fraction, t: int) -> Fraction:
    price, volume = history.price[t], history.traded_volume[t]
    if settings.impact_coefficient == 0 or volume is None or price is None:
        return Fraction(0)
    return Fraction(settings.impact_coefficient) * square_root(beyond * Fraction(price) / Fraction(volume))
