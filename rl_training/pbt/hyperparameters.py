"""What a point of the search space means: which settings of a training its numbers stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_training.settings import TrainingSettings

PRICE_PNL = ("marked", "closed")
"""``reward.price_pnl`` by the number that stands for it."""
ELSEWHERE = {
    "anchor_kl_coef": ("anchor", "kl_coef"),
    "augmented_share": ("anchor", "augmented_share"),
    "closed_price_pnl": ("reward", "price_pnl"),
}
"""Part of the settings and name there; all others stand under ``ppo`` by their own name."""


def settings_at(training: TrainingSettings, point: Mapping[str, float]) -> TrainingSettings:
    """The settings that an agent at a point of the search space is trained with."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in point.items():
        part, key = ELSEWHERE.get(name, ("ppo", name))
        parts.setdefault(part, {})[key] = PRICE_PNL[int(value)] if key == "price_pnl" else value
    changed = {part: getattr(training, part).model_copy(update=update) for part, update in parts.items()}
    return training.model_copy(update=changed)
