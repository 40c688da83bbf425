"""From a trained agent to the plain arrays that are deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO

from rl_training.learners.protocol import Layers

HIDDEN = "mlp_extractor.policy_net."
HEAD = "action_net"


def layers_of(agent: PPO) -> Layers:
    """Copies of the agent's actor."""
    return actor_layers({key: tensor.detach().numpy() for key, tensor in agent.policy.state_dict().items()})


def actor_layers(arrays: Mapping[str, NDArray[Any]]) -> Layers:
    """Weights ``[inputs, outputs]`` and biases of a state dict's actor, first layer first.

    Raises ``KeyError`` when there is no such network in it.
    """
    # By number, not by name: as text, layer 10 would stand before layer 2.
    hidden = sorted({int(name.removeprefix(HIDDEN).split(".")[0]) for name in arrays if name.startswith(HIDDEN)})
    layers = [*(f"{HIDDEN}{k}" for k in hidden), HEAD]
    # torch keeps [outputs, inputs]. Copies, since the agent's own arrays change with its next update.
    weights = tuple(np.array(arrays[f"{layer}.weight"].T, np.float32, order="C") for layer in layers)
    biases = tuple(np.array(arrays[f"{layer}.bias"], np.float32) for layer in layers)
    return weights, biases
