"""Bundles of structured policies: weights by name, no scaler, refused unless every layer fits the observation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from stable_baselines3 import PPO
from support_cli import arb
from support_environment import random_policy
from support_structured import NO_SCALER, SPEC, environments, network, observations, structured_policy
from support_training import write_tiny_dataset

from adapters.configuration.settings import load_settings
from adapters.paper.setup import prepare_player
from adapters.storage import sealed
from adapters.storage.bundles import DESCRIPTION, WEIGHTS, WEIGHTS_SHA256, load_bundle, read_model, save_bundle
from adapters.storage.regular_files import sha256_of
from engine.errors import BundleError
from engine.observation.encoding import ObservationSpec
from rl_training.learners.extraction import layers_of, policy_layers
from rl_training.learners.structured import StructuredPolicy, structured_kwargs
from strategies.policy import Policy, committee, logits
from strategies.structured import LAYERS

OVERRIDES = ("max_positions=2", "min_history_hours=4")
pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture
def policy() -> Policy:
    return structured_policy(2, spread=0.4, costs=load_settings(None, OVERRIDES).cost_table_hash())


@pytest.fixture
def bundle(policy: Policy, tmp_path: Path) -> Path:
    save_bundle(policy, {"dataset_fingerprint": "abc"}, tmp_path / "bundle")
    return tmp_path / "bundle"


def rewritten(bundle: Path, change: Callable[[dict[str, Any]], None], values: dict[str, Any] | None = None) -> Path:
    """Other tensors and values under right checksums."""
    tensors: dict[str, Any] = dict(load_tensors((bundle / WEIGHTS).read_bytes()))
    change(tensors)
    content = save_tensors(tensors)
    (bundle / WEIGHTS).write_bytes(content)
    told = sealed.parsed((bundle / DESCRIPTION).read_bytes()).values
    (bundle / DESCRIPTION).write_text(sealed.text_of({**told, **(values or {}), WEIGHTS_SHA256: sha256_of(content)}))
    return bundle


def refused(bundle: Path, match: str) -> None:
    with pytest.raises(BundleError, match=match) as error:
        load_bundle(bundle)
    assert "\n" not in str(error.value)


def test_it_comes_back_bit_for_bit(policy: Policy, bundle: Path) -> None:
    loaded = load_bundle(bundle).policy
    assert (loaded.kind, loaded.spec, loaded.scaler) == ("structured", policy.spec, NO_SCALER)
    for mine, its in zip(policy.weights + policy.biases, loaded.weights + loaded.biases, strict=True):
        assert mine.tobytes() == its.tobytes()
    for seen in observations()[::20]:
        assert logits(loaded, seen).tobytes() == logits(policy, seen).tobytes()


def test_it_says_what_it_is_with_weights_by_name(bundle: Path) -> None:
    told = json.loads((bundle / DESCRIPTION).read_text())
    assert told["kind"] == "structured"
    assert "scaler" not in told
    assert told["observation"]["version"] == 2
    tensors = load_tensors((bundle / WEIGHTS).read_bytes())
    assert sorted(tensors) == sorted(f"{layer}.{what}" for layer in LAYERS for what in ("weights", "biases"))
    assert tensors["slot.0.weights"].shape == (SPEC.widths.slot + SPEC.widths.portfolio, 64)


def test_a_flat_bundle_says_what_it_always_said(tmp_path: Path) -> None:
    save_bundle(random_policy(), {}, tmp_path / "flat")
    told = json.loads((tmp_path / "flat" / DESCRIPTION).read_text())
    assert "kind" not in told
    assert "scaler" in told
    assert load_bundle(tmp_path / "flat").policy.kind == "flat"


def test_a_flat_policy_of_version_2_needs_no_scaler_either(tmp_path: Path) -> None:
    flat = random_policy(spec=SPEC)
    save_bundle(flat, {}, tmp_path / "flat")
    assert load_bundle(tmp_path / "flat").policy.scaler == NO_SCALER


def _no_layer(tensors: dict[str, Any]) -> None:
    del tensors["exit.1.weights"], tensors["exit.1.biases"]


def _other_name(tensors: dict[str, Any]) -> None:
    tensors["leave.0.weights"] = tensors.pop("exit.0.weights")


def _narrow_slots(tensors: dict[str, Any]) -> None:
    tensors["slot.0.weights"] = tensors["slot.0.weights"][:-1].copy()


def _two_scores(tensors: dict[str, Any]) -> None:
    tensors["enter.1.weights"] = np.repeat(tensors["enter.1.weights"], 2, axis=1)
    tensors["enter.1.biases"] = np.zeros(2, np.float32)


def _swapped(tensors: dict[str, Any]) -> None:
    tensors["candidate.0.weights"], tensors["slot.0.weights"] = (
        tensors["slot.0.weights"],
        tensors["candidate.0.weights"],
    )


def _double(tensors: dict[str, Any]) -> None:
    tensors["hold.0.weights"] = tensors["hold.0.weights"].astype(np.float64)


def _nan(tensors: dict[str, Any]) -> None:
    tensors["candidate.1.biases"][3] = np.nan


def _huge_on_observed(tensors: dict[str, Any]) -> None:
    tensors["exit.0.weights"][:] = 1e33


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_no_layer, "layers of a structured policy"),
        (_other_name, "layers of a structured policy"),
        (_narrow_slots, r"layer slot\.0 has shape"),
        (_two_scores, r"layer enter\.1 has shape \(64, 2\) where \(64, 1\) fits"),
        (_swapped, r"layer candidate\.0 has shape"),
        (_double, "layers of a structured policy"),
        (_nan, "not finite"),
        (_huge_on_observed, "so large that it cannot compute"),
    ],
)
def test_layers_that_do_not_fit_are_refused(bundle: Path, change: Callable[[dict[str, Any]], None], match: str) -> None:
    refused(rewritten(bundle, change), match)


def test_large_weights_behind_tanh_can_compute(policy: Policy, tmp_path: Path) -> None:
    # 1e33 would overflow on what is observed, up to a million, and does not on 64 values of tanh.
    weights = tuple(np.full_like(matrix, 1e33) if k == 1 else matrix for k, matrix in enumerate(policy.weights))
    save_bundle(replace(policy, weights=weights), {}, tmp_path / "large")
    assert load_bundle(tmp_path / "large").policy.kind == "structured"


@pytest.mark.parametrize("kind", ["attention", 3, None, ["structured"]])
def test_a_kind_that_is_not_known_is_refused(bundle: Path, kind: object) -> None:
    refused(rewritten(bundle, lambda _: None, {"kind": kind}), "no kind of policy that this version of arb knows")


def test_a_structured_policy_of_version_1_is_refused(bundle: Path) -> None:
    first = ObservationSpec(positions=2, opportunities=4)
    told = {
        "observation": first.model_dump(mode="json"), "observation_hash": first.hash(),
        "scaler": {"mean": [0.0] * 22, "deviation": [1.0] * 22},
    }  # fmt: skip
    refused(rewritten(bundle, lambda _: None, told), "sees observations of version 2, not 1")


def test_a_zip_beside_its_bundle_is_the_same_policy(policy: Policy, tmp_path: Path) -> None:
    agent = PPO(StructuredPolicy, environments(), seed=1, device="cpu", policy_kwargs=structured_kwargs(SPEC))
    own = replace(policy, weights=layers_of(agent)[0], biases=layers_of(agent)[1])
    save_bundle(own, {}, tmp_path / "bundle")
    agent.save(tmp_path / "model.zip")
    seen = observations()[3]
    found = read_model(tmp_path / "model.zip").policy
    assert found.kind == "structured"
    assert logits(found, seen).tobytes() == logits(own, seen).tobytes()


# --- several networks ---


@pytest.fixture
def three(policy: Policy) -> Policy:
    own = (policy, *(structured_policy(seed, spread=0.4, costs=policy.cost_table_hash) for seed in (3, 4)))
    return committee("three", own)


@pytest.fixture
def committee_bundle(three: Policy, tmp_path: Path) -> Path:
    save_bundle(three, {}, tmp_path / "three")
    return tmp_path / "three"


def test_several_networks_come_back_bit_for_bit_by_number(three: Policy, committee_bundle: Path) -> None:
    loaded = load_bundle(committee_bundle).policy
    assert (loaded.members, loaded.spec, loaded.architecture) == (3, three.spec, three.architecture)
    for mine, its in zip(three.weights + three.biases, loaded.weights + loaded.biases, strict=True):
        assert mine.tobytes() == its.tobytes()
    for seen in observations()[::20]:
        assert logits(loaded, seen).tobytes() == logits(three, seen).tobytes()
    names = [f"{k}.{layer}" for k in range(3) for layer in LAYERS]
    stored = load_tensors((committee_bundle / WEIGHTS).read_bytes())
    assert len(stored) == 2 * len(names)
    for name, matrix, vector in zip(names, three.weights, three.biases, strict=True):
        assert stored[f"{name}.weights"].tobytes() == matrix.tobytes(), name
        assert stored[f"{name}.biases"].tobytes() == vector.tobytes(), name


def test_a_committee_of_one_is_the_file_that_it_always_was(policy: Policy, bundle: Path, tmp_path: Path) -> None:
    save_bundle(committee(policy.name, [policy]), {"dataset_fingerprint": "abc"}, tmp_path / "one")
    assert (tmp_path / "one" / WEIGHTS).read_bytes() == (bundle / WEIGHTS).read_bytes()


def test_members_of_different_widths_come_back(policy: Policy, tmp_path: Path) -> None:
    narrow = Policy("n", SPEC, NO_SCALER, *policy_layers(network(5, width=8)), policy.cost_table_hash, "structured")
    save_bundle(committee("two", [policy, narrow]), {}, tmp_path / "two")
    assert [len(vector) for vector in load_bundle(tmp_path / "two").policy.biases[::10]] == [64, 8]


def _no_member(tensors: dict[str, Any]) -> None:
    for name in [name for name in tensors if name.startswith("1.")]:
        del tensors[name]


def _no_layer_of_one(tensors: dict[str, Any]) -> None:
    del tensors["2.exit.1.weights"], tensors["2.exit.1.biases"]


def _without_number(tensors: dict[str, Any]) -> None:
    for name in [name for name in tensors if name.startswith("0.")]:
        tensors[name.removeprefix("0.")] = tensors.pop(name)


def _narrow_member(tensors: dict[str, Any]) -> None:
    tensors["1.slot.0.weights"] = tensors["1.slot.0.weights"][:-1].copy()


def _nan_in_the_last(tensors: dict[str, Any]) -> None:
    tensors["2.hold.1.biases"][0] = np.nan


def _huge_on_observed_of_the_last(tensors: dict[str, Any]) -> None:
    tensors["2.candidate.0.weights"][:] = 1e33


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_no_member, "layers of a structured policy"),
        (_no_layer_of_one, "layers of a structured policy"),
        (_without_number, "layers of a structured policy"),
        (_narrow_member, r"layer slot\.0 has shape"),
        (_nan_in_the_last, "not finite"),
        (_huge_on_observed_of_the_last, "so large that it cannot compute"),
    ],
)
def test_networks_of_which_one_does_not_fit_are_refused(
    committee_bundle: Path, change: Callable[[dict[str, Any]], None], match: str
) -> None:
    refused(rewritten(committee_bundle, change), match)


def test_large_weights_behind_tanh_of_any_network_can_compute(three: Policy, tmp_path: Path) -> None:
    weights = tuple(np.full_like(matrix, 1e33) if k == 21 else matrix for k, matrix in enumerate(three.weights))
    save_bundle(replace(three, weights=weights), {}, tmp_path / "large")
    assert load_bundle(tmp_path / "large").policy.members == 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


def words(*more: str) -> list[str]:
    return [word for setting in (*OVERRIDES, *more) for word in ("--set", setting)]


@pytest.mark.parametrize("made", ["bundle", "committee_bundle"])
def test_it_plays_in_backtest_and_evaluate(
    made: str, dataset: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bundle: Path = request.getfixturevalue(made)
    shared = ("--data", dataset, *words())
    played = ("--strategy", "ppo", "--model", bundle, "--no-report", "--out", tmp_path / "run")
    assert arb("backtest", *played, *shared) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["trades"] > 0
    assert arb("evaluate", bundle, "--out", tmp_path / "seen", *shared) == 0


def test_paper_trading_takes_it(bundle: Path, committee_bundle: Path) -> None:
    settings = load_settings(None, OVERRIDES)
    for given, name in ((bundle, "structured-2"), (committee_bundle, "three")):
        player = prepare_player("ppo", settings, [str(given)], 0)
        assert player.identity["models"][0]["name"] == name
