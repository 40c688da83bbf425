"""A folder gives way only to the command that wrote it, and only when it holds nothing else (through the commands)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import arb
from support_datasets import info_of, small_market, window
from support_environment import random_policy

from adapters.datasets.write import write_dataset
from adapters.reporting.pbt_tensorboard import Scalars
from adapters.research.deployment import roll_back, shipped_only
from adapters.research.walk_forward.models import _start_anew
from adapters.storage.atomic import new_directory
from adapters.storage.bundles import save_bundle
from adapters.storage.giving_way import check_file, check_place
from adapters.storage.run_names import CARD
from engine.errors import UserError

HOURS = 120
YOUNG = ("--set", "min_history_hours=4")
CHURN = "plugin_strategies:Churn"
pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    market = small_market(HOURS)
    windows = {"train": window(0, 59), "validation": window(60, 89), "test": window(90, HOURS - 1)}
    write_dataset(market, folder, info_of(market, windows=windows, how_made="arb data build; for a test"))
    return folder


@pytest.fixture(scope="module")
def written(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what several commands wrote, to be copied from."""
    folder = tmp_path_factory.mktemp("written")
    few = folder / "few.yaml"
    few.write_text(json.dumps({"capital": {"usd": []}, "leverage": {"values": []}, "leg_failure": {"seeds": 1}}))
    assert arb("backtest", "--strategy", CHURN, "--data", dataset, "--out", folder / "backtest", *YOUNG) == 0
    two = ("--strategy", f"hold,{CHURN}", "--no-report", *YOUNG)
    assert arb("backtest", *two, "--data", dataset, "--out", folder / "backtests") == 0
    scenarios = ("--scenarios", few, *YOUNG)
    assert arb("stress", "--strategy", "hold", "--data", dataset, "--out", folder / "stress", *scenarios) == 0
    runs = (folder / "backtests" / "hold", folder / "backtests" / CHURN.replace(":", "."))
    assert arb("compare", *runs, "--out", folder / "compare") == 0
    tuned = ("--strategy", "carry", "--points", 1, "--workers", 1, "--no-late", *YOUNG)
    assert arb("tune", *tuned, "--data", dataset, "--out", folder / "tune") == 0
    return folder


def everything(folder: Path) -> dict[str, str]:
    """All that lies in a folder, by path: content of files, targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        kind = f"link to {path.readlink()}" if path.is_symlink() else path.read_bytes().hex() if path.is_file() else ""
        found[str(path.relative_to(folder))] = kind
    return found


def refused(capsys: pytest.CaptureFixture[str], place: Path, *words: Any) -> str:
    """The one line of a command that may touch nothing below ``place``."""
    before = everything(place)
    capsys.readouterr()
    assert arb(*words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1, line
    assert everything(place) == before
    return line


def backtest(dataset: Path, out: Path) -> tuple[Any, ...]:
    return ("backtest", "--strategy", "hold", "--data", dataset, "--no-report", "--out", out, *YOUNG)


def command(name: str, dataset: Path, written: Path, out: Path) -> tuple[Any, ...]:
    """A call of a command that replaces what it wrote."""
    pair = (written / "backtests" / "hold", written / "backtest")
    return {
        "backtest": backtest(dataset, out),
        "stress": ("stress", "--strategy", "hold", "--data", dataset, "--out", out, *YOUNG),
        "compare": ("compare", *pair, "--out", out),
        "tune": ("tune", "--strategy", "carry", "--data", dataset, "--points", 1, "--out", out, *YOUNG),
        "data sample": ("data", "sample", "--out", out, "--days", 10, "--coins", 1, "--replace"),
    }[name]


def project(folder: Path, _: Path) -> None:
    """Somebody's program, which has a manifest of its own."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text("print()")
    (folder / "manifest.json").write_text('{"name": "my extension", "version": "1.0"}')


def copied(name: str, *, without: str = "", then: Callable[[Path], Any] = lambda _: None) -> Any:
    def fill(folder: Path, written: Path) -> None:
        shutil.copytree(written / name, folder)
        if without:
            (folder / without).unlink()
        then(folder)

    return fill


