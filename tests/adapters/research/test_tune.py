from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_market import wandering_market

from adapters.cli import main
from adapters.configuration.settings import load_settings
from adapters.configuration.strategy_registry import build_strategy, load_strategy_class
from adapters.configuration.tuning_grids import SHIPPED_GRIDS, points_of, read_grid
from adapters.datasets.layout import DatasetInfo, NamedWindow
from adapters.datasets.load import load_dataset
from adapters.datasets.write import write_dataset
from adapters.reporting.tuning_table import cautions, table
from adapters.research.tuning import Measured, PointOfJob, Trial, TuningJob, _in_order, fitness, measure, ranked
from adapters.storage.saved_run import read_run
from adapters.storage.trials import read_trials, summarise
from adapters.workers.pool import Failed, TaskFailedError
from engine.accounting.tape import prepare
from engine.analysis.metrics import compute_metrics
from engine.analysis.statistics import backtest_overfitting, deflated_sharpe, sharpe
from engine.backtest import run_backtest
from engine.errors import DataError, SettingsError
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import time_of
from rl_training.pbt.ports import Event, Finished, Told
from strategies.plugin import Context

HOURS = 300
FIRST, LAST = 100, 219
"""Rows of the validation window."""
GRID = {"carry": {"window_hours": [24], "horizon_hours": [24, 96], "enter_margin": [1.0, 3.0], "leave_margin": [0.1]}}
CRASHING = '''
import os
from engine.settings import Settings


class Crashing:
    """Kills the process that runs it."""

    class Parameters(Settings):
        x: int = 0

    policies = {policies}

    def __init__(self, parameters, context):
        pass

    def decide(self, view):
        os._exit(3)
'''


