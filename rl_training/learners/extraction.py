"""From a trained agent to the plain arrays that are deployed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from rl_training.learners.protocol import Layers
from strategies.policy import PolicyKind

HIDDEN = "mlp_extractor.policy_net."
HEAD = "action_net"
ACTOR = "mlp_extractor.actor."
STRUCTURED = tuple(
    f"{ACTOR}{name}"
    for name in (
        "encoders.candidate.0", "encoders.candidate.2", "encoders.slot.0", "encoders.slot.2",
        "enter.hidden", "enter.output", "exit.hidden", "exit.output", "hold.hidden", "hold.output",
    )
)  # fmt: skip
"""torch's names of ``strategies.structured.LAYERS``, in their order."""


def layers_of(agent: PPO) -> Layers:
    """Copies of the agent's actor."""
    return policy_layers(agent.policy)


def policy_layers(policy: ActorCriticPolicy) -> Layers:
    """Copies of a policy's actor."""
    return actor_layers({key: tensor.detach().numpy() for key, tensor in policy.state_dict().items()})


def kind_of(arrays: Iterable[str]) -> PolicyKind:
    """Which network a state dict has, by its names."""
    return "structured" if any(name.startswith(ACTOR) for name in arrays) else "flat"


def actor_layers(arrays: Mapping[str, NDArray[Any]]) -> Layers:
    """Weights ``[inputs, outputs]`` and biases of a state dict's actor, in the order of ``Policy``.

    Raises ``KeyError`` when there is no such network in it.
    """
    layers = STRUCTURED if kind_of(arrays) == "structured" else _flat(arrays)
    # torch keeps [outputs, inputs]. Copies, since the agent's own arrays change with its next update.
    weights = tuple(np.array(arrays[f"{layer}.weight"].T, np.float32, order="C") for layer in layers)
    biases = tuple(np.array(arrays[f"{layer}.bias"], np.float32) for layer in layers)
    return weights, biases


def _flat(arrays: Iterable[str]) -> Sequence[str]:
    # By number, not by name: as text, layer 10 would stand before layer 2.
    hidden = sorted({int(name.removeprefix(HIDDEN).split(".")[0]) for name in arrays if name.startswith(HIDDEN)})
    return [*(f"{HIDDEN}{k}" for k in hidden), HEAD]
