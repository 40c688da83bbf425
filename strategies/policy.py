"""A deployed policy: weights, scaler and observation spec as plain values, and its one row-wise inference function.

Training evaluation, backtest and paper trading all call ``best_action``; there is no other inference code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from engine.compiled import compiled
from engine.errors import NotFiniteError, UserError
from engine.market.data import Floats
from engine.observation.encoding import MOST_OBSERVED, Encoding, Float32s, ObservationSpec, Scaler, encoding_of
from strategies.layers import Float32Matrix, dense
from strategies.structured import LAYERS, committee_logits

PolicyKind = Literal["flat", "structured"]
KINDS: tuple[str, ...] = get_args(PolicyKind)


@dataclass(frozen=True, eq=False)
class Policy:
    """A tanh network from observation to one logit per action.

    ``weights[k]`` is ``[inputs, outputs]`` (transposed from torch), ``biases[k]`` ``[outputs]``, float32. ``flat``:
    each layer follows the one before, the last gives the logits. ``structured``: the ``LAYERS`` of
    ``strategies.structured``, for observations of version 2; several networks, one after the other, decide by the mean
    of their log-probabilities. ``cost_table_hash`` names the fees it was trained under.
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
    def members(self) -> int:
        """How many networks decide together."""
        return 1 if self.kind == "flat" else len(self.weights) // len(LAYERS)

    def at_phase(self, phase: int) -> Policy:
        """The same policy deciding at another phase of its clock. Raises ``SettingsError`` for one it does not have."""
        return replace(self, spec=self.spec.at_phase(phase))

    @property
    def architecture(self) -> str:
        """The network in words."""
        if self.kind == "flat":
            return f"{[len(vector) for vector in self.biases[:-1]]}, tanh"
        parameters = sum(array.size for array in (*self.weights, *self.biases))
        together = f"{self.members} networks together, " if self.members > 1 else ""
        return (
            f"structured ({together}encoders of candidates and slots, {len(self.biases[0])} wide, "
            f"{parameters:,} weights), tanh"
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
        return committee_logits(policy.spec, policy.weights, policy.biases, observation)
    values, last = observation[np.newaxis], len(policy.weights) - 1
    for k, (weights, biases) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        values = dense(values, weights, biases[np.newaxis])
        if k < last:
            values = np.tanh(values)
    answer: Float32s = values[0]
    return answer


def best_action(policy: Policy, observation: Float32s) -> int:
    """The action with the highest logit, of those that the observation allows; a tie goes to the lowest action.

    Raises ``NotFiniteError`` like ``allowed_logits``.
    """
    return int(np.argmax(allowed_logits(policy, observation)))


def allowed_logits(policy: Policy, observation: Float32s) -> Float32s:
    """Logits ``[actions]``, minus infinity for the actions that the observation does not allow.

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
    return values


def probabilities(allowed: Float32s) -> Floats:
    """Probability ``[actions]`` of every action by ``allowed_logits``, 0 for those that are not allowed."""
    parts = np.exp(allowed.astype(np.float64) - float(allowed.max()))
    shares: Floats = parts / parts.sum()
    return shares


def committee(name: str, policies: Sequence[Policy]) -> Policy:
    """Structured policies of one observation as one, which decides by the mean of their log-probabilities.

    Raises ``UserError`` for none, for policies of another kind, and for those that are not shown the same under the
    same fees.
    """
    if not policies:
        raise UserError("there is no policy that could decide")
    first = policies[0]
    same = {(one.kind, one.spec.hash(), one.cost_table_hash) for one in policies}
    if len(same) > 1 or first.kind != "structured":
        raise UserError("only structured policies of one observation and one table of fees can decide together")
    weights, biases = (
        tuple(layer for one in policies for layer in getattr(one, what)) for what in ("weights", "biases")
    )
    return replace(first, name=name, weights=weights, biases=biases)
