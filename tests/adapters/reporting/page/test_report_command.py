"""``arb backtest`` with its report and ``arb report``: what is played beside a run is what a backtest would play."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import info_of, small_market, window

from adapters.datasets.write import write_dataset
from adapters.reporting.page.extras import read_extras
from adapters.reporting.page.page import reference_rows
from adapters.storage.saved_run import read_run

WIDE = "spreads.binance=[{since: 2025-01-01, half_spread: [{from_usd: 0, bps: 30}]}]"
YOUNG = ("--set", "min_history_hours=4", "--set", "strategies.greedy.holding_hours=8", "--set", WIDE)
BESIDE = ("cost_stress.json", "entries.csv", "references.json", "references.parquet", "report.html")
CHURN = "plugin_strategies:Churn"


pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    market = small_market(150)
    # Where no spread is quoted the models of spreads differ.
    market.bid_ask_spread[:, ::2] = np.nan
    folder = tmp_path_factory.mktemp("data") / "tiny"
    write_dataset(market, folder, info_of(market, windows={"test": window(100, 149)}))
    return folder


@pytest.fixture(scope="module")
def folder(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two strategies, one of them a reference too."""
    out = tmp_path_factory.mktemp("runs") / "both"
    assert arb("backtest", "--strategy", f"{CHURN},greedy", "--data", dataset, "--out", out, *YOUNG) == 0
    return out


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def metrics_of(dataset: Path, out: Path, *more: object) -> dict[str, Any]:
    """Of a plain backtest."""
    words = ("backtest", "--strategy", CHURN, "--data", dataset, "--out", out, "--no-report", *YOUNG, *more)
    assert arb(*words) == 0
    found: dict[str, Any] = read(out / "metrics.json")
    return found


def without_other_spreads(metrics: dict[str, Any]) -> dict[str, Any]:
    """Of a reference nothing is played under the other model of spreads."""
    return {name: value for name, value in metrics.items() if "_spread_" not in name}


def test_a_backtest_writes_a_report_of_each_and_one_of_all(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "comparison.csv", "greedy", "plugin_strategies.Churn", "report.html",
    }  # fmt: skip
    for name in ("greedy", "plugin_strategies.Churn"):
        assert set(BESIDE) <= {path.name for path in (folder / name).iterdir()}
    assert "plugin_strategies.Churn/report.html" in (folder / "report.html").read_text()
    references = [(folder / name / "references.json").read_bytes() for name in ("greedy", "plugin_strategies.Churn")]
    assert references[0] == references[1]


def test_references_are_what_a_backtest_of_them_makes(folder: Path, dataset: Path, tmp_path: Path) -> None:
    curves = pd.read_parquet(folder / "greedy" / "references.parquet")
    equity = pd.read_parquet(folder / "greedy" / "equity.parquet")
    assert curves["greedy"].tolist() == equity["equity_usd"].tolist()
    assert curves["time"].tolist() == equity["time"].tolist()
    assert (curves["hold"] == 10_000).all()
    facts = {one["name"]: one for one in read(folder / "greedy" / "references.json")["references"]}
    assert facts["greedy"]["metrics"] == without_other_spreads(read(folder / "greedy" / "metrics.json"))
    assert list(facts) == ["hold", "greedy", "carry", "basis", "hindsight persistent", "hindsight"]
    for name, more in (("hindsight", ()), ("hindsight persistent", ("--set", "strategies.hindsight.persistent=true"))):
        words = ("backtest", "--strategy", "hindsight", "--data", dataset, "--out", tmp_path / name, "--no-report")
        assert arb(*words, *YOUNG, *more) == 0
        assert facts[name]["metrics"] == without_other_spreads(read(tmp_path / name / "metrics.json"))
        assert facts[name]["knows_future"] is True
    assert facts["hindsight"]["metrics"]["pnl_usd"] > facts["hindsight persistent"]["metrics"]["pnl_usd"] >= 0


