"""How far a result can be trusted: bootstrap intervals, Sharpe ratios that know of luck, and overfitting.

Sources: Politis and Romano 1994 (stationary bootstrap), Politis and White 2004 with the correction of 2009 (block
length), Bailey and Lopez de Prado 2012 and 2014 (probabilistic and deflated Sharpe ratio, minimum track record) and
Bailey, Borwein, Lopez de Prado and Zhu 2017 (probability of backtest overfitting). Returns are fractions per hour;
a Sharpe ratio is per hour unless its name says annualised. ``None`` says that a number is not defined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from statistics import NormalDist

import numpy as np

from engine.analysis.metrics import HOURS_PER_YEAR
from engine.errors import UserError
from engine.market.data import Floats, Ints

EULER = 0.5772156649015329
NORMAL = NormalDist()
_CHUNK = 2_000_000
_SHORT_BLOCK = 8.0


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds between which it lies with probability ``level``."""

    estimate: float
    low: float
    high: float
    level: float


def pnl_pct(returns: Floats) -> Floats:
    """P&L in % of the start, of hourly returns along the last axis."""
    grown: Floats = 100 * (np.prod(1 + returns, axis=-1) - 1)
    return grown


def sharpe(returns: Floats) -> Floats:
    """Mean over sample deviation along the last axis, per hour; 0 where nothing moves."""
    deviation = returns.std(axis=-1, ddof=1)
    moves = deviation > 1e-15
    ratio: Floats = np.where(moves, returns.mean(axis=-1) / np.where(moves, deviation, 1.0), 0.0)
    return ratio


def annualised_sharpe(returns: Floats) -> Floats:
    """``sharpe`` times the root of the hours of a year."""
    ratio: Floats = sharpe(returns) * np.sqrt(HOURS_PER_YEAR)
    return ratio


def calmar(equity: Floats) -> float | None:
    """Compound return of a year over the maximum drawdown, both as fractions; ``equity`` is hourly, start included."""
    drawdown = float(np.max(1 - equity / np.maximum.accumulate(equity)))
    hours = len(equity) - 1
    if hours < 1 or drawdown <= 0:
        return None
    return float((equity[-1] / equity[0]) ** (HOURS_PER_YEAR / hours) - 1) / drawdown


# --- bootstrap ---


def bootstrap(
    returns: Floats,
    statistic: Callable[[Floats], Floats],
    rng: np.random.Generator,
    *,
    level: float = 0.9,
    samples: int = 2000,
    block_hours: float | None = None,
) -> Interval:
    """Percentile interval of a statistic by the stationary bootstrap, whose blocks keep autocorrelation.

    ``statistic`` maps ``[..., hours]`` to ``[...]``. ``block_hours`` is the mean length of a block, by default
    ``block_length``. Raises ``UserError`` for fewer than two hours.
    """
    if len(returns) < 2:
        raise UserError("an interval needs at least two hours of returns")
    block = block_length(returns) if block_hours is None else block_hours
    values = np.empty(samples)
    step = max(1, _CHUNK // len(returns))
    for start in range(0, samples, step):
        some = slice(start, min(start + step, samples))
        values[some] = statistic(returns[stationary_indices(rng, len(returns), block, some.stop - start)])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(statistic(returns)), float(low), float(high), level)


def stationary_indices(rng: np.random.Generator, hours: int, block_hours: float, samples: int) -> Ints:
    """Resampled rows ``[samples, hours]``: blocks of geometric length from random places, around the end."""
    begins = rng.random((samples, hours)) < 1 / block_hours
    begins[:, 0] = True
    origin = rng.integers(0, hours, (samples, hours))
    columns = np.arange(hours)
    begun = np.maximum.accumulate(np.where(begins, columns, 0), axis=1)
    rows: Ints = (np.take_along_axis(origin, begun, axis=1) + columns - begun) % hours
    return rows


