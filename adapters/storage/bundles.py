"""Deployed policies on disk: a folder with ``weights.safetensors`` and ``bundle.json``; nothing is ever unpickled.

``bundle.json`` is sealed: its checksum covers all that it says, and it says the checksum of the weights. Bundles of
format 1, whose weights alone have one, are still read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from adapters.storage import sealed
from adapters.storage.atomic import new_directory
from adapters.storage.bundle_checks import check_weights, kind_of, policy_from
from adapters.storage.giving_way import unfamiliar
from adapters.storage.regular_files import read_regular, sha256_of
from engine.errors import BundleError
from engine.observation.actions import action_names
from engine.observation.encoding import ObservationSpec
from strategies.policy import Policy, PolicyKind
from strategies.structured import LAYERS

WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.json"
WEIGHTS_SHA256 = "weights_sha256"
FILES_SHA256 = "files_sha256"
"""Key of a ``bundle.json`` for files of its training that lie beside the bundle: their names and SHA-256."""
LOOKS = "looks.jsonl"
"""One line for each time that somebody looked how the policy does on some window."""
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
DEPLOYED = Path(__file__).resolve().parents[2] / "trained_models" / "deployed"
MOST_MODEL_BYTES = 256 * 2**20
"""Of weights or of a zip: hundreds of times what a policy of arb has."""
MOST_DESCRIPTION_BYTES = 16 * 2**20
MOST_HEADER_BYTES = 2**20
"""Of a safetensors file: a policy has a handful of layers, and reading a header takes many times its size."""

Arrays = Mapping[str, NDArray[Any]]


class PolicyRules(Protocol):
    """What a run says of the policies that may play in it."""

    @property
    def max_positions(self) -> int: ...

    @property
    def observation(self) -> ObservationSpec: ...

    @property
    def model_fields_set(self) -> set[str]: ...

    def cost_table_hash(self) -> str: ...


@dataclass(frozen=True, eq=False)
class LoadedBundle:
    """A policy with everything else that its ``bundle.json`` says."""

    policy: Policy
    meta: Mapping[str, Any]
    identity: str
    """64 hex digits over all of it, weights and description."""


def save_bundle(policy: Policy, extra: Mapping[str, Any], path: Path) -> None:
    """Write a bundle, whole or not at all; a bundle that stands there gives way, its record of looks is kept.

    ``extra`` is kept as it is (dataset fingerprint, training manifest, metrics) and must be JSON.
    """
    # Before anything is written: a policy that cannot compute must not take the place of one that can.
    check_weights(policy)
    names = tensor_names(policy.kind, len(policy.weights))
    tensors = dict(zip(names, (*policy.weights, *policy.biases), strict=True))
    weights = save_tensors(tensors)
    meta = {
        "name": policy.name,
        # Flat ones say neither: so did those from before there was another network.
        **({} if policy.kind == "flat" else {"kind": policy.kind}),
        "observation": policy.spec.model_dump(mode="json"),
        "observation_hash": policy.spec.hash(),
        **({"scaler": policy.scaler.model_dump(mode="json")} if policy.spec.features else {}),
        "actions": action_names(policy.spec.opportunities, policy.spec.positions),
        "cost_table_hash": policy.cost_table_hash,
        WEIGHTS_SHA256: sha256_of(weights),
        **extra,
    }
    text = sealed.text_of(meta)
    with new_directory(path, instead_of=bundle_only) as aside:
        (aside / WEIGHTS).write_bytes(weights)
        (aside / DESCRIPTION).write_text(text, encoding="utf-8")
        # Trained again under the same name, a model would otherwise look as if nobody had ever judged by this window.
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


def load_bundle(path: Path) -> LoadedBundle:
    """Read a bundle folder. Raises ``BundleError`` with one line for anything that is not whole and consistent."""
    found = _description(path / DESCRIPTION)
    content = read_model_file(path / WEIGHTS)
    if sha256_of(content) != found.values.get(WEIGHTS_SHA256):
        raise BundleError(f"{path / WEIGHTS} is not what {DESCRIPTION} says (truncated or replaced); fetch it again")
    weights, biases = _layers(content, path / WEIGHTS, kind_of(found.values, path))
    return LoadedBundle(policy_from(found.values, weights, biases, origin=path), found.values, found.checksum)


def _layers(content: bytes, path: Path, kind: PolicyKind) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Weights and biases in the order of a ``Policy``.

    What they take is in the file, since safetensors allows no overlap.
    """
    # A safetensors file begins with the length of its header, in eight bytes.
    if int.from_bytes(content[:8], "little") > MOST_HEADER_BYTES:
        raise BundleError(f"{path} cannot be read: its header is larger than {MOST_HEADER_BYTES:,} bytes")
    try:
        tensors = load_tensors(content)
    except Exception as error:  # a type that numpy lacks raises KeyError, a broken header an error of the library's own
        raise BundleError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    layers = len(tensors) // 2
    names = tensor_names(kind, layers)
    if sorted(names) != sorted(tensors) or not layers:
        raise BundleError(f"{path} does not hold the layers of a {kind} policy")
    arrays = tuple(tensors[name] for name in names)
    return arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]


def tensor_names(kind: PolicyKind, layers: int) -> list[str]:
    """Names in a weights file: of all weights, then of all biases, in the order of a ``Policy``."""
    if kind == "structured":
        members = layers // len(LAYERS)
        # One network alone has no number: so it was before several could decide together.
        numbers = [""] if members <= 1 else [f"{k}." for k in range(members)]
        return [f"{k}{layer}.{what}" for what in ("weights", "biases") for k in numbers for layer in LAYERS]
    return [f"{what}.{k}" for what in ("weights", "biases") for k in range(layers)]


