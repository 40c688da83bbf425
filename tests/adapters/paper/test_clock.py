"""A clock that the exchanges contradict books nothing; what was missed is booked at most so much at once, and said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import EXCHANGES as ALL
from loopback.world import HOUR_MS
from support_exchanges import PATIENCE, world_of
from support_live import live_settings, trader

from adapters.cli import main
from adapters.exchanges.live import LiveMarket
from adapters.exchanges.settings import exchanges_settings
from adapters.exchanges.their_clocks import Stamp, another_time
from adapters.paper.journal import Journal
from adapters.paper.live import PASSED, Done
from adapters.paper.service import Service, summary
from adapters.paper.setup import prepare_player
from adapters.paper.verify import verify
from engine.errors import UserError

NOON_MS = 480_000 * HOUR_MS + 20_000
TOLERANCE = 300.0
YEARS = 3 * 8766


def ahead(server: LoopbackServer, hours: float) -> Callable[[], int]:
    """A clock that is wrong by so many hours."""
    return lambda: server.world.now_ms + round(hours * HOUR_MS)


# --- who is believed ---


def stamps(*minutes: float, ours_ms: int = NOON_MS) -> list[Stamp]:
    """Stamps that are so many minutes off our clock."""
    return [Stamp(f"e{i}", ours_ms + round(60_000 * off), ours_ms) for i, off in enumerate(minutes)]


@pytest.mark.parametrize(
    ("minutes", "agreed"),
    [
        ((), 0),
        ((0,), 0),
        ((-60,), 1),
        ((300,), 1),
        ((-60, -60), 2),
        ((-60, -61, -60.5), 3),
        ((-60, 0), 0),
        ((-60, -60, 0), 2),
        ((-60, -60, 0, 0), 0),
        ((-60, -60, -60, 0), 3),
        ((-60, -60, -60, 0, 0), 3),
        ((-60, 180, 400), 0),
        ((-60, 180), 0),
        ((-4,), 0),
        ((-4, -4), 0),
        ((20, 20), 0),
        ((59, 59), 0),
        ((60, 60), 2),
        ((3 * 525_600, 3 * 525_600 + 1), 2),
        ((-3 * 525_600, -3 * 525_600), 2),
    ],
)
def test_exchanges_are_believed_when_they_agree_on_another_hour(minutes: tuple[float, ...], agreed: int) -> None:
    """A few minutes are a stale answer, on either side of a whole hour; two that disagree say nothing."""
    assert len(another_time(stamps(*minutes), TOLERANCE)) == agreed


@given(
    st.integers(-(10**6), 10**6), st.integers(1, 8), st.lists(st.integers(-200, 200), max_size=8), st.integers(0, 10**7)
)
def test_a_clock_is_refused_exactly_when_it_is_wrong(hours: int, count: int, jitter: list[int], since: int) -> None:
    """All exchanges say one time, each a little off it."""
    ours = 10**10 * 400 + since
    offsets = [60 * hours + (jitter[i] if i < len(jitter) else 0) / 60 for i in range(count)]
    assert bool(another_time(stamps(*offsets, ours_ms=ours), 900.0)) == (hours != 0)


def test_every_exchange_tells_its_time(server: LoopbackServer) -> None:
    """In its bulk answers, or in an order book where those have no stamp."""
    settings = exchanges_settings({"exchanges": server.exchanges(*ALL), "collection": PATIENCE}, origin="test")
    with LiveMarket(settings, clock=ahead(server, 5)) as live:
        found = {one.exchange: one.ahead_ms for one in live.clocks(["BTCUSDT", "ETHUSDT"])}
        assert found == dict.fromkeys(ALL, -5 * HOUR_MS)
        assert {one.exchange for one in live.clocks(["BTCUSDT"], silent={"okx", "gate"})} == set(ALL) - {"okx", "gate"}
        assert live.clocks(["XYZUSDT"]) == []
        server.faults.rules.append(Rule("http500"))
        assert live.clocks(["BTCUSDT"]) == []


# --- nothing is booked ---


@pytest.mark.parametrize("hours", [5, 1, -1, -5, -100, YEARS, -YEARS])
def test_a_first_start_by_a_wrong_clock_is_refused(hours: float, server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server, clock=ahead(server, hours)) as live:
        with pytest.raises(
            UserError, match=r"our clock says \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, but by bybit and"
        ) as told:
            live.trading.run()
        assert live.journal.rows("SELECT count(*) FROM slots") == [(0,)]
    assert "nothing was booked" in str(told.value)
    with trader(tmp_path, server) as live:
        assert [hour.status for hour in live.trading.run().hours] == ["ok"]


@pytest.mark.parametrize("hours", [1, 5, 30, YEARS])
def test_a_clock_that_runs_ahead_of_the_exchanges_closes_no_position(
    hours: float, server: LoopbackServer, tmp_path: Path
) -> None:
    with trader(tmp_path, server) as live:
        while not live.hour().hours[-1].report["positions"]:
            pass
        last, held = live.session.hour, live.journal.records("equity")["open_positions"][-1]
        assert held
    with trader(tmp_path, server, clock=ahead(server, hours)) as live:
        with pytest.raises(UserError, match="our clock says"):
            live.trading.run()
        assert live.journal.last_hour == last
    with trader(tmp_path, server) as live:
        hour = live.hour(2)
        assert [one.status for one in hour.hours] == ["missed", "ok"]
        assert verify(live.journal, prepare_player("random", live_settings(), (), 3)).difference is None


def test_one_exchange_with_a_stale_answer_is_not_believed_alone(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server) as live:
        live.hour()
        server.faults.rules.append(Rule("stale", "bybit"))
        assert live.hour().hours[-1].status == "degraded"
        assert [hour.status for hour in live.hour(4).hours] == ["missed"] * 3 + ["degraded"]


def test_a_stale_kind_of_answer_at_all_exchanges_is_no_clock(server: LoopbackServer, tmp_path: Path) -> None:
    """Rates an hour old from everywhere: the newest answers say otherwise, the hour is degraded and not refused."""
    with trader(tmp_path, server, exchanges=("bybit", "okx")) as live:
        live.hour()
        server.faults.rules += [Rule("stale", name, "rates") for name in ("bybit", "okx")]
        assert live.hour().hours[-1].decision.strategy == "random"


def test_a_state_ahead_of_the_clock_says_both_times(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server) as live:
        done = live.hour()
        with pytest.raises(UserError) as told:
            live.hour(-3)
    now = datetime.fromtimestamp(server.world.now_ms / 1000, UTC)
    came_to = datetime.fromtimestamp(done.hour * 3600, UTC)
    assert f"the state has come to {came_to:%Y-%m-%dT%H:%MZ}, later than now ({now:%Y-%m-%dT%H:%M:%SZ})" in str(
        told.value
    )


# --- what is caught up at once ---


def test_what_was_missed_is_booked_in_parts_and_said(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server, max_catch_up_hours=5) as live:
        live.hour()
        first = live.hour(13)
        assert [hour.status for hour in first.hours] == ["missed"] * 5
        assert first.left == 8
        assert "5 missed hours are booked, up to " in summary(first)
        assert summary(first).endswith("; 8 are left, run again")
        second = live.trading.run()
        assert [hour.status for hour in second.hours] == ["missed"] * 5
        last = live.trading.run()
        assert [(hour.status, hour.decision.no_decision) for hour in last.hours] == [("missed", PASSED)] * 2 + [
            ("ok", None)
        ]
        assert last.left == 0
        assert verify(live.journal, prepare_player("random", live_settings(), (), 3)).difference is None
        assert [hour.status for hour in live.hour(6).hours] == ["missed"] * 5 + ["ok"]


def test_in_parts_the_books_are_those_of_one_go(tmp_path: Path) -> None:
    equity = []
    for name, most in (("whole", 168), ("parts", 3)):
        with (
            LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as same,
            trader(tmp_path / name, same, max_catch_up_hours=most) as live,
        ):
            for _ in range(3):
                live.hour()
            done = live.hour(10)
            while done.left:
                done = live.trading.run()
            equity.append(live.journal.records("equity")["equity"].tolist())
    assert equity[0] == equity[1]


class FakeTrading:
    """Is behind so many runs."""

    def __init__(self, behind: int) -> None:
        self.behind = behind

    def run(self) -> Done:
        self.behind -= 1
        return Done(480_000, (), max(0, self.behind))


class FakeLog:
    """Keeps lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, _: str, text: str, **__: Any) -> None:
        self.lines.append(text)


