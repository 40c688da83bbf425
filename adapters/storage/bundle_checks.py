"""What a policy must be before anything runs it: spec, scaler and layers fit together and cannot overflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from engine.errors import BundleError, SettingsError, shown
from engine.observation.actions import action_names
from engine.observation.encoding import MOST_OBSERVED, ObservationSpec, Scaler
from engine.settings import Settings, parse_settings
from strategies.policy import KINDS, Policy, PolicyKind
from strategies.structured import LAYERS, ON_OBSERVED, layer_shapes

LONGEST_NAME = 200
NO_SCALER = Scaler(mean=(), deviation=())


def policy_from(
    description: Mapping[str, Any], weights: tuple[Any, ...], biases: tuple[Any, ...], *, origin: Path
) -> Policy:
    """The policy of a description and its layers. Raises ``BundleError`` unless they fit together and can compute."""
    spec = _parsed(ObservationSpec, description, "observation", origin)
    # What is not standardised needs none.
    scaler = _parsed(Scaler, description, "scaler", origin) if spec.features or "scaler" in description else NO_SCALER
    if spec.hash() != description.get("observation_hash"):
        raise BundleError(f"{origin}: the observation spec does not match its hash; the bundle was altered")
    # Actions are numbers to the network: in another order it would enter where it wants to leave.
    if description.get("actions") != action_names(spec.opportunities, spec.positions):
        raise BundleError(f"{origin}: the actions are not those of this version")
    # numpy would stretch a scaler of one feature over all of them without a word.
    if not len(scaler.mean) == len(scaler.deviation) == len(spec.features):
        raise BundleError(f"{origin}: the scaler has {len(scaler.mean)} features, the spec {len(spec.features)}")
    cost_table_hash = description.get("cost_table_hash")
    if not isinstance(cost_table_hash, str):
        raise BundleError(f"{origin}: the cost table's hash is missing")
    kind = kind_of(description, origin)
    policy = Policy(_name(description, origin), spec, scaler, weights, biases, cost_table_hash, kind)
    check_shapes(policy, origin)
    check_weights(policy)
    return policy


def kind_of(description: Mapping[str, Any], origin: Path) -> PolicyKind:
    """Which network a description is of. Raises ``BundleError`` for one that this version does not know."""
    kind = description.get("kind", "flat")
    if kind not in KINDS:
        raise BundleError(f"{origin}: {shown(kind)} is no kind of policy that this version of arb knows")
    return cast("PolicyKind", kind)


def _name(description: Mapping[str, Any], origin: Path) -> str:
    name = description.get("name", origin.name)
    if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
        raise BundleError(f"{origin}: the name of the policy is no text of at most {LONGEST_NAME} characters")
    return name


def check_shapes(policy: Policy, origin: Path) -> None:
    """Raise ``BundleError`` unless the layers lead from the observation to the actions, in float32."""
    if policy.kind == "structured":
        return _check_structured(policy, origin)
    width = policy.spec.size
    for matrix, vector in zip(policy.weights, policy.biases, strict=True):
        if not matrix.size or not _fits(matrix, vector) or matrix.shape[0] != width:
            raise BundleError(f"{origin}: a layer of shape {matrix.shape} does not follow one of width {width}")
        width = matrix.shape[1]
    if width != policy.spec.actions:
        raise BundleError(f"{origin}: the network has {width} actions, the observation spec {policy.spec.actions}")
    return None


def _fits(matrix: Any, vector: Any) -> bool:
    floats = matrix.dtype == np.float32 and vector.dtype == np.float32
    return bool(floats and matrix.ndim == 2 and vector.shape == matrix.shape[1:])


def _check_structured(policy: Policy, origin: Path) -> None:
    if policy.spec.version == 1:
        raise BundleError(f"{origin}: a structured policy sees observations of version 2, not 1")
    count = len(LAYERS)
    if not all(map(_fits, policy.weights, policy.biases)) or not policy.weights or len(policy.weights) % count:
        raise BundleError(f"{origin}: it does not hold the layers of a structured policy")
    members = range(policy.members)
    shapes = [shape for k in members for shape in layer_shapes(policy.spec, policy.weights[k * count].shape[1])]
    for name, matrix, shape in zip(LAYERS * policy.members, policy.weights, shapes, strict=True):
        if matrix.shape != shape or not matrix.size:
            raise BundleError(f"{origin}: layer {name} has shape {matrix.shape} where {shape} fits the observation")


def check_weights(policy: Policy) -> None:
    """Raise ``BundleError`` when a weight is not finite, or weights are so large that their sums may not be."""
    if not all(np.isfinite(array).all() for array in (*policy.weights, *policy.biases)):
        raise BundleError(f"policy {policy.name} has weights that are not finite; it cannot be used")
    on_observed = (
        ON_OBSERVED * policy.members if policy.kind == "structured" else (True, *(False for _ in policy.weights[1:]))
    )
    for matrix, vector, observes in zip(policy.weights, policy.biases, on_observed, strict=True):
        largest = MOST_OBSERVED if observes else 1.0  # what tanh gives
        # The largest that a sum can get, whatever is observed; in float64, or the check itself would overflow.
        sums = largest * np.abs(matrix.astype(np.float64)).sum(axis=0) + np.abs(vector.astype(np.float64))
        if sums.max() > np.finfo(np.float32).max:
            raise BundleError(f"policy {policy.name} has weights so large that it cannot compute; train it anew")


def _parsed(model: type[Settings], description: Mapping[str, Any], key: str, origin: Path) -> Any:
    value = description.get(key)
    if not isinstance(value, dict):
        raise BundleError(f"{origin}: {key} is missing from the description")
    try:
        return parse_settings(model, value, origin=f"{origin}: {key}")
    except SettingsError as error:
        raise BundleError(str(error)) from None
