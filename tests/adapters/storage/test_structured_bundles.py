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
from support_structured import NO_SCALER, SPEC, environments, observations, structured_policy
from support_training import write_tiny_dataset

from adapters.configuration.settings import load_settings
from adapters.paper.setup import prepare_player
from adapters.storage import sealed
from adapters.storage.bundles import DESCRIPTION, WEIGHTS, WEIGHTS_SHA256, load_bundle, read_model, save_bundle
from adapters.storage.regular_files import sha256_of
from engine.errors import BundleError
from engine.observation.encoding import ObservationSpec
from rl_training.learners.extraction import layers_of
from rl_training.learners.structured import StructuredPolicy, structured_kwargs
from strategies.policy import Policy, logits
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


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


def words(*more: str) -> list[str]:
    return [word for setting in (*OVERRIDES, *more) for word in ("--set", setting)]


def test_it_plays_in_backtest_and_evaluate(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    shared = ("--data", dataset, *words())
    played = ("--strategy", "ppo", "--model", bundle, "--no-report", "--out", tmp_path / "run")
    assert arb("backtest", *played, *shared) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["trades"] > 0
    assert arb("evaluate", bundle, "--out", tmp_path / "seen", *shared) == 0


def test_paper_trading_takes_it(bundle: Path) -> None:
    settings = load_settings(None, OVERRIDES)
    player = prepare_player("ppo", settings, [str(bundle)], 0)
    assert player.identity["models"][0]["name"] == "structured-2"
