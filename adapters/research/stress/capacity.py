"""How much capital a strategy can carry before its own trades eat what it earns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]
"""Capital in USD and P&L in % of it per 7 days."""


@dataclass(frozen=True)
class Capacity:
    """Capital in USD at which P&L % per 7 days falls to half of that of the least capital, and to zero.

    Interpolated between the points on the logarithm of capital; None where the curve does not come down to it.
    ``most_usd_at`` is the point with the highest P&L in USD, None when none of them earns.
    """

    half_at: float | None
    zero_at: float | None
    most_usd_at: float | None


def capacity(points: Sequence[Point]) -> Capacity:
    """Where the capacity curve crosses; a strategy that does not earn with the least capital has no capacity."""
    points = sorted(points)
    if not points or points[0][1] <= 0:
        return Capacity(None, None, None)
    most = max(points, key=lambda point: point[0] * point[1])
    return Capacity(_falls_to(points, points[0][1] / 2), _falls_to(points, 0.0), most[0])


def _falls_to(points: Sequence[Point], level: float) -> float | None:
    for (less, above), (more, below) in pairwise(points):
        if below <= level:
            share = (above - level) / (above - below)
            return math.exp(math.log(less) + share * (math.log(more) - math.log(less)))
    return None
