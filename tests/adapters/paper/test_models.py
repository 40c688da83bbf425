"""A paper trading state goes on with the very model that it was started with: weights, scaler, spec and fees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support_cli import arb
from support_datasets import info_of, small_market
from support_environment import random_policy

from adapters.configuration.settings import load_settings
from adapters.datasets.write import write_dataset
from adapters.paper.journal import Journal
from adapters.paper.setup import check_unchanged, model_identity
from adapters.storage.bundles import load_bundle, save_bundle
from engine.errors import UserError
from engine.observation.encoding import ObservationSpec
from strategies.policy import Policy


@pytest.fixture(scope="module")
def policy() -> Policy:
    return replace(random_policy(hidden=(8,)), cost_table_hash=load_settings().cost_table_hash())


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    market = small_market(100)
    write_dataset(market, tmp_path / "data", info_of(market))
    return tmp_path / "data"


def replayed(dataset: Path, bundle: Path) -> int:
    state = ("--state", dataset.parent / "state")
    return arb("paper-trade", "--replay", dataset, "--strategy", "ppo", "--model", bundle, *state)


def test_a_state_notices_whatever_is_another_one_in_its_model(
    dataset: Path, policy: Policy, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, state = dataset.parent / "bundle", dataset.parent / "state"
    save_bundle(policy, {}, bundle)
    assert replayed(dataset, bundle) == 0
    assert arb("paper-verify", "--state", state) == 0
    others = {
        "scaler": (replace(policy, scaler=random_policy(1).scaler), {}),
        "metrics": (policy, {"metrics": {"validation": None}}),
        "weights": (replace(policy, weights=random_policy(1, hidden=(8,)).weights), {}),
    }
    for what, (other, extra) in others.items():
        save_bundle(other, extra, bundle)
        for words in (lambda: replayed(dataset, bundle), lambda: arb("paper-verify", "--state", state)):
            capsys.readouterr()
            assert words() == 2, what
            assert "it was started with another model" in capsys.readouterr().err
    save_bundle(policy, {}, bundle)
    assert arb("paper-verify", "--state", state) == 0


def test_other_fees_of_the_same_weights_are_another_model(policy: Policy, tmp_path: Path) -> None:
    save_bundle(policy, {}, tmp_path / "one")
    save_bundle(replace(policy, cost_table_hash="f" * 16), {}, tmp_path / "other")
    one, other = (model_identity(load_bundle(tmp_path / name)) for name in ("one", "other"))
    assert one["digest"] == other["digest"]
    with pytest.raises(UserError, match="another model"):
        check_unchanged(tmp_path, {"models": [one]}, {"models": [other]})


def test_a_state_of_an_older_version_goes_on_with_its_weights(policy: Policy, tmp_path: Path) -> None:
    save_bundle(policy, {}, tmp_path / "one")
    now = model_identity(load_bundle(tmp_path / "one"))
    then = {name: now[name] for name in ("name", "digest")}
    check_unchanged(tmp_path, {"models": [then]}, {"models": [now]})
    for kept in ([{**then, "digest": "0" * 16}], [then, then], []):
        with pytest.raises(UserError, match="another model"):
            check_unchanged(tmp_path, {"models": kept}, {"models": [now]})


def test_the_journal_keeps_the_identity_of_the_bundle(dataset: Path, policy: Policy) -> None:
    save_bundle(policy, {}, dataset.parent / "bundle")
    assert replayed(dataset, dataset.parent / "bundle") == 0
    with Journal.open_for_reading(dataset.parent / "state") as journal:
        (kept,) = json.loads(json.dumps(journal.meta["models"]))
    assert kept["bundle"] == load_bundle(dataset.parent / "bundle").identity


def test_a_policy_with_a_clock_is_asked_at_its_hours_alone_and_the_journal_says_so(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ObservationSpec(version=2, exchanges=("binanceusdm", "bybit"), decide_every_hours=6, phase=2)
    policy = replace(random_policy(3, spec), cost_table_hash=load_settings().cost_table_hash())
    bundle, state = dataset.parent / "bundle", dataset.parent / "state"
    save_bundle(policy, {}, bundle)
    assert replayed(dataset, bundle) == 0
    with Journal.open_for_reading(state) as journal:
        decisions = journal.decisions()
    reasons = {made.no_decision for hour, made in decisions.items() if hour < max(decisions) and hour % 6 != 2}
    assert reasons == {"between decisions (every 6 h, phase 2)"}
    asked = [hour for hour, made in decisions.items() if made.no_decision is None]
    assert asked == [hour for hour in decisions if hour < max(decisions) and hour % 6 == 2]
    assert any(decisions[hour].orders for hour in asked)
    assert all(not made.orders for hour, made in decisions.items() if hour not in asked)
    assert arb("paper-verify", "--state", state) == 0
    out = ("--data", dataset, "--strategy", "ppo", "--model", bundle, "--out", dataset.parent / "out", "--no-report")
    assert arb("backtest", *out) == 0
    capsys.readouterr()
    assert arb("paper-export", "--state", state, "--out", dataset.parent / "exported") == 0
    for name in ("trades.csv", "notes.csv"):
        ours, theirs = (dataset.parent / folder / name for folder in ("exported", "out"))
        assert ours.read_text() == theirs.read_text(), name
