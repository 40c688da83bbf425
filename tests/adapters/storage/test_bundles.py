"""Bundles: what is written comes back; whatever is not whole and consistent is refused in one line."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors
from stable_baselines3 import PPO
from support_environment import SPEC, random_policy, vec_environment

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.storage import sealed
from adapters.storage.bundle_checks import policy_from
from adapters.storage.bundles import (
    DEPLOYED,
    DESCRIPTION,
    LOOKS,
    WEIGHTS,
    deployed_models,
    load_bundle,
    load_policy,
    save_bundle,
)
from engine.errors import BundleError
from engine.observation.actions import action_names
from engine.observation.encoding import ObservationSpec
from rl_training.learners.extraction import layers_of
from strategies.policy import Policy, best_action, logits

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 527980\n\n"
)


@pytest.fixture
def settings() -> ArbSettings:
    return load_settings()


@pytest.fixture
def policy(settings: ArbSettings) -> Policy:
    return replace(random_policy(), cost_table_hash=settings.cost_table_hash())


@pytest.fixture
def bundle(policy: Policy, tmp_path: Path) -> Path:
    save_bundle(policy, {"dataset_fingerprint": "abc", "metrics": {"validation": None}}, tmp_path / "bundle")
    return tmp_path / "bundle"


def assert_refused(path: Path, match: str, settings: ArbSettings) -> None:
    with pytest.raises(BundleError, match=match) as refused:
        load_policy(path, settings)
    assert "\n" not in str(refused.value)


def test_a_bundle_comes_back_bit_for_bit(policy: Policy, bundle: Path, settings: ArbSettings) -> None:
    loaded = load_policy(bundle, settings)
    assert [w.tobytes() for w in loaded.weights + loaded.biases] == [
        w.tobytes() for w in policy.weights + policy.biases
    ]
    assert (loaded.spec, loaded.scaler, loaded.name) == (policy.spec, policy.scaler, policy.name)
    seen = np.random.default_rng(0).normal(size=SPEC.size).astype(np.float32)
    assert logits(loaded, seen).tobytes() == logits(policy, seen).tobytes()


def test_a_bundle_says_what_it_is(bundle: Path) -> None:
    meta = load_bundle(bundle).meta
    assert meta["dataset_fingerprint"] == "abc"
    assert meta["observation_hash"] == SPEC.hash()
    assert meta["actions"][:2] == ["hold", "enter opportunity 1"]
    assert meta["actions"][-1] == "exit position 3"
    assert len(meta["actions"]) == 9


@pytest.mark.trap(25)
def test_trap_25_a_git_lfs_pointer_is_named(bundle: Path, settings: ArbSettings) -> None:
    (bundle / WEIGHTS).write_bytes(POINTER)
    assert_refused(bundle, r"git-lfs pointer \(13\d bytes\).*git lfs pull", settings)


@pytest.mark.trap(25)
def test_trap_25_a_pointer_in_place_of_a_zip_is_named(bundle: Path, settings: ArbSettings) -> None:
    model = bundle.parent / "model.zip"
    model.write_bytes(POINTER)
    assert_refused(model, "git-lfs pointer", settings)


@pytest.mark.trap(25)
@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_trap_25_truncated_weights_are_refused(bundle: Path, kept: int, settings: ArbSettings) -> None:
    content = (bundle / WEIGHTS).read_bytes()
    (bundle / WEIGHTS).write_bytes(content[:kept])
    assert_refused(bundle, "truncated or replaced", settings)


@pytest.mark.trap(25)
def test_trap_25_one_flipped_bit_is_refused(bundle: Path, settings: ArbSettings) -> None:
    content = bytearray((bundle / WEIGHTS).read_bytes())
    content[-5] ^= 1
    (bundle / WEIGHTS).write_bytes(bytes(content))
    assert_refused(bundle, "truncated or replaced", settings)


def test_a_truncated_description_is_refused(bundle: Path, settings: ArbSettings) -> None:
    text = (bundle / DESCRIPTION).read_text()
    (bundle / DESCRIPTION).write_text(text[: len(text) // 2])
    assert_refused(bundle, "is damaged: no JSON", settings)


@pytest.mark.parametrize("missing", [WEIGHTS, DESCRIPTION])
def test_a_missing_file_is_refused(bundle: Path, missing: str, settings: ArbSettings) -> None:
    (bundle / missing).unlink()
    assert_refused(bundle, missing, settings)


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path, settings: ArbSettings) -> None:
    assert_refused(tmp_path / "nothing", "does not exist", settings)


def _rewritten(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Another description under a right checksum."""
    description = sealed.parsed((bundle / DESCRIPTION).read_bytes()).values
    change(description)
    (bundle / DESCRIPTION).write_text(sealed.text_of(description))


