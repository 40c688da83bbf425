"""``arb scan`` as a person types it: the table, JSON, repetition, and mistakes in one line."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_cli import arb
from support_exchanges import world_of
from support_live import write_config

from adapters.scan import scan as scanning
from adapters.scan.answer import scan_of
from adapters.scan.of_state import state_scene
from adapters.scan.rows import Choice
from adapters.scan.scan import Where, open_scan, repeated
from adapters.scan.scene import Scene, Source
from adapters.scan.table import lines_of

pytestmark = pytest.mark.usefixtures("cache_folder")

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"
REPLAY = ("scan", "--replay", SAMPLE, "--at", "2025-07-16T08:00Z")


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert arb(*words) == 0
    return capsys.readouterr().out


def test_the_table_fits_and_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, *REPLAY, "--now", "2025-07-16T10:30:00Z").splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "SYNTHETIC: no exchange ever paid these rates"
    assert lines[1].startswith("data set sample (SYNTHETIC: made by ")
    assert lines[2] == "hour 2025-07-16T08:00Z, seen 2025-07-16T08:00:00Z, 2.5 h old"
    assert lines[3] == "20 of 20 coins, the best pair of each, by apr"
    at = lines.index("")
    assert " ".join(lines[at + 1].split()) == "coin long short 8 h day APR 24 h 168 h cost paid back"
    assert lines[at + 2].split() == ["bps", "bps", "%", "bps/day", "bps/day", "bps", "after", "h"]
    assert len(lines[at + 3 :]) == 2 * 20
    assert "offered" in lines[at + 4]
    assert any(line.endswith("65 h old, stale leg") for line in lines)


def test_json_is_one_object_with_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, *REPLAY, "--json", "--now", "2025-07-16T10:30:00Z", "--sort", "payback", "--top", 3)
    assert text.count("\n") == 1
    found = json.loads(text)
    assert set(found) == {"source", "time", "seen", "age_hours", "sort", "coins", "events", "rows"}
    assert (found["time"], found["age_hours"]) == ("2025-07-16T08:00:00Z", 2.5)
    assert found["source"]["synthetic"] is True
    assert len(found["rows"]) == 3
    row = found["rows"][0]
    assert row["long"]["next_settlement"].endswith("Z")
    assert row["payback_hours"] == 24 * row["round_trip_bps"] / row["net_day_bps"]
    table = told(capsys, *REPLAY, "--sort", "payback", "--top", 3)
    assert f"{row['apr_pct']:.1f}" in table
    assert f"{row['payback_hours']:.1f}" in table


def test_nothing_left_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, *REPLAY, "--min-apr", 1e6).splitlines()[-1] == "no pair is left by what was asked for"


def test_names_may_be_repeated_or_stand_behind_commas(capsys: pytest.CaptureFixture[str]) -> None:
    several = told(
        capsys, *REPLAY, "--json", "--symbol", "btc,eth", "--exchange", "bybit,hl", "--now", "2026-01-01T00:00Z"
    )
    options = ("--symbol", "btc", "--symbol", "eth", "--exchange", "bybit", "--exchange", "hyperliquid")
    assert told(capsys, *REPLAY, "--json", *options, "--now", "2026-01-01T00:00Z") == several
    rows = json.loads(several)["rows"]
    assert {row["symbol"] for row in rows} == {"BTCUSDT", "ETHUSDT"}
    assert {frozenset((row["long"]["exchange"], row["short"]["exchange"])) for row in rows} == {
        frozenset(("bybit", "hyperliquid"))
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*REPLAY, "--sort", "aprr"), "cannot sort by 'aprr'; did you mean 'apr'?"),
        ((*REPLAY, "--top", 0), "--top"),
        ((*REPLAY, "--exchange", "bybit"), "a pair has legs on two exchanges"),
        ((*REPLAY, "--symbol", "NOSUCHUSDT"), "coin 'NOSUCHUSDT' is not looked at here"),
        (("scan", "--replay", SAMPLE), "say which hour of the data set to look at"),
        (("scan", "--replay", SAMPLE, "--at", "2025-01-01T00:00Z"), "is outside the data (2025-06-01T00:00Z to"),
        (("scan", "--replay", SAMPLE, "--at", "2025-07-16T08:30Z"), "is not a whole hour"),
        (("scan", "--replay", "no/such", "--at", "2025-07-16T08:00Z"), "no/such: is not a folder"),
        ((*REPLAY, "--watch", 5), "an hour of a data set stays as it is"),
        (("scan", "--state", "no/such", "--watch", "nan"), "--watch needs a number of seconds"),
        (("scan", "--state", "no/such", "--watch", "1e300"), "--watch"),
        ((*REPLAY, "--min-apr", "nan"), "the least APR is no number"),
        (("scan", "--state", "no/such"), "no/such holds no paper trading state"),
        ((*REPLAY, "--state", "no/such"), "give --replay or --state, not both"),
        (("scan", "--state", "no/such", "--set", "slippage_bps=3"), "leave out --config and --set"),
        (("scan", "--at", "2025-07-16T08:00Z"), "--at names an hour of a data set or a state"),
        (("scan", "--state", "no/such", "--at", "2025-07-16T08:00Z"), "holds no paper trading state"),
        (("scan", "--config", "empty.yaml"), "'exchanges' names no exchange"),
        (("scan", "--config", "missing.yaml"), "missing.yaml"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.yaml").write_text("top: 3\n")
    assert arb(*words) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.count("\n") == 1
    assert message in found.err


def test_it_is_shown_again_and_again_until_somebody_stops_it() -> None:
    shown, waited = [], []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    try:
        repeated(lambda: shown.append(1), 5.0, wait)
    except KeyboardInterrupt:  # it would end the tests
        pytest.fail("Ctrl-C while it waits ends it")
    assert (len(shown), waited) == (3, [5.0] * 3)
    repeated(lambda: shown.append(1), None, wait)
    assert (len(shown), len(waited)) == (4, 3)


def test_who_stops_a_single_look_has_it_told() -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repeated(stopped, None)


@pytest.fixture
def server() -> Any:
    with LoopbackServer(world_of(10, coins=("BTC", "ETH", "SOL"))) as running:
        yield running


@pytest.fixture
def place(server: LoopbackServer, tmp_path: Path) -> Path:
    write_config(tmp_path, server, {"enter_probability": 1.0, "exit_probability": 0.0})
    return tmp_path


def now(server: LoopbackServer, seconds: int = 0) -> str:
    return datetime.fromtimestamp(server.world.now_ms / 1000 + seconds, UTC).isoformat()


def test_live_and_the_journal_of_the_same_hour_agree(
    place: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, state, aside = place / "paper.yaml", place / "state", place / "aside"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))
    assert arb("paper-trade", "--once", "--config", config, "--state", state, "--now", now(server)) == 0
    capsys.readouterr()
    live = json.loads(told(capsys, "scan", "--config", config, "--json", "--now", now(server), "--sort", "coin"))
    asked = sum(server.requests.values())
    kept = json.loads(told(capsys, "scan", "--state", state, "--json", "--now", now(server, 3600), "--sort", "coin"))
    assert sum(server.requests.values()) == asked
    assert live["source"] == {"kind": "live", "name": "live", "of": "bybit, hyperliquid", "synthetic": False}
    assert kept["source"] == {
        "kind": "paper state", "name": str(state), "of": "live: bybit, hyperliquid", "synthetic": False,
    }  # fmt: skip
    assert (live["time"], live["seen"], live["age_hours"]) == (kept["time"], kept["seen"], 0.0)
    assert kept["age_hours"] == 1.0
    assert {row["why_not"] for row in kept["rows"]} == {"already_held"}
    assert {row["why_not"] for row in live["rows"]} == {None}
    for row in live["rows"]:
        same = next(each for each in kept["rows"] if each["symbol"] == row["symbol"])
        assert {**same, "offered": True, "why_not": None} == row
    assert list(aside.iterdir()) == []


def test_a_coin_of_its_own_needs_no_configuration_for_it(
    place: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("scan", "--config", place / "paper.yaml", "--json", "--now", now(server), "--symbol", "SOL")
    assert [row["symbol"] for row in json.loads(told(capsys, *words))["rows"]] == ["SOLUSDT"]


def test_watching_looks_anew_each_time(
    place: Path, server: LoopbackServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, config = place / "state", place / "paper.yaml"

    def hour(*_: object) -> None:
        server.world.now_ms += HOUR_MS
        assert arb("paper-trade", "--once", "--config", config, "--state", state, "--now", now(server)) == 0

    hour()
    capsys.readouterr()
    waits = iter([hour, hour, stop])
    monkeypatch.setattr(scanning, "repeated", waiting(scanning.repeated, lambda seconds: next(waits)(seconds)))
    lines = told(capsys, "scan", "--state", state, "--json", "--watch", 60).splitlines()
    times = [json.loads(line)["time"] for line in lines if line.startswith("{")]
    assert len(times) == len(set(times)) == 3


def stop(_: float) -> None:
    raise KeyboardInterrupt


def waiting(inner: Callable[..., None], wait: Callable[[float], None]) -> Callable[[Any, Any], None]:
    return lambda show, seconds: inner(show, seconds, wait)


def test_events_are_told_in_the_head_the_first_ones(place: Path, server: LoopbackServer) -> None:
    config, state = place / "paper.yaml", place / "state"
    assert arb("paper-trade", "--once", "--config", config, "--state", state, "--now", now(server)) == 0
    scene = state_scene(state)
    source = Source("live", "live", "bybit", synthetic=False)
    troubled = Scene(source, scene.builder, scene.seen, events=("one", "two", "x" * 200, "four", "five"))
    lines = lines_of(scan_of(troubled, Choice(), scene.seen))
    assert max(map(len, lines)) <= 100
    assert lines[0] == "live (bybit)"
    assert lines[1].endswith(" 0 s old")
    assert [line for line in lines if line.startswith("! ")] == [
        "! one",
        "! two",
        f"! {'x' * 95}...",
        "! ... and 2 more",
    ]


def test_the_same_functions_serve_somebody_else() -> None:
    with open_scan(Where(replay=SAMPLE, at=datetime(2025, 7, 16, 8, tzinfo=UTC)), Choice(top=1)) as scan:
        assert scan().rows == scan().rows
