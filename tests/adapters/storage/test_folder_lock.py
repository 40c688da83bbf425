"""One process at a time in a folder; who is refused learns by whom, and a killed process holds nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.storage.causes import cause
from adapters.storage.folder_lock import LOCK, FolderLock
from engine.errors import DataError, UserError

HOLDER = """
import sys
from pathlib import Path
from adapters.storage.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the folder until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as told:
        FolderLock(folder)
    return str(told.value)


@pytest.mark.trap(26)
def test_a_folder_that_is_held_names_its_process(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        expected = f"{tmp_path} is in use by another process (process {process.pid}); wait for it or stop it"
        assert [refusal(tmp_path) for _ in range(3)] == [expected] * 3
        with pytest.raises(UserError, match=r"by another `arb x` \(process \d+\); wait for it, stop it, or leave it$"):
            FolderLock(tmp_path, by="another `arb x`", instead=", or leave it")
    with FolderLock(tmp_path):
        assert f"(process {os.getpid()})" in refusal(tmp_path)
    assert (tmp_path / LOCK).read_bytes() == b""


@pytest.mark.trap(26)
def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = (tmp_path / LOCK).read_text()
        assert left.startswith(f"process {process.pid} ")
        with FolderLock(tmp_path):
            assert f"(process {os.getpid()})" in refusal(tmp_path)


def test_a_process_of_another_machine_is_told_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(platform, "node", lambda: "another")
        lock = FolderLock(tmp_path)
    with lock:
        assert f"(process {os.getpid()} on another);" in refusal(tmp_path)


def test_closing_twice_does_not_free_a_lock_of_somebody_else(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.close()
    with FolderLock(tmp_path):
        lock.close()
        assert "in use" in refusal(tmp_path)


def test_who_says_nothing_is_another_process_all_the_same(tmp_path: Path) -> None:
    """Between taking the lock and writing into it."""
    with (tmp_path / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert refusal(tmp_path) == f"{tmp_path} is in use by another process; wait for it or stop it"


@pytest.mark.parametrize("content", [b"mine\n", b"SQLite format 3\0" + bytes(5000), b"\xff\xfe"])
def test_a_file_that_is_no_lock_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK).write_bytes(content)
    with pytest.raises(DataError, match=rf"{LOCK}: is no lock of arb's; move it away"):
        FolderLock(tmp_path)
    assert (tmp_path / LOCK).read_bytes() == content


def test_a_disk_without_locks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="No locks") as told:
        FolderLock(tmp_path)
    assert cause(told.value) == f"{tmp_path / LOCK}: files cannot be locked on this disk"
