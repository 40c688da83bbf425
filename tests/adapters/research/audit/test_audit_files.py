"""``arb audit`` sees what a strategy opens, whichever code opens it, and leaves alone who opens nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import plugin_readers
import pytest
from support_datasets import info_of, small_market

from adapters.cli import main
from adapters.datasets.load import load_dataset
from adapters.datasets.write import write_dataset
from adapters.research.audit import file_watch
from adapters.research.audit.file_watch import UNSEEN, FileWatch
from adapters.storage.array_store import cache_root

COIN = "price_history/BTCUSDT.parquet"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "small"
    market = small_market(200)
    write_dataset(market, folder, info_of(market))
    return folder


@pytest.fixture
def data(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of its own, with a cache of its own that has it."""
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))
    shutil.copytree(written, tmp_path / "small")
    load_dataset(tmp_path / "small")
    return tmp_path / "small"


def audit(capsys: pytest.CaptureFixture[str], strategy: str, data: Path) -> tuple[int, list[str]]:
    """Exit code and the lines that were said."""
    words = ["audit", "--strategy", strategy, "--data", str(data), "--cuts", "2", "--hours", "4"]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert isinstance(stopped.value.code, int)
    said = capsys.readouterr()
    return stopped.value.code, (said.out + said.err).splitlines()


def reads(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("ARB_TEST_READS", str(path))


READERS = ("ByPyarrow", "ByMemoryMap", "ByPandas", "ByPython", "ByDescriptor", "InAThread")


@pytest.mark.parametrize("reader", READERS)
def test_a_strategy_that_opens_the_data_set_while_it_decides_does_not_pass(
    reader: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads(monkeypatch, data / COIN)
    code, said = audit(capsys, f"plugin_readers:{reader}", data)
    assert code == 1
    (line,) = [line for line in said if " opened " in line]
    when = "while it decided at 2024-05-0"
    assert line.startswith(f"plugin_readers:{reader} opened {data / COIN} {when}")
    assert "OPENS what no audit can change" in said[-1]


def test_what_is_read_once_for_all_before_the_first_decision_is_seen_too(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads(monkeypatch, data / COIN)
    monkeypatch.setattr(plugin_readers.OnceForAll, "kept", None)
    code, said = audit(capsys, "plugin_readers:OnceForAll", data)
    assert code == 1
    assert f"plugin_readers:OnceForAll opened {data / COIN} before its first decision" in said[0]


def test_what_is_read_at_import_is_seen_too(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (
        "import pyarrow.parquet as pq\nfrom plugin_readers import Reader\n"
        f"KEPT = pq.read_table({str(data / COIN)!r})\nclass Early(Reader):\n    pass\n"
    )
    (tmp_path / "early_reader.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    code, said = audit(capsys, "early_reader:Early", data)
    assert code == 1
    assert f"early_reader:Early opened {data / COIN} before its first decision" in said[0]


def test_the_cache_of_the_data_set_is_watched_as_well(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (prices,) = cache_root().glob("datasets/*/price.npy")
    reads(monkeypatch, prices)
    code, said = audit(capsys, "plugin_readers:ByNumpy", data)
    assert code == 1
    assert f"opened {prices} while it decided at " in said[0]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_another_name_of_the_same_file_is_the_same_file(
    link: object, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    link(data / COIN, tmp_path / "elsewhere.parquet")  # type: ignore[operator]  # parameters are objects
    reads(monkeypatch, tmp_path / "elsewhere.parquet")
    code, said = audit(capsys, "plugin_readers:ByPyarrow", data)
    assert code == 1
    assert " opened " in said[0]
    assert ("BTCUSDT.parquet" in said[0]) or ("elsewhere.parquet" in said[0])


@pytest.mark.parametrize("reader", ["ByPython", "ByPandas", "ByPyarrow"])
def test_a_copy_elsewhere_is_seen_by_name_or_by_its_bytes(
    reader: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(data / COIN, tmp_path / "copy.parquet")
    reads(monkeypatch, tmp_path / "copy.parquet")
    code, said = audit(capsys, f"plugin_readers:{reader}", data)
    assert code == 1
    assert f"opened {tmp_path / 'copy.parquet'} " in said[0] or f"opened {UNSEEN} " in said[0]


def test_another_process_is_no_way_around(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads(monkeypatch, data / COIN)
    code, said = audit(capsys, "plugin_readers:ByAnotherProcess", data)
    assert code == 1
    assert any("opened another process (cat) while it decided at " in line for line in said)


def test_a_file_of_its_own_before_the_first_decision_is_only_noted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "parameters.json").write_text("{}")
    reads(monkeypatch, tmp_path / "parameters.json")
    code, said = audit(capsys, "plugin_readers:OwnFile", data)
    assert code == 0
    assert said[0].startswith(f"note: plugin_readers:OwnFile opened {tmp_path / 'parameters.json'} before its first")
    assert said[-1].endswith("nothing leaks")


def test_writing_is_no_reading(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads(monkeypatch, tmp_path / "diary.txt")
    code, said = audit(capsys, "plugin_readers:Diary", data)
    assert (code, len(said)) == (0, 1)
    assert (tmp_path / "diary.txt").read_text().startswith("decided\n")


@pytest.mark.parametrize("strategy", ["carry", "plugin_cheats:Honest"])
def test_others_may_read_the_data_set_meanwhile(strategy: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = f"while True: open({str(data / COIN)!r}).close()"
    reading = subprocess.Popen([sys.executable, "-c", program])
    try:
        assert audit(capsys, strategy, data)[0] == 0
    finally:
        reading.kill()
        reading.wait()


def test_without_the_kernels_word_the_bytes_are_counted(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unable(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(file_watch, "OpenEvents", unable)
    reads(monkeypatch, data / COIN)
    code, said = audit(capsys, "plugin_readers:ByPyarrow", data)
    assert code == 1
    assert f"plugin_readers:ByPyarrow opened {UNSEEN} while it decided at " in said[0]
    assert any(line.startswith("note: this system does not tell") for line in said)
    assert audit(capsys, "carry", data)[0] == 0


# --- the watch itself ---


def test_a_watch_tells_what_was_opened_under_which_label(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    with FileWatch([tmp_path / "none", tmp_path]) as watch:
        (tmp_path / "a").read_text()
        watch.at("first")
        (tmp_path / "b").read_text()
        watch.pause()
        (tmp_path / "c").read_text()
        watch.at("second")
        (tmp_path / "c").read_text()
        with (tmp_path / "d").open("w") as file:
            file.write("new")
    (tmp_path / "a").read_text()
    seen = [(Path(touch.what).name, touch.label, touch.watched) for touch in watch.touches]
    assert seen == [("b", "first", True), ("c", "second", True), ("d", "second", True)]


def test_nothing_is_seen_where_nothing_is_opened(tmp_path: Path) -> None:
    with FileWatch([tmp_path]) as watch:
        for label in map(str, range(200)):
            watch.at(label)
            np.arange(10).sum()
    assert watch.touches == []


def test_an_error_in_the_watch_never_reaches_who_opens_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("a")
    monkeypatch.setattr(file_watch, "_reads", lambda _: 1 / 0)
    with FileWatch([]) as watch:
        watch.at("now")
        assert (tmp_path / "a").read_text() == "a"


def test_a_thread_is_watched_like_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with FileWatch([tmp_path]) as watch:
        watch.at("now")
        thread = threading.Thread(target=(tmp_path / "a").read_text)
        thread.start()
        thread.join()
    assert [touch.label for touch in watch.touches] == ["now"]