def of_another(folder: Path) -> None:
    """The manifest as another command would sign it."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"written_by": "arb train-pbt"}))


FOREIGN: dict[str, Callable[[Path, Path], Any]] = {
    "a project": project,
    "a run of a population": copied("backtest", then=of_another),
    "a run with notes": copied("backtest", then=lambda f: (f / "notes.txt").write_text("mine")),
    "a run with a hidden file": copied("backtest", then=lambda f: (f / ".keep").write_text("")),
    "a run with a folder": copied("backtest", then=lambda f: (f / "charts").mkdir()),
    "a run with a link": copied(
        "backtest", without="notes.csv", then=lambda f: (f / "notes.csv").symlink_to("/etc/hosts")
    ),
    "a run with a pipe": copied("backtest", without="notes.csv", then=lambda f: os.mkfifo(f / "notes.csv")),
    "a run without a manifest": copied("backtest", without="manifest.json"),
    "a run with a broken manifest": copied("backtest", then=lambda f: (f / "manifest.json").write_text("{")),
    "a run whose manifest is a list": copied("backtest", then=lambda f: (f / "manifest.json").write_text("[]")),
    "runs with notes": copied("backtests", then=lambda f: (f / "notes.txt").write_text("mine")),
    "runs with notes deep inside": copied("backtests", then=lambda f: (f / "hold" / "notes.txt").write_text("mine")),
    "runs with a run of another time": copied("backtests", then=lambda f: shutil.copytree(f / "hold", f / "better")),
    "a folder of runs": lambda folder, written: [
        shutil.copytree(written / "backtest", folder / name) for name in ("one", "two")
    ],
    "a search": copied("tune"),
    "a data set": lambda folder, _: write_dataset(small_market(24), folder, info_of(small_market(24))),
    "a file": lambda folder, _: folder.write_text("mine"),
    "a link to a run": lambda folder, written: folder.symlink_to(written / "backtest"),
    "a link to an empty folder": lambda folder, _: [(folder.parent / "empty").mkdir(), folder.symlink_to("empty")],
    "a link to nothing": lambda folder, _: folder.symlink_to("nowhere"),
}


@pytest.mark.parametrize("name", ["backtest", "stress", "compare", "tune", "data sample"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_only_its_own_is_left_alone(
    kind: str, name: str, dataset: Path, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "precious"
    FOREIGN[kind](out, written)
    line = refused(capsys, tmp_path, *command(name, dataset, written, out))
    assert f"{out} exists already" in line


@pytest.mark.parametrize("name", ["backtest", "stress", "compare", "tune"])
@pytest.mark.parametrize("other", ["backtest", "backtests", "stress", "compare", "tune"])
def test_only_the_very_command_replaces_its_results(
    name: str, other: str, dataset: Path, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(written / other, out)
    words = command(name, dataset, written, out)
    if other.startswith(name) and name not in ("stress", "tune"):
        assert arb(*words) == 0
        assert everything(out) != everything(written / other)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    elif other != name or name == "tune":
        assert f"{out} exists already" in refused(capsys, tmp_path, *words)


def test_runs_give_way_to_one_run_and_the_other_way_round(dataset: Path, written: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(written / "backtests", out)
    assert arb(*backtest(dataset, out)) == 0
    assert not (out / "hold").exists()
    assert arb("backtest", "--strategy", "hold,random", "--data", dataset, "--out", out, *YOUNG) == 0
    assert sorted(path.name for path in out.iterdir()) == ["comparison.csv", "hold", "random", "report.html"]
    assert arb("report", out) == 0
    assert arb(*backtest(dataset, out)) == 0


@pytest.mark.parametrize("out", [".", "..", "/", "runs/.."])
def test_the_folder_one_stands_in_is_no_place_for_results(
    out: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "cannot give way to a new folder" in refused(capsys, tmp_path, *backtest(dataset, Path(out)))


def test_below_a_file_nothing_can_be_made(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    line = refused(capsys, tmp_path, *backtest(dataset, tmp_path / "file" / "deep" / "out"))
    assert f"{tmp_path / 'file'} is no folder" in line


# --- data sets ---


def test_a_data_set_is_replaced_by_what_made_it_and_alone(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    words = ("data", "sample", "--out", out, "--days", 10, "--coins", 1, "--replace")
    assert arb(*words) == 0
    assert arb(*words, "--seed", 4) == 0
    (out / "price_history" / "notes.txt").write_text("mine")
    assert "notes.txt is not from this command" in refused(capsys, tmp_path, *words)
    (out / "price_history" / "notes.txt").unlink()
    (out / "feature_scaler.pkl").write_text("mine")
    assert "feature_scaler.pkl is not from this command" in refused(capsys, tmp_path, *words)
    shutil.rmtree(out)
    shutil.copytree(dataset, out)
    assert "does not say that `arb data sample` made it" in refused(capsys, tmp_path, *words)


# --- files ---


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_page_replaces_pages_only(
    kind: str, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, run = tmp_path / "index.html", written / "backtest"
    assert arb("report", run, run, "--out", page) == 0
    assert arb("report", run, run, "--out", page) == 0
    if kind == "link":
        page.rename(tmp_path / "real.html")
        page.symlink_to("real.html")
    elif kind == "folder":
        page.unlink()
        page.mkdir()
    else:
        page.write_text("<html>my home page</html>")
    line = refused(capsys, tmp_path, "report", run, run, "--out", page)
    assert f"{page} exists already and is not a page of `arb report`" in line


def test_the_report_of_a_run_does_not_take_the_place_of_another_page(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(written / "backtest", run)
    (run / "report.html").write_text("<html>my own words on it</html>")
    assert "is not a page of `arb report`" in refused(capsys, tmp_path, "report", run)


def test_a_scaler_replaces_scalers_only(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scaler.json"
    words = ("data", "fit-scaler", dataset, "--out", out, *YOUNG)
    assert arb(*words) == 0
    assert arb(*words) == 0
    out.write_text('{"name": "package"}')
    assert "is not what `arb data fit-scaler` wrote" in refused(capsys, tmp_path, *words)


@pytest.mark.parametrize("name", ["prices_1h.parquet", "funding.parquet", "fetch_report.json"])
def test_downloads_do_not_take_the_place_of_other_tables(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "bought"
    raw.mkdir()
    (raw / name).write_text("dear")
    words = ("--exchanges", "bybit", "--symbols", "BTCUSDT", "--since", "2025-01-01", "--out", raw)
    line = refused(capsys, tmp_path, "data", "fetch", *words)
    assert f"{raw / name} exists already and is not from `arb data fetch`" in line


# --- shipped models ---


def shipped(folder: Path) -> Path:
    save_bundle(random_policy(), {}, folder / "1-dice")
    (folder / CARD).write_text("a card")
    return folder


def test_shipped_models_give_way_and_nothing_else(tmp_path: Path) -> None:
    assert shipped_only(shipped(tmp_path / "deployed")) is None
    (tmp_path / "deployed" / "1-dice" / "looks.jsonl").write_text("{}\n")
    assert shipped_only(tmp_path / "deployed") is None
    (tmp_path / "deployed" / "2-mine").mkdir()
    assert "cannot be read" in str(shipped_only(tmp_path / "deployed"))
    project(tmp_path / "project", tmp_path)
    assert "it holds no shipped model" in str(shipped_only(tmp_path / "project"))


@pytest.mark.parametrize("place", ["deployed", "deployed.previous"])
def test_rolling_back_leaves_other_folders_alone(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = shipped(tmp_path / "deployed")
    shipped(tmp_path / "deployed.previous")
    (tmp_path / place / "notes.txt").write_text("mine")
    line = refused(capsys, tmp_path, "deploy", "--roll-back", "--to", to)
    assert "notes.txt is not from this command" in line
    (tmp_path / place / "notes.txt").unlink()
    roll_back(to)


def test_a_bundle_with_something_else_beside_it_stays(tmp_path: Path) -> None:
    save_bundle(random_policy(), {}, tmp_path / "bundle")
    save_bundle(random_policy(), {}, tmp_path / "bundle")
    (tmp_path / "bundle" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match=r"thesis\.tex is not from this command"):
        save_bundle(random_policy(), {}, tmp_path / "bundle")


# --- the rule itself ---


def fill_while_something_comes(out: Path) -> None:
    with new_directory(out) as aside:
        (aside / "result").write_text("hours of work")
        out.mkdir()
        (out / "mine").write_text("keep me")


def test_what_comes_in_between_is_not_lost_and_neither_are_the_results(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"exists already .*; what was made is in .*out\.\w+") as told:
        fill_while_something_comes(out)
    assert (out / "mine").read_text() == "keep me"
    kept = Path(str(told.value).rpartition(" is in ")[2])
    assert (kept / "result").read_text() == "hours of work"


def test_a_place_that_is_free_or_empty_is_fine(tmp_path: Path) -> None:
    check_place(tmp_path / "deep" / "new")
    check_place(tmp_path)
    check_file(tmp_path / "deep" / "file", lambda _: False, "ours")
    assert list(tmp_path.iterdir()) == []


def test_curves_begun_anew_take_only_earlier_curves_with_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "agent_0").mkdir()
    (tmp_path / "agent_0" / "events.out.tfevents.1").write_text("earlier")
    (tmp_path / "agent_0" / "mine.csv").write_text("mine")
    with Scalars(tmp_path, 1):
        pass
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / "agent_0" / "mine.csv").read_text() == "mine"
    assert not (tmp_path / "agent_0" / "events.out.tfevents.1").exists()


def test_a_fold_without_a_plan_that_holds_something_of_others_stays(tmp_path: Path) -> None:
    (tmp_path / ".plan.json.x.tmp").write_text("{")
    (tmp_path / "mine.txt").write_text("mine")
    _start_anew(tmp_path)
    assert (tmp_path / "mine.txt").exists()
    (tmp_path / "mine.txt").unlink()
    _start_anew(tmp_path)
    assert not tmp_path.exists()
