"""Statistics of a market that the sample is compared on; figures are in bps unless their names say otherwise.

Names of figures: ``funding.<exchange>.<interval>h.p50``, ``ac8h.<exchange>``, ``spread.<a>-<b>.p95``,
``basis.<a>-<b>.half_life_h``, ``returns.<exchange>.sd`` and so on. A spread or basis ``a-b`` is a minus b.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from adapters.sample.settings import BASELINE_BPS
from engine.market.data import Floats, Ints, MarketData

Figures = dict[str, float]
QUANTILES = {
    "p0.1": 0.001,
    "p1": 0.01,
    "p5": 0.05,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p99": 0.99,
    "p99.9": 0.999,
}
FEWEST_BUCKETS = 100
FEWEST_HOURS = 500


def statistics(market: MarketData) -> Figures:
    """All figures of a market. A figure without enough data is left out."""
    figures: Figures = {}
    for part in (_funding, _memory, _spreads, _basis, _returns, _bounce):
        figures.update(part(market))
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _legs_of(market: MarketData, exchange: str) -> Ints:
    return np.flatnonzero(market.leg_exchange == market.exchanges.index(exchange))


def settlement_intervals(market: MarketData) -> Floats:
    """Hours that each settlement pays for ``[legs, hours]``: the interval stated before it, else beside it."""
    stated = market.funding_interval_hours
    carried = stated.copy()
    for hour in range(1, carried.shape[1]):
        carried[:, hour] = np.where(np.isnan(carried[:, hour]), carried[:, hour - 1], carried[:, hour])
    before = np.concatenate([np.full((market.legs, 1), np.nan), carried[:, :-1]], axis=1)
    return np.where(np.isnan(before), stated, before)


def _funding(market: MarketData) -> Figures:
    figures: Figures = {}
    intervals = settlement_intervals(market)
    for exchange in market.exchanges:
        legs = _legs_of(market, exchange)
        rates, paid_for = market.funding_rate[legs] * 1e4, intervals[legs]
        settled = ~np.isnan(rates)
        figures[f"negative_pct.{exchange}"] = 100 * float((rates[settled] < 0).mean())
        for interval in np.unique(paid_for[settled & ~np.isnan(paid_for)]):
            of_interval = rates[settled & (paid_for == interval)]
            name = f"{exchange}.{int(interval)}h"
            at_baseline = np.isclose(of_interval * 8 / interval, BASELINE_BPS, atol=1e-3)
            figures[f"baseline_pct.{name}"] = 100 * float(at_baseline.mean())
            for label, value in zip(QUANTILES, np.quantile(of_interval, list(QUANTILES.values())), strict=True):
                figures[f"funding.{name}.{label}"] = float(value)
    return figures


def funding_8h(market: MarketData) -> Floats:
    """bps settled in each bucket of eight hours ``[legs, buckets]``; nan where nothing settled."""
    length = market.funding_rate.shape[1]
    # Buckets end at 00, 08 and 16 UTC, so that a settlement of 8 h is the last row of its own bucket.
    first = int(-(market.hours[0] - 1) % 8)
    buckets = (length - first) // 8
    rates = market.funding_rate[:, first : first + buckets * 8].reshape(market.legs, buckets, 8) * 1e4
    return np.where(np.isnan(rates).all(axis=2), np.nan, np.nansum(rates, axis=2))


def correlation_at(path: Floats, lag: int) -> float:
    """Autocorrelation of a path with gaps."""
    return correlation(path[:-lag], path[lag:])


def correlation(left: Floats, right: Floats) -> float:
    both = ~np.isnan(left) & ~np.isnan(right)
    if both.sum() < FEWEST_BUCKETS or left[both].std() == 0 or right[both].std() == 0:
        return float("nan")
    return float(np.corrcoef(left[both], right[both])[0, 1])


def _median(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def _memory(market: MarketData) -> Figures:
    """Autocorrelation of 8 h funding: median over coins."""
    buckets = funding_8h(market)
    return {
        f"ac{lag * 8}h.{exchange}": _median([correlation_at(buckets[leg], lag) for leg in _legs_of(market, exchange)])
        for exchange in market.exchanges
        for lag in (1, 3, 9)
    }


def _pairs(market: MarketData) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """(name, legs) of every pair of exchanges: the legs of the coins that trade on both."""
    for a, b in combinations(market.exchanges, 2):
        of_a, of_b = _leg_by_symbol(market, a), _leg_by_symbol(market, b)
        shared = [(leg, of_b[symbol]) for symbol, leg in of_a.items() if symbol in of_b]
        if shared:
            yield f"{a}-{b}", shared


def _leg_by_symbol(market: MarketData, exchange: str) -> dict[str, int]:
    return {market.leg_name(int(leg))[0]: int(leg) for leg in _legs_of(market, exchange)}


def _spreads(market: MarketData) -> Figures:
    """Differences of 8 h funding between exchanges: quantiles of their size, memory, correlation."""
    figures: Figures = {}
    buckets = funding_8h(market)
    for name, legs in _pairs(market):
        differences = [buckets[a] - buckets[b] for a, b in legs]
        pooled = np.concatenate(differences)
        size = np.abs(pooled[~np.isnan(pooled)])
        for label in ("p50", "p75", "p95", "p99"):
            figures[f"spread.{name}.{label}"] = float(np.quantile(size, QUANTILES[label]))
        figures[f"spread.{name}.above_3_pct"] = 100 * float((size > 3).mean())
        figures[f"spread.{name}.above_10_pct"] = 100 * float((size > 10).mean())
        figures[f"spread.{name}.ac8h"] = _median([correlation_at(path, 1) for path in differences])
        figures[f"spread.{name}.ac24h"] = _median([correlation_at(path, 3) for path in differences])
        figures[f"spread.{name}.correlation"] = _median([correlation(buckets[a], buckets[b]) for a, b in legs])
    return figures


def _basis(market: MarketData) -> Figures:
    """Differences of last prices between exchanges: pooled quantiles, the rest as medians over coins."""
    figures: Figures = {}
    for name, legs in _pairs(market):
        paths = [1e4 * np.log(market.price[a] / market.price[b]) for a, b in legs]
        paths = [path for path in paths if (~np.isnan(path)).sum() >= FEWEST_HOURS]
        if not paths:
            continue
        pooled = np.concatenate(paths)
        for label in ("p1", "p5", "p50", "p95", "p99"):
            figures[f"basis.{name}.{label}"] = float(np.nanquantile(pooled, QUANTILES[label]))
        figures[f"basis.{name}.sd"] = _median([float(np.nanstd(path)) for path in paths])
        figures[f"basis.{name}.change_sd"] = _median([float(np.nanstd(np.diff(path))) for path in paths])
        figures[f"basis.{name}.half_life_h"] = _median([_half_life(path) for path in paths])
    return figures


def _half_life(path: Floats) -> float:
    kept = correlation_at(path, 1)
    return float(-np.log(2) / np.log(kept)) if 0 < kept < 1 else float("nan")


def _returns(market: MarketData) -> Figures:
    """Hourly log returns: medians over coins of deviation, excess kurtosis and memory of their size."""
    figures: Figures = {}
    returns = 1e4 * np.diff(np.log(market.price), axis=1)
    for exchange in market.exchanges:
        paths = [path for path in returns[_legs_of(market, exchange)] if (~np.isnan(path)).sum() >= FEWEST_HOURS]
        figures[f"returns.{exchange}.sd"] = _median([float(np.nanstd(path)) for path in paths])
        figures[f"returns.{exchange}.kurtosis"] = _median([_excess_kurtosis(path) for path in paths])
        figures[f"returns.{exchange}.ac1"] = _median([correlation_at(path, 1) for path in paths])
        figures[f"returns.{exchange}.size_ac1"] = _median([correlation_at(np.abs(path), 1) for path in paths])
        figures[f"returns.{exchange}.size_ac24"] = _median([correlation_at(np.abs(path), 24) for path in paths])
    figures["returns.correlation_with_btc"] = _correlation_with_btc(market, returns)
    return figures


def _excess_kurtosis(path: Floats) -> float:
    known = path[~np.isnan(path)]
    centred = known - known.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2 - 3)


def _correlation_with_btc(market: MarketData, returns: Floats) -> float:
    legs = _leg_by_symbol(market, market.exchanges[0])
    btc = legs.pop("BTCUSDT", None)
    if btc is None:
        return float("nan")
    return _median([correlation(returns[btc], returns[leg]) for leg in legs.values()])


def _bounce(market: MarketData) -> Figures:
    """Deviation from the last trade before an hour to the first after it: median over coins."""
    moves = 1e4 * np.log(market.fill_price / market.price)
    figures: Figures = {}
    for exchange in market.exchanges:
        rows = [row for row in moves[_legs_of(market, exchange)] if not np.isnan(row).all()]
        figures[f"bounce.{exchange}"] = _median([float(np.nanstd(row)) for row in rows])
    return figures
