"""``arb walk-forward`` with rules: what is chosen, on which hours, and that the account is one honest chain."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from support_cli import arb
from support_walk_forward import (
    FOLD_HOURS,
    FOLDS,
    HOURS,
    LENGTHS,
    SETTINGS,
    assert_same_results,
    folds,
    market,
    options,
    rows,
    walk,
    write_data,
    write_grid,
    write_market,
)

from adapters.cli import main
from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import build_strategy
from adapters.datasets.load import load_dataset
from adapters.research import playing
from adapters.research.markets import prepare_dataset
from adapters.research.tuning import Trial
from adapters.research.walk_forward.account import play_account
from adapters.research.walk_forward.choices import Choice
from adapters.research.walk_forward.stated import stated_settings
from adapters.storage.saved_run import read_run
from adapters.storage.trials import read_trials
from engine.accounting.books import HOUR
from engine.accounting.records import NO_RECORDS, Records
from engine.accounting.tape import prepare
from engine.analysis.folds import Fold
from engine.analysis.metrics import Metrics, compute_metrics, fitness
from engine.analysis.statistics import deflated_sharpe
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import Window, hour_of
from strategies.plugin import Context

SEEN = load_settings(None, [SETTINGS[1]])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two strategies that nothing disturbed."""
    folder = tmp_path_factory.mktemp("run") / "straight"
    assert walk(data, folder, strategy="carry,hold") == 0
    return folder


def direct(
    parameters: dict[str, Any], first: str, last: str, capital: float = 10_000.0, *, late: int = 0, rule: str = "carry"
) -> Metrics:
    """Metrics of a backtest that knows nothing of walk-forwards."""
    settings = SEEN.model_copy(update={"initial_capital_usd": capital, "latency_hours": late})
    builder = OpportunityBuilder(prepare(market(), settings))
    strategy = build_strategy(rule, parameters, Context(np.random.default_rng(0)))
    row_of = builder.tape.market.index_of
    start, end = (row_of(pd.Timestamp(time).to_pydatetime()) for time in (first, last))
    return compute_metrics(run_backtest(builder, strategy, start, end), capital)


def test_each_fold_chooses_the_fittest_point_of_its_validation_window(run: Path) -> None:
    tried = rows(run / "carry" / "tried.csv")
    found = folds(run / "carry")
    assert len(found) == FOLDS
    assert len({json.dumps(fold["parameters"]) for fold in found}) > 1, "folds choose differently, or this tests little"
    for fold in found:
        points = [row for row in tried if row["fold"] == str(fold["fold"])]
        assert len(points) == 4 == fold["tried"]
        scores = []
        for row in points:
            parameters = {**fold["parameters"], **{key: float(row[key]) for key in ("horizon_hours", "enter_margin")}}
            window = (fold["validation_from"], fold["validation_to"])
            scores.append((fitness(direct(parameters, *window)) + fitness(direct(parameters, *window, late=1))) / 2)
            assert float(row["fitness"]) == scores[-1]
        best = points[int(np.argmax(scores))]
        assert [row["trial"] for row in points if row["chosen"] == "1"] == [best["trial"]]
        assert fold["validation"]["fitness"] == max(scores)
        assert all(float(best[key]) == fold["parameters"][key] for key in ("horizon_hours", "enter_margin"))


def test_late_fills_can_be_left_out_of_the_judgement(data: Path, run: Path, tmp_path: Path) -> None:
    assert walk(data, tmp_path / "out", "--no-late") == 0
    for row in rows(tmp_path / "out" / "tried.csv"):
        assert float(row["fitness"]) == float(row["pnl_pct"]) - float(row["max_drawdown_pct"]) / 2
    told = [read_run(folder).manifest["walk_forward"]["fitness"] for folder in (tmp_path / "out", run / "carry")]
    assert told[0].endswith("filled at once")
    assert told[1].endswith("mean over fills at once and an hour late")


