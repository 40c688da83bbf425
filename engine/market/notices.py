"""Dated notices of delistings, as they become known one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine.market.data import NEVER, MarketData


@dataclass(frozen=True)
class Notice:
    """Trading of a leg ends at an hour number; ``NEVER`` takes an earlier notice back."""

    leg: int
    hour: int


def takes_effect(end: int, known: int) -> int:
    """The first hour at which a notice makes positions leave: the last one before the end, once it is known."""
    return NEVER if end == NEVER else max(end - 1, known)


def later_word(standing: tuple[int, int], end: int, seen: int) -> tuple[int, int]:
    """(end, hour at which it was known) after something was said about the end at hour ``seen``.

    What is said last counts, until it has taken effect: from then on positions have left for good.
    """
    # The same word again does not make it known later; and whom it has made leave is not brought back.
    if end == standing[0] or takes_effect(*standing) < seen:
        return standing
    return (end, seen) if end != NEVER else (NEVER, NEVER)


def last_word(said: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """What stands of (seen, end) pairs, in the order in which they were seen; (NEVER, NEVER) is nothing."""
    standing = NEVER, NEVER
    for seen, end in sorted(said):
        standing = later_word(standing, end, seen)
    return standing


def with_notices(market: MarketData, notices: Sequence[Notice], seen: int) -> MarketData:
    """The market after notices that were seen at hour ``seen``, no earlier than those it has."""
    if not notices:
        return market
    ends, known = market.delisting_hour.copy(), market.delisting_known_hour.copy()
    for notice in notices:
        leg = notice.leg
        ends[leg], known[leg] = later_word((int(ends[leg]), int(known[leg])), notice.hour, seen)
    return replace(market, delisting_hour=ends, delisting_known_hour=known)
