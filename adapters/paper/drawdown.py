"""How far the equity of a state is below its peak, and when that is worth a message."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.paper.journal_reader import JournalReader
from engine.market.data import Floats

RECOVERED = 0.5
"""Of the limit: what has come back to less than this counts as recovered."""


def drawdowns_pct(journal: JournalReader, upto: int | None = None) -> Floats:
    """By hour played (up to ``upto``, an hour number), how far equity was below its highest so far, in % of that.

    The capital that was begun with counts as a peak. Non-negative; empty before the first hour.
    """
    rows = journal.rows("SELECT equity FROM equity WHERE ?1 IS NULL OR hour <= ?1 ORDER BY id", upto)
    capital = float(journal.meta["settings"]["initial_capital_usd"])
    equity = np.array([capital, *(value for (value,) in rows)], np.float64)
    fallen: Floats = 100 * (1 - equity / np.maximum.accumulate(equity))
    return fallen[1:]


def drawdown_pct(journal: JournalReader) -> float:
    """The last of ``drawdowns_pct``; 0 before the first hour."""
    found = drawdowns_pct(journal)
    return float(found[-1]) if len(found) else 0.0


def is_crossed_at_last(drawdowns: Sequence[float] | Floats, limit_pct: float) -> bool:
    """Whether the last of some drawdowns, in %, is the one at which the limit is to be told of.

    That is where it is exceeded, and since the last time it was told the drawdown has been below half of it.
    """
    told = crossed = False
    for drawdown in drawdowns:
        crossed = not told and drawdown > limit_pct
        told = crossed or (told and drawdown >= RECOVERED * limit_pct)
    return crossed
