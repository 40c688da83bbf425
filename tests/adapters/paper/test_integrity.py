"""A journal is checked when it is opened: what is damaged, lost or in the way is told; nothing is made up."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback.server import LoopbackServer
from market_strategies import random_market, random_settings
from support_exchanges import world_of
from support_live import trader
from support_paper import arb_settings, dataset_of, replay_state

from adapters.cli import main
from adapters.datasets.write import write_dataset
from adapters.paper.dataset_hours import hours_of
from adapters.paper.entries import Event, HourEntry
from adapters.paper.journal import DATABASE, Journal, _columns_of
from adapters.paper.log import LOG_FILE, PaperLog
from adapters.paper.replay import open_replay
from adapters.paper.service import STOP, TICK, _served
from adapters.paper.setup import prepare_player, session_of
from adapters.paper.state_folder import is_started
from adapters.storage.folder_lock import LOCK
from engine.errors import DataError, UserError
from engine.live_window import FACTS, HourFacts
from engine.windows import Window

HOURS = 60
MARKET = random_market(np.random.default_rng(5), 2, 3, HOURS)
SETTINGS = arb_settings(
    random_settings(np.random.default_rng(5)), random={"enter_probability": 0.5, "exit_probability": 0.3}
)
WINDOW = Window(8, HOURS - 1)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with a past and played hours, in which something was traded."""
    folder = tmp_path_factory.mktemp("played") / "state"
    with replay_state(folder, MARKET, SETTINGS, "random", WINDOW, until=50) as journal:
        assert len(journal.records("ledger")) > 20
        assert len(journal.records("trades")) > 1
    return folder


@pytest.fixture
def state(played: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(played, tmp_path / "state"))


