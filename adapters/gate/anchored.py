"""Values that belong close to a price which is believed already: marks, next trades, index and last prices."""

from __future__ import annotations

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.past import before
from adapters.gate.prices import MOST_OF_AN_EXCHANGE
from adapters.gate.values import Flags
from engine.market.data import Floats, Ints

LEGS_OF_AN_EXCHANGE = 2


def far_from(values: Floats, anchor: Floats, age: Floats, limit: float) -> Flags:
    """Which values are further than ``limit`` from their anchor; an old one allows more, by the root of its hours.

    Nothing is far from an anchor that is not known. All arrays have one shape.
    """
    apart = np.abs(np.log(values) - np.log(anchor)) / np.sqrt(1 + age)
    return np.asarray(apart > np.log1p(limit))


def exchanges_moved_off(values: Floats, prices: Floats, exchange: Ints, since: int, limits: GateSettings) -> Flags:
    """Which values ``[legs, hours]`` belong to an exchange nearly all of whose values left its prices in that hour.

    Single coins may be further away than all of them, and what was as far away before has not moved. Hours before
    ``since`` are believed; ``exchange`` is ``[legs]``.
    """
    apart = np.log(values) - np.log(prices)
    off, limit = np.zeros(values.shape, np.bool_), np.log1p(limits.max_exchange_shift)
    far = np.abs(apart) > limit
    for column in since + np.flatnonzero(far[:, since:].any(axis=0)):
        now, (usual, _) = apart[:, column], before(apart, int(column), limits.memory_hours)
        # nan for a leg without a past: it neither accuses its exchange nor clears it.
        moved = np.minimum(np.abs(now), np.abs(now - usual))
        for each in np.unique(exchange[far[:, column]]):
            known = ~np.isnan(moved) & (exchange == each)
            beyond = int((moved[known] > limit).sum())
            if beyond >= LEGS_OF_AN_EXCHANGE and beyond >= MOST_OF_AN_EXCHANGE * known.sum():
                off[:, column] |= (exchange == each) & ~np.isnan(values[:, column])
        # So that later hours are compared with the last distance that was believed.
        apart[off[:, column], column] = np.nan
    return off
