"""What killed writers left is swept: only ours, only what is old, and only when its writer is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.storage import aside
from adapters.storage.aside import OLD_ENOUGH_SECONDS, OLD_SUFFIX, file_aside, folder_aside, sweep
from adapters.storage.atomic import new_directory, replacing_file

WRITER = """
import sys, time
from pathlib import Path
from adapters.storage.atomic import new_directory, replacing_file
with replacing_file(Path(sys.argv[1]) / "file") as file, new_directory(Path(sys.argv[1]) / "folder") as folder:
    (folder / "part").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


def aged(folder: Path) -> None:
    """As if everything in the folder had been changed long ago."""
    before = time.time() - OLD_ENOUGH_SECONDS - 60
    for path in [*folder.rglob("*"), *folder.iterdir()]:
        os.utime(path, (before, before))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def writer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that is half through a file and a folder, killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        yield process
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_what_a_killed_writer_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    with writer(tmp_path):
        left = names(tmp_path)
        assert len(left) == 2
        aged(tmp_path)
        sweep(tmp_path)
        assert names(tmp_path) == left  # its writer lives
    for path in tmp_path.iterdir():
        os.utime(path)
    sweep(tmp_path)
    assert names(tmp_path) == left  # it is young
    aged(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", [".notes.tmp", ".backup.old.tmp", "data.arb.tmp", ".arb.tmp.txt"])
def test_what_is_not_ours_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    (tmp_path / f"{name}.d").mkdir()
    (tmp_path / ".link.arb.tmp").symlink_to(tmp_path / name)
    aged(tmp_path)
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


def test_a_writer_sweeps_the_folder_it_writes_to_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_swept", set())
    left = tmp_path / ".run.abcdefgh.arb.tmp"
    left.mkdir()
    aged(tmp_path)
    with replacing_file(tmp_path / "one") as file:
        file.write_text("1")
    assert names(tmp_path) == ["one"]
    left.mkdir()
    aged(tmp_path)
    with new_directory(tmp_path / "two"):
        pass
    assert names(tmp_path) == [left.name, "one", "two"]


def test_a_run_that_was_on_its_way_out_when_its_writer_was_killed_comes_back(tmp_path: Path) -> None:
    """Killed between the two renames: the earlier run is the only one there is."""
    old = tmp_path / ".run.abcdefgh.old.arb.tmp"
    (old / "run").mkdir(parents=True)
    (old / "run" / "trades.csv").write_text("dear")
    aged(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == ["run"]
    assert (tmp_path / "run" / "trades.csv").read_text() == "dear"


def test_a_run_that_has_a_successor_does_not_come_back(tmp_path: Path) -> None:
    old = tmp_path / ".run.abcdefgh.old.arb.tmp"
    (old / "run").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "new").write_text("")
    aged(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["new"]


def test_the_longest_name_there_is_can_be_written(tmp_path: Path) -> None:
    long = tmp_path / ("n" * 255)
    with replacing_file(long) as file:
        file.write_text("x")
    assert names(tmp_path) == [long.name]


def test_what_is_aside_goes_away_with_its_writer(tmp_path: Path) -> None:
    with file_aside(tmp_path / "a") as file, folder_aside(tmp_path / "b") as folder:
        assert names(tmp_path) == sorted([file.name, folder.name])
    assert names(tmp_path) == []


@pytest.mark.parametrize("comes", [True, False], ids=["a successor comes", "the disk refuses"])
def test_what_was_moved_away_is_removed_only_when_a_successor_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes: bool
) -> None:
    """Two writers at once: the place is free when it is looked at and taken when what was moved is put back."""
    place = tmp_path / "place"

    def refused(_: Path, target: Path) -> Path:
        assert target == place
        if comes:
            target.mkdir()
        raise OSError(39, "Directory not empty")

    with folder_aside(place, OLD_SUFFIX) as old:
        (old / "place").mkdir()
        (old / "place" / "content").write_text("all there is", encoding="utf-8")
        monkeypatch.setattr(Path, "rename", refused)
    assert old.exists() == (not comes)
    assert place.exists() == comes
