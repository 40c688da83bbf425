"""A state can be read by who may write nothing there: a service that mounts it read-only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from market_strategies import random_market, random_settings
from support_paper import arb_settings, replay_state

from adapters.paper.journal import DATABASE, Journal, is_started
from engine.windows import Window

READ = """
import json, sys
from pathlib import Path
from adapters.paper.journal import Journal
with Journal.open_for_reading(Path(sys.argv[1])) as journal:
    print(json.dumps([journal.last_hour, journal.rows("SELECT count(*) FROM slots")[0][0]]))
"""
# Root may write anywhere, unless that one right is taken away.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@contextmanager
def nothing_can_be_written(folder: Path) -> Iterator[None]:
    places = [folder, *folder.iterdir()]
    modes = [path.stat().st_mode for path in places]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path, mode in zip(places, modes, strict=True):
            path.chmod(mode)


def read_elsewhere(folder: Path) -> list[int]:
    """Last hour and number of hours, read by a process of its own."""
    done = subprocess.run(
        [*WITHOUT_RIGHTS, sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(
    bool(WITHOUT_RIGHTS) and shutil.which("setpriv") is None, reason="root may write anywhere, and setpriv is not there"
)
def test_a_state_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    """After its writer has closed it, beside one that goes on, and as a kill has left it."""
    rng = np.random.default_rng(3)
    market = random_market(rng, 2, 3, 60)
    settings, state = arb_settings(random_settings(rng)), tmp_path / "state"
    replay_state(state, market, settings, "hold", Window(0, 59), until=20).close()
    with nothing_can_be_written(state):
        with pytest.raises(PermissionError):
            _write_elsewhere(state)
        closed = read_elsewhere(state)
    assert closed[1] == 21
    assert (state / f"{DATABASE}-wal").stat().st_size == 0  # all of it is in the database
    assert is_started(state)  # looking does not take the files of the log away
    with nothing_can_be_written(state):
        assert read_elsewhere(state) == closed
    journal = replay_state(state, market, settings, "hold", Window(0, 59), until=40)
    with nothing_can_be_written(state):
        assert read_elsewhere(state)[1] == 41
    killed = shutil.copytree(state, tmp_path / "killed")
    with nothing_can_be_written(killed):
        assert read_elsewhere(killed)[1] == 41
    # Somebody who reads keeps the log from being written back; the state is closed all the same.
    with Journal.open_for_reading(state):
        journal.close()
        assert (state / f"{DATABASE}-wal").exists()
    with nothing_can_be_written(state):
        assert read_elsewhere(state)[1] == 41


def _write_elsewhere(folder: Path) -> None:
    """The place is as it should be for the test: nobody may write there. Raises ``PermissionError``."""
    words = [*WITHOUT_RIGHTS, sys.executable, "-c", f"open({str(folder / 'file')!r}, 'w')"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "PermissionError" in done.stderr:
        raise PermissionError(folder)
