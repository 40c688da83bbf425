"""``arb train --learner anchored``: it needs observation version 2, and from scratch it holds on to nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from support_cli import arb
from support_training import tiny, write_tiny_dataset

from adapters.storage.bundles import load_bundle
from rl_training.learners.structured import StructuredPolicy
from strategies.policy import logits

SEEN = (
    "observation.version=2", "observation.exchanges=[binance, bybit]", "observation.decide_every_hours=4",
    "training.anchor.value_updates=1", "training.reward.price_pnl=closed",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


def train(dataset: Path, out: Path, *settings: str) -> int:
    options = ("--learner", "anchored", "--timesteps", 192, "--seed", 3)
    return arb("train", "--data", dataset, *options, "--out", out, *tiny(*settings))


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_trains_resumes_and_plays_as_it_was_scored(dataset: Path, tmp_path: Path) -> None:
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    assert train(dataset, straight, *SEEN) == 0
    assert arb(
        "train", "--data", dataset, "--learner", "anchored", "--timesteps", 64, "--seed", 3, "--out", cut, *tiny(*SEEN)
    ) == 0  # fmt: skip
    assert arb("train", "--resume", cut, "--timesteps", 192) == 0
    one, two = (load_bundle(folder / "bundle").policy for folder in (straight, cut))
    assert (one.kind, one.spec.version, one.members) == ("structured", 2, 1)
    for mine, its in zip((*one.weights, *one.biases), (*two.weights, *two.biases), strict=True):
        np.testing.assert_array_equal(mine, its)
    bundle = load(straight / "bundle" / "bundle.json")
    assert bundle["training"]["learner"] == "anchored"
    played = tmp_path / "played"
    window = ("--data", dataset, "--window", "validation", "--set", "min_history_hours=4", "--no-report")
    assert arb("backtest", "--strategy", "ppo", "--model", straight / "bundle", *window, "--out", played) == 0
    metrics, scored = load(played / "metrics.json"), bundle["metrics"]["validation"]
    assert {name: metrics[name] for name in scored} == scored
    model = PPO.load(straight / "model.zip", device="cpu")
    assert isinstance(model.policy, StructuredPolicy)
    seen = np.zeros(one.spec.size, np.float32)
    seen[-one.spec.actions :] = 1
    assert model.predict(seen, deterministic=True)[0] == logits(one, seen).argmax()


def test_observations_of_version_1_are_refused_in_one_line(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(dataset, tmp_path / "run") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "the structured network needs observation.version=2" in said[0]
