"""The worlds of a training run: recorded and augmented markets, each under conditions of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from engine.market.data import MarketData
from engine.worlds import SomeSettings, World
from rl_training.worlds.augmentation import augmented
from rl_training.worlds.conditions import draw_conditions, world_under
from rl_training.worlds.settings import WorldsSettings


def drawn_worlds(
    market: MarketData,
    settings: SomeSettings,
    drawn: WorldsSettings,
    rng: np.random.Generator,
    rate_cap: Callable[[str], float],
) -> Iterator[World[SomeSettings]]:
    """``drawn.count`` worlds of a market of training hours, those with the recorded market first, one after the other.

    ``settings`` are the run's own, ``rate_cap`` as for ``augmented``. Each world has a generator of its own.
    """
    for k, own in enumerate(rng.spawn(drawn.count)):
        other = market if k < drawn.recorded else augmented(market, drawn.augmentation, own, rate_cap)
        yield world_under(other, settings, draw_conditions(own, drawn.conditions, other))
