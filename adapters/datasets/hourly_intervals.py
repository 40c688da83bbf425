"""The funding interval in force at every hour, from what is stated for settlements or shown by their distances.

An interval that is stated for a settlement holds for the hours that it covers: those after the settlement before it.
Filling them looks at a later row than the hour itself, and yet into no future: exchanges announce an interval before
the period that it governs begins, so at each of these hours it was public.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.datasets.settlement_intervals import USUAL_HOURS, intervals_in_force
from adapters.storage.stamps import HOUR_MS
from engine.market.carried import carry_forward
from engine.market.data import Floats, Ints


def hourly_intervals(rates: Floats, stated: Floats) -> Floats:
    """Hours between settlements by leg and hour ``[legs, hours]``; nan before the first that is known.

    What ``stated`` says of an hour stays. Settlements (where ``rates`` is known) for which nothing is stated have the
    interval that the record shows; after the last settlement the last interval goes on.
    """
    filled = [_of_leg(np.flatnonzero(~np.isnan(rate)), said) for rate, said in zip(rates, stated, strict=True)]
    return carry_forward(np.array(filled).reshape(stated.shape))


def intervals_of_hours(settled: Sequence[int] | Ints, own: Floats, first: int, count: int) -> Floats:
    """The same for ``count`` hours from hour ``first`` on, where settlements at the hours ``settled`` (ascending) have
    intervals of their ``own`` (nan: not known). Settlements from before ``first`` count too."""
    begin = min(first, settled[0]) if len(settled) else first
    covered = _covered(np.asarray(settled, np.int64) - begin, own, first - begin + count)
    return carry_forward(covered[None, :])[0, first - begin :]


def shown_intervals(settled: Sequence[int] | Ints) -> Floats:
    """Interval of each settlement from the hours of all of one leg, ascending; nan where they show no usual one."""
    hours, _ = intervals_in_force([int(hour) * HOUR_MS for hour in settled])
    return np.array([each if each in USUAL_HOURS else np.nan for each in hours])


def _of_leg(settled: Ints, stated: Floats) -> Floats:
    if not settled.size:
        return stated
    own = stated[settled]
    if np.isnan(own).any():
        own = np.where(np.isnan(own), shown_intervals(settled), own)
    return np.where(np.isnan(stated), _covered(settled, own, len(stated)), stated)


def _covered(settled: Ints, own: Floats, hours: int) -> Floats:
    """The interval of the settlement that covers each of the rows ``0`` to ``hours - 1``; nan where none does."""
    if not settled.size:
        return np.full(hours, np.nan)
    rows = np.arange(hours)
    following = np.minimum(np.searchsorted(settled, rows), len(settled) - 1)
    distance = settled[following] - rows
    # Strictly below: the hour at that distance belongs to the settlement before, even if its row is missing.
    return np.where((distance >= 0) & (distance < own[following]), own[following], np.nan)
