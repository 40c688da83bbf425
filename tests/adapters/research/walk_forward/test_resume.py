"""A walk-forward that is cut at any moment goes on with what it has, and ends as if it had never stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_cli import arb
from support_training import rewrite
from support_walk_forward import FOLDS, assert_same_results, options, walk, write_data

import adapters.research.walk_forward.plan as plan_module
import adapters.research.walk_forward.run as run_module
from adapters.research.tuning import Measured
from adapters.research.walk_forward.point_log import PointLog
from adapters.storage import sealed
from adapters.storage.folder_lock import FolderLock
from engine.errors import DataError

POINTS = 4 * FOLDS


class Cut(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("run") / "straight"
    assert walk(data, folder) == 0
    return folder


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, most: int | None = None) -> Iterator[list[int]]:
    """Count the points that are kept; after ``most`` of them the command is cut."""
    kept: list[int] = []
    true = PointLog.append

    def append(log: PointLog, measured: Measured) -> None:
        if len(kept) == most:
            raise Cut
        true(log, measured)
        kept.append(len(log.measured))

    with monkeypatch.context() as patch:
        patch.setattr(PointLog, "append", append)
        yield kept


@pytest.mark.parametrize("most", [0, 1, 4, 6, POINTS - 1])
def test_a_cut_search_goes_on_with_the_points_that_are_done(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    out = tmp_path / "out"
    with counted(monkeypatch, most), pytest.raises(Cut):
        walk(data, out)
    assert not out.exists()
    with counted(monkeypatch) as kept:
        assert arb("walk-forward", "--resume", out, "--workers", 1) == 0
    assert len(kept) == POINTS - most
    assert_same_results(run, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("place", ["play_account", "judge", "write_account"])
def test_a_cut_after_the_choices_measures_nothing_again(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def cut(*_: object, **__: object) -> None:
        raise Cut

    module, out = {"play_account": "run"}.get(place, "whole"), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(f"adapters.research.walk_forward.{module}.{place}", cut)
        with pytest.raises(Cut):
            walk(data, out)
    assert not out.exists()
    with counted(monkeypatch) as kept:
        assert arb("walk-forward", "--resume", out) == 0
    assert kept == []
    assert_same_results(run, out)


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_if_it_had_not_been(data: Path, run: Path, tmp_path: Path) -> None:
    """SIGKILL to the command, with worker processes, each time after some more points."""
    out = tmp_path / "out"
    first = [str(word) for word in options(data, out, "--workers", 2)]
    work = tmp_path / "out.unfinished"
    for attempt, enough in enumerate((2, 9)):
        words = first if attempt == 0 else ["walk-forward", "--resume", str(out), "--workers", "2"]
        child = subprocess.Popen([sys.executable, "-m", "adapters.cli", *words], stdout=subprocess.DEVNULL)
        while child.poll() is None and _points(work) < enough:
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=0.05)
        child.kill()
        child.wait()
        assert enough <= _points(work), "it ended or hung before there was anything to resume"
    assert not out.exists()
    assert arb("walk-forward", "--resume", out, "--workers", 1) == 0
    assert_same_results(run, out)


def _points(work: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in work.glob("fold_*/*.jsonl"))


def test_interrupting_tells_how_to_go_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "choose_rules", interrupted)
    assert walk(data, tmp_path / "out") == 130
    assert f"arb walk-forward --resume {tmp_path / 'out'}" in capsys.readouterr().err
    assert (tmp_path / "out.unfinished" / "plan.json").is_file()


def test_a_finished_run_is_left_alone(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between the last rename and the clean-up, it only cleans up."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(plan_module.shutil, "rmtree", _cut_at(tmp_path / "out.unfinished"))
        with pytest.raises(Cut):
            walk(data, out)
    assert_same_results(run, out)
    capsys.readouterr()
    assert arb("walk-forward", "--resume", out) == 0
    assert "is finished already" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert_same_results(run, out)


def _cut_at(folder: Path) -> Any:
    import shutil

    true = shutil.rmtree

    def rmtree(path: Any, *more: Any, **words: Any) -> None:
        if Path(path) == folder:
            raise Cut
        true(path, *more, **words)

    return rmtree


def test_what_cannot_go_on_says_so(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with counted(monkeypatch, 2), pytest.raises(Cut):
        walk(data, out)
    work = tmp_path / "out.unfinished"

    def told(*words: object) -> str:
        capsys.readouterr()
        assert arb("walk-forward", *words) == 2
        return capsys.readouterr().err

    assert "is not a walk-forward that was cut" in told("--resume", tmp_path / "other")
    assert "go on with --resume" in told(*options(data, out)[1:])
    with FolderLock(work):
        assert f"{work} is in use by another process" in told("--resume", out)
    whole = (work / "plan.json").read_text(encoding="utf-8")
    for changes, words in (
        ({"fingerprint": "another"}, "not the data set that the walk-forward began with"),
        ({"seed": "many"}, "plan.json cannot be used"),
        ({"points": 2}, "another one than this version tries"),
    ):
        rewrite(work / "plan.json", **changes)
        assert words in told("--resume", out)
        (work / "plan.json").write_text(whole, encoding="utf-8")
    (work / "plan.json").write_text(whole.replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    assert "plan.json was altered" in told("--resume", out)


POINTS_OF_A_LOG: Sequence[dict[str, Any]] = ({"x": 1.5}, {"x": 2.5}, {"x": 3.5})


def measured(seed: int) -> Measured:
    returns = np.random.default_rng(seed).normal(size=50)
    returns[:20] = [0.0, -0.0] * 10
    return Measured({"pnl_pct": 0.1 + seed, "trades": seed, "sharpe": None, "odd": float("nan")}, returns)


def test_a_log_gives_back_every_bit(tmp_path: Path) -> None:
    log = PointLog(tmp_path / "fold" / "rule.jsonl", POINTS_OF_A_LOG)
    for seed in range(2):
        log.append(measured(seed))
    again = PointLog(tmp_path / "fold" / "rule.jsonl", POINTS_OF_A_LOG)
    again.read()
    assert list(again.missing) == [{"x": 3.5}]
    for seed, one in enumerate(again.measured):
        assert one.returns.tobytes() == measured(seed).returns.tobytes()
        assert repr(one.metrics) == repr(measured(seed).metrics)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_last_line_that_was_cut_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rule.jsonl"
    log = PointLog(path, POINTS_OF_A_LOG)
    log.append(measured(0))
    whole = path.read_bytes()
    log.append(measured(1))
    path.write_bytes(path.read_bytes()[:-cut])
    again = PointLog(path, POINTS_OF_A_LOG)
    again.read()
    assert len(again.measured) == 1
    assert path.read_bytes() == whole
    again.append(measured(1))
    assert len(again.missing) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"x": 1.5', '"x": 1.25', "another one than this version tries"),
        ('"trial": 1', '"trial": 2', "another one than this version tries"),
        ('"returns": "', '"returns": "AA', "line 1 cannot be read"),
        ('"metrics"', '"numbers"', "line 1 cannot be read"),
        ('"pnl_pct": 0.1', '"pnl_pct": 9.1', None),
        ("{", "", None),
    ],
)
def test_a_log_of_something_else_is_refused(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    path = tmp_path / "rule.jsonl"
    PointLog(path, POINTS_OF_A_LOG).append(measured(0))
    altered = path.read_text(encoding="utf-8").replace(old, new, 1)
    path.write_text(altered, encoding="utf-8")
    with pytest.raises(DataError, match=r"line 1 cannot be read \((was altered|is damaged: no JSON)"):
        PointLog(path, POINTS_OF_A_LOG).read()
    if message is None:
        return
    values = json.loads(altered)
    kept = {name: value for name, value in values.items() if name not in ("format", "checksum")}
    line = sealed.text_of(kept, None, allow_nan=True)
    path.write_text(line, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        PointLog(path, POINTS_OF_A_LOG).read()


def test_a_log_with_more_points_than_are_tried_is_refused(tmp_path: Path) -> None:
    log = PointLog(tmp_path / "rule.jsonl", POINTS_OF_A_LOG)
    for seed in range(3):
        log.append(measured(seed))
    with pytest.raises(DataError, match="point 3 is another one"):
        PointLog(tmp_path / "rule.jsonl", POINTS_OF_A_LOG[:2]).read()
