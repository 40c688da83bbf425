"""Settings of the recipe by which the shipped policy is made; ``configs/policy_week.yaml`` has the shipped ones."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from engine.settings import Settings


class Fold(Settings):
    """Hours to learn from, up to ``train_to``, and later ones to judge by; all ends are included."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")]
    train_to: AwareDatetime
    judge_from: AwareDatetime
    judge_to: AwareDatetime

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.train_to < self.judge_from < self.judge_to:
            raise ValueError(f"fold {self.name}: train_to, judge_from and judge_to must follow one another")
        return self


class RecipeSettings(Settings):
    """A policy is trained in every fold with every seed; that of the fold ``ships`` is shipped.

    Whether it is the tuned one or the imitation that it began as is decided by held-back worlds and by the fold
    ``decides``, never by the hours that ``ships`` is judged by (``rl_training.recipe.selection``).
    """

    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...], Field(min_length=1, max_length=64)] = (
        0,
        1,
        2,
    )
    folds: Annotated[tuple[Fold, ...], Field(min_length=1)]
    ships: str
    decides: str
    held_back_worlds: Annotated[int, Field(ge=1, le=1024)] = 12
    """Augmented worlds that nothing was trained in."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [fold.name for fold in self.folds]
        if len(set(names)) < len(names):
            raise ValueError("two folds have one name")
        for what in ("ships", "decides"):
            if (name := getattr(self, what)) not in names:
                raise ValueError(f"{what}: there is no fold {name}; there are {', '.join(names)}")
        if self.fold(self.decides).judge_to > self.fold(self.ships).train_to:
            raise ValueError("the fold that decides must be judged by hours that the shipped one is trained on")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: the same seed twice is the same policy twice")
        return self

    def fold(self, name: str) -> Fold:
        """Raises ``KeyError``."""
        return {fold.name: fold for fold in self.folds}[name]