@pytest.mark.trap(23)
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d["observation"].update(opportunities=4), "does not match its hash"),
        (lambda d: d["observation"].update(ranking="nonsense"), "ranking"),
        (lambda d: d["observation"].update(version=2), "version"),
        (lambda d: d.update(observation_hash="0" * 16), "does not match its hash"),
        (lambda d: d.pop("scaler"), "scaler is missing"),
        (lambda d: d.pop("observation"), "observation is missing"),
        (lambda d: d["scaler"].update(mean=d["scaler"]["mean"][:-1]), "the scaler has 21 features, the spec 22"),
        (lambda d: d["scaler"]["deviation"].__setitem__(0, 0.0), "deviation"),
        (lambda d: d["scaler"]["mean"].__setitem__(0, None), "mean"),
        (lambda d: d["actions"].reverse(), "actions"),
        (lambda d: d.pop("cost_table_hash"), "cost table"),
        (lambda d: d.update(name="two\nlines"), "name of the policy"),
        (lambda d: d.update(name=7), "name of the policy"),
    ],
)
def test_trap_23_an_inconsistent_description_is_refused(
    bundle: Path, change: Callable[[dict[str, Any]], None], match: str, settings: ArbSettings
) -> None:
    _rewritten(bundle, change)
    assert_refused(bundle, match, settings)


