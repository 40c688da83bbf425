"""High and low of the hourly bars: how far a random walk between two trades strays from them.

For a Brownian motion from a to b with variance s^2 over the hour, the highest point m is at or above both and
P(M > m) = exp(-2 (m - a)(m - b) / s^2); that is inverted here, in logarithms of the price. High and low are drawn
independently of each other. Nothing of it is fitted to what any strategy makes of it.
"""

from __future__ import annotations

import numpy as np

from engine.market.data import Floats


def bar_extremes(rng: np.random.Generator, opened: Floats, closed: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """High and low in USD of the bars that open at each hour, ``[exchanges, hours]``.

    ``opened`` is the first trade after the hour, ``closed`` the last one before the next hour (nan where either is
    unknown), ``deviation`` ``[hours]`` the standard deviation of the hour's log return.
    """
    first, last = np.log(opened), np.log(closed)
    middle, apart = (first + last) / 2, last - first
    # 1 - u: the generator may give 0, of which there is no logarithm.
    above, below = (np.sqrt(apart**2 - 2 * deviation**2 * np.log(1 - rng.random(opened.shape))) / 2 for _ in range(2))
    return np.exp(middle + above), np.exp(middle - below)
