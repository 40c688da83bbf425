"""Troubles of the machine are one line that names file and reason, exit code 2; a defect of ours stays a traceback."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support_datasets import info_of, small_market, window

from adapters.cli import LONGEST_LINE, main, shortened
from adapters.datasets.write import write_dataset
from adapters.storage.causes import cause
from engine.errors import CapacityError, UserError

YOUNG = ("--set", "min_history_hours=4")
pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    market = small_market(60)
    write_dataset(market, folder, info_of(market, windows={"train": window(0, 39)}))
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    """The one line of a command that must fail with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    line = capsys.readouterr().err
    assert ended.value.code == 2, line
    assert line.count("\n") == 1, line
    assert line.startswith("error: ")
    assert len(line) <= LONGEST_LINE + 10
    return line


def backtest(dataset: Path, out: Path | str) -> tuple[Any, ...]:
    return ("backtest", "--strategy", "hold", "--data", dataset, "--no-report", "--out", out, *YOUNG)


# --- in words ---


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/runs/a"), "/runs/a: the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/runs/a"), "/runs/a: the disk is read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), "/root/x: no permission"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b"), "/a to /b: it is on another disk"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (
            OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
            "the disk is full",
        ),
        (OSError(errno.ESTALE, "Stale file handle", b"/net/\xff"), "/net/\udcff: stale file handle"),
        (MemoryError(), "out of memory; use fewer --workers"),
        (sqlite3.OperationalError("something"), "a database failed: something (OperationalError)"),
    ],
)
def test_a_trouble_of_the_machine_is_told_with_its_file(error: BaseException, said: str) -> None:
    assert str(cause(error)).startswith(said)


@pytest.mark.parametrize(
    "error", [OSError("something odd"), TimeoutError(), KeyError("x"), ValueError(), ArithmeticError()]
)
def test_a_defect_has_no_cause_outside(error: BaseException) -> None:
    assert cause(error) is None


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    for middle in ("x" * 10_000, "x " * 10_000):
        text = shortened(f"begin {middle} end;\n  do this")
        assert len(text) <= LONGEST_LINE
        assert text.startswith("begin x")
        assert text.endswith(" end; do this")
    assert len(shortened("x" * 10_000)) < 200
    assert shortened("short\n one") == "short one"


# --- through the command line ---


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that takes no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with files_of_at_most(700):
        line = told(capsys, *backtest(dataset, out))
    assert "it would be larger than files may be here" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("n" * 300, "the name is too long"),
        ("/proc/self/none/out", "/proc/self/none: it does not exist"),
        ("/sys/out", "/sys/"),
        ("deep/" * 1500 + "out", "the name is too long"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_anything_is_played(
    out: str,
    said: str,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in told(capsys, *backtest(dataset, out))
    assert list(tmp_path.iterdir()) == []


INPUTS: dict[str, Callable[[Path], Path]] = {
    "a name too long": lambda folder: folder / ("n" * 300),
    "a circle of links": lambda folder: _circle(folder),
    "below a file": lambda folder: _file(folder) / "data",
    "a file": lambda folder: _file(folder),
    "an empty folder": lambda folder: folder,
}


def _circle(folder: Path) -> Path:
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    return folder / "one"


def _file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file"


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize(
    "words",
    [
        ("backtest", "--strategy", "hold", "--data"),
        ("backtest", "--strategy", "hold", "--config"),
        ("backtest", "--strategy", "ppo", "--model"),
        ("data", "validate"),
        ("data", "inspect"),
        ("data", "build", "--out", "built"),
        ("report",),
        ("compare", "x"),
        ("evaluate", "--data", "x"),
        ("deploy",),
        ("train", "--resume"),
        ("train-pbt", "--resume"),
        ("walk-forward", "--resume"),
        ("tune", "--strategy", "carry", "--data", "x", "--grid"),
        ("stress", "--strategy", "hold", "--data", "x", "--scenarios"),
        ("paper-status", "--state"),
        ("paper-verify", "--state"),
        ("paper-trade", "--config"),
        ("paper-trade", "--strategy", "hold", "--state", "state", "--replay"),
    ],
    ids=" ".join,
)
def test_a_path_that_leads_nowhere_is_told_by_every_command(
    words: tuple[str, ...],
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(tmp_path)
    told(capsys, *words, INPUTS[kind](place))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place"]


@pytest.mark.parametrize("word", ["a\0b", "\udcff", "a" * 5000 + "\0"])
def test_words_that_are_no_text_are_refused(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no text" in told(capsys, "backtest", "--data", word)
    assert "is no text" in told(capsys, word)


@pytest.mark.parametrize("seed", ["-1", "4294967296", "x", "1e3"])
@pytest.mark.parametrize(
    "command", ["audit", "backtest", "evaluate", "stress", "train", "train-pbt", "tune", "walk-forward"]
)
def test_a_seed_that_no_generator_takes_is_refused(command: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'--seed'" in told(capsys, command, "--seed", seed)


@pytest.mark.parametrize("word", ["--from", "--to", "--window"])
def test_long_words_are_not_echoed(word: str, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "backtest", "--strategy", "hold", "--data", dataset, word, "9" * 5000)


def test_memory_that_is_used_up_is_told_and_a_defect_is_not_hidden(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from adapters.research import backtest_run

    def failing(error: Exception) -> Callable[..., Any]:
        def fail(*_: Any) -> Any:
            raise error

        return fail

    monkeypatch.setattr(backtest_run, "load_dataset", failing(MemoryError("Unable to allocate 7.00 TiB for an array")))
    assert "out of memory" in told(capsys, *backtest(dataset, tmp_path / "out"))
    monkeypatch.setattr(backtest_run, "load_dataset", failing(KeyError("a defect")))
    with pytest.raises(KeyError):
        main([str(word) for word in backtest(dataset, tmp_path / "out")])
    assert list(tmp_path.iterdir()) == []


def test_with_v_a_trouble_of_the_machine_has_its_traceback_too(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-v", *(str(word) for word in backtest(dataset, "n" * 300))])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1].endswith("the name is too long")


def run(code: str, **more: Any) -> subprocess.CompletedProcess[str]:
    program = f"from adapters.cli import main; {code}"
    return subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False, **more)


def test_output_that_cannot_be_written_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = run("main(['strategies'])", stdout=full)
    assert (done.returncode, done.stderr) == (2, "error: the disk is full\n")


def test_a_reader_that_has_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run("main(['strategies'])", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_errors_of_workers_are_told_as_those_of_the_process_itself() -> None:
    from adapters.workers.pool import _outcome

    def fail(error: Exception) -> tuple[str, bool]:
        def work(*_: Any) -> None:
            raise error

        kind, (problem, where, is_defect) = _outcome(work, "", None, lambda _: None)
        assert kind == "failed"
        assert "raise error" in where
        return problem, is_defect

    assert fail(OSError(errno.ENOSPC, "", "/runs/x")) == ("/runs/x: the disk is full", False)
    assert fail(UserError("this cannot be met")) == ("this cannot be met", False)
    assert fail(ZeroDivisionError("a defect")) == ("a worker failed: ZeroDivisionError: a defect", True)
    assert fail(CapacityError("too small")) == ("a worker failed: CapacityError: too small", True)
