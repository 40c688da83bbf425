"""Files and folders appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.storage.atomic import new_directory, replacing_file
from engine.errors import UserError


def write_half(path: Path) -> None:
    with replacing_file(path) as aside:
        aside.write_text("half")
        raise RuntimeError


def test_a_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with replacing_file(path) as aside:
        aside.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(RuntimeError):
        write_half(path)
    assert path.read_text() == "one"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def fill_half(path: Path) -> None:
    with new_directory(path) as aside:
        (aside / "a").write_text("half")
        raise RuntimeError


def test_a_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    with pytest.raises(RuntimeError):
        fill_half(path)
    assert list(path.parent.iterdir()) == []
    with new_directory(path) as aside:
        (aside / "a").write_text("one")
    assert (path / "a").read_text() == "one"
    with pytest.raises(UserError, match="exists already"), new_directory(path):
        pytest.fail("an existing folder must be refused before any work")


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").write_text("")
    with new_directory(path, instead_of=lambda _: None) as aside:
        (aside / "new").write_text("")
        assert (path / "old").exists()
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with new_directory(path) as aside:
        (aside / "new").write_text("")
    assert (path / "new").exists()


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with replacing_file(tmp_path / "file") as aside:
            aside.write_text("")
        with new_directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755