def read_description(path: Path) -> Mapping[str, Any]:
    """The content of a ``bundle.json``. Raises ``BundleError`` when it is not whole or was altered."""
    return _description(path).values


def _description(path: Path) -> sealed.Unsealed:
    try:
        return sealed.parsed(read_model_file(path, MOST_DESCRIPTION_BYTES))
    except sealed.NewerFormatError as error:
        raise BundleError(
            f"{path} has bundle format {error.version}, of a newer version of arb; use that one"
        ) from None
    except sealed.SealError as error:
        raise BundleError(f"{path} {error}; fetch the bundle again") from None


def read_model_file(path: Path, most_bytes: int = MOST_MODEL_BYTES) -> bytes:
    """A file of a model. Raises ``BundleError`` when it is missing, no regular file, larger than a policy can be, or a
    git-lfs pointer instead of the file."""
    try:
        content = read_regular(path, most_bytes)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from None
    # A clone without git-lfs has a text of some 130 bytes in the place of the weights.
    if content.startswith(LFS_POINTER):
        raise BundleError(f"{path} is a git-lfs pointer ({len(content)} bytes), not the model; run `git lfs pull`")
    return content


def load_policy(path: Path, settings: PolicyRules, *, allow_other_costs: bool = False) -> Policy:
    """The policy of ``load_model``."""
    return load_model(path, settings, allow_other_costs=allow_other_costs).policy


def load_model(path: Path, settings: PolicyRules, *, allow_other_costs: bool = False) -> LoadedBundle:
    """The model of a bundle folder, a training folder or a stable-baselines3 zip, checked against the run.

    A zip needs the ``bundle.json`` of its training beside it (or in ``bundle/`` beside it). Raises ``BundleError``
    when the model is not whole, has another observation spec or number of positions than the run, or was trained
    under another cost table (unless ``allow_other_costs``).
    """
    model = read_model(path)
    check_policy(model.policy, settings, path, allow_other_costs=allow_other_costs)
    return model


def check_policy(policy: Policy, settings: PolicyRules, path: Path | str, *, allow_other_costs: bool = False) -> None:
    """Raise ``BundleError`` when a policy does not fit a run, as ``load_model`` says; ``path`` is for the message."""
    _check_spec(policy, settings, path)
    run_costs = settings.cost_table_hash()
    if policy.cost_table_hash != run_costs and not allow_other_costs:
        raise BundleError(
            f"{path} was trained under cost table {policy.cost_table_hash}, the run uses {run_costs}; "
            "give --allow-other-costs to run it all the same"
        )


def read_model(path: Path) -> LoadedBundle:
    """The model of a path as ``load_model`` takes it, not checked against any run."""
    if path.is_dir():
        return load_bundle(bundle_folder(path))
    if not path.exists():
        raise BundleError(f"{path} does not exist; give a bundle folder or a stable-baselines3 zip")
    content = read_model_file(path)
    found = _description(bundle_folder(path) / DESCRIPTION)
    require_listed(_listed(found.values), path, content)
    from adapters.storage.policy_zip import layers_of_zip

    policy = policy_from(found.values, *layers_of_zip(content, path), origin=path)
    # Several zips may lie beside one description: the identity must tell them apart.
    return LoadedBundle(policy, found.values, sealed.checksum_of({**found.values, "zip": sha256_of(content)}))


def listed_files(folder: Path) -> Mapping[str, str]:
    """SHA-256 of the files of a training, by name, as its bundle lists them; those of older versions list none."""
    return _listed(read_description(bundle_folder(folder) / DESCRIPTION))


def require_listed(listed: Mapping[str, str], path: Path, content: bytes) -> None:
    """Raise ``BundleError`` when a file is listed and is another one now."""
    if listed.get(path.name, sha256_of(content)) != sha256_of(content):
        raise BundleError(f"{path} is not what {DESCRIPTION} says (truncated or replaced)")


def _listed(description: Mapping[str, Any]) -> Mapping[str, str]:
    listed = description.get(FILES_SHA256, {})
    return listed if isinstance(listed, dict) else {}


def bundle_folder(path: Path) -> Path:
    """Where the ``bundle.json`` of a model lies: in the folder itself, or in ``bundle`` in it or beside a zip."""
    folder = path if path.is_dir() else path.parent
    for candidate in (folder, folder / "bundle"):
        # One that is no regular file is found too, and refused by name when it is read.
        if (candidate / DESCRIPTION).exists():
            return candidate
    raise BundleError(f"{path} has no {DESCRIPTION}: observation spec and scaler are unknown, so it cannot be used")


def _check_spec(policy: Policy, settings: PolicyRules, path: Path | str) -> None:
    if policy.spec.positions != settings.max_positions:
        raise BundleError(
            f"{path} was trained with {policy.spec.positions} positions, the run has {settings.max_positions}; "
            f"give --set max_positions={policy.spec.positions} --set observation.positions={policy.spec.positions}"
        )
    # A model brings its own spec; only a run that states one (in a file or by --set) can contradict it.
    if "observation" in settings.model_fields_set and policy.spec.hash() != settings.observation.hash():
        mine, its = settings.observation.model_dump(mode="json"), policy.spec.model_dump(mode="json")
        fix = " ".join(f"--set observation.{key}={json.dumps(its[key])}" for key in its if its[key] != mine.get(key))
        raise BundleError(f"{path} was trained on another observation than the run's; give {fix}")


def deployed_models() -> tuple[Path, ...]:
    """The shipped bundles, by name. Raises ``BundleError`` when there are none."""
    found = tuple(sorted(path.parent for path in DEPLOYED.glob(f"*/{DESCRIPTION}")))
    if not found:
        raise BundleError(f"no model is shipped in {DEPLOYED}; train one with `arb train` and give --model")
    return found
