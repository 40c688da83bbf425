"""A deployed policy: weights, scaler and observation spec as plain values, and its one row-wise inference function.

Training evaluation, backtest and paper trading all call ``best_action``; there is no other inference code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.errors import NotFiniteError
from engine.observation.encoding import MOST_OBSERVED, Encoding, Float32s, ObservationSpec, Scaler, encoding_of

Float32Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Policy:
    """A tanh network from observation to one logit per action.

    ``weights[k]`` is ``[inputs, outputs]`` (transposed from torch), ``biases[k]`` ``[outputs]``, float32, the last
    layer gives the logits. ``cost_table_hash`` names the fees it was trained under.
    """

    name: str
    spec: ObservationSpec
    scaler: Scaler
    weights: tuple[Float32Matrix, ...]
    biases: tuple[Float32s, ...]
    cost_table_hash: str

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self.spec, self.scaler)


@compiled
def _layer(inputs: Float32s, weights: Float32Matrix, biases: Float32s) -> Float32s:
    """``inputs @ weights + biases``, summed input by input, so that the order of additions never varies."""
    out = biases.copy()
    # Not ``@``: the order of its additions depends on machine and batch, and nearly equal logits would swap places.
    for i in range(weights.shape[0]):
        value = inputs[i]
        for j in range(weights.shape[1]):
            out[j] += value * weights[i, j]
    return out


@compiled
def _first_absurd(observation: Float32s) -> int:
    """Place of a value that is not a number or beyond ``MOST_OBSERVED``, -1 where there is none."""
    for i in range(observation.shape[0]):
        # Put this way round nan fails too: every comparison with it is false.
        if not abs(observation[i]) <= MOST_OBSERVED:
            return i
    return -1


def logits(policy: Policy, observation: Float32s) -> Float32s:
    """Logits ``[actions]`` of one observation ``[size]``."""
    values = observation
    last = len(policy.weights) - 1
    for k, (weights, biases) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        values = _layer(values, weights, biases)
        if k < last:
            values = np.tanh(values)
    return values


def best_action(policy: Policy, observation: Float32s) -> int:
    """The action with the highest logit, of those that the observation allows; a tie goes to the lowest action.

    Raises ``NotFiniteError`` for an observation with an absurd value, which tanh would hide, and for logits that are
    not finite.
    """
    absurd = _first_absurd(observation)
    if absurd >= 0:
        raise NotFiniteError(
            f"policy {policy.name}: value {absurd} of what it was shown is {observation[absurd]:g}, "
            "which is not finite or beyond any market"
        )
    values = logits(policy, observation)
    if not np.isfinite(values).all():
        raise NotFiniteError(
            f"policy {policy.name}: the network answered with values that are not finite; its weights are too large"
        )
    mask = observation[len(observation) - policy.spec.widths.mask :]
    # Version 1 shows no mask, and an action that is impossible is refused and recorded.
    return int(np.argmax(np.where(mask > 0, values, -np.inf) if len(mask) else values))
