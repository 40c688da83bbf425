"""What only a whole table shows: errors that take a leg out of a data set before it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from adapters.datasets.findings import Finding
from adapters.datasets.grid import grids_of
from adapters.datasets.left_out import LeftOut, Place
from adapters.datasets.price_levels import level_findings
from adapters.datasets.rate_units import RateLevel, rate_levels, unit_findings
from engine.market.data import MarketData, facts_of, with_legs


def leave_out_what_is_certain(market: MarketData, left: LeftOut, origin: str) -> MarketData:
    """The market without the legs that whole-table checks are certain about, a line for each in ``left``.

    Raises ``DataError`` when nothing is left, and at the first when nothing may be left out.
    """
    for finding in _certain(market, origin):
        why = f"{finding.kind}: {finding.message}"
        left.leg((finding.coin, finding.exchange), why, Place(origin, "", finding.hour))
    kept = np.array([market.leg_name(leg) not in left.legs for leg in range(market.legs)], np.bool_)
    left.refuse_nothing_left(int(kept.sum()), origin)
    return market if kept.all() else _trimmed(with_legs(market, kept))


def _certain(market: MarketData, origin: str) -> list[Finding]:
    findings: list[Finding] = []
    levels: list[RateLevel] = []
    for grid in grids_of(market, origin):
        findings += level_findings(grid)
        levels += rate_levels(grid)
    # A warning may be a real market, which a data set must not lose; people see it after the build.
    return [finding for finding in (*findings, *unit_findings(levels)) if finding.severity == "error"]


def _trimmed(market: MarketData) -> MarketData:
    """From the first to the last hour at which a leg has a price or a fill price."""
    known = np.flatnonzero(~(np.isnan(market.price) & np.isnan(market.fill_price)).all(axis=0))
    rows = slice(int(known[0]), int(known[-1]) + 1)
    facts: dict[str, Any] = dict(facts_of(market, lambda values: values[:, rows]))
    return replace(market, hours=market.hours[rows], **facts)
