"""``arb walk-forward`` with trained models: every fold learns on its training window alone, and can be cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import info_of, small_market
from support_training import HOURS, TINY, tiny
from support_walk_forward import assert_same_results, folds, rows

import adapters.research.training as training_module
from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import build_strategy
from adapters.datasets.load import load_dataset
from adapters.datasets.write import write_dataset
from adapters.research.markets import prepare_dataset
from adapters.research.walk_forward import models as models_module
from adapters.storage.bundles import load_bundle
from adapters.storage.saved_run import read_run
from engine.analysis.metrics import compute_metrics
from engine.backtest import run_backtest
from engine.market.data import MarketData
from engine.observation.encoding import fit_scaler
from engine.windows import Window, time_of
from strategies.plugin import Context

WALK = (
    "--train-days",
    6,
    "--validate-days",
    3,
    "--test-days",
    2,
    "--embargo-hours",
    12,
    "--workers",
    1,
    "--seed",
    3,
    "--no-report",
)
FOLDS = 3
ONE = ("--timesteps", 256)
TWO = ("--timesteps", 128, "--population", 2, "--set", "pbt.perturbation_interval=64")


class Cut(BaseException):
    """Stands for a kill: nothing catches it."""


def write(market: MarketData, folder: Path) -> Path:
    """A data set without windows."""
    write_dataset(market, folder, info_of(market))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(small_market(HOURS), tmp_path_factory.mktemp("data") / "tiny")


def walk(data: Path, out: Path, *more: object, strategy: str = "ppo") -> int:
    return arb("walk-forward", "--strategy", strategy, "--data", data, *WALK, *tiny(), "--out", out, *more)


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one agent a fold."""
    folder = tmp_path_factory.mktemp("one") / "out"
    assert walk(data, folder, *ONE) == 0
    return folder


