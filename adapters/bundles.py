"""Deployed policies on disk: a folder with ``weights.safetensors`` and ``bundle.json``; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from adapters.configuration import CONFIGS, ArbSettings
from adapters.datasets.atomic import new_directory
from adapters.datasets.giving_way import unfamiliar
from engine.errors import BundleError, SettingsError
from engine.observation import ObservationSpec, Scaler
from engine.settings import Settings, parse_settings
from strategies.policy import Policy

WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.json"
LOOKS = "looks.jsonl"
"""One line for each time that somebody looked how the policy does on some window."""
FORMAT = 1
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
DEPLOYED = CONFIGS.parent / "trained_models" / "deployed"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """A policy with everything else that its ``bundle.json`` says."""

    policy: Policy
    meta: Mapping[str, Any]


def save_bundle(policy: Policy, extra: Mapping[str, Any], path: Path) -> None:
    """Write a bundle, whole or not at all; a bundle that stands there gives way, its record of looks is kept.

    ``extra`` is kept as it is (dataset fingerprint, training manifest, metrics) and must be JSON.
    """
    check_finite(policy)
    weights = save_tensors(
        {f"weights.{k}": matrix for k, matrix in enumerate(policy.weights)}
        | {f"biases.{k}": vector for k, vector in enumerate(policy.biases)}
    )
    meta = {
        "format": FORMAT,
        "name": policy.name,
        "observation": policy.spec.model_dump(mode="json"),
        "observation_hash": policy.spec.hash(),
        "scaler": policy.scaler.model_dump(mode="json"),
        "actions": action_names(policy.spec),
        "cost_table_hash": policy.cost_table_hash,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        **extra,
    }
    text = json.dumps(meta, indent=2, allow_nan=False) + "\n"
    with new_directory(path, instead_of=bundle_only) as aside:
        (aside / WEIGHTS).write_bytes(weights)
        (aside / DESCRIPTION).write_text(text, encoding="utf-8")
        if (path / LOOKS).is_file():
            shutil.copyfile(path / LOOKS, aside / LOOKS)


def bundle_only(folder: Path) -> str | None:
    """What in a folder is not from ``save_bundle`` or from counting looks; None for a bundle that is nothing else."""
    try:
        values = json.loads(read_model_file(folder / DESCRIPTION))
    except (BundleError, ValueError, RecursionError):
        return f"{folder / DESCRIPTION} cannot be read"
    if not isinstance(values, dict) or "observation_hash" not in values:
        return f"{folder / DESCRIPTION} does not describe a bundle"
    return unfamiliar(folder, (WEIGHTS, DESCRIPTION, LOOKS))


def action_names(spec: ObservationSpec) -> list[str]:
    """What each action means, in order."""
    entries = [f"enter opportunity {k + 1}" for k in range(spec.opportunities)]
    return ["hold", *entries, *(f"exit position {k + 1}" for k in range(spec.positions))]


def load_bundle(path: Path) -> LoadedBundle:
    """Read a bundle folder. Raises ``BundleError`` with one line for anything that is not whole and consistent."""
    description = read_description(path / DESCRIPTION)
    content = read_model_file(path / WEIGHTS)
    if hashlib.sha256(content).hexdigest() != description.get("weights_sha256"):
        raise BundleError(f"{path / WEIGHTS} is not what {DESCRIPTION} says (truncated or replaced); fetch it again")
    try:
        tensors = load_tensors(content)
    except SafetensorError as error:
        raise BundleError(f"{path / WEIGHTS} cannot be read: {error}") from None
    layers = len(tensors) // 2
    names = [f"{kind}.{k}" for k in range(layers) for kind in ("weights", "biases")]
    if sorted(names) != sorted(tensors) or not layers:
        raise BundleError(f"{path / WEIGHTS} does not hold the layers of a policy")
    weights = tuple(tensors[f"weights.{k}"] for k in range(layers))
    biases = tuple(tensors[f"biases.{k}"] for k in range(layers))
    return LoadedBundle(policy_from(description, weights, biases, origin=path), description)


def policy_from(
    description: Mapping[str, Any], weights: tuple[Any, ...], biases: tuple[Any, ...], *, origin: Path
) -> Policy:
    """The policy of a description and its layers. Raises ``BundleError`` unless they fit together and are finite."""
    spec = _parsed(ObservationSpec, description, "observation", origin)
    scaler = _parsed(Scaler, description, "scaler", origin)
    if spec.hash() != description.get("observation_hash"):
        raise BundleError(f"{origin}: the observation spec does not match its hash; the bundle was altered")
    if description.get("actions") != action_names(spec):
        raise BundleError(f"{origin}: the actions are not those of this version")
    if not len(scaler.mean) == len(scaler.deviation) == len(spec.features):
        raise BundleError(f"{origin}: the scaler has {len(scaler.mean)} features, the spec {len(spec.features)}")
    cost_table_hash = description.get("cost_table_hash")
    if not isinstance(cost_table_hash, str):
        raise BundleError(f"{origin}: the cost table's hash is missing")
    policy = Policy(str(description.get("name", origin.name)), spec, scaler, weights, biases, cost_table_hash)
    check_shapes(policy, origin)
    check_finite(policy)
    return policy


def check_shapes(policy: Policy, origin: Path) -> None:
    """Raise ``BundleError`` unless the layers lead from the observation to the actions, in float32."""
    width = policy.spec.size
    for matrix, vector in zip(policy.weights, policy.biases, strict=True):
        fits = matrix.ndim == 2 and vector.shape == matrix.shape[1:] and matrix.shape[0] == width
        if not fits or matrix.dtype != np.float32 or vector.dtype != np.float32:
            raise BundleError(f"{origin}: a layer of shape {matrix.shape} does not follow one of width {width}")
        width = matrix.shape[1]
    if width != policy.spec.actions:
        raise BundleError(f"{origin}: the network has {width} actions, the observation spec {policy.spec.actions}")


def check_finite(policy: Policy) -> None:
    """Raise ``BundleError`` when a weight is not a finite number."""
    if not all(np.isfinite(array).all() for array in (*policy.weights, *policy.biases)):
        raise BundleError(f"policy {policy.name} has weights that are not finite; it cannot be used")


def _parsed(model: type[Settings], description: Mapping[str, Any], key: str, origin: Path) -> Any:
    value = description.get(key)
    if not isinstance(value, dict):
        raise BundleError(f"{origin}: {key} is missing from {DESCRIPTION}")
    try:
        return parse_settings(model, value, origin=f"{origin}: {key}")
    except SettingsError as error:
        raise BundleError(str(error)) from None


def read_description(path: Path) -> Mapping[str, Any]:
    """The content of a ``bundle.json``. Raises ``BundleError``."""
    try:
        description = json.loads(read_model_file(path))
    except ValueError:
        raise BundleError(f"{path} is not JSON (truncated?); fetch the bundle again") from None
    if not isinstance(description, dict):
        raise BundleError(f"{path} does not describe a bundle")
    if description.get("format") != FORMAT:
        raise BundleError(f"{path} has bundle format {description.get('format')}; this version reads {FORMAT}")
    return description


def read_model_file(path: Path) -> bytes:
    """A file of a model. Raises ``BundleError`` when it is missing, or a git-lfs pointer instead of the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
    if content.startswith(LFS_POINTER):
        raise BundleError(f"{path} is a git-lfs pointer ({len(content)} bytes), not the model; run `git lfs pull`")
    return content