@pytest.mark.parametrize(("at_once", "runs"), [(True, 1), (False, 4)])
def test_the_service_goes_on_until_it_has_come_to_now(at_once: bool, runs: int) -> None:
    log = FakeLog()
    Service(FakeTrading(4), log).run_hour(at_once=at_once)  # type: ignore[arg-type]  # a double
    assert len(log.lines) == runs


# --- through the command line ---


def test_the_command_refuses_a_wrong_clock_and_says_what_is_left(
    server: LoopbackServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {
        "strategy": "hold", "symbols": ["BTCUSDT", "ETHUSDT"], "collection": PATIENCE, "max_catch_up_hours": 3,
        "exchanges": server.exchanges("bybit", "hyperliquid"),
    }  # fmt: skip
    (tmp_path / "paper.yaml").write_text(yaml.safe_dump(config))

    def trade(hours: int) -> tuple[int, str]:
        now = datetime.fromtimestamp(server.world.now_ms / 1000, UTC) + timedelta(hours=hours)
        words = ["--config", tmp_path / "paper.yaml", "--state", tmp_path / "state", "--once", "--now", now.isoformat()]
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["paper-trade", *(str(word) for word in words)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out if not ended.value.code else said.err

    code, said = trade(5)
    assert (code, said.count("\n")) == (2, 1)
    assert "our clock says 2025-01-11T05:00:20Z, but by bybit and hyperliquid it is 2025-01-11T00:00:20Z" in said
    assert trade(0)[0] == 0
    server.world.now_ms += 8 * HOUR_MS
    assert trade(3)[0] == 2
    code, said = trade(0)
    assert (code, said) == (
        0,
        "2025-01-11T08:00Z: 3 missed hours are booked, up to 2025-01-11T03:00Z; 5 are left, run again\n",
    )
    with Journal.open_for_reading(tmp_path / "state") as journal:
        assert len(journal.decisions()) == 4
