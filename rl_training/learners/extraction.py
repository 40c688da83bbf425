"""From a trained agent to the plain arrays that are deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO

from engine.observation.encoding import ObservationSpec, Scaler
from strategies.policy import Policy

HIDDEN = "mlp_extractor.policy_net."
HEAD = "action_net"


def policy_of(agent: PPO, *, name: str, spec: ObservationSpec, scaler: Scaler, cost_table_hash: str) -> Policy:
    """Copies of the agent's actor with what is needed to run it."""
    arrays = {key: tensor.detach().numpy() for key, tensor in agent.policy.state_dict().items()}
    return Policy(name, spec, scaler, *actor_layers(arrays), cost_table_hash)


def actor_layers(arrays: Mapping[str, NDArray[Any]]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Weights ``[inputs, outputs]`` and biases of a state dict's actor, first layer first.

    Raises ``KeyError`` when there is no such network in it.
    """
    hidden = sorted({int(name.removeprefix(HIDDEN).split(".")[0]) for name in arrays if name.startswith(HIDDEN)})
    layers = [*(f"{HIDDEN}{k}" for k in hidden), HEAD]
    weights = tuple(np.array(arrays[f"{layer}.weight"].T, np.float32, order="C") for layer in layers)
    biases = tuple(np.array(arrays[f"{layer}.bias"], np.float32) for layer in layers)
    return weights, biases
