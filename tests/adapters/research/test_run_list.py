"""`arb runs` beside what every command really writes, and beside folders that are broken or nobody's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support_cli import arb
from support_training import tiny, write_tiny_dataset

from adapters.reporting.run_table import as_json
from adapters.research.run_kinds import Result, RunRow
from adapters.research.run_list import SORTS, list_runs, run_of
from adapters.storage.pbt_names import SUMMARY
from adapters.storage.sealed import read_sealed, write_sealed
from engine.errors import UserError

PBT = ("--population", 4, "--timesteps", 128, "--perturbation-interval", 64, "--workers", 1)
WALK = ("--train-days", 4, "--validate-days", 4, "--test-days", 4, "--embargo-hours", 6)
KINDS = {
    "one": "backtest", "several": "backtest", "tuned": "tune", "stressed": "stress", "walked": "walk-forward",
    "trained": "train", "population": "train-pbt", "scored": "evaluate", "compared": "compare",
    "exported": "paper-export", "state": "paper state", "data": "data set",
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every kind of run lies."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_tiny_dataset(folder / "data")
    few = ("--set", "min_history_hours=4")
    on = ("--data", data)
    for words in (
        ("backtest", "--strategy", "greedy", *on, *few, "--no-report", "--out", folder / "one"),
        ("backtest", "--strategy", "greedy,hold", *on, *few, "--out", folder / "several"),
        ("tune", "--strategy", "greedy", *on, *few, "--points", 2, "--workers", 1, "--out", folder / "tuned"),
        ("stress", "--strategy", "greedy", *on, *few, "--out", folder / "stressed"),
        ("walk-forward", "--strategy", "greedy", *on, *few, *WALK, "--points", 2, "--workers", 1, "--no-report",
         "--out", folder / "walked"),
        ("train", *on, *tiny(), "--timesteps", 128, "--out", folder / "trained"),
        ("train-pbt", *on, *tiny(), *PBT, "--out", folder / "population"),
        ("evaluate", folder / "trained" / "bundle", *on, *few, "--out", folder / "scored"),
        ("compare", folder / "several" / "greedy", folder / "one", "--out", folder / "compared"),
        ("paper-trade", "--replay", data, "--strategy", "greedy", "--state", folder / "state"),
        ("paper-export", "--state", folder / "state", "--out", folder / "exported"),
    ):  # fmt: skip
        assert arb(*words) == 0, words
    return folder


def metrics_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def result(name: str, metrics: Any) -> Result:
    return Result(name, *(metrics[key] for key in ("pnl_pct_per_7d", "max_drawdown_pct", "trades")))


def test_every_kind_of_run_is_known_with_its_numbers(runs: Path) -> None:
    rows = {row.id: row for row in list_runs(runs)}
    assert {name: row.kind for name, row in rows.items()} == KINDS
    assert not [row.problem for row in rows.values() if row.problem]
    greedy = result("greedy", metrics_of(runs / "one" / "metrics.json"))
    assert greedy.trades
    assert rows["one"].results == (greedy,)
    assert rows["several"].results == (greedy, result("hold", metrics_of(runs / "several" / "hold" / "metrics.json")))
    assert rows["stressed"].results == (greedy,)
    assert rows["exported"].results == (result("greedy", metrics_of(runs / "exported" / "metrics.json")),)
    assert rows["walked"].results == (result("greedy", metrics_of(runs / "walked" / "metrics.json")),)
    best = metrics_of(runs / "tuned" / "manifest.json")["best"]
    assert rows["tuned"].results == (result("greedy", best["metrics"]),)
    validation = metrics_of(runs / "trained" / "manifest.json")["metrics"]["validation"]
    assert rows["trained"].results == (result("ppo-seed0", validation),)
    summary = read_sealed(runs / "population" / SUMMARY)
    agents = {(one["agent"], one["iteration"]): one["metrics"] for one in summary["results"]}
    winner = summary["winner"]
    assert rows["population"].results == (result(f"agent {winner}", agents[winner, summary["iterations"]]),)
    (scored,) = pd.read_csv(runs / "scored" / "evaluation.csv").to_dict("records")
    assert rows["scored"].results == (result(scored["model"], scored),)
    assert [one.strategy for one in rows["compared"].results] == ["greedy", "greedy"]
    assert {name for name, row in rows.items() if row.finished} == KINDS.keys() - {"state", "data"}
    reports = {"several": "report.html", "exported": "report.html", "stressed": "stress.html", "population": "pbt.html"}
    assert {name: row.report for name, row in rows.items() if row.report} == reports


def test_it_is_known_when_and_on_what_a_run_was_made(runs: Path) -> None:
    for row in list_runs(runs):
        nobody_says = row.kind in ("evaluate", "compare", "paper state", "data set")
        assert (row.started is None) == nobody_says, row
    on = {row.id: row.dataset for row in list_runs(runs)}
    name = on["one"]
    assert name
    assert on["population"] == on["trained"] == on["stressed"] == on["walked"] == name
    # A search kept the path alone, of which the last part is told.
    assert on["tuned"] == "data"
    stamped = shutil.copytree(runs / "scored", runs.parent / "stamped" / "evaluate-20250131T120000Z")
    (row,) = list_runs(stamped.parent)
    assert row.started is not None
    assert row.started.isoformat() == "2025-01-31T12:00:00+00:00"


def test_runs_that_were_cut_are_not_finished(runs: Path, tmp_path: Path) -> None:
    for name in ("trained", "population"):
        shutil.copytree(runs / name, tmp_path / name)
        (tmp_path / name / "manifest.json").unlink()
    (tmp_path / "walk.unfinished").mkdir()
    write_sealed(tmp_path / "walk.unfinished" / "plan.json", {"dataset": "/x/y", "lengths": {}, "strategies": ["week"]})
    (tmp_path / "policy").mkdir()
    write_sealed(tmp_path / "policy" / "plan.json", {"dataset": "/x/y", "settings": {}})
    rows = {row.id: row for row in list_runs(tmp_path)}
    kinds = {name: row.kind for name, row in rows.items()}
    assert kinds == {
        "trained": "train", "population": "train-pbt", "walk.unfinished": "walk-forward", "policy": "make-policy"
    }  # fmt: skip
    assert all(row.finished is False and row.problem is None for row in rows.values())
    assert (rows["walk.unfinished"].dataset, rows["walk.unfinished"].results) == ("y", (Result("week"),))
    assert rows["population"].results == run_of(runs, "population").results


def test_what_is_broken_or_foreign_says_so(runs: Path, tmp_path: Path) -> None:
    for name in ("no json", "no numbers", "no trades", "newer", "part"):
        shutil.copytree(runs / "several" if name == "part" else runs / "one", tmp_path / name)
    (tmp_path / "no json" / "manifest.json").write_text("{")
    (tmp_path / "no numbers" / "metrics.json").write_text('{"trades": "many"}')
    (tmp_path / "no trades" / "trades.csv").unlink()
    manifest = metrics_of(tmp_path / "newer" / "manifest.json")
    (tmp_path / "newer" / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    (tmp_path / "part" / "hold" / "metrics.json").write_text("[]")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"\xff")
    (tmp_path / "shelf").mkdir()
    shutil.copytree(runs / "one", tmp_path / "shelf" / "one")
    (tmp_path / "link").symlink_to(runs / "one")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "manifest.json").write_text('{"written_by": "npm"}')
    (tmp_path / "altered").mkdir()
    (tmp_path / "altered" / "job.json").write_text('{"format": 2, "checksum": "0"}\n')
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "manifest.json")
    (tmp_path / "a file").write_text("is no run")
    rows = {row.id: row for row in list_runs(tmp_path)}
    problems = {name: row.problem or "" for name, row in rows.items()}
    assert problems.keys() == {
        "no json", "no numbers", "no trades", "newer", "part", "photos", "shelf", "link", "nowhere", "theirs",
        "altered", "pipe",
    }  # fmt: skip
    assert problems["no json"].startswith("manifest.json: is damaged: no JSON")
    assert problems["no numbers"].startswith("metrics.json cannot be read (trades is no number)")
    assert "no trades.csv" in problems["no trades"]
    assert "newer version" in problems["newer"]
    assert "hold/metrics.json" in problems["part"]
    assert problems["photos"] == problems["pipe"] == "nothing in it is known"
    assert problems["shelf"] == "no run itself: it holds 1 of them"
    assert problems["link"] == problems["nowhere"] == "a link, which is not followed"
    assert "npm" in problems["theirs"]
    assert problems["altered"] == "job.json: was altered: it does not match its hash"
    assert {name for name, row in rows.items() if row.kind == "backtest"} >= {"no numbers", "no trades", "newer"}
    assert not [problem for problem in problems.values() if str(tmp_path) in problem]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_no_content_of_a_file_is_a_traceback(runs: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Any value in the place of any of those that are read, and any bytes in the place of a file."""
    name = data.draw(st.sampled_from(["one", "tuned", "stressed", "trained", "population", "scored", "compared"]))
    file = {"population": "manifest.json", "scored": "evaluation.csv", "compared": "compare.json"}.get(
        name, "manifest.json"
    )
    place = tmp_path / name
    if not place.exists():
        shutil.copytree(runs / name, place)
    (place / file).write_bytes(_altered(data, (runs / name / file).read_bytes()))
    (row,) = [row for row in list_runs(tmp_path) if row.id == name]
    json.dumps(as_json([row]), allow_nan=False)


