"""Courses in worlds that are drawn from the hours to learn from alone, for recipes and populations alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from adapters.configuration.settings import ArbSettings
from engine.market.counterfactual import rows_of
from engine.market.data import MarketData
from engine.observation.encoding import Scaler
from engine.windows import Window
from rl_training.recipe.courses import Course, drawn_courses
from rl_training.worlds.settings import WorldsSettings


def courses_from(
    market: MarketData, learned: Window, settings: ArbSettings, drawn: WorldsSettings, scaler: Scaler,
    rng: np.random.Generator,
) -> Iterator[Course]:  # fmt: skip
    """One after the other; nothing of the market but the rows to learn from is read."""
    rows = rows_of(market, learned.first, learned.last + 1)
    return drawn_courses(rows, settings, drawn, settings.observation, scaler, rng, settings.gate.rate_cap)