WATCHED = '''
import os, signal
from pathlib import Path
from engine.settings import Settings


class Watched:
    """Leaves a file with its process and threads; then does what it is told."""

    class Parameters(Settings):
        x: int = 0

    policies = 0

    def __init__(self, parameters, context):
        self._x = parameters.x

    def decide(self, view):
        Path(f"point_{self._x}").write_text(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}")
        WHAT
        return []
'''


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set in the working directory with windows for training (0-89), validation (100-219) and test (230-299)."""
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    data = wandering_market(HOURS)

    def window(first: int, last: int) -> NamedWindow:
        return NamedWindow(start=time_of(int(data.hours[first])), end=time_of(int(data.hours[last])))

    info = DatasetInfo(
        name="small",
        source="a test",
        exchanges=data.exchanges,
        first_hour=time_of(int(data.hours[0])),
        last_hour=time_of(int(data.hours[-1])),
        how_made="by hand",
        windows={"train": window(0, 89), "validation": window(FIRST, LAST), "test": window(230, HOURS - 1)},
    )
    write_dataset(data, Path("small"), info)
    Path("grid.yaml").write_text(yaml.safe_dump(GRID, sort_keys=False), encoding="utf-8")
    return Path("small")


def tune(*arguments: str, strategy: str = "carry", workers: int = 1) -> int:
    """Exit code of ``arb tune`` on the data set ``small`` with the grid of the fixture."""
    given = ["tune", "--strategy", strategy, "--data", "small", "--grid", "grid.yaml", "--workers", str(workers)]
    with pytest.raises(SystemExit) as caught:
        main([*given, *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def rows(folder: str) -> list[dict[str, str]]:
    with Path(folder, "tuning.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def direct(parameters: dict[str, Any], *overrides: str, strategy: str = "carry") -> dict[str, Any]:
    """Metrics of one point by a backtest that knows nothing of the search."""
    settings = load_settings(None, overrides)
    builder = OpportunityBuilder(prepare(wandering_market(HOURS), settings))
    player = build_strategy(strategy, parameters, Context(np.random.default_rng(0)))
    return compute_metrics(run_backtest(builder, player, FIRST, LAST), settings.initial_capital_usd)


def test_every_point_is_recorded_with_the_metrics_of_its_backtest(dataset: Path) -> None:  # noqa: ARG001  # written
    assert tune("--out", "found") == 0
    found = rows("found")
    assert [(row["horizon_hours"], row["enter_margin"]) for row in found] == [
        ("24.0", "1.0"), ("24.0", "3.0"), ("96.0", "1.0"), ("96.0", "3.0"),
    ]  # fmt: skip
    assert len({row["pnl_pct"] for row in found}) == 4, "the points differ, or nothing is tested here"
    for row in found:
        point = {key: float(row[key]) for key in ("horizon_hours", "enter_margin", "leave_margin")} | {
            "window_hours": 24
        }
        at_once, late = direct(point), direct(point, "latency_hours=1")
        assert float(row["fitness"]) == (fitness(at_once) + fitness(late)) / 2
        for name, value in at_once.items():
            assert row[name] == ("" if value is None else str(value))
            assert row[f"late_{name}"] == ("" if late[name] is None else str(late[name]))


def test_best_yaml_is_a_config_and_the_manifest_tells_the_search(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune("--out", "found", "--set", "slippage_bps=3", "--seed", "5") == 0
    best = max(rows("found"), key=lambda row: float(row["fitness"]))
    chosen = load_settings(Path("found/best.yaml")).strategies["carry"]
    assert {key: str(value) for key, value in chosen.items()} == {key: best[key] for key in chosen}
    manifest = json.loads(Path("found/manifest.json").read_text(encoding="utf-8"))
    assert manifest["trials"] == 4
    assert manifest["best"]["trial"] == int(best["trial"])
    assert manifest["best"]["fitness"] == float(best["fitness"])
    assert manifest["fingerprint"] == load_dataset(dataset).fingerprint
    assert manifest["settings"]["slippage_bps"] == 3
    assert manifest["cost_table_hash"] == load_settings().cost_table_hash()
    assert (manifest["seed"], manifest["strategy"], manifest["grid"]) == (5, "carry", GRID["carry"])
    assert manifest["started"] < manifest["finished"]
    printed = capsys.readouterr().out.splitlines()
    assert max(map(len, printed)) <= 100
    assert "4 points" in printed[0]
    assert "\x1b" not in "".join(printed)


def test_the_hourly_returns_of_every_point_are_kept(dataset: Path) -> None:
    assert tune("--out", "found") == 0
    record = read_trials(Path("found/trials.parquet"))
    assert record.names == ("trial_1", "trial_2", "trial_3", "trial_4")
    assert (record.start, record.end) == load_dataset(dataset).window("validation")
    grown = 100 * (np.prod(1 + record.returns, axis=0) - 1)
    means = [(float(row["pnl_pct"]) + float(row["late_pnl_pct"])) / 2 for row in rows("found")]
    assert grown == pytest.approx(means, abs=1e-10), "of everything that a point is judged by"
    assert record.each_is == "mean over fills at once and an hour late"
    tried = json.loads(Path("found/manifest.json").read_text(encoding="utf-8"))["tried"]
    assert tried == summarise(record, tried["source"], load_dataset(dataset).fingerprint).model_dump(mode="json")


def test_a_backtest_of_the_best_point_knows_of_all_the_others(
    dataset: Path,  # noqa: ARG001  # written
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert tune("--out", "found") == 0
    assert "4 settings were tried. After that the best one's Sharpe of" in capsys.readouterr().out
    record = read_trials(Path("found/trials.parquet"))
    given = ("backtest", "--strategy", "carry", "--data", "small", "--window", "validation", "--config")

    def judged(out: str, *more: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as caught:
            main([*given, "found/best.yaml", "--out", out, *more])
        assert caught.value.code == 0
        found: dict[str, Any] = json.loads(Path(out, "significance.json").read_text(encoding="utf-8"))
        return found

    found = judged("as_chosen")
    # The run itself is filled at once; what it was chosen from is the mean of both latencies.
    equity = np.append(10_000.0, read_run(Path("as_chosen")).equity["equity_usd"])
    expected = deflated_sharpe(equity[1:] / equity[:-1] - 1, float(sharpe(record.returns.T).std(ddof=1)), 4)
    assert expected is not None
    assert found["trials"] == 4
    assert found["deflated_sharpe"] == pytest.approx(expected.probability)
    assert found["pbo"] == backtest_overfitting(record.returns).probability
    assert found["trials_reason"] is None
    changed = judged("changed", "--set", "strategies.carry.enter_margin=2.5")
    assert (changed["trials"], changed["deflated_sharpe"]) == (None, None)
    assert "parameters are not those" in changed["deflated_sharpe_reason"]


@pytest.mark.trap(22)
def test_trap_22_parallel_workers_find_what_one_process_finds(dataset: Path) -> None:  # noqa: ARG001  # written
    assert tune("--out", "one") == 0
    assert tune("--out", "two", workers=2) == 0
    assert Path("one/tuning.csv").read_bytes() == Path("two/tuning.csv").read_bytes()
    assert Path("one/best.yaml").read_bytes() == Path("two/best.yaml").read_bytes()
    assert Path("one/trials.parquet").read_bytes() == Path("two/trials.parquet").read_bytes()


@pytest.mark.trap(22)
def test_trap_22_a_dying_worker_ends_the_search_with_an_error(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"crashing_{dataset.resolve().parent.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(CRASHING.replace("{policies}", "0"), encoding="utf-8")
    Path("grid.yaml").write_text(yaml.safe_dump({f"{name}:Crashing": {"x": [0, 1, 2]}}), encoding="utf-8")
    assert tune("--out", "found", strategy=f"{name}:Crashing", workers=2) == 1
    assert "a worker process died" in capsys.readouterr().err
    assert sorted(path.name for path in Path.cwd().iterdir() if "found" in path.name) == []


def watched(dataset: Path, what: str, points: int) -> str:
    """A strategy that leaves ``point_<x>`` for each point it is asked at; with it the grid."""
    name = f"watched_{dataset.resolve().parent.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(WATCHED.replace("WHAT", what), encoding="utf-8")
    Path("grid.yaml").write_text(yaml.safe_dump({f"{name}:Watched": {"x": list(range(points))}}), encoding="utf-8")
    return f"{name}:Watched"


@pytest.mark.trap(22)
def test_trap_22_one_worker_is_this_process_and_more_have_one_thread_each(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    strategy, here = watched(dataset, "pass", 3), f"{os.getpid()} 8"
    assert tune("--out", "one", strategy=strategy) == 0
    assert {Path(f"point_{x}").read_text() for x in range(3)} == {here}
    assert tune("--out", "two", strategy=strategy, workers=2) == 0
    left = {Path(f"point_{x}").read_text() for x in range(3)}
    assert here not in left
    assert {text.split()[1] for text in left} == {"1"}
    assert Path("one/tuning.csv").read_bytes() == Path("two/tuning.csv").read_bytes()


@pytest.mark.trap(24)
@pytest.mark.parametrize("verbose", [False, True])
def test_trap_24_an_error_of_a_worker_is_told_as_that_of_the_process_itself(
    dataset: Path, capsys: pytest.CaptureFixture[str], verbose: bool
) -> None:
    strategy = watched(dataset, "raise ValueError('no such market')", 2)
    told = []
    for workers in (1, 2):
        words = ["tune", "--strategy", strategy, "--data", "small", "--grid", "grid.yaml", "--workers", str(workers)]
        with pytest.raises(SystemExit) as ended:
            main([*(["-v"] if verbose else []), *words, "--out", "found"])
        assert ended.value.code == 2
        told.append(capsys.readouterr().err)
        assert not Path("found").exists()
    alone, parallel = told
    assert "no such market" in alone
    assert alone.splitlines()[-1] == parallel.splitlines()[-1]
    assert (alone.count("\n") == 1) == (parallel.count("\n") == 1) == (not verbose)
    assert (f"{strategy.partition(':')[0]}.py" in parallel.rpartition("error: ")[0]) == verbose


@pytest.mark.trap(22)
def test_trap_22_an_interrupt_ends_a_search_at_once_and_leaves_no_process(dataset: Path) -> None:
    """Ctrl-C goes to every process of the terminal; the points would take for ever."""
    os.mkfifo("begun")
    strategy = watched(dataset, "Path('begun').open('w').write('x'); signal.pause()", 3)
    words = ["tune", "--strategy", strategy, "--data", "small", "--grid", "grid.yaml", "--workers", "2"]
    paths = os.pathsep.join([str(Path.cwd()), str(Path(__file__).parents[3])])
    child = subprocess.Popen(
        [sys.executable, "-m", "adapters.cli", *words, "--out", "found"], env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Whoever runs the tests in the background of a shell has it ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # no threads here
    )  # fmt: skip
    begun = 0
    while begun < 2:
        # Opening waits until a worker opens the other end.
        with Path("begun").open(encoding="utf-8") as file:
            begun += len(file.read())
    os.killpg(child.pid, signal.SIGINT)
    out, told = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert told.splitlines()[-1] == "interrupted"
    assert "Traceback" not in told
    workers = {int(path.read_text().split()[0]) for path in Path.cwd().glob("point_*")}
    assert len(workers) == 2
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    assert not [path.name for path in Path.cwd().iterdir() if "found" in path.name]


@pytest.mark.trap(17)
def test_trap_17_no_search_sees_the_test_window(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_from = load_dataset(dataset).window("test")[0]
    assert tune("--out", "found", "--to", f"{test_from:%Y-%m-%dT%H:%MZ}") == 2
    assert "would see the test window" in capsys.readouterr().err
    assert not Path("found").exists()


def test_the_window_can_be_chosen(dataset: Path) -> None:
    start, end = load_dataset(dataset).window("train")
    hours = ["--from", f"{start:%Y-%m-%dT%H:%MZ}", "--to", f"{end:%Y-%m-%dT%H:%MZ}"]
    assert tune("--out", "found", *hours) == 0
    assert {row["hours"] for row in rows("found")} == {"90"}
    assert tune("--out", "validated") == 0
    assert {row["hours"] for row in rows("validated")} == {str(LAST - FIRST + 1)}


def test_late_fills_can_be_left_out(dataset: Path) -> None:  # noqa: ARG001  # written
    assert tune("--out", "found", "--no-late") == 0
    found, record = rows("found"), read_trials(Path("found/trials.parquet"))
    assert not [name for name in found[0] if name.startswith("late_")]
    for k, row in enumerate(found):
        assert float(row["fitness"]) == float(row["pnl_pct"]) - float(row["max_drawdown_pct"]) / 2
        grown = 100 * (np.prod(1 + record.returns[:, k]) - 1)
        assert grown == pytest.approx(float(row["pnl_pct"]), abs=1e-10)
    assert record.each_is == "filled at once"


WEEK = {"every_hours": 4, "caution": 0, "enter_margin": 0.5, "leave_margin": 0.1, "spread_weight": 0}


@pytest.mark.parametrize("phases", [(0, 1, 2, 3), (1, 3)])
def test_a_rule_with_a_clock_is_judged_by_the_mean_over_its_phases(dataset: Path, phases: tuple[int, ...]) -> None:  # noqa: ARG001  # written
    grid = {"week": {"switch_margin": [1, None]}}
    Path("grid.yaml").write_text(yaml.safe_dump(grid), encoding="utf-8")
    own = [word for key, value in WEEK.items() for word in ("--set", f"strategies.week.{key}={value}")]
    some = [] if len(phases) == 4 else ["--phases", ",".join(map(str, phases))]
    assert tune("--out", "found", *own, *some, strategy="week") == 0
    record, found = read_trials(Path("found/trials.parquet")), rows("found")
    assert record.names == ("trial_1", "trial_2"), "however many phases, a point is one trial"
    assert record.each_is.startswith("mean over fills at once and an hour late at ")
    assert json.loads(Path("found/manifest.json").read_text(encoding="utf-8"))["tried"]["count"] == 2
    for k, (row, switch) in enumerate(zip(found, (1, None), strict=True)):
        point = WEEK | {"switch_margin": switch}
        once, late = (
            [direct(point | {"phase": phase}, *more, strategy="week") for phase in phases]
            for more in ((), ("latency_hours=1",))
        )
        assert len({one["pnl_pct"] for one in once}) > 1, "the phases differ, or nothing is tested here"
        assert float(row["fitness"]) == pytest.approx(np.mean([fitness(one) for one in once + late]))
        assert float(row["pnl_pct"]) == pytest.approx(np.mean([one["pnl_pct"] for one in once]))
        assert float(row["worst_phase_pnl_pct_per_7d"]) == min(one["pnl_pct_per_7d"] for one in once)
        assert float(row["late_worst_phase_pnl_pct_per_7d"]) == min(one["pnl_pct_per_7d"] for one in late)
        grown = 100 * (np.prod(1 + record.returns[:, k]) - 1)
        assert grown == pytest.approx(np.mean([one["pnl_pct"] for one in once + late]), abs=1e-9)


def test_a_draw_of_points_follows_the_seed(dataset: Path) -> None:  # noqa: ARG001  # written
    grid = read_grid(SHIPPED_GRIDS, "carry")
    carry = load_strategy_class("carry")

    def drawn(seed: int, most: int | None = 12) -> list[dict[str, Any]]:
        return points_of(grid, {}, "carry", carry, most=most, seed=seed)

    everything = drawn(0, most=None)
    assert drawn(1) == drawn(1) != drawn(2)
    assert len(drawn(1)) == 12
    assert all(point in everything for point in drawn(1))
    assert tune("--out", "found", "--points", "2") == 0
    assert len(rows("found")) == 2


@pytest.mark.parametrize("name", ["greedy", "carry", "basis"])
def test_every_point_of_the_shipped_grids_is_valid(name: str) -> None:
    rule = load_strategy_class(name)
    points = points_of(read_grid(SHIPPED_GRIDS, name), {}, name, rule, most=None, seed=0)
    assert 50 < len(points) < 500
    assert all(set(point) == set(rule.Parameters.model_fields) for point in points)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({}, "has no grid for carry"),
        ({"carry": {}}, "must map parameters to lists"),
        ({"carry": {"horizon_hours": 24}}, "write a list of values"),
        ({"carry": {"horizon_hours": []}}, "write a list of values"),
        ({"carry": {"horizon_hours": [24, 24]}}, "stands there twice"),
        ({"carry": {"horizn_hours": [24]}}, "unknown key 'horizn_hours'; did you mean 'horizon_hours'"),
        ({"carry": {"horizon_hours": [24, -1]}}, "horizon_hours = -1"),
        ({"carry": {"enter_margin": [0.1]}}, "leave_margin must lie below enter_margin"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_runs(
    dataset: Path, capsys: pytest.CaptureFixture[str], grid: dict[str, Any], message: str  # noqa: ARG001  # written
) -> None:  # fmt: skip
    Path("grid.yaml").write_text(yaml.safe_dump(grid), encoding="utf-8")
    assert tune("--out", "found") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not Path("found").exists()


def test_mistakes_are_told(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"learned_{dataset.resolve().parent.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(CRASHING.replace("{policies}", "1"), encoding="utf-8")
    Path("wrong.yaml").write_text("strategies: {cary: {horizon_hours: 3}}\n", encoding="utf-8")
    Path("full").mkdir()
    Path("full/note.txt").write_text("mine", encoding="utf-8")
    for arguments, message in (
        (["--strategy", "cary"], "did you mean 'carry'"),
        (["--strategy", f"{name}:Crashing"], "only rules are tuned"),
        (["--config", "wrong.yaml"], "unknown strategy 'cary'"),
        (["--set", "strategies.carry.horizon=3"], "unknown key 'horizon'"),
        (["--out", "full"], "full exists already"),
        (["--from", "2024-01-09T00:00Z", "--to", "2024-01-08T00:00Z"], "is empty"),
        (["--from", "2023-01-09T00:00Z"], "outside the data"),
        (["--data", "nowhere"], "is not a folder"),
        (["--phases", "0"], "none of the strategies has a clock"),
        (["--phases", "0;1"], "write it like 0,4"),
    ):
        assert tune("--out", "found", *arguments) == 2, arguments
        assert message in capsys.readouterr().err
        assert not Path("found").exists()
    assert [path.name for path in Path("full").iterdir()] == ["note.txt"]


def test_data_that_changes_meanwhile_is_noticed(dataset: Path) -> None:
    loaded = load_dataset(dataset)
    start, end = loaded.window("validation")
    job = TuningJob(
        dataset=dataset, fingerprint="another", strategy="hold", start=start, end=end,
        settings=load_settings(), seed=0, late=False,
    )  # fmt: skip
    with pytest.raises(DataError, match="changed while it was being searched"):
        measure(job.model_dump_json(), {})


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_results_come_in_the_order_of_the_points_whatever_the_order_they_finish_in(
    order: list[int], told: set[int], failing: set[int]
) -> None:
    """Each as soon as it and those before it are there; the first that fails ends them."""
    done: list[int] = []

    def events() -> Iterator[Event[PointOfJob] | Failed[PointOfJob]]:
        for number in order:
            task = PointOfJob(number, "", {})
            if number in told:
                yield Told(task, "on the way")
            done.append(number)
            failed = Failed(task, TaskFailedError(str(number)))
            yield failed if number in failing else Finished(task, Measured({"x": number}, np.zeros(0)))

    results, first = _in_order(events()), min(failing, default=6)
    for place in range(first):
        assert next(results).metrics == {"x": place}
        assert done == order[: 1 + max(order.index(number) for number in range(place + 1))]
    if failing:
        with pytest.raises(TaskFailedError, match=str(first)):
            next(results)
    else:
        assert list(results) == []


def trial(number: int, pnl_pct: float, drawdown_pct: float = 0.0, **metrics: Any) -> Trial:
    values = {
        "pnl_pct": pnl_pct, "pnl_usd": 100 * pnl_pct, "max_drawdown_pct": drawdown_pct, "pnl_pct_per_7d": pnl_pct,
        "trades": 3, "hours": 168,
    }  # fmt: skip
    return Trial(number, {"x": number}, {**values, **metrics})


def test_fitness_takes_half_the_drawdown_off() -> None:
    assert fitness({"pnl_pct": 2.0, "max_drawdown_pct": 3.0}) == 0.5


def test_a_point_is_as_fit_as_the_mean_of_both_latencies() -> None:
    assert trial(1, 2.0, 3.0).fitness == 0.5
    assert trial(1, 2.0, 3.0, late_pnl_pct=1.0, late_max_drawdown_pct=1.0).fitness == 0.5
    assert trial(1, 2.0, 3.0, late_pnl_pct=-1.0, late_max_drawdown_pct=1.0).fitness == -0.5


def test_ranking_is_stable_and_puts_nan_last() -> None:
    trials = [trial(1, np.nan), trial(2, 1.0), trial(3, 3.0, 4.0), trial(4, 2.0), trial(5, 2.0)]
    assert [t.number for t in ranked(trials)] == [4, 5, 2, 3, 1]


def test_cautions_name_what_is_suspicious() -> None:
    calm = trial(1, 0.4, late_pnl_pct=0.3, late_pnl_usd=30.0)
    assert len(cautions(calm, 7)) == 1
    assert "best of 7 points" in cautions(calm, 7)[0]
    assert "1.20 % per 7 days" in cautions(trial(1, 1.2), 7)[1]
    late = trial(1, 0.4, late_pnl_pct=-0.1, late_pnl_usd=-10.0)
    assert "+0.40 % filled at once, -0.10 % filled one hour late" in cautions(late, 7)[1]
    assert "median hold 3 h" in cautions(replace(calm, holds=(3, 3, 40)), 7)[1]
    assert "does not trade" in cautions(replace(calm, metrics={**calm.metrics, "trades": 0}), 7)[1]


def test_the_table_shows_the_best_ten_and_only_what_varied() -> None:
    metrics = dict.fromkeys(("sharpe", "win_rate_pct", "avg_trade_hours"), 1.0)
    trials = [trial(k, float(k), **metrics) for k in range(1, 15)]
    lines = table(
        [replace(t, parameters={"x": t.number, "fixed_one": 9}) for t in trials], {"x": [1, 2], "fixed_one": [9]}
    )
    assert "fixed" not in " ".join(lines)
    assert [line.split()[-1] for line in lines[-10:]] == [str(k) for k in range(14, 4, -1)]
    assert len({len(line) for line in lines}) == 1


def test_read_grid_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        read_grid(tmp_path / "none.yaml", "carry")
