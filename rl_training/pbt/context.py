"""Where a population trains and is judged: the same for all of its agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from engine.observation.encoding import Scaler
from rl_training.environments.episodes import TrainingMarket
from rl_training.pbt.settings import JudgeSettings
from rl_training.recipe.courses import shares
from rl_training.settings import TrainingSettings

Groups = list[tuple[TrainingMarket, int]]


class DrawnMarket(NamedTuple):
    """The hours of a drawn world, decided at one phase."""

    market: TrainingMarket
    is_augmented: bool


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """Without ``drawn`` agents train in ``train`` alone, else in the drawn worlds, and begin at ``start``.

    ``held_back`` are hours of worlds that nobody trains in.
    """

    train: TrainingMarket
    validation: TrainingMarket
    training: TrainingSettings
    scaler: Scaler
    cost_table_hash: str
    learner: str
    seed: int
    drawdown_weight: float
    judge: JudgeSettings = JudgeSettings()  # noqa: RUF009  # frozen
    drawn: tuple[DrawnMarket, ...] = ()
    held_back: tuple[TrainingMarket, ...] = ()
    start: Mapping[str, NDArray[Any]] | None = None

    def shares(self, settings: TrainingSettings) -> list[int]:
        """Environments in each of the drawn worlds."""
        is_augmented = [one.is_augmented for one in self.drawn]
        return shares(settings.n_envs, is_augmented, settings.anchor.augmented_share) if is_augmented else []

    def groups(self, shared: list[int]) -> Groups:
        """Markets with environments in them."""
        return [(one.market, count) for one, count in zip(self.drawn, shared, strict=True) if count]
