"""Prices that look wrong though they can be loaded: gaps, lone spikes, exchanges that disagree."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from adapters.datasets.findings import Finding, Severity
from adapters.datasets.grid import CoinGrid
from engine.market.data import Floats

SPIKE = 0.5
"""A move of this fraction within an hour, most of it gone an hour later, is a spike."""
DISAGREEMENT = 0.05
LEGIBLE = 1e6


def price_findings(grid: CoinGrid) -> Iterator[Finding]:
    """Warnings about the prices of one coin; a spike that another exchange contradicts is an error."""
    for exchange, leg in grid.legs.items():
        yield from _gaps(grid, exchange, leg["price"])
        yield from _spikes(grid, exchange)
        yield from _far_fills(grid, exchange, leg)
    yield from _disagreements(grid)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, length) of each unbroken run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _gaps(grid: CoinGrid, exchange: str, price: Floats) -> Iterator[Finding]:
    known = np.flatnonzero(~np.isnan(price))
    # Only between the first and the last price: outside of them the coin is not listed there, and nothing is missing.
    for first, length in runs(np.isnan(price[: known[-1]])):
        if first > known[0]:
            yield grid.finding("warning", "gap in prices", f"no price for {length} h", exchange, first)


def _spikes(grid: CoinGrid, exchange: str) -> Iterator[Finding]:
    price = grid.legs[exchange]["price"]
    for hour in np.flatnonzero(_jumps_and_returns(price)) + 1:
        others = [leg["price"][hour] for name, leg in grid.legs.items() if name != exchange]
        others = [other for other in others if not np.isnan(other)]
        message = f"{price[hour - 1]:g}, {price[hour]:g}, {price[hour + 1]:g} in three hours"
        # Another exchange went there as well: a real move.
        if any(abs(np.log(price[hour] / other)) < np.log1p(SPIKE) / 2 for other in others):
            continue
        severity: Severity = "error" if others else "warning"
        yield grid.finding(severity, "absurd price", message, exchange, int(hour))


def _jumps_and_returns(price: Floats) -> NDArray[np.bool_]:
    """Per inner hour: a jump by ``SPIKE`` or more, after which less than half of it is left."""
    logs = np.log(price)
    there, left = logs[1:-1] - logs[:-2], logs[2:] - logs[:-2]
    # A fall by half is the mirror of a doubling; the rise of 50 % sets the size for both.
    return np.asarray((np.abs(there) > np.log1p(SPIKE)) & (np.abs(left) < np.abs(there) / 2))


def _far_fills(grid: CoinGrid, exchange: str, leg: dict[str, Floats]) -> Iterator[Finding]:
    if "fill_price" not in leg:
        return
    apart = np.abs(np.log(leg["fill_price"] / leg["price"]))
    for hour in np.flatnonzero(apart > np.log1p(DISAGREEMENT)):
        message = f"price {leg['price'][hour]:g}, next trade {leg['fill_price'][hour]:g}"
        yield grid.finding("warning", "next trade far away", message, exchange, int(hour))


def _disagreements(grid: CoinGrid) -> Iterator[Finding]:
    for (one, first), (two, second) in combinations(grid.legs.items(), 2):
        apart = np.abs(np.log(first["price"] / second["price"]))
        for start, length in runs(apart > np.log1p(DISAGREEMENT)):
            worst = 100 * float(np.expm1(apart[start : start + length].max()))
            message = f"{two} is up to {worst:{'.1f' if worst < LEGIBLE else '.3g'}} % apart for {length} h"
            yield grid.finding("warning", "exchanges disagree", message, one, start)
