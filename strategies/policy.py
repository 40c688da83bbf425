"""A deployed policy: weights, scaler and observation spec as plain values, and its one row-wise inference function.

Training evaluation, backtest and paper trading all call ``best_action``; there is no other inference code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from engine.compiled import compiled
from engine.errors import NotFiniteError
from engine.observation.encoding import MOST_OBSERVED, Encoding, Float32s, ObservationSpec, Scaler, encoding_of
from strategies.layers import Float32Matrix, dense
from strategies.structured import structured_logits

PolicyKind = Literal["flat", "structured"]
KINDS: tuple[str, ...] = get_args(PolicyKind)


@dataclass(frozen=True, eq=False)
class Policy:
    """A tanh network from observation to one logit per action.

    ``weights[k]`` is ``[inputs, outputs]`` (transposed from torch), ``biases[k]`` ``[outputs]``, float32. ``flat``:
    each layer follows the one before, the last gives the logits. ``structured``: the ``LAYERS`` of
    ``strategies.structured``, for observations of version 2. ``cost_table_hash`` names the fees it was trained under.
    """

    name: str
    spec: ObservationSpec
    scaler: Scaler
    weights: tuple[Float32Matrix, ...]
    biases: tuple[Float32s, ...]
    cost_table_hash: str
    kind: PolicyKind = "flat"

    @property
    def encoding(self) -> Encoding:
        return encoding_of(self.spec, self.scaler)

    @property
    def architecture(self) -> str:
        """The network in words."""
        if self.kind == "flat":
            return f"{[len(vector) for vector in self.biases[:-1]]}, tanh"
        parameters = sum(array.size for array in (*self.weights, *self.biases))
        return (
            f"structured (encoders of candidates and slots, {len(self.biases[0])} wide, {parameters:,} weights), tanh"
        )


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
    if policy.kind == "structured":
        return structured_logits(policy.spec, policy.weights, policy.biases, observation)
    values, last = observation[np.newaxis], len(policy.weights) - 1
    for k, (weights, biases) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        values = dense(values, weights, biases[np.newaxis])
        if k < last:
            values = np.tanh(values)
    answer: Float32s = values[0]
    return answer


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
    # Version 1 shows no mask, and an action that is impossible is refused and recorded. Holding is always possible.
    values[1 : 1 + len(mask)][mask[1:] <= 0] = -np.inf
    return int(np.argmax(values))
