"""Settlements that are missing against the interval in force."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapters.datasets.findings import Finding
from adapters.datasets.grid import CoinGrid
from engine.market.data import Floats


def settlement_findings(grid: CoinGrid) -> Iterator[Finding]:
    """Warnings about the settlements of one coin."""
    for exchange, leg in grid.legs.items():
        rates = leg["funding_rate"]
        settled = np.flatnonzero(~np.isnan(rates))
        if not settled.size:
            yield grid.finding("warning", "no settlements", "nothing ever settles", exchange, None)
            continue
        yield from _missing(grid, exchange, leg, settled)


def _missing(grid: CoinGrid, exchange: str, leg: dict[str, Floats], settled: np.ndarray) -> Iterator[Finding]:
    gaps = np.diff(settled).astype(np.float64)
    interval = _interval_in_force(leg.get("funding_interval_hours"), settled, gaps)
    for k in np.flatnonzero(gaps > interval):
        lacking = int(np.ceil(gaps[k] / interval[k])) - 1
        message = f"after it {lacking} are missing (due every {interval[k]:g} h)"
        yield grid.finding("warning", "missing settlements", message, exchange, int(settled[k]))
    last_price = int(np.flatnonzero(~np.isnan(leg["price"]))[-1])
    if gaps.size and last_price - settled[-1] > interval[-1]:
        message = f"is the last, {last_price - settled[-1]} h before the last price"
        yield grid.finding("warning", "missing settlements", message, exchange, int(settled[-1]))


def _interval_in_force(stated: Floats | None, settled: np.ndarray, gaps: Floats) -> Floats:
    """Hours that may pass after each settlement but the last.

    Where the source states intervals: the longer of those at both ends, since a change is stated with the first
    settlement under it. Else the gap itself counts when one of its neighbours is as long, otherwise the longer
    neighbour does: a lone longer gap is a missing settlement, a lasting one a new interval.
    """
    if stated is not None and not np.isnan(stated[settled]).any():
        ends = stated[settled]
        return np.asarray(np.maximum(ends[:-1], ends[1:]))
    padded = np.concatenate(([0.0], gaps, [0.0]))
    neighbours = np.maximum(padded[:-2], padded[2:])
    return np.where(neighbours > 0, neighbours, gaps)