def _with_weights(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Other weights under a right checksum."""
    import hashlib

    tensors = load_tensors((bundle / WEIGHTS).read_bytes())
    change(tensors)
    content = save_tensors(tensors)
    (bundle / WEIGHTS).write_bytes(content)
    _rewritten(bundle, lambda d: d.update(weights_sha256=hashlib.sha256(content).hexdigest()))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.update({"weights.0": t["weights.0"][:-1]}), "does not follow one of width 124"),
        (lambda t: t.update({"biases.1": t["biases.1"][:-1]}), "does not follow"),
        (lambda t: t.update({"weights.1": t["weights.1"].astype(np.float64)}), "does not follow"),
        (
            lambda t: t.update({"weights.2": t["weights.2"][:, :-1].copy(), "biases.2": t["biases.2"][:-1]}),
            "8 actions, the observation spec 9",
        ),
        (lambda t: t.pop("weights.2"), "does not hold the layers"),
        (lambda t: t["weights.1"].__setitem__((0, 0), np.nan), "not finite"),
        (lambda t: t["biases.0"].__setitem__(0, np.inf), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    bundle: Path, change: Callable[[dict[str, Any]], None], match: str, settings: ArbSettings
) -> None:
    _with_weights(bundle, change)
    assert_refused(bundle, match, settings)


def test_weights_that_are_not_finite_are_not_even_saved(policy: Policy, tmp_path: Path) -> None:
    policy.weights[0][0, 0] = np.nan
    with pytest.raises(BundleError, match="not finite"):
        save_bundle(policy, {}, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.trap(23)
def test_trap_23_another_observation_than_the_runs_is_refused(bundle: Path) -> None:
    run = load_settings(None, ["observation.opportunities=4"])
    assert_refused(bundle, r"another observation.*--set observation\.opportunities=5", run)


@pytest.mark.trap(23)
def test_trap_23_another_number_of_positions_is_refused(bundle: Path) -> None:
    run = load_settings(None, ["max_positions=2", "observation.positions=2"])
    assert_refused(bundle, "trained with 3 positions, the run has 2", run)


@pytest.mark.trap(1)
def test_trap_01_another_fee_table_is_refused_unless_told(bundle: Path) -> None:
    run = load_settings(None, ["fees.bybit.taker=0.0001"])
    assert_refused(bundle, "--allow-other-costs", run)
    assert load_policy(bundle, run, allow_other_costs=True).spec == SPEC


def test_a_new_bundle_takes_the_place_of_an_old_one_and_keeps_its_looks(bundle: Path, policy: Policy) -> None:
    (bundle / LOOKS).write_text("{}\n")
    save_bundle(replace(policy, name="second"), {}, bundle)
    assert load_bundle(bundle).policy.name == "second"
    assert (bundle / LOOKS).read_text() == "{}\n"
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["bundle"]


def test_a_folder_that_is_no_bundle_is_not_replaced(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(Exception, match="exists already"):
        save_bundle(policy, {}, tmp_path / "mine")
    assert (tmp_path / "mine" / "precious.txt").exists()


# --- stable-baselines3 zips ---


@pytest.fixture(scope="module")
def agent() -> PPO:
    return PPO("MlpPolicy", vec_environment(2), policy_kwargs={"net_arch": [32, 16]}, seed=3, device="cpu")


@pytest.fixture
def trained(agent: PPO, settings: ArbSettings, tmp_path: Path) -> Path:
    """A training folder: model.zip and bundle/ of the same agent."""
    policy = Policy("x", SPEC, random_policy().scaler, *layers_of(agent), settings.cost_table_hash())
    save_bundle(policy, {}, tmp_path / "bundle")
    agent.save(tmp_path / "model.zip")
    return tmp_path


def test_a_zip_and_its_bundle_are_the_same_policy(trained: Path, settings: ArbSettings) -> None:
    seen = np.random.default_rng(0).normal(size=SPEC.size).astype(np.float32)
    answers = {
        logits(load_policy(path, settings), seen).tobytes()
        for path in (trained, trained / "bundle", trained / "model.zip")
    }
    assert len(answers) == 1


@pytest.mark.trap(23)
def test_trap_23_a_zip_without_scaler_beside_it_is_refused(trained: Path, settings: ArbSettings) -> None:
    lonely = trained / "elsewhere" / "model.zip"
    lonely.parent.mkdir()
    (trained / "model.zip").rename(lonely)
    assert_refused(lonely, "observation spec and scaler are unknown", settings)


@pytest.mark.trap(25)
@pytest.mark.parametrize("kept", [10, 5000, -1])
def test_trap_25_a_truncated_zip_is_refused(trained: Path, kept: int, settings: ArbSettings) -> None:
    model = trained / "model.zip"
    model.write_bytes(model.read_bytes()[:kept])
    assert_refused(model, "model.zip", settings)


class Trap:
    """Touches a file when it is unpickled."""

    path: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


@pytest.mark.trap(25)
def test_trap_25_code_hidden_in_a_zip_never_runs(trained: Path, settings: ArbSettings, tmp_path: Path) -> None:
    import pickle

    import torch

    trap = Trap()
    trap.path = str(tmp_path / "ran")
    content = io.BytesIO()
    torch.save({"action_net.weight": trap}, content)
    with zipfile.ZipFile(trained / "model.zip", "w") as archive:
        archive.writestr("policy.pth", content.getvalue())
        archive.writestr("data", json.dumps({"x": {":serialized:": pickle.dumps(trap).hex()}}))
    with pytest.raises(BundleError):
        load_policy(trained / "model.zip", settings)
    assert not (tmp_path / "ran").exists()


def test_bundles_load_without_torch(bundle: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from adapters.storage.bundles import load_bundle;"
        f"load_bundle(Path({str(bundle)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_a_shipped_model_the_hint_names_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("adapters.storage.bundles.DEPLOYED", tmp_path)
    with pytest.raises(BundleError, match="arb train"):
        deployed_models()


def test_shipped_models_are_found_by_name(policy: Policy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("adapters.storage.bundles.DEPLOYED", tmp_path)
    for name in ("b", "a"):
        save_bundle(policy, {}, tmp_path / name)
    assert [path.name for path in deployed_models()] == ["a", "b"]


def test_other_specs_round_trip(tmp_path: Path, settings: ArbSettings) -> None:
    spec = ObservationSpec(opportunities=7, ranking="net_funding_168h_bps")
    run = load_settings(None, ["observation.opportunities=7", "observation.ranking=net_funding_168h_bps"])
    policy = replace(random_policy(0, spec), cost_table_hash=settings.cost_table_hash())
    save_bundle(policy, {}, tmp_path / "bundle")
    assert load_policy(tmp_path / "bundle", run).spec == spec


def second(settings: ArbSettings, **changes: Any) -> Policy:
    spec = ObservationSpec(**({"version": 2, "exchanges": ("binanceusdm", "bybit")} | changes))
    return replace(random_policy(0, spec), cost_table_hash=settings.cost_table_hash())


def test_a_second_observation_round_trips_with_its_clock(tmp_path: Path, settings: ArbSettings) -> None:
    policy = second(settings, decide_every_hours=12, phase=5, wallets=True)
    save_bundle(policy, {}, tmp_path / "bundle")
    loaded = load_policy(tmp_path / "bundle", settings)
    assert loaded.spec == policy.spec
    assert (loaded.spec.clock.every_hours, loaded.spec.clock.phase) == (12, 5)


@pytest.mark.parametrize("changed", [{"phase": 1}, {"decide_every_hours": 4}, {"exchanges": ["bybit", "binanceusdm"]}])
def test_an_altered_clock_or_order_of_exchanges_is_refused(
    changed: dict[str, Any], tmp_path: Path, settings: ArbSettings
) -> None:
    policy = second(settings)
    description = {
        "name": "x", "observation": {**policy.spec.model_dump(mode="json"), **changed},
        "observation_hash": policy.spec.hash(), "scaler": {"mean": [], "deviation": []},
        "actions": action_names(8, 3), "cost_table_hash": policy.cost_table_hash,
    }  # fmt: skip
    with pytest.raises(BundleError, match="does not match its hash"):
        policy_from(description, policy.weights, policy.biases, origin=tmp_path)


def test_a_run_that_states_another_version_is_told_what_to_set(tmp_path: Path, settings: ArbSettings) -> None:
    save_bundle(second(settings), {}, tmp_path / "bundle")
    run = load_settings(None, ["observation.opportunities=5"])
    with pytest.raises(BundleError, match=r"--set observation.version=2 .*--set observation.exchanges=\["):
        load_policy(tmp_path / "bundle", run)


def test_what_was_trained_before_there_was_a_second_observation_has_the_hash_it_had() -> None:
    older = sorted(DEPLOYED.with_name(f"{DEPLOYED.name}.previous").glob("1-*"))
    assert older
    for path in older:
        meta, policy = load_bundle(path).meta, load_policy(path, load_settings())
        spec = policy.spec
        assert spec.version == 1
        # It still runs: the same inference answers with one of its actions.
        assert 0 <= best_action(policy, np.zeros(spec.size, np.float32)) < spec.actions
        assert spec.hash() == meta["observation_hash"]
        assert spec.model_dump(mode="json") | meta["observation"] == spec.model_dump(mode="json")
