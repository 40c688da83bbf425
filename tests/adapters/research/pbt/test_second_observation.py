"""A population that sees version 2: workers map its tables, and what is shipped plays and says when it decides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support_cli import arb
from support_training import tiny, write_tiny_dataset

SETTINGS = (
    "observation.version=2", "observation.exchanges=[binance, bybit]", "observation.decide_every_hours=4",
    "observation.phase=1", "observation.wallets=true", "training.ppo.n_steps=32",
)  # fmt: skip


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_winner_plays_as_it_was_scored_and_its_papers_name_the_clock(tmp_path: Path) -> None:
    data, out = write_tiny_dataset(tmp_path / "tiny"), tmp_path / "run"
    options = ("--population", 2, "--timesteps", 100, "--perturbation-interval", 50, "--seed", 7, "--workers", 2)
    assert arb("train-pbt", "--data", data, *options, *tiny(*SETTINGS), "--out", out) == 0
    bundle = load(out / "bundle" / "bundle.json")
    assert bundle["observation"] == {
        "version": 2, "positions": 3, "opportunities": 8, "exchanges": ["binanceusdm", "bybit"], "wallets": True,
        "decide_every_hours": 4, "phase": 1,
    }  # fmt: skip
    played = tmp_path / "played"
    window = ("--data", data, "--window", "validation", "--set", "min_history_hours=4", "--out", played)
    assert arb("backtest", "--strategy", "ppo", "--model", out / "bundle", *window) == 0
    metrics, scored = load(played / "metrics.json"), bundle["metrics"]["validation"]
    assert {name: metrics[name] for name in scored} == scored
    assert load(played / "manifest.json")["decides"] == "every 4 h, phase 1"
    assert arb("deploy", out, "--to", tmp_path / "deployed") == 0
    card = (tmp_path / "deployed" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "it decides every 4 h, phase 1, protective exits are hourly" in card
