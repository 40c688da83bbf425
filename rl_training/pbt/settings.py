"""Settings of population based training. Only pydantic is imported here, so that reading them is cheap."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.settings import NotNegative, Positive, Settings
from rl_training.settings import MOST_STEPS, PPOSettings

Share = Annotated[float, Field(ge=0, le=1)]


class Range(Settings):
    """Any number from ``low`` to ``high``; with ``scale: log`` every order of magnitude is equally likely."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} lies above high {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a logarithmic range starts above zero, not at {self.low}")
        return self


Choices = Annotated[tuple[float, ...], Field(min_length=1)]
"""One of some numbers; a single number holds the hyperparameter fixed."""

Dimension = Range | Choices


class SearchSpace(Settings):
    """Where each tuned hyperparameter of PPO may lie. It never leaves its range."""

    learning_rate: Dimension = Range(low=1e-5, high=1e-3, scale="log")
    gamma: Dimension = (0.95, 0.97, 0.99, 0.995)
    gae_lambda: Dimension = Range(low=0.90, high=0.99)
    ent_coef: Dimension = Range(low=0.01, high=0.1)
    clip_range: Dimension = Range(low=0.1, high=0.4)

    @model_validator(mode="after")
    def _ppo_accepts_all_of_it(self) -> Self:
        for name, dimension in self.dimensions().items():
            for value in bounds(dimension):
                # Asked at the bounds now; else a draw could be refused in the middle of a run.
                PPOSettings.model_validate({name: value})
        return self

    def dimensions(self) -> dict[str, Dimension]:
        """By name, in a fixed order."""
        return {name: getattr(self, name) for name in type(self).model_fields}


def bounds(dimension: Dimension) -> tuple[float, float]:
    """The lowest and highest value."""
    if isinstance(dimension, Range):
        return dimension.low, dimension.high
    return min(dimension), max(dimension)


class PBTSettings(Settings):
    """How a population is trained. How long, in ``training.timesteps``, holds for each of its agents."""

    population: Annotated[int, Field(ge=1, le=256)] = 8
    perturbation_interval: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 20_000
    """Steps of each agent between two comparisons of the population."""
    exploit_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.25
    """So many of the worst copy one of as many of the best."""
    mutation_rate: Share = 0.2
    """Chance of each hyperparameter of a copy to be drawn anew; else it is perturbed."""
    perturbation_factors: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.8, 1.2)
    drawdown_weight: NotNegative = 0.5
    """Fitness is validation P&L in % minus this times the maximum drawdown in %."""
    search: SearchSpace = SearchSpace()
