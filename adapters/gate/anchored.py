"""Values that belong close to a price which is believed already: marks, next trades, index and last prices."""

from __future__ import annotations

import numpy as np

from adapters.gate.prices import MOST_OF_AN_EXCHANGE
from adapters.gate.values import Flags
from engine.market import Floats, Ints

LEGS_OF_AN_EXCHANGE = 2


def far_from(values: Floats, anchor: Floats, age: Floats, limit: float) -> Flags:
    """Which values are further than ``limit`` from their anchor; an old one allows more, by the root of its hours.

    Nothing is far from an anchor that is not known. All arrays have one shape.
    """
    apart = np.abs(np.log(values) - np.log(anchor)) / np.sqrt(1 + age)
    return np.asarray(apart > np.log1p(limit))


def whole_exchanges_off(values: Floats, anchor: Floats, exchange: Ints, limit: float) -> Flags:
    """Which values belong to an exchange that at that hour is off its own anchors nearly everywhere.

    ``[legs, hours]``, as ``values`` and ``anchor``; ``exchange`` ``[legs]``. Single coins may be further away than all.
    """
    apart = np.abs(np.log(values) - np.log(anchor))
    known, beyond = ~np.isnan(apart), apart > np.log1p(limit)
    off = np.zeros(values.shape, np.bool_)
    if not beyond.any():
        return off
    for each in np.unique(exchange):
        rows = exchange == each
        count = known[rows].sum(axis=0)
        most = (count >= LEGS_OF_AN_EXCHANGE) & (beyond[rows].sum(axis=0) >= MOST_OF_AN_EXCHANGE * count)
        off[rows] = most & ~np.isnan(values[rows])
    return off