def told(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 2) -> str:
    """What a command that must fail says: one line on stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    captured = capsys.readouterr()
    assert ended.value.code == code, captured
    assert captured.err.count("\n") == (1 if code == 2 else 0), captured.err
    return captured.err or captured.out


def change(state: Path, *statements: str) -> None:
    """Alter a database behind the back of its guards."""
    database = sqlite3.connect(state / DATABASE)
    guards = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in guards:
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert database.execute(statement).rowcount != 0, statement
    database.commit()
    database.close()


ALTERED: dict[str, tuple[str, str]] = {
    "an amount": ("UPDATE ledger SET amount = amount + 0.01 WHERE id = 3", "what its table ledger holds"),
    "the sign of a zero": ("UPDATE ledger SET quantity = -quantity WHERE id = 1", "what its table ledger holds"),
    "a price that was paid": ("UPDATE trades SET long_exit = long_exit * 2 WHERE id = 1", "its table trades"),
    "equity": ("UPDATE equity SET equity = 1e6 WHERE id = 4", "what its table equity holds"),
    "a note": ("DELETE FROM notes WHERE id = (SELECT max(id) FROM notes)", "what its table notes holds"),
    "an order": ("UPDATE decisions SET orders = '[[1, 0]]' WHERE hour % 9 = 1", "what its table decisions holds"),
    "an order that is no JSON": ("UPDATE decisions SET orders = '[['", "what its table decisions holds"),
    "a hash": ("UPDATE decisions SET observation_hash = 'x'", "what its table decisions holds"),
    "an hour": ("DELETE FROM slots WHERE hour = (SELECT min(hour) + 5 FROM slots)", "1 of its hours are missing"),
    "hours": ("DELETE FROM slots WHERE hour % 2", "of its hours are missing"),
    "the last hour": ("DELETE FROM slots WHERE hour = (SELECT max(hour) FROM slots)", "is not of the last hour"),
    "all hours": ("DELETE FROM slots", "is not of the last hour"),
    "the status of an hour": ("UPDATE slots SET status = 'degraded' WHERE hour % 7 = 1", "its table slots"),
    "the snapshot": ("DELETE FROM snapshot", "is not of the last hour"),
    "the hour of the snapshot": ("UPDATE snapshot SET hour = hour - 1", "what the next hour starts from"),
    "the books": ("UPDATE snapshot SET portfolio = zeroblob(length(portfolio))", "what the next hour starts from"),
    "books of another size": ("UPDATE snapshot SET slots = x'00'", "what the next hour starts from"),
    "the state of the legs": ("UPDATE snapshot SET before = x''", "what the next hour starts from"),
    "the report": ("UPDATE snapshot SET report = '{}'", "what the next hour starts from"),
    "a report that is no JSON": ("UPDATE snapshot SET report = '{'", "what the next hour starts from"),
    "the generator": ("UPDATE snapshot SET generator = 'null'", "what the next hour starts from"),
    "the digests": ("UPDATE snapshot SET heads = '{}'", "what the next hour starts from"),
    "digests that are no JSON": ("UPDATE snapshot SET heads = '['", "is damaged (JSONDecodeError"),
    "a fact": ("UPDATE meta SET value = '\"live\"' WHERE name = 'mode'", "what its table meta holds"),
    "the capital": (
        "UPDATE meta SET value = json_set(value, '$.initial_capital_usd', 9e6) WHERE name = 'settings'",
        "what its table meta holds",
    ),
    "a fact that is gone": ("DELETE FROM meta WHERE name = 'strategy'", "is damaged"),
    "a fact that is no JSON": ("UPDATE meta SET value = '{' WHERE name = 'settings'", "is damaged"),
    "all facts": ("DELETE FROM meta", "is damaged"),
    "a leg": ("UPDATE legs SET symbol = 'XUSDT' WHERE leg = 0", "what its table legs holds"),
    "a leg that is gone": ("DELETE FROM legs WHERE leg = 0", "what its table legs holds"),
    "a table": ("DROP TABLE ledger", "no such table: ledger (SQLITE_ERROR)"),
    "a column": ("ALTER TABLE trades DROP COLUMN notional", "is damaged"),
}


@pytest.mark.parametrize("kind", ALTERED)
def test_what_is_not_as_it_was_written_is_told(kind: str, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    statement, said = ALTERED[kind]
    change(state, statement)
    for words in (("paper-status",), ("paper-export", "--out", state.parent / "out")):
        line = told(capsys, *words, "--state", state)
        assert f"{state / DATABASE}: " in line
        assert said in line
        assert "restore a copy of it, or start another --state" in line
    assert not (state.parent / "out").exists()
    with pytest.raises(DataError):
        Journal.open_for_writing(state)
    with pytest.raises(SystemExit) as ended:
        main(["paper-verify", "--state", str(state)])
    captured = capsys.readouterr()
    assert (ended.value.code, captured.err) == (1, "") or (ended.value.code == 2 and captured.err.count("\n") == 1)


def test_observations_are_checked_where_they_are_used(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A year of them is not read at every opening: by who goes on with the state, and by who verifies it."""
    change(state, "UPDATE observations SET price = price * 1.01 WHERE hour = (SELECT max(hour) FROM slots)")
    with pytest.raises(DataError, match="the observations of 2024-03-04T10:00Z were not written so"):
        replay_state(state, MARKET, SETTINGS, "random", WINDOW)
    assert "DIFFERENT" in told(capsys, "paper-verify", "--state", state, code=1)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE slots SET detail = 'nothing happened' WHERE hour % 7 = 1", "what its table slots holds"),
        ("UPDATE events SET text = 'fine'", "what its table events holds"),
    ],
)
def test_verify_looks_at_what_no_replay_gives_too(
    statement: str, said: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Journal.open_for_writing(state) as journal, journal.transaction():
        event = Event("test", "something")
        journal._insert("events", [(None, journal.last_hour, *_columns_of(event))])
        snapshot = journal.snapshot()
        assert snapshot is not None
        journal.store(snapshot)
    change(state, statement)
    assert said in told(capsys, "paper-verify", "--state", state, code=1)


def test_cash_that_was_never_booked_is_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where every digest is right: a defect of ours would write them so."""
    with Journal.open_for_reading(state) as journal:
        moved = journal.records("ledger").copy()
    moved["amount"][2] += 1.0
    change(state, "UPDATE ledger SET amount = amount + 1.0 WHERE id = 3")
    monkeypatch.setattr("adapters.paper.integrity.chained_records", lambda *_: 0)
    monkeypatch.setattr("adapters.paper.journal_reader.JournalReader.heads", lambda _: _Anything())
    monkeypatch.setattr("adapters.paper.journal_reader.snapshot_digest", lambda *_: _Anything())
    with pytest.raises(DataError, match="capital and ledger sum to"):
        Journal.open_for_reading(state)


class _Anything(dict[str, int]):
    """Equal to all."""

    def get(self, *_: Any) -> Any:
        return self

    def __eq__(self, _: object) -> bool:
        return True

    def __ne__(self, _: object) -> bool:
        return False

    __hash__ = None


# --- files ---

BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "zeros": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "no SQLite database"),
    "a text": (
        lambda path: path.write_text("my notes\n" * 1000),
        "it is damaged, or no SQLite database (SQLITE_NOTADB)",
    ),
    "half": (lambda path: _cut(path, 0.5), ""),
    "a page": (lambda path: _cut(path, 4096 / path.stat().st_size), ""),
    "a few bytes": (lambda path: path.write_bytes(path.read_bytes()[:50]), ""),
    "a hole": (lambda path: _overwrite(path, 3 * 4096, bytes(4096)), ""),
    "nonsense in the middle": (lambda path: _overwrite(path, path.stat().st_size // 2, b"\x07" * 9000), ""),
    "another database": (lambda path: _another(path), "is no paper trading state"),
    "a folder": (lambda path: [path.unlink(), path.mkdir()], "it cannot be opened"),
}


def _cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def _overwrite(path: Path, start: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def _another(path: Path) -> None:
    path.unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE recipes (name TEXT)")
    database.commit()
    database.close()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_told_by_every_command_and_never_replaced(
    kind: str, state: Path, dataset: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, said = BROKEN[kind]
    spoil(state / DATABASE)
    before = (state / DATABASE).read_bytes() if (state / DATABASE).is_file() else b""
    replay = ("paper-trade", "--replay", dataset, "--config", config)
    for words in (("paper-status",), ("paper-export", "--out", state.parent / "out"), replay):
        line = told(capsys, *words, "--state", state)
        assert DATABASE in line
        assert said in line
    with pytest.raises(SystemExit) as ended:
        main(["paper-verify", "--state", str(state)])
    assert ended.value.code in (1, 2)
    assert not (state / DATABASE).is_file() or (state / DATABASE).read_bytes() == before


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from support_datasets import info_of, small_market

    folder = tmp_path_factory.mktemp("data") / "tiny"
    write_dataset(small_market(30), folder, info_of(small_market(30)))
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "paper.yaml"
    path.write_text(json.dumps({"strategy": "random", "min_history_hours": 4}))
    return path


def test_a_journal_that_is_gone_from_beside_its_log_is_not_made_anew(
    state: Path, dataset: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / LOG_FILE).write_text('{"kind": "hour", "hour": 3}\n')
    for path in state.glob(f"{DATABASE}*"):
        path.unlink()
    for words in (("paper-status",), ("paper-trade", "--replay", dataset, "--config", config)):
        line = told(capsys, *words, "--state", state)
        assert f"{state / DATABASE}: is missing, but its log is there: restore a copy of it" in line
        assert f"move {state / LOG_FILE} away" in line
    (state / LOG_FILE).unlink()
    assert "holds no paper trading state" in told(capsys, "paper-status", "--state", state)


def remembered(folder: Path) -> Journal:
    """A state that has come as far as its past; no hour was played."""
    player = prepare_player("random", SETTINGS, (), 7)
    journal = open_replay(folder, dataset_of(MARKET), MARKET, WINDOW, player, ())
    session_of(journal, player, excuse_errors=False).remember(list(hours_of(MARKET, 0, WINDOW.first - 1)))
    return journal


def test_a_start_that_was_killed_before_anything_was_written_can_be_made_again(tmp_path: Path) -> None:
    """Only the lock is left, and what was written aside."""
    (tmp_path / LOCK).write_bytes(b"")
    (tmp_path / f".{DATABASE}.abcdefgh.arb.tmp").write_bytes(b"SQLite format 3\0")
    assert not is_started(tmp_path)
    replay_state(tmp_path, MARKET, SETTINGS, "random", WINDOW, until=12).close()
    assert is_started(tmp_path)


def test_what_was_not_written_back_of_an_earlier_database_does_not_come_into_the_new_one(tmp_path: Path) -> None:
    """A killed process leaves its write-ahead log; beside another database it would be read as part of that."""
    journal, wal = remembered(tmp_path), tmp_path / f"{DATABASE}-wal"
    left = wal.read_bytes()
    journal.close()
    (tmp_path / DATABASE).unlink()
    wal.write_bytes(left)
    other = SETTINGS.model_copy(update={"slippage_bps": 7.0})
    with replay_state(tmp_path, MARKET, other, "random", WINDOW, until=20) as journal:
        assert journal.last_hour == int(MARKET.hours[20])


# --- what a start may change ---


def test_a_start_that_played_no_hour_pins_nothing(tmp_path: Path) -> None:
    with remembered(tmp_path) as journal:
        assert journal.last_hour == int(MARKET.hours[WINDOW.first - 1])
        assert not journal.was_played
    other = SETTINGS.model_copy(update={"slippage_bps": 7.0})
    with replay_state(tmp_path, MARKET, other, "random", WINDOW, until=20) as journal:
        assert journal.meta["settings"]["slippage_bps"] == 7.0
    with pytest.raises(UserError, match="it was started with other settings"):
        replay_state(tmp_path, MARKET, SETTINGS, "random", WINDOW)


def test_a_first_start_without_any_exchange_pins_no_settings(tmp_path: Path) -> None:
    from loopback.faults import Rule
    from support_live import live_settings

    from engine.errors import ArbError

    with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as server:
        server.faults.rules.append(Rule("http500"))
        with (
            trader(tmp_path, server, attempts=1) as live,
            pytest.raises(ArbError, match="no exchange gave any history"),
        ):
            live.trading.run()
        server.faults.rules.clear()
        with trader(tmp_path, server, settings=live_settings("slippage_bps=7")) as live:
            assert [hour.status for hour in live.trading.run().hours] == ["ok"]
            assert live.journal.meta["settings"]["slippage_bps"] == 7.0
        with pytest.raises(UserError, match="other settings"), trader(tmp_path, server):
            pass


# --- the log beside it ---


def test_a_log_that_knows_later_hours_than_the_journal_is_told(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal is an older copy, or has lost what was not written back."""
    last = int(MARKET.hours[50])
    with PaperLog(state, lambda _: None) as log:
        log.tell("hour", "done", hour=last)
        log.tell("run", "no hour stands here")
    Journal.open_for_writing(state).close()
    with PaperLog(state, lambda _: None) as log:
        log.tell("hour", "done", hour=last + 2)
    line = told(capsys, "paper-status", "--state", state)
    assert "hours were lost, or it is an older copy" in line
    assert f"move {state / LOG_FILE} away" in line
    (state / LOG_FILE).unlink()
    Journal.open_for_writing(state).close()


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\n", b"[1]\n{\n", b'{"hour": true}\n{"hour": "x"}\n', b"[" * 200_000]
)
def test_a_log_that_says_nothing_is_no_trouble(content: bytes, state: Path) -> None:
    (state / LOG_FILE).write_bytes(content)
    Journal.open_for_writing(state).close()


# --- disks ---


def blank(hour: int) -> HourEntry:
    return HourEntry(HourFacts(hour, np.ones((len(FACTS), 6)), ()), "ok", detail="x" * 20_000)


def test_a_full_disk_says_so_and_nothing_of_the_hour_is_kept(state: Path) -> None:
    with Journal.open_for_writing(state) as journal:
        last, snapshot, ledger = journal.last_hour, journal.snapshot(), len(journal.records("ledger"))
        assert last is not None
        assert snapshot is not None
        (pages,) = journal.rows("PRAGMA page_count")[0]
        journal.rows(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(UserError) as error, journal.transaction():
            journal.add_hour(blank(last + 1))
        assert str(error.value) == f"{state / DATABASE}: the disk is full (SQLITE_FULL)"
        assert (journal.last_hour, journal.snapshot(), len(journal.records("ledger"))) == (last, snapshot, ledger)
        journal.rows("PRAGMA max_page_count = 100000")
        with journal.transaction():
            journal.add_hour(blank(last + 1))
            journal.store(replace(snapshot, hour=last + 1))
    Journal.open_for_writing(state).close()


def test_a_disk_that_lets_no_file_grow_is_never_another_process(
    state: Path, dataset: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        fresh = state.parent / "fresh"
        line = told(capsys, "paper-trade", "--replay", dataset, "--config", config, "--state", fresh)
        assert "in use" not in line
        assert "the disk" in line
        with pytest.raises(UserError, match=r"the disk failed, or a file may not grow \(SQLITE_IOERR"):
            Journal.open_for_writing(state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (fresh / DATABASE).exists()
    Journal.open_for_writing(state).close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB of its own, where we may have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_on_a_full_disk_every_step_says_so(
    small_disk: Path, dataset: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While it plays, when it goes on, and at a first start; what was booked is there once there is room again."""
    state, filler = small_disk / "state", small_disk / "filler"
    trade = ("paper-trade", "--replay", dataset, "--config", config, "--state")
    lines = [told(capsys, *trade, state)]
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))
    lines += [told(capsys, *trade, state), told(capsys, *trade, small_disk / "another")]
    for line in lines:
        assert "the disk is full" in line
        assert "in use" not in line
    filler.unlink()
    with Journal.open_for_reading(state) as journal:
        assert journal.last_hour is not None


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EIO, errno.EOPNOTSUPP])
def test_what_else_keeps_the_lock_from_us_is_not_another_process(
    code: int, state: Path, monkeypatch: pytest.MonkeyPatch, dataset: Path, config: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", flock)
        line = told(capsys, "paper-trade", "--replay", dataset, "--config", config, "--state", state)
    assert str(state / LOCK) in line
    assert "in use" not in line
    Journal.open_for_writing(state).close()


def test_a_log_that_cannot_be_written_is_said_and_ends_nothing(tmp_path: Path) -> None:
    echoed: list[str] = []
    with PaperLog(tmp_path, echoed.append) as log:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            log.tell("hour", "done")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert echoed == ["done", f"{tmp_path / LOG_FILE} cannot be written: it would be larger than files may be here"]


# --- the service ---


class Opened:
    """A service whose opening fails in turn."""

    def __init__(self, troubles: list[Exception | None]) -> None:
        self.troubles = troubles

    def __call__(self) -> Opened:
        trouble = self.troubles.pop(0)
        if trouble is not None:
            raise trouble
        return self

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run_hour(self) -> None:
        """Nothing to do."""


def ticks_of(*ticks: str) -> Any:
    import queue

    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for tick in ticks:
        waiting.put(tick)
    return waiting


def test_what_keeps_a_service_from_opening_again_is_told_and_tried_again() -> None:
    told_: list[str] = []
    full = UserError("paper.sqlite: the disk is full (SQLITE_FULL)")
    with pytest.raises(UserError):
        _served(Opened([full]), ticks_of(TICK), told_.append, None)
    assert _served(Opened([full]), ticks_of(TICK), told_.append, 0.0)
    assert _served(Opened([OSError(28, "No space left on device", "x")]), ticks_of(TICK), told_.append, 0.0)
    assert not _served(Opened([None]), ticks_of(TICK, STOP), told_.append, 0.0)
    with pytest.raises(KeyError):
        _served(Opened([KeyError("a defect")]), ticks_of(TICK), told_.append, 0.0)
    assert told_ == ["error: paper.sqlite: the disk is full (SQLITE_FULL)", "error: x: the disk is full"]


# --- the place ---


@pytest.fixture
def _no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be asked for."""

    def asked(*_: Any, **__: Any) -> None:
        pytest.fail("an exchange was asked")

    monkeypatch.setattr("adapters.exchanges.clients.build_client", asked)


@pytest.mark.usefixtures("_no_exchange")
def test_the_place_of_a_state_is_looked_at_before_any_exchange_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for words in ((), ("--once",), ("--once", "--now", "2025-01-31T23:00:20Z")):
        assert f"{file} is no folder" in told(capsys, "paper-trade", "--state", file, *words)
        assert f"{file} is no folder" in told(capsys, "paper-trade", "--state", file / "deep" / "state", *words)
    (tmp_path / DATABASE).write_bytes(b"")
    assert f"{tmp_path / DATABASE}: is empty" in told(capsys, "paper-trade", "--state", tmp_path)
    assert file.read_text() == "mine"
