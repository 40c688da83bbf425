"""The actor's layers in a stable-baselines3 zip, read without unpickling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import BundleError
from rl_training.extraction import actor_layers
from rl_training.flat_ppo import load_policy_arrays

Layers = tuple[tuple[Any, ...], tuple[Any, ...]]


def layers_of_zip(path: Path) -> Layers:
    """Weights and biases as ``strategies.policy.Policy`` holds them. Raises ``BundleError``."""
    try:
        return actor_layers(load_policy_arrays(path))
    except KeyError as error:
        raise BundleError(f"{path} is not a policy with one actor network: {error} is missing") from None