def load_policy(path: Path, settings: ArbSettings, *, allow_other_costs: bool = False) -> Policy:
    """The policy of a bundle folder, a training folder or a stable-baselines3 zip, checked against the run.

    A zip needs the ``bundle.json`` of its training beside it (or in ``bundle/`` beside it). Raises ``BundleError``
    when the model is not whole, has another observation spec or number of positions than the run, or was trained
    under another fee table (unless ``allow_other_costs``).
    """
    policy = read_policy(path)
    _check_spec(policy, settings, path)
    run_costs = settings.cost_table_hash()
    if policy.cost_table_hash != run_costs and not allow_other_costs:
        raise BundleError(
            f"{path} was trained under fee table {policy.cost_table_hash}, the run uses {run_costs}; "
            "give --allow-other-costs to run it all the same"
        )
    return policy


def read_policy(path: Path) -> Policy:
    """The policy of a path as ``load_policy`` takes it, not checked against any run."""
    if path.is_dir():
        return load_bundle(bundle_folder(path)).policy
    if not path.exists():
        raise BundleError(f"{path} does not exist; give a bundle folder or a stable-baselines3 zip")
    read_model_file(path)
    from adapters.policy_zip import layers_of_zip

    return policy_from(read_description(bundle_folder(path) / DESCRIPTION), *layers_of_zip(path), origin=path)


def bundle_folder(path: Path) -> Path:
    """Where the ``bundle.json`` of a model lies: in the folder itself, or in ``bundle`` in it or beside a zip."""
    folder = path if path.is_dir() else path.parent
    for candidate in (folder, folder / "bundle"):
        if (candidate / DESCRIPTION).is_file():
            return candidate
    raise BundleError(f"{path} has no {DESCRIPTION}: observation spec and scaler are unknown, so it cannot be used")


def _check_spec(policy: Policy, settings: ArbSettings, path: Path) -> None:
    if policy.spec.positions != settings.max_positions:
        raise BundleError(
            f"{path} was trained with {policy.spec.positions} positions, the run has {settings.max_positions}; "
            f"give --set max_positions={policy.spec.positions} --set observation.positions={policy.spec.positions}"
        )
    # A model brings its own spec; only a run that states one (in a file or by --set) can contradict it.
    if "observation" in settings.model_fields_set and policy.spec.hash() != settings.observation.hash():
        mine, its = settings.observation.model_dump(mode="json"), policy.spec.model_dump(mode="json")
        fix = " ".join(f"--set observation.{key}={json.dumps(its[key])}" for key in its if its[key] != mine[key])
        raise BundleError(f"{path} was trained on another observation than the run's; give {fix}")


def deployed_models() -> tuple[Path, ...]:
    """The shipped bundles, by name. Raises ``BundleError`` when there are none."""
    found = tuple(sorted(path.parent for path in DEPLOYED.glob(f"*/{DESCRIPTION}")))
    if not found:
        raise BundleError(f"no model is shipped in {DEPLOYED}; train one with `arb train` and give --model")
    return found