def test_a_rule_with_a_clock_is_chosen_and_shown_over_its_phases(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"every_hours": 4, "caution": 0, "enter_margin": 0.5, "leave_margin": 0.1, "spread_weight": 0}
    (tmp_path / "grid.yaml").write_text("week: {switch_margin: [1, null]}", encoding="utf-8")
    words = [word for key, value in own.items() for word in ("--set", f"strategies.week.{key}={value}")]
    words += ["--grid", str(tmp_path / "grid.yaml")]
    assert walk(data, tmp_path / "out", *words, strategy="week") == 0
    printed = capsys.readouterr().out
    for fold in folds(tmp_path / "out"):
        window = (fold["validation_from"], fold["validation_to"])
        once, late = (
            [direct(fold["parameters"] | {"phase": k}, *window, late=late, rule="week") for k in range(4)]
            for late in (0, 1)
        )
        assert fold["validation"]["fitness"] == pytest.approx(np.mean([fitness(one) for one in once + late]))
        assert fold["tried"] == 2
    metrics = read_run(tmp_path / "out").metrics
    shown = read_run(tmp_path / "out").manifest["walk_forward"]["test_phases_pnl_pct_per_7d"]
    assert list(shown) == ["0", "1", "2", "3"]
    assert shown["0"] == metrics["pnl_pct_per_7d"], "the account is that of the phase in force"
    assert len(set(shown.values())) > 1, "the phases differ, or nothing is tested here"
    mean, worst = np.mean(list(shown.values())), min(shown.values())
    assert f"week, mean over 4 phases (worst): P&L {mean:+.3f} ({worst:+.3f}) %/7d on the test windows" in printed


