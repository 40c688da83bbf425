"""Bundles and zips that were altered: nothing of them is ever taken for what it is not."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from altered_bytes import Rng, altered, altered_values, something_else
from support_environment import SPEC, random_policy

from adapters.storage import sealed
from adapters.storage.bundles import DESCRIPTION, WEIGHTS, WEIGHTS_SHA256, read_model, save_bundle
from adapters.storage.regular_files import sha256_of
from engine.errors import ArbError
from rl_training.learners.extraction import HEAD, HIDDEN
from strategies.policy import Policy, best_action

NAME = "bundles"


@cache
def whole() -> dict[str, bytes]:
    """The files of a small bundle, and of a zip with the same actor."""
    policy = random_policy(hidden=(4,))
    with TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        save_bundle(policy, {"training": {"trials": {"count": 7}}, "metrics": {"validation": {"sharpe": 1.5}}}, bundle)
        return {name: (bundle / name).read_bytes() for name in (WEIGHTS, DESCRIPTION)} | {"model.zip": _zip(policy)}


def _zip(policy: Policy) -> bytes:
    layers = [f"{HIDDEN}0", HEAD]
    state = {
        f"{layer}.{kind}": torch.from_numpy(np.ascontiguousarray(array.T))
        for layer, matrix, vector in zip(layers, policy.weights, policy.biases, strict=True)
        for kind, array in (("weight", matrix), ("bias", vector))
    }
    inner, outer = io.BytesIO(), io.BytesIO()
    torch.save(state, inner)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("policy.pth", inner.getvalue())
    return outer.getvalue()


def case(rng: Rng, folder: Path) -> str:
    """One bundle or zip with something wrong; accepted is only what is whole, or hangs together after all."""
    for name, content in whole().items():
        (folder / name).write_bytes(content)
    kinds = (_bytes, _bytes, _values, _sealed_values, _sealed_weights, _no_file, _zip_bytes, _policy_bytes)
    path, harmless = kinds[int(rng.integers(len(kinds)))](rng, folder)
    try:
        model = read_model(path)
    except ArbError as error:
        return one_line(str(error))
    assert harmless, "an altered bundle was taken for whole"
    _works(model.policy)
    return "accepted"


def one_line(refusal: str) -> str:
    """Whoever refuses says so in one line."""
    assert refusal
    assert "\n" not in refusal, refusal
    return "refused"


def _works(policy: Policy) -> None:
    action = best_action(policy, np.zeros(policy.spec.size, np.float32))
    assert 0 <= action < policy.spec.actions
    assert policy.spec.size < SPEC.size * 200


def _bytes(rng: Rng, folder: Path) -> tuple[Path, bool]:
    """Bytes of either file are other ones: noticed, whatever they are."""
    name = (WEIGHTS, DESCRIPTION)[int(rng.integers(2))]
    content = altered(whole()[name], rng)
    (folder / name).write_bytes(content)
    return folder, content == whole()[name]


def _values(rng: Rng, folder: Path) -> tuple[Path, bool]:
    """Another value in the description, under the old checksum."""
    values = json.loads(whole()[DESCRIPTION])
    text = json.dumps(altered_values(values, rng), indent=2) + "\n"
    (folder / DESCRIPTION).write_text(text)
    return folder, text.encode() == whole()[DESCRIPTION]


def _sealed_values(rng: Rng, folder: Path) -> tuple[Path, bool]:
    """Another value under a right checksum: whoever wrote that, it must hang together."""
    values = altered_values(sealed.parsed(whole()[DESCRIPTION]).values, rng)
    (folder / DESCRIPTION).write_text(sealed.text_of(values, allow_nan=True))
    return folder, True


def _sealed_weights(rng: Rng, folder: Path) -> tuple[Path, bool]:
    """Other weights under a right checksum."""
    content = altered(whole()[WEIGHTS], rng)
    values: dict[str, Any] = sealed.parsed(whole()[DESCRIPTION]).values
    (folder / WEIGHTS).write_bytes(content)
    (folder / DESCRIPTION).write_text(sealed.text_of({**values, WEIGHTS_SHA256: sha256_of(content)}))
    return folder, True


def _no_file(rng: Rng, folder: Path) -> tuple[Path, bool]:
    something_else(folder / (WEIGHTS, DESCRIPTION)[int(rng.integers(2))], rng)
    return folder, False


def _zip_bytes(rng: Rng, folder: Path) -> tuple[Path, bool]:
    """A zip has no checksum of its own: what can be read of it must be a policy."""
    (folder / "model.zip").write_bytes(altered(whole()["model.zip"], rng))
    return folder / "model.zip", True


def _policy_bytes(rng: Rng, folder: Path) -> tuple[Path, bool]:
    """A whole zip around a policy that is not."""
    with zipfile.ZipFile(io.BytesIO(whole()["model.zip"])) as archive:
        content = altered(archive.read("policy.pth"), rng)
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        archive.writestr("policy.pth", content)
    return folder / "model.zip", True
