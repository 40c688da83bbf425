"""A table of half-spreads by 24 h volume from the coins of each exchange (pure).

Medians by bin of volume, since a few dead books would carry any mean away; neighbours whose medians run the wrong way
are pooled until none does, so that a thinner bin is never narrower.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.research.spread_fit.measured import Measured
from engine.errors import DataError
from engine.market.data import Floats
from engine.settings import ELSEWHERE, SpreadBin, SpreadRow

EDGES_USD = (0.0, 3e5, 1e6, 3e6, 1e7, 3e7, 1e8)
FEWEST_COINS = 5
"""Of a bin; one with fewer is joined to the next thinner one, whose spread is the safer guess."""
FEWEST_OF_AN_EXCHANGE = 30
WIDEST_BPS = 100.0


@dataclass(frozen=True, eq=False)
class FittedBin:
    """Coins that trade from so many USD a day on: what was measured of each, and what the table says of all."""

    from_usd: float
    measured_bps: Floats
    fitted_bps: float


@dataclass(frozen=True, eq=False)
class SpreadFit:
    """``fitted`` by exchange, thinnest bin first; ``elsewhere`` as (from_usd, bps); ``too_few``: coins that were
    measured where there were too few for a table."""

    fitted: Mapping[str, Sequence[FittedBin]]
    elsewhere: Sequence[tuple[float, float]]
    too_few: Mapping[str, tuple[Floats, Floats]]

    def elsewhere_at(self, volume: Floats) -> Floats:
        """What the table says of exchanges without rows, bps."""
        floors, widths = np.array(self.elsewhere).T
        return np.asarray(widths[np.searchsorted(floors, volume, side="right") - 1])


def fit_spreads(measured: Measured) -> SpreadFit:
    """Raises ``DataError`` when no exchange has coins enough."""
    fitted, too_few = {}, {}
    known = measured.coins.dropna(subset=["volume_usd"])
    for exchange, coins in known.groupby("exchange"):
        volume, half = (coins[name].to_numpy(np.float64) for name in ("volume_usd", "half_bps"))
        if len(coins) < FEWEST_OF_AN_EXCHANGE:
            too_few[str(exchange)] = (volume, half)
        else:
            fitted[str(exchange)] = fit_one(volume, half)
    if not fitted:
        raise DataError(f"no exchange has {FEWEST_OF_AN_EXCHANGE} coins with a known volume: nothing can be fitted")
    return SpreadFit(fitted, _elsewhere(list(fitted.values())), too_few)


def fit_one(volume: Floats, half: Floats) -> list[FittedBin]:
    """The bins of one exchange from volume in USD and half-spread in bps of each coin."""
    place = np.searchsorted(EDGES_USD, volume, side="right") - 1
    bins = [(edge, half[place == k]) for k, edge in enumerate(EDGES_USD)]
    bins = _joined(bins)
    return [FittedBin(edge, coins, width) for (edge, coins), width in zip(bins, _falling(bins), strict=True)]


def spread_rows(fit: SpreadFit, measured: Measured) -> dict[str, SpreadRow]:
    """The rows of the table by exchange, neighbours that say the same joined, ``elsewhere`` last."""
    period = f"{measured.first} to {measured.last}"
    coins = {name: sum(len(one.measured_bps) for one in bins) for name, bins in fit.fitted.items()}
    sources = {name: f"{count} coins, {period}: {measured.sources[name]}" for name, count in coins.items()}
    sources[ELSEWHERE] = f"the middle one of {', '.join(sorted(fit.fitted))}"
    tables = {name: [(one.from_usd, one.fitted_bps) for one in bins] for name, bins in sorted(fit.fitted.items())}
    rows = {}
    for name, table in {**tables, ELSEWHERE: list(fit.elsewhere)}.items():
        steps = [one for k, one in enumerate(table) if k == 0 or one[1] != table[k - 1][1]]
        bins = tuple(SpreadBin(from_usd=usd, bps=bps) for usd, bps in steps)
        rows[name] = SpreadRow(since=measured.first, half_spread=bins, source=sources[name])
    return rows


def _joined(bins: Sequence[tuple[float, Floats]]) -> list[tuple[float, Floats]]:
    """Without bins of too few coins; what is left over at the thin end is joined to the next busier one."""
    found: list[tuple[float, Floats]] = []
    waiting = np.empty(0)
    for edge, coins in reversed(bins):
        waiting = np.concatenate([coins, waiting])
        if len(waiting) >= FEWEST_COINS:
            found.append((edge, waiting))
            waiting = np.empty(0)
    edge, coins = found[-1]
    found[-1] = (bins[0][0], np.concatenate([waiting, coins])) if len(waiting) or edge else (edge, coins)
    return found[::-1]


def _falling(bins: Sequence[tuple[float, Floats]]) -> list[float]:
    """A median for each bin that never rises with volume: neighbours are pooled where it would."""
    blocks: list[tuple[Floats, int]] = []  # coins, and how many bins they are of
    for _, coins in bins:
        pooled, count = coins, 1
        while blocks and np.median(blocks[-1][0]) < np.median(pooled):
            thinner, before = blocks.pop()
            pooled, count = np.concatenate([thinner, pooled]), count + before
        blocks.append((pooled, count))
    return [round(min(float(np.median(coins)), WIDEST_BPS), 2) for coins, count in blocks for _ in range(count)]


def _elsewhere(tables: Sequence[Sequence[FittedBin]]) -> list[tuple[float, float]]:
    """At every volume the middle one of the exchanges, the wider of two: no single odd exchange decides."""
    found = []
    for edge in EDGES_USD:
        at_edge = sorted(next(one.fitted_bps for one in reversed(bins) if one.from_usd <= edge) for bins in tables)
        found.append((edge, at_edge[len(at_edge) // 2]))
    return found
