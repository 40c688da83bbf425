"""A data set with order books through the commands: what is said of them, what changes with them, and what does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from market_strategies import with_books
from support_cli import arb
from support_datasets import info_of, small_market, window

from adapters.datasets.write import write_dataset

CHURN = "plugin_strategies:Churn"
SAID = "order books walked where known"
HEADING = "where an order book was recorded it is walked instead"


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Books about as deep as 1,000 USD at nine hours of ten."""
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))
    market = with_books(np.random.default_rng(1), small_market(150), near_usd=1_000, share=0.9)
    windows = {"train": window(0, 69), "validation": window(70, 149)}
    write_dataset(market, tmp_path / "deep", info_of(market, windows=windows))
    return tmp_path / "deep"


def test_a_backtest_walks_them_says_so_and_leaves_hindsight_out(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {}
    for name, value in (("walked", "walk"), ("ignored", "ignore")):
        given = ("--set", "min_history_hours=4", "--set", f"order_books={value}", "--out", tmp_path / name)
        assert arb("backtest", "--strategy", CHURN, "--data", dataset, "--window", "validation", *given) == 0
        assert (SAID in capsys.readouterr().out) == (value == "walk")
        metrics[name] = json.loads((tmp_path / name / "metrics.json").read_text())
        references = (tmp_path / name / "references.json").read_text()
        assert ("hindsight" in references) == (value == "ignore")
        settings = json.loads((tmp_path / name / "manifest.json").read_text())["settings"]
        assert (settings["order_books"], settings["max_walk_bps"]) == (value, 25.0)
    assert metrics["walked"]["slippage_usd"] != metrics["ignored"]["slippage_usd"]
    assert arb("backtest", "--strategy", "hindsight", "--data", dataset, "--out", tmp_path / "hindsight") == 2
    assert "order_books=ignore" in capsys.readouterr().err


def test_a_stress_test_says_what_books_were_too_thin_for(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, out = tmp_path / "few.yaml", tmp_path / "stress"
    few.write_text(yaml.safe_dump({"leverage": {"values": []}, "leg_failure": {"seeds": 1}}))
    asked = ("--strategy", CHURN, "--data", dataset, "--window", "validation", "--scenarios", few, "--out", out)
    assert arb("stress", *asked, "--set", "min_history_hours=4", "--set", "max_walk_bps=5") == 0
    assert HEADING in (out / "stress.html").read_text()
    (churn,) = json.loads((out / "stress.json").read_text())["strategies"]
    refused = {run["scenario"]: run["refused"].get("thin_book", 0) for run in churn["runs"]}
    # A best price beyond the limit is so for any size; all else is cut and not refused.
    assert refused["capital 10M USD"] >= refused["as it is"] > 1
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("capital 10M USD")]
    assert f"{refused['capital 10M USD']} refusals (thin_book)" in printed[0]
    table = pd.read_csv(out / "stress.csv").set_index("scenario")
    growth = table.loc["capital 10M USD", "fees_usd"] / table.loc["capital 1M USD", "fees_usd"]
    assert 1 < growth < 10
