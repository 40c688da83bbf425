"""How much of one result may be luck, as one flat record: intervals, and Sharpe ratios that know what else was tried.

Returns are fractions per hour. A Sharpe ratio is annualised unless its name says per hour. Where a number is not
defined it is None, and the field ``..._reason`` beside it says why in words.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import AwareDatetime, Field

from engine.accounting.records import Records
from engine.analysis.metrics import HOURS_PER_YEAR
from engine.analysis.statistics import (
    annualised_sharpe,
    block_length,
    deflated_sharpe,
    moments,
    pnl_pct,
    probabilistic_sharpe,
    resampled_sums,
    sharpe,
)
from engine.market.data import Floats
from engine.settings import NotNegative, Seed, Settings

NO_RECORD = "no record of trials"
TOO_SHORT = "fewer than three hours of returns"
RUIN = "the equity fell to zero"
STILL = "nothing moved: every hourly return is zero"

Bounds = tuple[float, float]


class SignificanceSettings(Settings):
    """How intervals are drawn. ``block_hours`` None chooses the mean block length from the series itself."""

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    samples: Annotated[int, Field(ge=100, le=100_000)] = 2000
    block_hours: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    seed: Seed = 0


class Trials(Settings):
    """Everything that was tried before something was chosen, in short.

    ``sharpe_deviation`` is the sample deviation of the trials' Sharpe ratios per hour. The window is inclusive.
    """

    count: Annotated[int, Field(ge=1)]
    sharpe_deviation: NotNegative
    overfitting: Annotated[float, Field(ge=0, le=1)] | None
    overfitting_reason: str | None = None
    loss_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    source: str
    start: AwareDatetime
    end: AwareDatetime
    dataset_fingerprint: str


class Significance(Settings):
    """What is known about a result beyond its size.

    ``probabilistic_sharpe`` is the probability that the true Sharpe ratio is above zero; ``deflated_sharpe`` that it
    is above ``luck_sharpe``, the best that as many worthless trials would have shown. ``pbo`` is the probability that
    choosing the best of the trials chose one below the median, ``loss_probability`` that it chose one that loses, both
    on the hours that it was not chosen by. ``trials_reason`` warns where the trials were made on
    other hours than these: nothing was chosen here, and deflating is stricter than needed.
    """

    hours: int
    confidence: float
    samples: int
    block_hours: float | None
    seed: int
    pnl_pct: float | None
    pnl_pct_interval: Bounds | None
    pnl_pct_per_7d: float | None
    pnl_pct_per_7d_interval: Bounds | None
    sharpe: float | None
    sharpe_interval: Bounds | None
    interval_reason: str | None
    probabilistic_sharpe: float | None
    probabilistic_sharpe_reason: str | None
    deflated_sharpe: float | None
    deflated_sharpe_reason: str | None
    luck_sharpe: float | None
    trials: int | None
    trials_source: str | None
    trials_reason: str | None
    pbo: float | None
    loss_probability: float | None
    pbo_reason: str | None


def hourly_returns(equity: Floats) -> Floats:
    """Returns ``[hours]`` of an equity curve ``[hours + 1]`` that begins with the initial capital."""
    returns: Floats = equity[1:] / equity[:-1] - 1
    return returns


def returns_of(records: Records, initial_capital_usd: float) -> Floats:
    """Hourly returns of a finished run, the first from the initial capital."""
    return hourly_returns(np.concatenate(([initial_capital_usd], records.hours["equity"])))


def significance(
    returns: Floats, settings: SignificanceSettings, trials: Trials | None = None, *, without: str = NO_RECORD
) -> Significance:
    """Judge hourly returns; ``without`` says why there are no trials. Equal input gives equal numbers."""
    values: dict[str, Any] = dict.fromkeys(Significance.model_fields)
    values |= {"hours": len(returns), **settings.model_dump()}
    if len(returns) < 3:
        return Significance(**values | _all_undefined(TOO_SHORT))
    if not np.isfinite(returns).all() or np.any(returns <= -1):
        return Significance(**values | _all_undefined(RUIN))
    return Significance(**values | _judged(returns, settings) | _deflated(returns, trials, without))


def _all_undefined(reason: str) -> dict[str, Any]:
    names = ("interval_reason", "probabilistic_sharpe_reason", "deflated_sharpe_reason", "pbo_reason")
    return dict.fromkeys(names, reason)


def _judged(returns: Floats, settings: SignificanceSettings) -> dict[str, Any]:
    hours, block = len(returns), settings.block_hours or block_length(returns)
    weekly = 168 / hours
    grown = float(pnl_pct(returns))
    if not _moves(returns):
        # No resample of zeros differs from them.
        flat = {"pnl_pct": grown, "pnl_pct_interval": (0.0, 0.0), "pnl_pct_per_7d_interval": (0.0, 0.0)}
        reasons = {"interval_reason": STILL, "probabilistic_sharpe_reason": STILL}
        return {"block_hours": block, "pnl_pct_per_7d": grown, **flat, **reasons}
    earned, ratio = _resampled(returns, settings, block)
    bounds = [(1 - settings.confidence) / 2, (1 + settings.confidence) / 2]
    low, high = (float(bound) for bound in np.quantile(earned, bounds))
    worst, best = (float(bound) for bound in np.quantile(ratio, bounds))
    return {
        "block_hours": block,
        "pnl_pct": grown,
        "pnl_pct_interval": (low, high),
        "pnl_pct_per_7d": grown * weekly,
        "pnl_pct_per_7d_interval": (low * weekly, high * weekly),
        "sharpe": float(annualised_sharpe(returns)),
        "sharpe_interval": (worst, best),
        "probabilistic_sharpe": probabilistic_sharpe(float(sharpe(returns)), 0.0, hours, *moments(returns)),
    }


def _resampled(returns: Floats, settings: SignificanceSettings, block: float) -> tuple[Floats, Floats]:
    """P&L in % and annualised Sharpe ratio of each resample."""
    hours, rng = len(returns), np.random.default_rng(settings.seed)
    # Logarithms add up where returns multiply: a resample's P&L is then a sum too, as fast as the others.
    series = np.stack((np.log1p(returns), returns, returns**2))
    growth, sums, squares = resampled_sums(series, rng, block_hours=block, samples=settings.samples)
    mean = sums / hours
    deviation = np.sqrt(np.maximum(squares - hours * mean**2, 0.0) / (hours - 1))
    moves = deviation > 1e-15
    ratio = np.where(moves, mean / np.where(moves, deviation, 1.0), 0.0)
    return 100 * np.expm1(growth), ratio * np.sqrt(HOURS_PER_YEAR)


def _moves(returns: Floats) -> bool:
    return bool(returns.std() > 1e-15)


def _deflated(returns: Floats, trials: Trials | None, without: str) -> dict[str, Any]:
    if trials is None:
        return {"deflated_sharpe_reason": without, "pbo_reason": without}
    known = {
        "trials": trials.count,
        "trials_source": trials.source,
        "pbo": trials.overfitting,
        "loss_probability": trials.loss_probability,
        "pbo_reason": trials.overfitting_reason,
    }
    found = deflated_sharpe(returns, trials.sharpe_deviation, trials.count)
    if found is None:
        return {**known, "deflated_sharpe_reason": STILL}
    luck = found.threshold * float(np.sqrt(HOURS_PER_YEAR))
    return {**known, "deflated_sharpe": found.probability, "luck_sharpe": luck}
