"""Settings of population based training. Only pydantic is imported here, so that reading them is cheap."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.settings import NotNegative, Positive, Settings
from rl_training.learners.registry import LearnerName
from rl_training.pbt.hyperparameters import ELSEWHERE, settings_at
from rl_training.settings import MOST_STEPS, TrainingSettings

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


OF_IMITATIONS = ("anchor_kl_coef", "augmented_share")
"""What only agents have that begin at an imitation and are trained in drawn worlds."""


class SearchSpace(Settings):
    """Where each tuned hyperparameter may lie. It never leaves its range; null: it is not tuned.

    ``closed_price_pnl`` is 0 for ``reward.price_pnl: marked`` and 1 for ``closed``.
    """

    learning_rate: Dimension = Range(low=1e-5, high=1e-3, scale="log")
    gamma: Dimension = (0.95, 0.97, 0.99, 0.995)
    gae_lambda: Dimension = Range(low=0.90, high=0.99)
    ent_coef: Dimension = Range(low=0.01, high=0.1)
    clip_range: Dimension = Range(low=0.1, high=0.4)
    # Behind the others, and absent by default: runs without them draw the numbers that they always drew.
    anchor_kl_coef: Dimension | None = None
    augmented_share: Dimension | None = None
    closed_price_pnl: Choices | None = None

    @model_validator(mode="after")
    def _training_accepts_all_of_it(self) -> Self:
        if not {0.0, 1.0}.issuperset(self.closed_price_pnl or ()):
            raise ValueError("closed_price_pnl is 0 (at the marks) or 1 (when a position is closed)")
        for name, dimension in self.dimensions().items():
            part, _ = ELSEWHERE.get(name, ("ppo", name))
            for value in bounds(dimension):
                # Asked at the bounds now; else a draw could be refused in the middle of a run.
                asked = getattr(settings_at(TrainingSettings(), {name: value}), part)
                type(asked).model_validate(asked.model_dump())
        return self

    def dimensions(self) -> dict[str, Dimension]:
        """Those that are tuned, by name, in a fixed order."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: dimension for name, dimension in found.items() if dimension is not None}


def bounds(dimension: Dimension) -> tuple[float, float]:
    """The lowest and highest value."""
    if isinstance(dimension, Range):
        return dimension.low, dimension.high
    return min(dimension), max(dimension)


class JudgeSettings(Settings):
    """What an agent's fitness is the mean of (``rl_training.pbt.judging``). By default one run on validation."""

    phases: bool = False
    """All phases of the clock on validation, rather than that of the run."""
    late: bool = False
    """Fills an hour late beside those at once."""
    held_back_worlds: Annotated[int, Field(ge=0, le=1024)] = 0
    """Augmented worlds of the training hours that nobody trains in (the learner ``anchored``)."""


class PBTSettings(Settings):
    """How a population is trained. How long, in ``training.timesteps``, holds for each of its agents."""

    learner: LearnerName = "flat"
    """Of ``arb train-pbt``, unless the command names another."""
    population: Annotated[int, Field(ge=1, le=256)] = 8
    perturbation_interval: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 20_000
    """Steps of each agent between two comparisons of the population."""
    exploit_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.25
    """So many of the worst copy one of as many of the best."""
    mutation_rate: Share = 0.2
    """Chance of each hyperparameter of a copy to be drawn anew; else it is perturbed."""
    perturbation_factors: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.8, 1.2)
    drawdown_weight: NotNegative = 0.5
    """Fitness is P&L in % minus this times the maximum drawdown in %."""
    judge: JudgeSettings = JudgeSettings()
    search: SearchSpace = SearchSpace()
