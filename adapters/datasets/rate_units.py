"""Whether funding rates are decimal fractions: a whole record in per cent shows in its usual size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from adapters.datasets.findings import Finding, Severity
from adapters.datasets.grid import CoinGrid
from engine.market.data import Floats

USUAL_PER_8H = 1e-4
"""The rate that most contracts have most of the time, on every exchange: 0.01 % per 8 h."""
HIGHEST_PER_8H = 0.003
"""Single coins pay more for days, some for weeks; none has done so for most of its record of a month."""
MONTH_HOURS = 30 * 24
FEWEST_SETTLEMENTS = 24
COMPARABLE = 10.0
"""Another exchange within this factor shows that a coin is really so extreme; per cent would be a factor of 100."""
UNITS = {100.0: "per cent", 1095.0: "rates per year", 1e4: "basis points"}
"""What the usual rate looks like in units that are none, by the factor."""


@dataclass(frozen=True)
class RateLevel:
    """The usual size of the rates of a leg: the median of ``|rate|`` per 8 h over ``hours``."""

    file: str
    coin: str
    exchange: str
    per_8h: float
    hours: int

    @property
    def is_high(self) -> bool:
        """Whether it is higher than that of any real record of a month."""
        return self.per_8h > HIGHEST_PER_8H


def rate_levels(grid: CoinGrid) -> Iterator[RateLevel]:
    """The level of each leg of a coin that has enough settlements for one."""
    for exchange, leg in grid.legs.items():
        settled = np.flatnonzero(~np.isnan(leg["funding_rate"]))
        if len(settled) < FEWEST_SETTLEMENTS:
            continue
        hours = _interval(leg.get("funding_interval_hours"), settled)
        per_8h = float(np.median(np.abs(leg["funding_rate"][settled]) * 8 / hours))
        yield RateLevel(grid.file, grid.coin, exchange, per_8h, int(settled[-1] - settled[0]))


def unit_findings(levels: list[RateLevel]) -> Iterator[Finding]:
    """An error for each leg whose rates cannot be decimal fractions, a warning where that is only likely."""
    usual = _share_of_usual(levels)
    for level in levels:
        if not level.is_high:
            continue
        witnesses = [
            other.exchange
            for other in levels
            if other.coin == level.coin
            and other.exchange != level.exchange
            and other.per_8h > level.per_8h / COMPARABLE
            # An exchange most of whose coins are too high is in another unit itself and vouches for nobody.
            and usual[other.exchange] >= 0.5
        ]
        certain = level.hours >= MONTH_HOURS and not witnesses
        severity: Severity = "error" if certain else "warning"
        message = _message(level, witnesses)
        yield Finding(severity, "unit of the rates", message, level.file, level.coin, level.exchange)


def likely_unit(per_8h: float) -> str:
    """The unit in which the usual rate would be of this size."""
    return min(UNITS.items(), key=lambda unit: abs(np.log(per_8h / USUAL_PER_8H / unit[0])))[1]


def _message(level: RateLevel, witnesses: list[str]) -> str:
    found = f"half of all rates are above {100 * level.per_8h:.2f} % per 8 h over {level.hours / 24:.0f} days"
    if witnesses:
        return f"{found}; so they are on {', '.join(witnesses)}"
    return f"{found}: likely {likely_unit(level.per_8h)}, not decimal fractions"


def _share_of_usual(levels: list[RateLevel]) -> Mapping[str, float]:
    """By exchange the share of coins whose rates are of a usual size."""
    high: dict[str, list[bool]] = {}
    for level in levels:
        high.setdefault(level.exchange, []).append(level.is_high)
    return {exchange: 1 - float(np.mean(each)) for exchange, each in high.items()}


def _interval(stated: Floats | None, settled: np.ndarray) -> Floats:
    """Hours of each settlement: as stated, else the usual distance between two."""
    distance = float(np.median(np.diff(settled)))
    hours = np.full(len(settled), np.nan) if stated is None else stated[settled]
    return np.where(np.isnan(hours), distance, hours)
