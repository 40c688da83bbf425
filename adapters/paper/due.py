"""Which settled rates may be out by an hour, and so have to be asked for; what is asked for first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from adapters.paper.live_facts import LegName
from adapters.paper.session import Session
from engine.live_window import MAX_DELAY_HOURS, NOW


def due(session: Session, legs: Sequence[LegName], hour: int) -> tuple[dict[str, list[str]], int]:
    """Symbols by exchange whose next settled rate may be out by ``hour``, held ones first; since when it is."""
    rolling = session.rolling
    settled, intervals = rolling.settled_rows(), rolling.stated_intervals()
    past: dict[str, list[str]] = defaultdict(list)
    since = hour
    held = held_legs(session)
    for leg in sorted(np.flatnonzero(rolling.priced_legs()).tolist(), key=lambda leg: (leg not in held, leg)):
        symbol, exchange = legs[leg]
        rows = np.flatnonzero(settled[leg])
        ago = NOW + 1 - int(rows[-1]) if len(rows) else MAX_DELAY_HOURS  # rows are those of hour - 1
        # Whatever is stated: a leg that settled more often is asked as often.
        shown = float(rows[-1] - rows[-2]) if len(rows) > 1 else np.nan
        # Without a stated interval every hour may be one: asking too often costs a
        # request, too rarely a settlement.
        if ago >= (1 if np.isnan(intervals[leg]) else np.fmin(intervals[leg], shown)):
            past[exchange].append(symbol)
            since = min(since, hour - min(ago, MAX_DELAY_HOURS) + 1)
    return dict(past), since


def held_first(session: Session, legs: Sequence[LegName], symbols: Sequence[str]) -> list[str]:
    """Order books are read in this order while time lasts."""
    return list(dict.fromkeys([*(legs[leg][0] for leg in sorted(held_legs(session))), *symbols]))


def held_legs(session: Session) -> set[int]:
    """Legs of positions, and of entries that are pending."""
    if session.books is None:
        return set()
    slots, pairs = session.books.slots[0], session.rolling.pairs
    held = slots["pair"][slots["status"] != 0]
    return {*pairs.long_leg[held].tolist(), *pairs.short_leg[held].tolist()}
