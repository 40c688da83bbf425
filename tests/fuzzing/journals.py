"""Paper trading states whose files were damaged: said to be damaged, or exactly what they were."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from market_strategies import random_market
from support_datasets import info_of

from adapters.cli import main
from adapters.datasets.write import write_dataset
from adapters.paper.log import LOG_FILE, PaperLog
from adapters.paper.schema import APPEND_ONLY
from adapters.paper.state_folder import DATABASE
from adapters.storage.folder_lock import LOCK
from engine.market.data import MarketData

NAME = "journals"
Rng = np.random.Generator
HOURS, CUT = 40, 25
CONFIG = {
    "strategy": "random", "seed": 5, "min_history_hours": 4,
    "strategies": {"random": {"enter_probability": 0.5, "exit_probability": 0.3}},
}  # fmt: skip
COMMANDS = ("status", "verify", "trade", "export")
PAGE = 4096


@cache
def whole() -> tuple[Path, dict[str, Any]]:
    """A data set, a state that was cut in the middle of it, and what every command says of it."""
    place = Path(mkdtemp(prefix="journals-"))
    market = _market()
    write_dataset(market, place / "data", info_of(market))
    (place / "paper.yaml").write_text(json.dumps(CONFIG))
    _cut_state(place)
    with PaperLog(place / "state", lambda _: None) as log:
        log.tell("hour", "done", hour=int(market.hours[CUT]))
    said = {
        command: _called(command, place, place / "state", place / "out") for command in COMMANDS if command != "trade"
    }
    shutil.copytree(place / "state", place / "played")
    said["trade"] = _called("trade", place, place / "played", place / "none")
    assert {code for code, *_ in said.values()} == {0}, said
    return place, said


def _market() -> MarketData:
    made = random_market(np.random.default_rng(3), 2, 3, HOURS)
    return MarketData(**{
        **made.__dict__, "funding_known_hour": None, "settlement_grace_hours": 0,
        "delisting_hour": np.empty(0, np.int64), "delisting_known_hour": np.empty(0, np.int64),
    })  # fmt: skip


def _cut_state(place: Path) -> None:
    """As a process leaves it that is killed in the middle."""
    from support_paper import cut_replay

    from adapters.datasets.load import load_dataset
    from adapters.paper.replay import open_replay
    from adapters.paper.settings import load_config
    from adapters.paper.setup import prepare_player, session_of
    from adapters.research.markets import window_of

    config, dataset = load_config(place / "paper.yaml"), load_dataset(place / "data")
    hours = window_of(dataset, None, None)
    player = prepare_player("random", config.engine, (), config.paper.seed)
    with open_replay(place / "state", dataset, dataset.market, hours, player, ()) as journal:
        cut_replay(session_of(journal, player, excuse_errors=False), dataset.market, hours, CUT)


def case(rng: Rng, folder: Path) -> str:
    """One damaged state and one command on it."""
    place, right = whole()
    state = folder / "state"
    shutil.copytree(place / "state", state)
    damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
    damage(rng, state)
    command = str(rng.choice(list(COMMANDS), p=[0.35, 0.3, 0.2, 0.15]))
    code, out, said = _called(command, place, state, folder / "out")
    about = (damage.__name__, command, code, out[-300:], said)
    if code == 0:
        assert (out, said) == right[command][1:], about
        return "accepted"
    if command == "verify" and code == 1:
        assert "DIFFERENT" in out, about
        return "refused"
    assert code == 2, about
    assert said.startswith("error: "), about
    assert said.count("\n") == 1, about
    assert len(said) < 700, about
    assert not (folder / "out").exists(), about
    return "refused"


def _called(command: str, place: Path, state: Path, out: Path) -> tuple[int, str, str]:
    """Exit code of a command and what it said, but for names of folders."""
    words = {
        "status": ["paper-status", "--json"],
        "verify": ["paper-verify"],
        "trade": ["paper-trade", "--replay", str(place / "data"), "--config", str(place / "paper.yaml")],
        "export": ["paper-export", "--out", str(out)],
    }[command]
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        code = _code([*words, "--state", str(state)])
    metrics = (out / "metrics.json").read_text() if code == 0 and command == "export" else ""
    text = metrics or said.getvalue().replace(str(state), "STATE")
    return code, text, told.getvalue().replace(str(state), "STATE")


def _code(words: list[str]) -> int:
    try:
        main(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


# --- damages ---


def _flip_bits(rng: Rng, state: Path) -> None:
    content = bytearray((state / DATABASE).read_bytes())
    for _ in range(int(rng.choice([1, 1, 2, 8, 64]))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    (state / DATABASE).write_bytes(content)


def _cut_short(rng: Rng, state: Path) -> None:
    content = (state / DATABASE).read_bytes()
    pages = rng.random() < 0.5
    length = int(rng.integers(len(content) // PAGE + 1)) * PAGE if pages else int(rng.integers(len(content)))
    (state / DATABASE).write_bytes(content[:length])


def _overwrite(rng: Rng, state: Path) -> None:
    content = bytearray((state / DATABASE).read_bytes())
    length = int(rng.choice([1, 16, 512, PAGE, 4 * PAGE]))
    start = int(rng.integers(len(content)))
    filler = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    content[start : start + length] = filler[: len(content) - start]
    (state / DATABASE).write_bytes(content)


def _swap_pages(rng: Rng, state: Path) -> None:
    content = (state / DATABASE).read_bytes()
    pages = [content[i : i + PAGE] for i in range(0, len(content), PAGE)]
    one, two = (int(rng.integers(len(pages))) for _ in range(2))
    pages[one], pages[two] = pages[two], pages[one]
    (state / DATABASE).write_bytes(b"".join(pages))


def _replace_file(rng: Rng, state: Path) -> None:
    junk = (b"", b"\0" * PAGE, b"SQLite format 3\0", b"{}", rng.bytes(20_000), b"mine\n" * 999)
    (state / DATABASE).write_bytes(junk[int(rng.integers(len(junk)))])


def _remove_file(rng: Rng, state: Path) -> None:
    for path in state.glob(f"{DATABASE}*"):
        path.unlink()
    if rng.random() < 0.5:
        (state / DATABASE).mkdir()


def _junk_beside(rng: Rng, state: Path) -> None:
    """A write-ahead log that is none, or a lock of nonsense."""
    name = str(rng.choice([f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", LOCK]))
    (state / name).write_bytes(rng.bytes(int(rng.choice([1, 100, 33_000]))))


def _later_log(rng: Rng, state: Path) -> None:
    line = json.dumps({"kind": "hour", "hour": int(rng.integers(400_000, 600_000))})
    with (state / LOG_FILE).open("ab") as file:
        file.write(line.encode() + b"\n" if rng.random() < 0.7 else rng.bytes(200))


def _alter_rows(rng: Rng, state: Path) -> None:
    """Some values of some rows, behind the back of the guards."""
    database = sqlite3.connect(state / DATABASE)
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    table = str(rng.choice([*APPEND_ONLY, "snapshot"]))
    columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
    column = str(rng.choice(columns))
    value = str(
        rng.choice(["NULL", "0", "-1", "1e300", "''", "'x'", "x'00'", f'"{column}" + 1', f'-"{column}"', "9e18"])
    )
    where = "1"
    keys = database.execute(f'SELECT "{columns[0]}" FROM {table}').fetchall()
    with contextlib.suppress(sqlite3.Error):
        if keys and table != "snapshot":
            key = keys[int(rng.integers(len(keys)))][0]
            where = f'"{columns[0]}" = {key!r}'
        verb = f'UPDATE {table} SET "{column}" = {value}' if rng.random() < 0.75 else f"DELETE FROM {table}"
        database.execute(f"{verb} WHERE {where}")
        database.commit()
    database.close()


DAMAGES: tuple[Callable[[Rng, Path], None], ...] = (
    _flip_bits, _flip_bits, _flip_bits, _cut_short, _overwrite, _overwrite, _swap_pages, _replace_file, _remove_file,
    _junk_beside, _later_log, _alter_rows, _alter_rows, _alter_rows,
)  # fmt: skip
