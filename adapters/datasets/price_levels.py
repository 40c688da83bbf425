"""Levels of prices over a whole record: jumps by a power of ten that stay, exchanges that never agree on a coin."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapters.datasets.findings import Finding, Severity
from adapters.datasets.grid import CoinGrid
from engine.market.data import Floats

NEAR_POWER = 0.1
"""In decades (26 %): how far a jump may be from a power of ten when another exchange shows that it is none."""
NEAR_POWER_ALONE = 0.05
"""The same (12 %) where no other exchange can tell it from a crash."""
STAYS = 0.15
"""The level of the day after lies so near to the one before times the power; else it was a spike, or a real move."""
DAY = 24
FEWEST_BESIDE = 3
"""Prices on either side of a jump: fewer show no level."""
APART = float(np.log10(1.2))
AGREE = float(np.log10(1.05))
FEWEST_COMMON = 24
ALWAYS = 0.99


def level_findings(grid: CoinGrid) -> Iterator[Finding]:
    """Errors, and warnings where a real move cannot be excluded."""
    logs = {exchange: np.log10(leg["price"]) for exchange, leg in grid.legs.items()}
    for exchange in logs:
        yield from _jumps(grid, logs, exchange)
    yield from _strangers(grid, logs)


def _jumps(grid: CoinGrid, logs: dict[str, Floats], exchange: str) -> Iterator[Finding]:
    log = logs[exchange]
    known = np.flatnonzero(~np.isnan(log))
    for i in np.flatnonzero(np.abs(np.diff(log[known])) > 1 - NEAR_POWER):
        a, b = int(known[i]), int(known[i + 1])
        step = float(log[b] - log[a])
        power = round(step)
        before, after = log[known[max(0, i + 1 - DAY) : i + 1]], log[known[i + 1 : i + 1 + DAY]]
        stays = abs(np.median(after) - np.median(before) - power) <= STAYS
        if power == 0 or abs(step - power) > NEAR_POWER or not stays or min(len(before), len(after)) < FEWEST_BESIDE:
            continue
        others = [_step(other, a, b) for name, other in logs.items() if name != exchange]
        moved = [abs(other) > abs(power) / 2 for other in others if other is not None]
        severity = _severity(power, step, b - a, moved)
        if severity is not None:
            message = f"the price goes from {10 ** log[a]:.6g} to {10 ** log[b]:.6g} and stays there ({_times(power)})"
            cause = "re-denominated, or another unit of the contract"
            yield grid.finding(severity, "level shift", f"{message}: {cause}", exchange, b)


def _severity(power: int, step: float, hours: int, others_moved: list[bool]) -> Severity | None:
    """How certain it is that a jump near a power of ten is no move of the market."""
    # Another exchange stood still meanwhile: the market did not move.
    if others_moved and not all(others_moved):
        return "error"
    if others_moved:  # everywhere at once: coins have lost nine tenths in an hour, but never 99 of 100 so exactly
        return "error" if abs(power) > 1 else None
    # With nobody beside it and days without prices in between, a coin may really have lost nine tenths.
    return "error" if hours <= DAY and abs(step - power) <= NEAR_POWER_ALONE else "warning"


def _step(log: Floats, a: int, b: int) -> float | None:
    """By how much another exchange moved meanwhile; None when it has no prices close to both ends."""
    before, after = log[max(0, a + 1 - DAY) : a + 1], log[b : b + DAY]
    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    return float(after[0] - before[-1]) if len(before) and len(after) else None


def _strangers(grid: CoinGrid, logs: dict[str, Floats]) -> Iterator[Finding]:
    """Legs that are another coin, or of another unit, than at least as many others as agree with them."""
    names = list(logs)
    # Each agrees with itself: of two alone both are named, for nobody knows which one is right.
    agrees, apart = ({name: [name] if mine else [] for name in names} for mine in (True, False))
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            distance = np.abs(logs[one] - logs[two])
            distance = distance[~np.isnan(distance)]
            if len(distance) < FEWEST_COMMON:
                continue
            if np.mean(distance > APART) >= ALWAYS:
                apart[one].append(two)
                apart[two].append(one)
            elif np.median(distance) <= AGREE:
                agrees[one].append(two)
                agrees[two].append(one)
    for name in names:
        if len(apart[name]) >= len(agrees[name]):
            other = apart[name][0]
            ratio = float(np.nanmedian(logs[name] - logs[other]))
            yield grid.finding("error", "another coin", _why_apart(ratio, other), name, None)


def _why_apart(ratio: float, other: str) -> str:
    found = f"the price is {10**ratio:.4g} times that on {other}, in all hours"
    power = round(ratio)
    if power and abs(ratio - power) <= NEAR_POWER:
        return f"{found} ({_times(power)}): its multiplier is wrong, or the other's"
    return f"{found}: two coins under one name"


def _times(power: int) -> str:
    return f"x {10**power:,}" if power > 0 else f"/ {10**-power:,}"