JUNK = st.one_of(st.none(), st.booleans(), st.just(float("nan")), st.just(1e400), st.text(max_size=3), st.just([{}]))


def _altered(data: st.DataObject, content: bytes) -> bytes:
    if data.draw(st.booleans()) or not content.startswith(b"{"):
        cut = data.draw(st.integers(0, len(content)))
        return content[:cut] + data.draw(st.binary(max_size=5)) + content[cut + 3 :]
    values = json.loads(content)
    for key in data.draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=3)):
        values[key] = data.draw(JUNK)
    return json.dumps(values).encode()


@pytest.mark.parametrize("name", ["..", ".", "", "/", "one/", "one/../one", "../runs/one", "a\\b", "one\0", "ONE"])
def test_a_run_is_named_and_never_a_path(runs: Path, name: str) -> None:
    with pytest.raises(UserError, match="holds no run"):
        run_of(runs, name)
    with pytest.raises(UserError, match="holds no run"):
        run_of(runs, str(runs / "one"))


def test_a_run_is_found_by_its_name(runs: Path) -> None:
    assert run_of(runs, "one") in list_runs(runs)


def test_every_order_has_all_rows_and_the_unknown_last(runs: Path) -> None:
    def numbers(rows: list[RunRow], key: str) -> list[float | None]:
        known = [[getattr(one, key) for one in row.results if getattr(one, key) is not None] for row in rows]
        return [(min if key == "max_drawdown_pct" else max)(values) if values else None for values in known]

    for sort in SORTS:
        assert {row.id for row in list_runs(runs, sort)} == KINDS.keys()
    for sort, key, sign in (
        ("pnl", "pnl_pct_per_7d", -1),
        ("drawdown", "max_drawdown_pct", 1),
        ("trades", "trades", -1),
    ):
        found = numbers(list_runs(runs, sort), key)  # type: ignore[arg-type]  # they are keys of the kind
        known = [value for value in found if value is not None]
        assert known == sorted(known, key=lambda value, sign=sign: sign * value)
        assert found[: len(known)] == known
    times = [row.started for row in list_runs(runs) if row.started]
    assert times == sorted(times, reverse=True)
    assert [row.id for row in list_runs(runs, "run")] == sorted(KINDS)


def test_the_command_shows_a_table_and_json(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("runs", runs, "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(as_json(list_runs(runs))))
    assert arb("runs", runs, "--sort", "kind") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("greedy" in line for line in lines) >= 6
    (tmp_path / "[red]a name [that is] rather long for a folder and for any table[bold]").mkdir()
    assert arb("runs", tmp_path) == 0
    told = capsys.readouterr().out.splitlines()
    assert max(map(len, told[:-1])) <= 100
    assert told[-1] == "[red]a name [that is] rather long for a folder and for any table[bold]: nothing in it is known"
    assert arb("runs", tmp_path / "nowhere") == 2
