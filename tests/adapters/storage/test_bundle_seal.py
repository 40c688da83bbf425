"""The seal of a bundle: whatever is altered in it is noticed, older bundles still load, nothing huge is read."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from stable_baselines3 import PPO
from support_cli import arb
from support_environment import SPEC, random_policy, vec_environment

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.storage import bundles, sealed
from adapters.storage.bundles import (
    DEPLOYED,
    DESCRIPTION,
    FILES_SHA256,
    WEIGHTS,
    WEIGHTS_SHA256,
    deployed_models,
    load_bundle,
    load_policy,
    read_model,
    save_bundle,
)
from adapters.storage.regular_files import sha256_of
from engine.errors import BundleError
from rl_training.learners import torch_archive
from rl_training.learners.extraction import layers_of
from strategies.policy import Policy


@pytest.fixture(scope="module")
def settings() -> ArbSettings:
    return load_settings()


@pytest.fixture(scope="module")
def policy(settings: ArbSettings) -> Policy:
    return replace(random_policy(hidden=(8,)), cost_table_hash=settings.cost_table_hash())


@pytest.fixture
def bundle(policy: Policy, tmp_path: Path) -> Path:
    facts = {"training": {"trials": {"count": 200}}, "metrics": {"validation": {"sharpe": 0.75}}}
    save_bundle(policy, facts, tmp_path / "bundle")
    return tmp_path / "bundle"


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as refused:
        read_model(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def as_format_1(bundle: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """The description as the version before the seal wrote it."""
    values = {"format": 1, **sealed.parsed((bundle / DESCRIPTION).read_bytes()).values}
    change(values)
    (bundle / DESCRIPTION).write_text(json.dumps(values, indent=2) + "\n")


# --- the seal ---


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["scaler"]["mean"].__setitem__(3, 0.0),
        lambda d: d["scaler"]["deviation"].__setitem__(3, d["scaler"]["deviation"][3] * (1 + 1e-15)),
        lambda d: d.update(cost_table_hash="0" * 16),
        lambda d: d.update(name="another"),
        lambda d: d["training"]["trials"].update(count=1),
        lambda d: d["metrics"]["validation"].update(sharpe=7.5),
        lambda d: d.pop("metrics"),
        lambda d: d.update(more=1),
        lambda d: d.update(checksum="0" * 64),
        lambda d: d.pop("checksum"),
        lambda d: d.pop("format"),
        lambda d: d.update(format=1),
    ],
)
def test_whatever_is_altered_in_the_description_is_noticed(
    bundle: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    description = json.loads((bundle / DESCRIPTION).read_text())
    change(description)
    (bundle / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
    assert "was altered" in refusal(bundle)


@given(where=st.integers(0, 10**9), value=st.integers(1, 255), which=st.sampled_from((DESCRIPTION, WEIGHTS)))
@limits(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_byte_that_is_another_one_is_noticed(bundle: Path, where: int, value: int, which: str) -> None:
    original = (bundle / which).read_bytes()
    changed = bytearray(original)
    changed[where % len(changed)] ^= value
    (bundle / which).write_bytes(changed)
    refusal(bundle)
    (bundle / which).write_bytes(original)


def test_the_same_description_in_another_form_is_not_what_was_written(bundle: Path) -> None:
    description = json.loads((bundle / DESCRIPTION).read_text())
    (bundle / DESCRIPTION).write_text(json.dumps(description))
    assert "was altered" in refusal(bundle)


@pytest.mark.parametrize("version", [3, 99])
def test_a_bundle_of_a_newer_version_is_refused_with_that_reason(bundle: Path, version: int) -> None:
    as_format_1(bundle, lambda d: d.update(format=version))
    assert f"bundle format {version}, of a newer version of arb" in refusal(bundle)


@pytest.mark.parametrize("version", ["2", None, 0, -1, 1.5, True, [2]])
def test_a_format_that_is_no_number_is_refused(bundle: Path, version: object) -> None:
    as_format_1(bundle, lambda d: d.update(format=version))
    assert "format" in refusal(bundle)


def test_bundles_from_before_the_seal_load_with_their_own_checks(bundle: Path, policy: Policy) -> None:
    as_format_1(bundle)
    assert load_bundle(bundle).policy.scaler == policy.scaler
    as_format_1(bundle, lambda d: d["observation"].update(opportunities=4))
    assert "does not match its hash" in refusal(bundle)
    as_format_1(bundle, lambda d: d["observation"].update(opportunities=5))
    (bundle / WEIGHTS).write_bytes((bundle / WEIGHTS).read_bytes()[:-1])
    assert "truncated or replaced" in refusal(bundle)


def test_the_shipped_bundle_is_sealed() -> None:
    for path in deployed_models():
        assert sealed.parsed((path / DESCRIPTION).read_bytes()).format == sealed.SEALED
    assert DEPLOYED.is_dir()


def test_the_identity_changes_with_everything_that_a_bundle_says(bundle: Path, policy: Policy, tmp_path: Path) -> None:
    others = {
        "scaler": replace(policy, scaler=random_policy(1).scaler),
        "costs": replace(policy, cost_table_hash="1" * 16),
        "weights": replace(policy, weights=random_policy(1, hidden=(8,)).weights),
    }
    found = {load_bundle(bundle).identity}
    for name, other in others.items():
        save_bundle(other, {}, tmp_path / name)
        found.add(load_bundle(tmp_path / name).identity)
    assert len(found) == 4
    shutil.copytree(bundle, tmp_path / "copy")
    assert load_bundle(tmp_path / "copy").identity == load_bundle(bundle).identity


# --- what is no file, and what is too large ---


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
@pytest.mark.parametrize("what", ["/dev/zero", "pipe", "folder", "loop"])
def test_what_is_no_regular_file_is_refused_at_once(bundle: Path, name: str, what: str) -> None:
    place = bundle / name
    place.unlink()
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        place.symlink_to(place if what == "loop" else what)
    message = refusal(bundle)
    assert name in message or what == "loop"


def test_a_link_to_a_regular_file_is_followed(bundle: Path) -> None:
    expected = load_bundle(bundle).identity
    (bundle / WEIGHTS).rename(bundle / "elsewhere")
    (bundle / WEIGHTS).symlink_to("elsewhere")
    assert load_bundle(bundle).identity == expected


def test_files_that_are_too_large_are_not_read(bundle: Path) -> None:
    for name, most in ((WEIGHTS, bundles.MOST_MODEL_BYTES), (DESCRIPTION, bundles.MOST_DESCRIPTION_BYTES)):
        kept = (bundle / name).read_bytes()
        with (bundle / name).open("r+b") as file:
            file.truncate(most + 1)  # a hole: it takes no space
        assert "is the most" in refusal(bundle)
        (bundle / name).write_bytes(kept)


def with_weights(bundle: Path, content: bytes) -> None:
    (bundle / WEIGHTS).write_bytes(content)
    description = sealed.parsed((bundle / DESCRIPTION).read_bytes()).values
    (bundle / DESCRIPTION).write_text(sealed.text_of({**description, WEIGHTS_SHA256: sha256_of(content)}))


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "cannot be read"),
        (b"\xff" * 8, "header is larger"),
        (safetensors(b" " * (bundles.MOST_HEADER_BYTES + 1)), "header is larger"),
        (safetensors(b'{"weights.0":{"dtype":"F32","shape":[99999999,9],"data_offsets":[0,4]}}', b"0000"), "cannot"),
        (safetensors(b'{"weights.0":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}', b"0000"), "cannot be read"),
        (safetensors(b'{"weights.0":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}', b"0000"), WEIGHTS),
        (safetensors(b"{}"), "does not hold the layers"),
    ],
)
def test_weights_of_other_sizes_than_they_claim_are_refused(bundle: Path, content: bytes, match: str) -> None:
    with_weights(bundle, content)
    assert match in refusal(bundle)


def test_weights_whose_sums_overflow_are_refused(policy: Policy, tmp_path: Path) -> None:
    huge = replace(policy, weights=tuple(np.full_like(matrix, 3e38) for matrix in policy.weights))
    with pytest.raises(BundleError, match="so large that it cannot compute"):
        save_bundle(huge, {}, tmp_path / "huge")
    assert not (tmp_path / "huge").exists()


def test_the_command_line_says_in_one_line_what_was_altered(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    description = json.loads((bundle / DESCRIPTION).read_text())
    description["scaler"]["mean"][0] = 1e9
    (bundle / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
    options = ("--strategy", "ppo", "--model", bundle, "--data", "data/sample", "--out", bundle.parent / "out")
    assert arb("backtest", *options) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: ")
    assert "was altered" in told
    assert "\n" not in told
    assert not (bundle.parent / "out").exists()


# --- zips ---


@pytest.fixture(scope="module")
def agent() -> PPO:
    return PPO("MlpPolicy", vec_environment(2), policy_kwargs={"net_arch": [8]}, seed=3, device="cpu")


@pytest.fixture
def model(agent: PPO, settings: ArbSettings, tmp_path: Path) -> Path:
    """``model.zip`` with the bundle of its training, in which its checksum stands."""
    agent.save(tmp_path / "model.zip")
    costs = settings.cost_table_hash()
    own = Policy("x", SPEC, random_policy().scaler, *layers_of(agent), costs)
    listed = {"model.zip": sha256_of((tmp_path / "model.zip").read_bytes())}
    save_bundle(own, {FILES_SHA256: listed}, tmp_path / "bundle")
    return tmp_path / "model.zip"


def unlisted(model: Path) -> Path:
    """The same zip under a name that its bundle does not know, so that its content alone is judged."""
    return model.rename(model.with_name("mine.zip"))


def test_a_zip_of_the_training_is_checked_against_its_bundle(model: Path, settings: ArbSettings) -> None:
    assert load_policy(model, settings).name == "x"
    content = bytearray(model.read_bytes())
    content[-30] ^= 1
    model.write_bytes(content)
    assert "is not what bundle.json says" in refusal(model)


def rezipped(model: Path, policy_file: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    path = unlisted(model)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("policy.pth", policy_file)
    return path


def saved(state: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


def state_of(agent: PPO) -> dict[str, torch.Tensor]:
    return dict(agent.policy.state_dict())


def test_a_zip_with_compressed_members_is_read_within_limits(model: Path, agent: PPO, settings: ArbSettings) -> None:
    expected = load_policy(model, settings)
    other = rezipped(model, saved(state_of(agent)), zipfile.ZIP_DEFLATED)
    assert load_policy(other, settings).weights[0].tobytes() == expected.weights[0].tobytes()


def test_a_tensor_that_repeats_one_number_a_billion_times_is_refused(model: Path, agent: PPO) -> None:
    state = state_of(agent)
    state["action_net.weight"] = torch.zeros(1).expand(60_000, 60_000)
    assert "takes more than is stored" in refusal(rezipped(model, saved(state)))


def test_many_views_of_one_storage_are_refused(model: Path, agent: PPO) -> None:
    whole = torch.zeros(64, 64)
    state = state_of(agent) | {f"mlp_extractor.policy_net.{k}.weight": whole for k in range(50)}
    assert "takes more than is stored" in refusal(rezipped(model, saved(state)))


def test_a_zip_bomb_is_refused_by_what_it_claims(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_archive, "MOST_BYTES", 2**20)
    bomb = rezipped(model, bytes(2**21), zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10_000
    assert "policy.pth has 2,097,152 bytes" in refusal(bomb)


def test_a_bomb_inside_the_policy_is_refused_by_what_it_claims(model: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(2**24))
    assert "claims to hold more than it is long" in refusal(rezipped(model, content.getvalue()))


def pickled(*steps: bytes) -> bytes:
    """An archive whose pickle has these steps."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"".join(steps) + b".")
        archive.writestr("archive/data/0", bytes(400))
    return content.getvalue()