def test_each_fold_is_tested_with_what_the_one_before_left(run: Path) -> None:
    capital = 10_000.0
    for fold in folds(run / "carry"):
        assert fold["test"] == direct(fold["parameters"], fold["test_from"], fold["test_to"], capital)
        assert fold["test"]["final_equity_usd"] != capital, "every fold trades, or this tests little"
        capital = fold["test"]["final_equity_usd"]
    metrics = json.loads((run / "carry" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["final_equity_usd"] == capital
    grown = np.prod([1 + fold["test"]["pnl_pct"] / 100 for fold in folds(run / "carry")])
    assert metrics["pnl_pct"] == pytest.approx(100 * (grown - 1), rel=1e-9)


def test_the_windows_are_those_of_the_lengths(run: Path) -> None:
    first = pd.Timestamp(read_run(run / "hold").manifest["walk_forward"]["from"])
    for number, fold in enumerate(folds(run / "hold")):
        start = first + pd.Timedelta(days=2 * number)
        hours = {name: (pd.Timestamp(fold[name]) - start) / pd.Timedelta(hours=1) for name in fold if "_" in name}
        assert hours == {
            "train_from": 0, "train_to": 47, "validation_from": 54, "validation_to": 125,
            "test_from": 132, "test_to": 179,
        }  # fmt: skip


def test_the_run_is_one_account_over_the_test_windows(run: Path) -> None:
    saved = read_run(run / "carry")
    ledger, equity, trades = saved.ledger, saved.equity, saved.trades
    assert len(equity) == FOLDS * 48
    assert (equity["time"].diff().dropna() == pd.Timedelta(hours=1)).all()
    booked = ledger.groupby("time")["amount_usd"].sum().reindex(equity["time"], fill_value=0.0).cumsum().to_numpy()
    np.testing.assert_allclose(equity["cash_usd"], 10_000 + booked, rtol=1e-12)
    np.testing.assert_allclose(equity["equity_usd"], 10_000 + booked + equity["unrealised_usd"], rtol=1e-12)
    assert trades["position_id"].is_unique
    assert set(trades["position_id"]) == set(ledger["position_id"])
    assert sorted(trades["position_id"]) == list(range(1, len(trades) + 1))
    for _, trade in trades.iterrows():
        mine = ledger[ledger["position_id"] == trade["position_id"]]
        assert mine["amount_usd"].sum() == pytest.approx(trade["pnl_usd"], abs=1e-9)
        assert set(mine["symbol"]) == {trade["symbol"]}
    ends = [pd.Timestamp(fold["test_to"]) for fold in folds(run / "carry")]
    assert (equity.set_index("time").loc[ends, "open_positions"] == 0).all()
    assert trades.loc[trades["exit_reason"] == "end_of_data", "exit_time"].isin(ends).all()


def test_what_a_run_leaves(run: Path) -> None:
    five = {"metrics.json", "trades.csv", "ledger.parquet", "equity.parquet", "manifest.json"}
    beside = {"notes.csv", "significance.json", "folds.json", "folds.csv"}
    assert {path.name for path in run.iterdir()} == {"carry", "hold", "comparison.csv"}
    assert {path.name for path in (run / "hold").iterdir()} == five | beside
    assert {path.name for path in (run / "carry").iterdir()} == five | beside | {"tried.csv", "trials"}
    assert [path.name for path in run.parent.iterdir() if "straight" in path.name] == ["straight"]
    flat, found = rows(run / "carry" / "folds.csv"), folds(run / "carry")
    for row, fold in zip(flat, found, strict=True):
        assert json.loads(row["parameters"]) == fold["parameters"]
        assert float(row["test_pnl_pct"]) == fold["test"]["pnl_pct"]
        assert float(row["validation_fitness"]) == fold["validation"]["fitness"]


def test_the_manifest_tells_the_whole_walk(run: Path, data: Path) -> None:
    manifest = read_run(run / "carry").manifest
    told = manifest["walk_forward"]
    assert (told["train_days"], told["validate_days"], told["test_days"], told["embargo_hours"]) == (2, 3, 2, 6)
    assert (told["folds"], told["tried"], told["anchored"]) == (FOLDS, 4 * FOLDS, False)
    assert told["grid"] == yaml.safe_load((data.parent / "grid.yaml").read_text(encoding="utf-8"))["carry"]
    assert manifest["dataset"]["fingerprint"] == load_dataset(data).fingerprint
    assert manifest["settings"]["min_history_hours"] == 12
    assert manifest["strategy"] == "carry"


IN_FORCE = {"carry": {"enter_margin": 7.253125, "leave_margin": 0.3751875}, "random": {"enter_probability": 0.3125}}


@pytest.fixture(scope="module")
def told(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A walk-forward whose settings in force name parameters that the grid never tries."""
    out = tmp_path_factory.mktemp("told") / "out"
    forced = [f"strategies.{rule}.{key}={value}" for rule, values in IN_FORCE.items() for key, value in values.items()]
    more = [word for setting in forced for word in ("--set", setting)]
    assert walk(data, out, "--report", *more, strategy="carry,random") == 0
    return out


def visible(page: str) -> str:
    return page.partition('<script type="application/json"')[0]


def test_the_report_of_a_tuned_rule_states_what_each_fold_chose_and_nothing_else(told: Path) -> None:
    manifest = read_run(told / "carry").manifest
    assert manifest["settings"]["strategies"] == manifest["settings"]["tuned"] == {}
    page = visible((told / "carry" / "report.html").read_text(encoding="utf-8"))
    assert "those that each fold chose" in page
    for value in ("7.253125", "0.3751875", "0.3125"):
        assert value not in page
    for fold in folds(told / "carry"):
        for name in ("window_hours", "horizon_hours", "enter_margin", "leave_margin"):
            assert f"{name} {fold['parameters'][name]:.4g}" in page
        assert pd.Timestamp(fold["test_from"]).strftime("%Y-%m-%d %H:%M") in page


def test_the_report_of_a_rule_without_a_grid_states_its_own_parameters_only(told: Path) -> None:
    assert read_run(told / "random").manifest["settings"]["strategies"].keys() == {"random"}
    page = visible((told / "random" / "report.html").read_text(encoding="utf-8"))
    assert "enter_probability 0.3125" in page
    assert "7.253125" not in page


def test_the_report_of_an_older_walk_forward_does_not_repeat_what_its_manifest_claims(
    told: Path, tmp_path: Path
) -> None:
    shutil.copytree(told / "carry", tmp_path / "old")
    path = tmp_path / "old" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["settings"] |= {"strategies": IN_FORCE, "pbt": {"population": 8}, "tuned": {"carry": {"parameters": {}}}}
    del manifest["format"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert arb("report", tmp_path / "old") == 0
    page = visible((tmp_path / "old" / "report.html").read_text(encoding="utf-8"))
    assert "7.253125" not in page
    assert "pbt.population" not in page


@pytest.mark.parametrize(
    ("walked", "left"),
    [
        ({"population": 1}, {"learning_rate", "gamma", "net_arch"}),
        ({"population": 4}, {"net_arch"}),
    ],
)
def test_what_a_population_searches_is_not_stated_as_set(walked: dict[str, int], left: set[str]) -> None:
    ppo = {"learning_rate": 0.1, "gamma": 0.9, "net_arch": [8]}
    settings = {"training": {"ppo": ppo}, "pbt": {"search": {"learning_rate": [], "gamma": []}}, "strategies": {}}
    found = stated_settings(settings, "ppo", walked)
    assert found["training"]["ppo"].keys() == left
    assert ("pbt" in found) == (walked["population"] > 1)


def test_everything_tried_weighs_on_the_significance(run: Path) -> None:
    found = json.loads((run / "carry" / "significance.json").read_text(encoding="utf-8"))
    assert found["trials"] == 4 * FOLDS
    assert found["hours"] == FOLDS * 48
    assert "stricter than needed" in found["trials_reason"]
    overfitting = [fold["overfitting"] for fold in folds(run / "carry")]
    assert found["pbo"] == pytest.approx(np.mean(overfitting))
    records = []
    for fold in folds(run / "carry"):
        record = read_trials(run / "carry" / "trials" / f"fold_{fold['fold']:03d}.parquet")
        assert record.names == ("trial_1", "trial_2", "trial_3", "trial_4")
        assert record.start == pd.Timestamp(fold["validation_from"])
        assert record.end == pd.Timestamp(fold["validation_to"])
        records.append(record)
    of_points = [np.concatenate([record.returns[:, k] for record in records]) for k in range(4)]
    ratios = [returns.mean() / returns.std(ddof=1) for returns in of_points]
    equity = np.concatenate(([10_000.0], read_run(run / "carry").equity["equity_usd"]))
    expected = deflated_sharpe(equity[1:] / equity[:-1] - 1, float(np.std(ratios, ddof=1)), 4 * FOLDS)
    assert expected is not None
    assert found["deflated_sharpe"] == pytest.approx(expected.probability)
    still = json.loads((run / "hold" / "significance.json").read_text(encoding="utf-8"))
    assert (still["trials"], still["deflated_sharpe"]) == (None, None)
    assert "one setting" in still["deflated_sharpe_reason"]


def test_the_table_fits_and_says_what_was_chosen(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert walk(data, tmp_path / "out", strategy="carry,random") == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(len(line) for line in lines if "written to" not in line and "stricter" not in line) <= 100
    assert "\x1b" not in printed
    assert "carry (horizon_hours, enter_margin)" in printed
    first = folds(tmp_path / "out" / "carry")[0]
    chosen = f"{first['parameters']['horizon_hours']:g}, {first['parameters']['enter_margin']:g}"
    row = next(line for line in lines if line.startswith("1 "))
    assert chosen in row
    assert f"{first['validation']['pnl_pct_per_7d']:+.3f}" in row
    assert f"{first['test']['pnl_pct_per_7d']:+.3f}" in row
    assert row.endswith(f" {first['test']['trades']}")
    assert len([line for line in lines if line.startswith("all ")]) == 2
    assert "random has no grid: it ran with the parameters in force" in printed
    assert f"{HOURS - FOLD_HOURS - 48 * (FOLDS - 1)} h at the end are left over" in printed


def test_the_report_is_over_the_test_windows(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert walk(data, tmp_path / "out", "--report", strategy="carry,hold") == 0
    assert "of hind-" in capsys.readouterr().out
    for name in ("carry", "hold"):
        page = (tmp_path / "out" / name / "report.html").read_text(encoding="utf-8")
        assert "2024-01-06" in page
    assert (tmp_path / "out" / "report.html").is_file()
    curves = pd.read_parquet(tmp_path / "out" / "carry" / "references.parquet")
    assert list(curves.columns) == ["time", "hold", "hindsight persistent", "hindsight"]
    assert curves["time"].tolist() == read_run(tmp_path / "out" / "carry").equity["time"].tolist()
    capsys.readouterr()
    assert arb("report", tmp_path / "out" / "carry") == 0


def test_a_single_strategy_fills_the_folder_itself(data: Path, run: Path, tmp_path: Path) -> None:
    assert walk(data, tmp_path / "one") == 0
    assert read_run(tmp_path / "one").metrics == read_run(run / "carry").metrics


def test_strategies_do_not_disturb_each_other_and_workers_change_nothing(data: Path, run: Path, tmp_path: Path) -> None:
    assert walk(data, tmp_path / "again", "--workers", 2, strategy="carry,hold") == 0
    assert_same_results(run, tmp_path / "again")
    assert walk(data, tmp_path / "turned", strategy="hold,carry") == 0
    assert_same_results(run / "carry", tmp_path / "turned" / "carry")


def test_anchored_training_windows_grow(data: Path, tmp_path: Path) -> None:
    assert walk(data, tmp_path / "out", "--anchored", strategy="hold") == 0
    found = folds(tmp_path / "out")
    assert len({fold["train_from"] for fold in found}) == 1
    assert all(one["train_to"] < following["train_to"] for one, following in pairwise(found))


@pytest.mark.trap(17)
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("window", ["validation", "test"])
def test_trap_17_no_choice_depends_on_later_hours(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, window: str
) -> None:
    """What comes after a fold's validation window, its embargo and test included, changes nothing up to that fold."""
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))
    fold = folds(run / "carry")[number - 1]
    time = pd.Timestamp(fold["validation_to" if window == "validation" else "test_from"]).to_pydatetime()
    changed = _changed_from(hour_of(time) + (window == "validation"))
    write_grid(tmp_path / "grid.yaml")
    assert walk(write_market(changed, tmp_path / "small"), tmp_path / "out") == 0
    now, before = folds(tmp_path / "out"), folds(run / "carry")
    same = [key for key in fold if key != "test"]
    for one, other in zip(now[:number], before[:number], strict=True):
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
    assert [one["validation"] for one in now[number:]] != [other["validation"] for other in before[number:]]
    assert now[number - 1]["test"] != before[number - 1]["test"]


def _changed_from(hour: int) -> Any:
    """The market with other prices and funding from an hour number on."""
    true, other = market(), market(seed=9)
    late = true.hours >= hour
    names = ("price", "fill_price", "mark_price", "funding_rate", "volume_24h_usd")
    return replace(true, **{n: np.where(late, getattr(other, n), getattr(true, n)) for n in names})


def test_by_default_the_test_window_of_the_data_set_stays_unseen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_grid(tmp_path / "grid.yaml")
    windows = {"train": (0, 99), "validation": (110, 229), "test": (240, HOURS - 1)}
    data = write_market(market(), tmp_path / "small", **windows)
    test_from = load_dataset(data).window("test")[0]
    assert walk(data, tmp_path / "kept", strategy="hold") == 0
    assert "test window: it no longer" not in capsys.readouterr().out
    assert pd.Timestamp(folds(tmp_path / "kept")[-1]["test_to"]) < test_from
    told = read_run(tmp_path / "kept").manifest["walk_forward"]
    assert pd.Timestamp(told["to"]) + pd.Timedelta(hours=1) == test_from
    assert told["sees_test_window_of_data_set"] is False
    last = load_dataset(data).info.last_hour
    assert walk(data, tmp_path / "seen", "--to", f"{last:%Y-%m-%dT%H:%MZ}", strategy="hold") == 0
    assert "test window: it no longer is unseen" in capsys.readouterr().out
    assert read_run(tmp_path / "seen").manifest["walk_forward"]["sees_test_window_of_data_set"] is True


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["cary"], "did you mean 'carry'"),
        (["carry,carry"], "names a strategy twice"),
        (["hindsight"], "knows the future"),
        (["ensemble"], "plays 2 models"),
        (["ppo"], "episodes of 72 h do not fit into training windows of 48 h"),
        (["hold", "--points", "2"], "nothing is tuned"),
        (["--phases", "0,1"], "none of the strategies has a clock"),
        (["week", "--phases", "8"], "week has the phases 0 to 7; 8 is none of them"),
        (["--train-days", "30"], "--train-days 11 --validate-days 1 --test-days 1 would fit"),
        (["--embargo-hours", "150"], "shorter --embargo-hours"),
        (["--timesteps", "1000"], "none of the strategies is trained"),
        (["--population", "2"], "none of the strategies is trained"),
        (["--set", "strategies.carry.horizon=3"], "unknown key 'horizon'"),
        (["--set", "strategies.cary.horizon_hours=3"], "unknown strategy 'cary'"),
        (["--grid", "nowhere.yaml"], "nowhere.yaml does not exist"),
        (["--from", "2023-01-01T00:00Z"], "outside the data"),
        (["--from", "2024-01-05T00:00Z", "--to", "2024-01-04T00:00Z"], "is empty"),
        (["--data", "nowhere"], "is not a folder"),
        (["--resume", "elsewhere"], "leave out --data"),
        (["--test-days", "0"], "is not in the range"),
    ],
)
def test_mistakes_are_told_in_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], message: str
) -> None:
    strategy, arguments = ("carry", given) if given[0].startswith("--") else (given[0], given[1:])
    assert walk(data, tmp_path / "out", *arguments, strategy=strategy) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["--strategy", "--data", "--train-days", "--validate-days", "--test-days"])
