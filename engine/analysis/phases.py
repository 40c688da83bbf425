"""One phase of a clock is one draw of several: metrics and returns of the same player at each of them, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.analysis.metrics import Metrics
from engine.analysis.significance import hourly_returns
from engine.market.data import Floats

PNL = "pnl_pct_per_7d"
WORST = "worst_phase_"
"""Before the name of a metric: its worst value over the phases."""
NO_CLOCK = -1
"""Stands for the phase of whoever has no clock."""


def mean_over_phases(metrics: Mapping[int, Metrics]) -> Metrics:
    """Means of metrics by phase, and the worst P&L; without a clock the metrics as they are.

    A metric that some phases do not define is the mean over those that do.
    """
    if list(metrics) == [NO_CLOCK]:
        return dict(metrics[NO_CLOCK])
    means = {name: _mean([one[name] for one in metrics.values()]) for name in next(iter(metrics.values()))}
    return {**means, WORST + PNL: min(float(one[PNL] or 0.0) for one in metrics.values())}


def _mean(values: Sequence[float | int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def returns_of_parts(grown: Sequence[Floats]) -> Floats:
    """Hourly returns of an account that began with equal parts in each of some runs of one window.

    ``grown`` are their equities after each hour, as multiples of the initial capital.
    """
    # Of equity and not a mean of returns: it ends at the mean of their P&L.
    return hourly_returns(np.mean([np.append(1.0, one) for one in grown], axis=0))
