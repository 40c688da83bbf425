"""Random processes in hourly steps. All take a numpy ``Generator`` and have unit variance."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from engine.market.data import Floats


def ornstein_uhlenbeck(rng: np.random.Generator, rows: int, hours: int, half_life_hours: float) -> Floats:
    """Stationary mean-reverting paths ``[rows, hours]``; correlation at lag k is ``0.5 ** (k / half_life)``."""
    shocks = rng.standard_normal((rows, hours))
    keep = 0.5 ** (1 / half_life_hours)
    # All but the first, which keeps its whole variance: so the path is stationary from its first hour on.
    shocks[:, 1:] *= np.sqrt(1 - keep**2)
    path = shocks
    for hour in range(1, hours):
        path[:, hour] += keep * path[:, hour - 1]
    return path


def student(rng: np.random.Generator, shape: tuple[int, ...], degrees_of_freedom: float) -> Floats:
    """Independent Student-t noise scaled to unit variance."""
    scale = np.sqrt((degrees_of_freedom - 2) / degrees_of_freedom)
    return np.asarray(rng.standard_t(degrees_of_freedom, shape) * scale)


def noise_with_memory(
    rng: np.random.Generator, rows: int, hours: int, half_life_hours: float, degrees_of_freedom: float
) -> Floats:
    """Mean-reverting paths ``[rows, hours]`` with heavy-tailed shocks."""
    path = student(rng, (rows, hours), degrees_of_freedom)
    keep = 0.5 ** (1 / half_life_hours)
    path[:, 1:] *= np.sqrt(1 - keep**2)
    for hour in range(1, hours):
        path[:, hour] += keep * path[:, hour - 1]
    return path


def standardised(paths: Floats) -> Floats:
    """Rows with exactly zero mean and unit deviation over the span: less luck of one draw in the sample."""
    centred = paths - paths.mean(axis=-1, keepdims=True)
    return np.asarray(centred / centred.std(axis=-1, keepdims=True))


def normal_scores(count: int) -> Floats:
    """``count`` evenly spread quantiles of the standard normal distribution, ascending."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / count) for i in range(count)])


def significant(values: Floats, digits: int) -> Floats:
    """Values rounded to a number of significant decimal digits; nan stays nan."""
    with np.errstate(divide="ignore"):
        magnitude = np.where(values == 0, 0, np.floor(np.log10(np.abs(values))))
    places = digits - 1 - magnitude
    scale = 10.0 ** np.abs(places)
    return np.asarray(np.where(places >= 0, np.round(values * scale) / scale, np.round(values / scale) * scale))
