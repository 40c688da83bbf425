"""What is measured of recorded and augmented markets alike: how much pairs net, how long, how prices bounce."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.market.data import Floats, Ints, MarketData

DAY = 24
BPS = 1e4
CLASSES_BPS = (5.0, 10.0, 20.0, 50.0, 100.0)
"""Lower bounds of the daily net of a pair, bps a day."""
LATER_DAYS = (1, 3, 7)
LEAST_KNOWN = 0.9
"""Share of the hours of a window in which a leg must have a price for its funding to count."""
WIDE_BPS = 20.0


@dataclass(frozen=True, eq=False)
class BestPairs:
    """The pair of each coin that nets most in the hours up to one, ``[symbols, hours]``: bps a day, -1 for no leg."""

    net: Floats  # nan where two legs are not known
    long_leg: Ints
    short_leg: Ints


@dataclass(frozen=True)
class Left:
    """What is left of daily nets after ``LATER_DAYS``: median of the shares, and sum by sum; nan where nothing is."""

    median: tuple[float, ...]
    of_sums: tuple[float, ...]
    coin_days: int


def net_funding(market: MarketData, hours: int) -> Floats:
    """Rates settled in the last ``hours``, per day of them, ``[legs, hours]``, bps; nan where too little is known."""
    rates = _trailing(np.nan_to_num(market.funding_rate), hours)
    known = _trailing((~np.isnan(market.price)).astype(np.float64), hours)
    return np.where(known >= LEAST_KNOWN * hours, BPS * rates * DAY / hours, np.nan)


def best_pairs(market: MarketData, hours: int) -> BestPairs:
    """Of every coin and hour; ties go to the first leg."""
    daily, shape = net_funding(market, hours), (len(market.symbols), len(market.hours))
    net, long_leg, short_leg = np.full(shape, np.nan), np.full(shape, -1), np.full(shape, -1)
    for symbol in range(len(market.symbols)):
        legs = np.flatnonzero(market.leg_symbol == symbol)
        if len(legs) < 2:
            continue
        rows = daily[legs]
        is_pair = (~np.isnan(rows)).sum(axis=0) >= 2
        high = np.where(np.isnan(rows), -np.inf, rows).argmax(axis=0)
        low = np.where(np.isnan(rows), np.inf, rows).argmin(axis=0)
        columns = np.arange(shape[1])
        net[symbol] = np.where(is_pair, rows[high, columns] - rows[low, columns], np.nan)
        long_leg[symbol], short_leg[symbol] = np.where(is_pair, legs[low], -1), np.where(is_pair, legs[high], -1)
    return BestPairs(net, long_leg, short_leg)


def what_is_left(*markets: MarketData) -> dict[float, Left]:
    """Of each coin and day the pair that nets most, and what of it is left later, by class of ``CLASSES_BPS``."""
    found: dict[float, list[tuple[float, list[float]]]] = {floor: [] for floor in CLASSES_BPS}
    for market in markets:
        for net, later in _followed(market):
            found[CLASSES_BPS[int(np.searchsorted(CLASSES_BPS, net, side="right")) - 1]].append((net, later))
    return {floor: _left(rows) for floor, rows in found.items()}


def _followed(market: MarketData) -> Iterator[tuple[float, list[float]]]:
    """(net, nets of the same pair later) of every coin and day of the lowest class or above; nan where unknown."""
    daily, best = net_funding(market, DAY), best_pairs(market, DAY)
    for symbol, t in np.argwhere(np.nan_to_num(best.net[:, ::DAY]) >= CLASSES_BPS[0]) * (1, DAY):
        long_leg, short_leg = best.long_leg[symbol, t], best.short_leg[symbol, t]
        rows = [t + DAY * days for days in LATER_DAYS]
        yield (
            float(best.net[symbol, t]),
            [
                float(daily[short_leg, row] - daily[long_leg, row]) if row < len(market.hours) else np.nan
                for row in rows
            ],
        )


def _left(rows: list[tuple[float, list[float]]]) -> Left:
    if not rows:
        nothing = (np.nan,) * len(LATER_DAYS)
        return Left(nothing, nothing, 0)
    net, later = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    known = ~np.isnan(later)
    shares = [later[known[:, k], k] / net[known[:, k]] for k in range(len(LATER_DAYS))]
    sums = [(later[known[:, k], k].sum(), net[known[:, k]].sum()) for k in range(len(LATER_DAYS))]
    return Left(
        tuple(float(np.median(share)) if len(share) else np.nan for share in shares),
        tuple(float(after / before) if before else np.nan for after, before in sums),
        len(rows),
    )


@dataclass(frozen=True)
class Bounce:
    """Of hourly log spreads between two exchanges, over all pairs of legs of a coin (each once)."""

    autocorrelation: float  # of the hourly changes, median of the pairs: -0.5 is nothing but bounce
    deviation_bps: float  # of the hourly changes, median of the pairs
    left_at_fill: float  # of a spread more than ``WIDE_BPS`` off its mean of 24 h, at the next trade; median
    wide_hours: int


def bounce(market: MarketData) -> Bounce:
    """What of the spreads is gone at the next trade or an hour later."""
    autocorrelations, deviations, left = [], [], []
    for one, other in _pairs_of_legs(market):
        spread = np.log(market.price[other] / market.price[one])
        at_fill = np.log(market.fill_price[other] / market.fill_price[one])
        change = np.diff(spread)
        known = ~np.isnan(change[1:]) & ~np.isnan(change[:-1])
        if known.sum() < 7 * DAY or not change[1:][known].std() > 0:
            continue
        autocorrelations.append(np.corrcoef(change[1:][known], change[:-1][known])[0, 1])
        deviations.append(BPS * np.nanstd(change))
        off = spread - _trailing(spread[None], DAY)[0] / DAY
        wide = np.flatnonzero((np.abs(off) > WIDE_BPS / BPS) & ~np.isnan(at_fill))
        left.append(1.0 + (at_fill - spread)[wide] / off[wide])
    shares = np.concatenate([np.empty(0), *left])
    return Bounce(
        float(np.median(autocorrelations)) if autocorrelations else np.nan,
        float(np.median(deviations)) if deviations else np.nan,
        float(np.median(shares)) if len(shares) else np.nan,
        len(shares),
    )


def _pairs_of_legs(market: MarketData) -> Iterator[tuple[int, int]]:
    for one in range(market.legs):
        for other in range(one + 1, market.legs):
            if market.leg_symbol[one] == market.leg_symbol[other]:
                yield one, other


def _trailing(values: Floats, hours: int) -> Floats:
    """Sums of the last ``hours`` values, of fewer at the beginning; nan where one of them is."""
    known = ~np.isnan(values)
    sums = np.cumsum(np.where(known, values, 0.0), axis=1)
    unknown = np.cumsum(~known, axis=1)
    sums[:, hours:] -= sums[:, :-hours].copy()
    unknown[:, hours:] -= unknown[:, :-hours].copy()
    return np.where(unknown > 0, np.nan, sums)