def test_a_run_that_is_a_reference_is_not_shown_beside_itself(folder: Path) -> None:
    rows = reference_rows(read_run(folder / "greedy"), read_extras(folder / "greedy"))
    assert [row["name"] for row in rows] == ["greedy", "hold", "carry", "basis", "hindsight persistent", "hindsight"]


def test_the_stress_is_what_backtests_at_other_costs_make(folder: Path, dataset: Path, tmp_path: Path) -> None:
    stress = read(folder / "plugin_strategies.Churn" / "cost_stress.json")
    assert [row["multiple"] for row in stress["costs"]] == [1.0, 1.5, 2.0, 3.0]
    for row in stress["costs"]:
        played = metrics_of(dataset, tmp_path / str(row["multiple"]), "--set", f"cost_multiple={row['multiple']}")
        assert {key: played[key] for key in row if key != "multiple"} == {
            key: value for key, value in row.items() if key != "multiple"
        }
    late = metrics_of(dataset, tmp_path / "late", "--set", "latency_hours=1")
    assert all(late[key] == value for key, value in stress["one_hour_late"].items())
    assert list(stress["spread_model"]) == ["volume"]
    assert stress["spread_model"]["volume"]["pnl_usd"] != stress["costs"][0]["pnl_usd"]
    by_volume = metrics_of(dataset, tmp_path / "volume", "--set", "spread_model=volume")
    assert all(by_volume[key] == value for key, value in stress["spread_model"]["volume"].items())
    assert ">volume spreads<" in (folder / "plugin_strategies.Churn" / "report.html").read_text()
    assert stress["break_even_multiple"] == metrics_of(dataset, tmp_path / "run")["break_even_cost_multiple"]


def test_entries_say_what_was_on_show_when_a_trade_was_decided(folder: Path, dataset: Path, tmp_path: Path) -> None:
    trades = pd.read_csv(folder / "greedy" / "trades.csv")
    entries = pd.read_csv(folder / "greedy" / "entries.csv")
    assert entries["position_id"].tolist() == trades["position_id"].tolist()
    assert entries["decided"].tolist() == trades["entry_time"].tolist()
    assert entries["rank"].between(1, entries["offered"]).all()
    words = ("backtest", "--strategy", CHURN, "--data", dataset, "--out", tmp_path / "late")
    assert arb(*words, *YOUNG, "--set", "latency_hours=2", "--set", "max_positions=1") == 0
    later = pd.read_csv(tmp_path / "late" / "entries.csv")
    filled = pd.to_datetime(pd.read_csv(tmp_path / "late" / "trades.csv")["entry_time"])
    assert (filled - pd.to_datetime(later["decided"]) == pd.Timedelta(hours=2)).all()
    assert len(later) > 0


def test_a_report_is_rebuilt_from_the_folder_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = [folder / "report.html", folder / "greedy" / "report.html"]
    before = [page.read_bytes() for page in pages]
    for page in pages:
        page.unlink()
    assert arb("report", folder) == 0
    assert "of hind-" in capsys.readouterr().out
    rebuilt = [page.read_bytes() for page in pages]
    assert rebuilt[1] == before[1]
    assert sorted(rebuilt[0]) == sorted(before[0])  # the order of the strategies is that of the folders now
    assert arb("report", folder / "greedy") == 0
    assert f"report: {folder / 'greedy' / 'report.html'}" in capsys.readouterr().out


def test_runs_are_compared_on_one_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pages" / "compared.html"
    assert arb("report", folder / "greedy", folder / "plugin_strategies.Churn", "--out", out) == 0
    assert "2 runs compared" in out.read_text()
    assert capsys.readouterr().out == f"report: {out}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "there is no folder nowhere"),
        (("nowhere", "elsewhere"), "there is no folder nowhere"),
        ((".", "--out", "page.txt"), "page.txt does not end in .html"),
        ((), "Missing argument 'RUNS...'"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert arb("report", *arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