@pytest.fixture(scope="module")
def population(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two agents a fold."""
    folder = tmp_path_factory.mktemp("two") / "out"
    assert walk(data, folder, *TWO) == 0
    return folder


def times(fold: dict[str, Any], name: str) -> tuple[Any, Any]:
    """First and last hour of a window of a fold."""
    start, end = (pd.Timestamp(fold[f"{name}_{edge}"]).to_pydatetime() for edge in ("from", "to"))
    return start, end


def test_each_model_is_what_arb_train_makes_of_the_training_window(data: Path, one: Path, tmp_path: Path) -> None:
    found = folds(one)
    assert len(found) == FOLDS
    for fold in (found[0], found[2]):
        start, end = (f"{time:%Y-%m-%dT%H:%MZ}" for time in times(fold, "train"))
        out = tmp_path / str(fold["fold"])
        window = ("--train-from", start, "--train-to", end, "--seed", 3)
        assert arb("train", "--data", data, *window, *ONE, *tiny(), "--out", out) == 0
        bundle = one / "models" / f"fold_{fold['fold']:03d}"
        assert (bundle / "weights.safetensors").read_bytes() == (out / "bundle" / "weights.safetensors").read_bytes()
        assert fold["training"] == {"steps": 256}


def test_the_scaler_is_fitted_on_the_training_window(data: Path, one: Path) -> None:
    settings = load_settings(None, TINY)
    builder = prepare_dataset(load_dataset(data), settings)
    scalers = []
    for fold in folds(one):
        first, last = (builder.tape.market.index_of(time) for time in times(fold, "train"))
        scaler = load_bundle(one / "models" / f"fold_{fold['fold']:03d}").policy.scaler
        assert scaler == fit_scaler(builder, settings.observation, first, last)
        scalers.append(scaler)
    assert scalers[0] != scalers[1]


@pytest.mark.parametrize("which", ["one", "population"])
def test_each_model_is_scored_on_validation_and_tested_as_a_backtest(
    data: Path, which: str, request: pytest.FixtureRequest
) -> None:
    run, dataset, capital = request.getfixturevalue(which), load_dataset(data), 10_000.0
    for fold in folds(run):
        policy = load_bundle(run / "models" / f"fold_{fold['fold']:03d}").policy
        for name, money in (("validation", 10_000.0), ("test", capital)):
            settings = load_settings(None, [*TINY, f"initial_capital_usd={money!r}"])
            builder = prepare_dataset(dataset, settings)
            window = Window(*(builder.tape.market.index_of(time) for time in times(fold, name)))
            strategy = build_strategy("ppo", {}, Context(np.random.default_rng(0), (policy,)))
            metrics = compute_metrics(run_backtest(builder, strategy, window.first, window.last), money)
            assert {key: fold[name][key] for key in metrics} == metrics
        capital = fold["test"]["final_equity_usd"]
    assert read_run(run).metrics["final_equity_usd"] == capital != 10_000.0


def test_a_look_at_the_test_window_is_recorded_with_the_model(one: Path) -> None:
    for fold in folds(one):
        lines = (one / "models" / f"fold_{fold['fold']:03d}" / "looks.jsonl").read_text().splitlines()
        (look,) = map(json.loads, lines)
        assert (look["from"], look["to"]) == (fold["test_from"], fold["test_to"])
        assert look["pnl_pct"] == fold["test"]["pnl_pct"]


def test_the_winner_of_each_population_is_the_fittest_on_validation(population: Path) -> None:
    tried = rows(population / "tried.csv")
    for fold in folds(population):
        assert fold["tried"] == 4
        last = [row for row in tried if row["fold"] == str(fold["fold"]) and row["iteration"] == "2"]
        best = max(last, key=lambda row: (float(row["fitness"]), -int(row["agent"])))
        assert fold["training"]["agent"] == int(best["agent"])
        assert fold["training"]["gamma"] == float(best["gamma"])
        assert fold["validation"]["fitness"] == float(best["fitness"])
        assert [row["agent"] for row in last if row["chosen"] == "1"] == [best["agent"]]
    significance = json.loads((population / "significance.json").read_text(encoding="utf-8"))
    assert significance["trials"] == 4 * FOLDS
    assert significance["pbo"] is not None


def test_rules_and_models_walk_together(data: Path, one: Path, tmp_path: Path) -> None:
    assert walk(data, tmp_path / "out", *ONE, strategy="hold,ppo") == 0
    assert_same_results(one, tmp_path / "out" / "ppo")
    assert len(read_run(tmp_path / "out" / "hold").equity) == FOLDS * 48


@pytest.mark.trap(17)
@pytest.mark.parametrize("which", ["one", pytest.param("population", marks=pytest.mark.slow)])
def test_trap_17_no_model_depends_on_hours_after_its_validation_window(
    tmp_path: Path, which: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(which)
    true, other = small_market(HOURS), small_market(HOURS, seed=2)
    hour = int(pd.Timestamp(folds(run)[0]["validation_to"]).timestamp()) // 3600
    late = true.hours > hour
    names = ("price", "fill_price", "mark_price", "funding_rate", "volume_24h_usd", "bid_ask_spread", "depth_usd")
    changed = replace(true, **{n: np.where(late, getattr(other, n), getattr(true, n)) for n in names})
    out = tmp_path / "out"
    assert walk(write(changed, tmp_path / "tiny"), out, *(ONE if which == "one" else TWO)) == 0

    def weights(folder: Path, number: int) -> bytes:
        return (folder / "models" / f"fold_{number:03d}" / "weights.safetensors").read_bytes()

    assert weights(out, 1) == weights(run, 1)
    assert folds(out)[0]["validation"] == folds(run)[0]["validation"]
    assert folds(out)[0]["test"] != folds(run)[0]["test"]
    assert weights(out, 3) != weights(run, 3), "the training window of fold 3 has hours that were changed"


@pytest.mark.parametrize(
    ("at", "module", "name"),
    [
        (0, training_module, "begin"),
        (1, training_module, "write_checkpoint"),
        (2, training_module, "write_checkpoint"),
        (1, training_module, "save_bundle"),
        (1, training_module, "record_look"),
    ],
)
def test_a_training_that_is_cut_goes_on(
    data: Path, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, module: Any, name: str
) -> None:
    """Cut in the call after ``at`` of them were done: before a plan is there, between folds, in the midst of a fold."""
    out = tmp_path / "out"
    place = models_module if name == "begin" else module
    with monkeypatch.context() as patch:
        patch.setattr(place, name, _cut_after(getattr(place, name), at))
        with pytest.raises(Cut):
            walk(data, out, *ONE)
    assert not out.exists()
    assert arb("walk-forward", "--resume", out) == 0
    assert_same_results(one, out)


@pytest.mark.slow
def test_a_population_that_is_cut_goes_on(
    data: Path, population: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent is cut after three results of agents, in the midst of the first fold."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(models_module._Watcher, "progressed", _cut_after(models_module._Watcher.progressed, 9))
        with pytest.raises(Cut):
            walk(data, out, *TWO)
    assert not out.exists()
    assert arb("walk-forward", "--resume", out, "--workers", 2) == 0
    assert_same_results(population, out)


def test_a_folder_without_a_plan_begins_anew(
    data: Path, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(models_module, "begin", _cut_after(models_module.begin, 1))
        with pytest.raises(Cut):
            walk(data, out, *ONE)
    left = tmp_path / "out.unfinished" / "fold_002" / "training"
    left.mkdir(parents=True, exist_ok=True)
    (left / ".plan.json.x.tmp").write_text("{", encoding="utf-8")
    assert arb("walk-forward", "--resume", out) == 0
    assert_same_results(one, out)


def _cut_after(true: Any, calls: int) -> Any:
    done = []

    def cutting(*words: Any, **more: Any) -> Any:
        if len(done) == calls:
            raise Cut
        done.append(1)
        return true(*words, **more)

    return cutting


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "training.episode.length_hours=200"], "length_hours=143"),
        (["--set", "training.ppo.n_steps=66"], "must be a multiple of training.n_envs"),
        (["--set", "max_positions=2"], "make them equal"),
        (["--population", "2", "--timesteps", "32"], "must reach one rollout"),
    ],
)
def test_trainings_that_cannot_be_are_refused_at_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert walk(data, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_folds_lie_in_the_data(one: Path) -> None:
    assert pd.Timestamp(folds(one)[0]["train_from"]) == time_of(int(small_market(HOURS).hours[0]))
