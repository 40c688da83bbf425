"""The points that a search tries: every combination of a grid, or a seeded draw of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from adapters.configuration.settings import CONFIGS, read_yaml
from adapters.configuration.strategy_registry import StrategyClass, parse_parameters
from engine.errors import LONGEST_REASON, SettingsError, cut, shown

MOST_POINTS = 1_000_000
"""Combinations of one grid: more cannot be tried, nor held in memory to draw from."""
SHIPPED_GRIDS = CONFIGS / "tuning.yaml"

Grid = dict[str, list[Any]]
Point = dict[str, Any]


def read_grid(path: Path, strategy: str) -> Grid:
    """The values to try for each parameter of a strategy. Raises ``SettingsError`` naming file and key."""
    grids = read_yaml(path)
    if strategy not in grids:
        has = cut(", ".join(sorted(map(str, grids))), LONGEST_REASON) or "nothing"
        raise SettingsError(f"{path} has no grid for {strategy} (it has {has}); write one and give it with --grid")
    grid = grids[strategy]
    if not isinstance(grid, Mapping) or not grid:
        raise SettingsError(f"{path}: {strategy} must map parameters to lists of values")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise SettingsError(f"{path}: {strategy}.{key} = {shown(values)}: write a list of values to try")
        # A point that is tried twice would count as two trials and make luck look likelier than it is.
        if any(values.count(value) > 1 for value in values):
            raise SettingsError(f"{path}: {strategy}.{key} = {shown(values)}: a value stands there twice")
    points = prod(len(values) for values in grid.values())
    if points > MOST_POINTS:
        raise SettingsError(f"{path}: {strategy} has {points:,} combinations; {MOST_POINTS:,} are the most")
    return dict(grid)


def points_of(
    grid: Grid, base: Mapping[str, Any], strategy: str, strategy_class: StrategyClass, *, most: int | None, seed: int
) -> list[Point]:
    """Validated parameters of every point, in the order of the grid; at most ``most`` of them, drawn by ``seed``.

    Raises ``SettingsError`` for the first combination that the strategy refuses.
    """
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if most is not None and most < len(combinations):
        drawn = np.random.default_rng(seed).choice(len(combinations), most, replace=False)
        combinations = [combinations[k] for k in sorted(drawn)]
    checked = [parse_parameters(strategy, strategy_class, {**base, **point}) for point in combinations]
    return [parameters.model_dump(mode="json") for parameters in checked]