def test_what_must_be_given_is_asked_for(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    words = options(data, tmp_path / "out")
    at = words.index(missing)
    with pytest.raises(SystemExit, match="2"):
        main([str(word) for word in words[:at] + words[at + 2 :]])
    assert f"Missing option '{missing}'" in capsys.readouterr().err


def test_nothing_is_overwritten(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine", encoding="utf-8")
    assert walk(data, tmp_path / "full") == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_an_account_that_is_lost_stays_lost(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(data)
    builder, start = prepare_dataset(dataset, SEEN), int(dataset.market.hours[0])
    played = []

    def ruinous(_: Any, __: Any, first: int, last: int, **___: Any) -> Records:
        played.append((first, last))
        hours = np.zeros(last - first + 1, HOUR)
        hours["hour"], hours["equity"], hours["cash"] = np.arange(first, last + 1), -3.5, -3.5
        return replace(NO_RECORDS, hours=hours)

    monkeypatch.setattr(playing, "run_backtest", ruinous)
    spans = [Window(start + 50 + 48 * k, start + 97 + 48 * k) for k in range(3)]
    choices = [Choice(Fold(k + 1, spans[k], spans[k], spans[k]), "hold", {}, {}, (Trial(1, {}, {}),)) for k in range(3)]
    account = play_account(builder, choices, SEEN, 0, lambda *_: None)
    assert played == [(50, 97)]
    assert account.metrics["final_equity_usd"] == -3.5
    assert account.records.hours["hour"].tolist() == list(range(50, 194))
    assert len(account.folds) == 3


def test_the_help_shows_commands_that_parse() -> None:
    from adapters.commands.walk_forward import command

    examples = re.findall(r"^ +arb walk-forward ([^\\\n]*(?:\\\n.*)?)$", command.help or "", flags=re.MULTILINE)
    assert len(examples) == 3
    for words in examples:
        command.make_context("walk-forward", words.replace("\\\n", " ").split())


def test_every_length_of_the_tests_is_used() -> None:
    assert 24 * (LENGTHS[1] + LENGTHS[3] + LENGTHS[5]) + 2 * LENGTHS[7] == FOLD_HOURS
