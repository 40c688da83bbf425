"""Drawing hyperparameters and moving them within their ranges."""

from __future__ import annotations

from math import exp, log

import numpy as np

from rl_training.pbt.settings import Choices, Dimension, PBTSettings, Range, SearchSpace, bounds

Hyperparameters = dict[str, float]


def draw(space: SearchSpace, rng: np.random.Generator) -> Hyperparameters:
    """One point of the search space."""
    return {name: draw_one(dimension, rng) for name, dimension in space.dimensions().items()}


def explore(current: Hyperparameters, settings: PBTSettings, rng: np.random.Generator) -> Hyperparameters:
    """A neighbour of ``current``: each hyperparameter on its own is drawn anew or perturbed."""
    return {
        name: draw_one(dimension, rng)
        # Each on its own: one factor for all would move the population along a single line.
        if rng.random() < settings.mutation_rate
        else perturb(current[name], dimension, float(rng.choice(settings.perturbation_factors)))
        for name, dimension in settings.search.dimensions().items()
    }


def draw_one(dimension: Dimension, rng: np.random.Generator) -> float:
    """Any value of the dimension."""
    if not isinstance(dimension, Range):
        return float(rng.choice(dimension))
    if dimension.scale == "log":
        # exp of a logarithm can miss the bound in its last bit.
        return held(exp(rng.uniform(log(dimension.low), log(dimension.high))), dimension)
    return held(rng.uniform(dimension.low, dimension.high), dimension)


def perturb(value: float, dimension: Dimension, factor: float) -> float:
    """``value`` times ``factor``, held within a range; of choices, the next one in that direction, if there is one."""
    if isinstance(dimension, Range):
        return held(value * factor, dimension)
    return _next_choice(value, dimension, up=factor > 1)


def _next_choice(value: float, choices: Choices, *, up: bool) -> float:
    ordered = sorted(set(choices))
    beyond = [choice for choice in ordered if (choice > value if up else choice < value)]
    if not beyond:
        return ordered[-1] if up else ordered[0]
    return beyond[0] if up else beyond[-1]


def held(value: float, dimension: Dimension) -> float:
    """The nearest value within the bounds."""
    low, high = bounds(dimension)
    return float(min(max(value, low), high))