def resampled_sums(series: Floats, rng: np.random.Generator, *, block_hours: float, samples: int) -> Floats:
    """Sums ``[series, samples]`` of ``series [series, hours]`` over resamples of the stationary bootstrap.

    Distributed like sums over ``stationary_indices``; where blocks are long each costs one step instead of each hour.
    """
    hours = series.shape[1]
    if block_hours < _SHORT_BLOCK:
        return _sums_by_hours(series, rng, block_hours, samples)
    # Blocks go around the end: in the series twice over, each is one difference of two sums.
    doubled = np.concatenate((series, series), axis=1)
    until = np.concatenate((np.zeros((len(series), 1)), np.cumsum(doubled, axis=1)), axis=1)
    sums, missing = np.zeros((len(series), samples)), np.full(samples, hours)
    while (open_ := np.flatnonzero(missing)).size:
        length = np.minimum(rng.geometric(1 / block_hours, open_.size), missing[open_])
        start = rng.integers(0, hours, open_.size)
        sums[:, open_] += until[:, start + length] - until[:, start]
        missing[open_] -= length
    return sums


def _sums_by_hours(series: Floats, rng: np.random.Generator, block_hours: float, samples: int) -> Floats:
    hours, sums = series.shape[1], np.empty((len(series), samples))
    step = max(1, _CHUNK // hours)
    for start in range(0, samples, step):
        some = slice(start, min(start + step, samples))
        rows = stationary_indices(rng, hours, block_hours, some.stop - start)
        sums[:, some] = [one[rows].sum(axis=1) for one in series]
    return sums


def block_length(returns: Floats) -> float:
    """Mean block length in hours that suits the autocorrelation of a series; 1 where there is none to keep."""
    n = len(returns)
    deviations = returns - returns.mean()
    if n < 10 or not np.any(np.abs(deviations) > 1e-15):
        return 1.0
    patience = max(5, int(np.log10(n)))
    longest = int(np.ceil(np.sqrt(n))) + patience
    covariance = np.array([deviations[k:] @ deviations[: n - k] / n for k in range(min(longest, n - 1) + 1)])
    insignificant = np.abs(covariance[1:] / covariance[0]) < 2 * np.sqrt(np.log10(n) / n)
    lags = min(2 * _first_quiet_lag(insignificant, patience), longest)
    k = np.arange(-min(lags, len(covariance) - 1), min(lags, len(covariance) - 1) + 1)
    # The flat-top lag window: 1 up to half of the lags, from there down to 0.
    window = np.minimum(1.0, 2 * (1 - np.abs(k) / lags)) * covariance[np.abs(k)]
    spectrum, slope = float(window.sum()), float((np.abs(k) * window).sum())
    if spectrum == 0:
        return 1.0
    # The 2 in the divisor is the correction of 2009; the paper of 2004 has another term there.
    best = ((2 * slope**2) / (2 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return float(min(max(best, 1.0), np.ceil(min(3 * np.sqrt(n), n / 3))))


def _first_quiet_lag(insignificant: Floats, patience: int) -> int:
    """Where the first run of ``patience`` lags without correlation begins; else the last lag that has any."""
    for lag in range(len(insignificant) - patience + 1):
        if insignificant[lag : lag + patience].all():
            return lag + 1
    loud = np.flatnonzero(~np.asarray(insignificant, bool))
    return int(loud[-1]) + 1 if len(loud) else 1


# --- Sharpe ratios ---


@dataclass(frozen=True)
class DeflatedSharpe:
    """``probability`` that the true Sharpe ratio is above ``threshold``, the best that luck alone would have shown."""

    probability: float
    threshold: float
    trials: int


def probabilistic_sharpe(ratio: float, benchmark: float, hours: int, skewness: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio is above a benchmark; ``kurtosis`` is 3 for a normal distribution.

    Ratios are per hour. Returns are taken for independent of each other; where they are not it is too sure.
    """
    return NORMAL.cdf((ratio - benchmark) * np.sqrt(hours - 1) / np.sqrt(_spread(ratio, skewness, kurtosis)))


def minimum_track_record(
    ratio: float, benchmark: float, skewness: float, kurtosis: float, confidence: float = 0.95
) -> float | None:
    """Hours after which a Sharpe ratio counts as above the benchmark; None when it is not above it at all."""
    if ratio <= benchmark:
        return None
    return float(1 + _spread(ratio, skewness, kurtosis) * (NORMAL.inv_cdf(confidence) / (ratio - benchmark)) ** 2)


def _spread(ratio: float, skewness: float, kurtosis: float) -> float:
    """Variance of an estimated Sharpe ratio, times the number of observations."""
    # Returns of two values only can bring it to 0, or by rounding below it, and its root is divided by.
    return max(1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2, 1e-12)


def best_by_luck(deviation: float, trials: int) -> float:
    """Expected highest of ``trials`` Sharpe ratios that are all zero in truth and estimated with this deviation."""
    if trials < 2:
        return 0.0
    high, higher = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * np.e))
    return float(deviation * ((1 - EULER) * high + EULER * higher))


def deflated_sharpe(returns: Floats, deviation: float, trials: int) -> DeflatedSharpe | None:
    """The chosen one's returns against the best of as many tries by luck; None where nothing moves.

    ``deviation`` is the sample deviation of the Sharpe ratios (per hour) of everything that was tried.
    """
    if len(returns) < 3 or returns.std() <= 1e-15:
        return None
    threshold = best_by_luck(deviation, trials)
    skewness, kurtosis = moments(returns)
    probability = probabilistic_sharpe(float(sharpe(returns)), threshold, len(returns), skewness, kurtosis)
    return DeflatedSharpe(probability, threshold, trials)


def moments(returns: Floats) -> tuple[float, float]:
    """Skewness and kurtosis (3 for a normal distribution)."""
    standard = (returns - returns.mean()) / returns.std()
    return float((standard**3).mean()), float((standard**4).mean())


# --- overfitting ---


@dataclass(frozen=True, eq=False)
class Overfitting:
    """``probability`` that the best of one half of the hours is below the median in the other half.

    ``loss_probability``: that it loses there. ``logits`` has one value for each way to halve: above 0 means better
    than the median.
    """

    probability: float
    loss_probability: float
    logits: Floats


def backtest_overfitting(returns: Floats, blocks: int = 16) -> Overfitting:
    """Combinatorially symmetric cross-validation of hourly returns ``[hours, trials]`` by Sharpe ratio.

    The hours are cut into ``blocks`` (even); every half of them chooses its best trial, the rest judges it. Raises
    ``UserError`` for fewer than two trials, an odd number of blocks or fewer than two hours a block.
    """
    hours, trials = returns.shape
    if trials < 2 or blocks < 2 or blocks % 2 or hours < 2 * blocks:
        raise UserError("overfitting is judged over at least two trials, an even number of blocks, two hours in each")
    parts = np.array_split(returns, blocks)
    sums = np.array([part.sum(axis=0) for part in parts])
    squares = np.array([(part**2).sum(axis=0) for part in parts])
    counts = np.array([float(len(part)) for part in parts])
    halves = _halves(blocks)
    logits, means = np.empty(len(halves)), np.empty(len(halves))
    step = max(1, _CHUNK // trials)
    for start in range(0, len(halves), step):
        some = slice(start, start + step)
        logits[some], means[some] = _judge(halves[some], sums, squares, counts)
    return Overfitting(float(np.mean(logits <= 0)), float(np.mean(means < 0)), logits)


@cache
def _halves(blocks: int) -> Floats:
    """Every choice of half of the blocks, as rows of ones and zeros. There are thousands, the same for every record."""
    chosen = np.array([[k in half for k in range(blocks)] for half in combinations(range(blocks), blocks // 2)], float)
    chosen.flags.writeable = False
    return chosen


def _judge(halves: Floats, sums: Floats, squares: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Logit of the rank, and mean return, that each half's best trial has in the other half."""
    rows = np.arange(len(halves))
    best = np.argmax(_sharpe_of_blocks(halves, sums, squares, counts), axis=1)
    judged = _sharpe_of_blocks(1 - halves, sums, squares, counts)
    own = judged[rows, best][:, None]
    # Ties share a middle rank, and one is added to the number of trials: no share is 0 or 1, no logit infinite.
    rank = 0.5 + (judged < own).sum(axis=1) + (judged == own).sum(axis=1) / 2
    share = rank / (sums.shape[1] + 1)
    return np.log(share / (1 - share)), ((1 - halves) @ sums)[rows, best]


def _sharpe_of_blocks(chosen: Floats, sums: Floats, squares: Floats, counts: Floats) -> Floats:
    n = (chosen @ counts)[:, None]
    mean = chosen @ sums / n
    variance = np.maximum(chosen @ squares - n * mean**2, 0.0) / (n - 1)
    moves = variance > 1e-24
    ratio: Floats = np.where(moves, mean / np.sqrt(np.where(moves, variance, 1.0)), 0.0)
    return ratio