TWICE = [b"q" + bytes([k]) + b"h" + bytes([k]) + b"\x86" for k in range(80)]
"""Steps that pair what is there with itself: to print or to hash it would take 2^80 steps."""
NESTED = b"X\x01\x00\x00\x00a" + b"".join(TWICE)


@pytest.mark.parametrize(
    "policy_file",
    [
        b"",
        b"not a zip",
        pickle.dumps({"action_net.weight": 1}),
        pickled(b"cbuiltins\nbytearray\n", b"J\xff\xff\xff\x7f", b"\x85R"),
        pickled(b"cos\nsystem\n", b"X\x02\x00\x00\x00ls", b"\x85R"),
        pickled(b"}", b"r\xff\xff\xff\x7f"),
        pickled(b"}", NESTED, b"Ns"),
        pickled(b"}", b"X\x01\x00\x00\x00a", b"X\x01\x00\x00\x00b", b"s"),
        pickled(b"ccollections\nOrderedDict\n", b")R", b"N", b"b", b"0"),
        pickled(b"]", b"."),
        pickled(b"t"),
        pickled(b"h\x07"),
    ],
)
def test_a_policy_that_asks_for_more_than_tensors_is_refused(model: Path, policy_file: bytes) -> None:
    assert "mine.zip" in refusal(rezipped(model, policy_file))
