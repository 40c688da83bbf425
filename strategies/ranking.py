"""Choosing the best of many pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from strategies.plugin import Floats


def best_pairs(values: Floats, eligible: Any, most: int) -> list[int]:
    """At most ``most`` eligible pairs with the highest values, best first; ties go to the lower pair."""
    pairs = np.flatnonzero(eligible)
    # Stable, or equal pairs would come in another order on another machine, and with them the trades.
    order = np.argsort(-values[pairs], kind="stable")
    return [int(pair) for pair in pairs[order[:most]]]
