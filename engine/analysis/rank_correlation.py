"""Whether two measures rank alike."""

from __future__ import annotations

import numpy as np

from engine.market.data import Floats


def spearman(first: Floats, second: Floats) -> float | None:
    """Spearman's rank correlation; None below three pairs, and where one of the two never varies."""
    if len(first) < 3:
        return None
    one, other = ranks(first), ranks(second)
    if not one.std() > 0 or not other.std() > 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def ranks(values: Floats) -> Floats:
    """Ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Floats = ((last - counts) + (last - 1))[inverse] / 2
    return found
