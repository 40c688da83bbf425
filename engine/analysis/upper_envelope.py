"""The upper envelope of straight lines: which of many lines is highest at a point, and adding one more.

A row keeps its lines sorted by slope and only those that are highest somewhere. ``count`` says how many there are.
"""

from __future__ import annotations

from typing import Any

from engine.compiled import compiled
from engine.market.data import Floats


@compiled
def highest(slopes: Floats, intercepts: Floats, count: int, x: float) -> int:
    """Index of the highest line at x; there must be one."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        here = slopes[middle] * x + intercepts[middle]
        if slopes[middle + 1] * x + intercepts[middle + 1] > here:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _is_needless(m1: float, c1: float, m2: float, c2: float, m3: float, c3: float) -> bool:
    """Whether the middle one of three lines by slope is nowhere above both others."""
    # Multiplied out, both factors being positive by the order: a quotient of nearly equal slopes is all rounding.
    return bool((c1 - c2) * (m3 - m1) >= (c1 - c3) * (m2 - m1))


@compiled
def _remove(slopes: Floats, intercepts: Floats, names: Any, count: int, k: int) -> int:
    for j in range(k + 1, count):
        slopes[j - 1], intercepts[j - 1], names[j - 1] = slopes[j], intercepts[j], names[j]
    return count - 1


@compiled
def add_line(
    slopes: Floats, intercepts: Floats, names: Any, count: int, slope: float, intercept: float, name: int
) -> int:
    """Add a line with a name; returns the new count. The arrays must have room for one more."""
    at = 0
    while at < count and slopes[at] < slope:
        at += 1
    # Parallel lines never meet, so only the higher one is kept.
    if at < count and slopes[at] == slope:
        if intercepts[at] >= intercept:
            return count
        count = _remove(slopes, intercepts, names, count, at)
    if 0 < at < count and _is_needless(
        slopes[at - 1], intercepts[at - 1], slope, intercept, slopes[at], intercepts[at]
    ):
        return count
    while at + 1 < count and _is_needless(
        slope, intercept, slopes[at], intercepts[at], slopes[at + 1], intercepts[at + 1]
    ):
        count = _remove(slopes, intercepts, names, count, at)
    while at > 1 and _is_needless(
        slopes[at - 2], intercepts[at - 2], slopes[at - 1], intercepts[at - 1], slope, intercept
    ):
        at -= 1
        count = _remove(slopes, intercepts, names, count, at)
    for j in range(count, at, -1):
        slopes[j], intercepts[j], names[j] = slopes[j - 1], intercepts[j - 1], names[j - 1]
    slopes[at], intercepts[at], names[at] = slope, intercept, name
    return count + 1
