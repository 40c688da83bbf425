"""Live hours through the gate: nothing absurd that an exchange answers reaches the books, and the others go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loopback.absurd import Absurd
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_absurd import HOLD, beside, edited, spoilt
from support_exchanges import world_of
from support_live import EXCHANGES, Trader, live_settings, trader

from adapters.exchanges import collector
from adapters.paper.journal import Journal
from adapters.paper.setup import prepare_player
from adapters.paper.status import status_of
from adapters.paper.verify import verify
from engine.windows import time_of


@contextmanager
def holding(folder: Path, server: LoopbackServer, **collection: Any) -> Iterator[Trader]:
    with trader(folder, server, strategy=HOLD, settings=live_settings(strategies={}), **collection) as live:
        yield live


def assert_verified(journal: Journal, strategy: str = HOLD) -> None:
    player = prepare_player(strategy, live_settings(strategies={} if strategy == HOLD else None), (), 3)
    assert verify(journal, player).difference is None


def refused(journal: Journal) -> list[tuple[str, str, str]]:
    """(symbol, exchange, field) of every refusal, once each, sorted."""
    rows = journal.rows(
        "SELECT DISTINCT symbol, exchange, field FROM events JOIN legs USING (leg) WHERE field IS NOT NULL "
        "ORDER BY 1, 2, 3"
    )
    return [(symbol, exchange, field) for symbol, exchange, field in rows]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state after a first start and an hour more; a test goes on with a copy of it."""
    folder = tmp_path_factory.mktemp("begun") / "state"
    with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as server, holding(folder, server) as live:
        live.trading.run()
        live.hour()
    return folder


def played(begun: Path, folder: Path, rule: Rule | None, *, outage: int = 0) -> tuple[float, Journal, list[str]]:
    """Equity after ten hours, five of them disturbed by a rule; the journal, and the statuses of the hours."""
    shutil.copytree(begun, folder)
    world = world_of(10, coins=("BTC", "ETH"))
    world.now_ms += HOUR_MS
    with LoopbackServer(world) as server, holding(folder, server) as live:
        server.faults.rules += [rule] if rule else []
        hours = live.hour(outage).hours if outage else tuple(live.hour().hours[-1] for _ in range(5))
        server.faults.rules.clear()
        hours = (*hours, *(live.hour().hours[-1] for _ in range(3)))
        assert_verified(live.journal)
        assert live.journal.rows("SELECT count(*) FROM trades") == [(0,)]
        return hours[-1].report["equity_usd"], live.journal, [hour.status for hour in hours]


NAN = float("nan")
K1 = {
    "a mark price of 1e9 over settlements": (spoilt("bybit", "tickers", "mark", lambda _: 1e9), 0, "mark_price"),
    "a mark price of nothing": (spoilt("hyperliquid", "rates", "mark", lambda _: 0.0), 0, "mark_price"),
    "a mark price of twice the price": (spoilt("bybit", "tickers", "mark", lambda v: 2 * v), 0, "mark_price"),
    "a settled rate of 3.0": (spoilt("hyperliquid", "funding", "rate", lambda _: 3.0), 0, "funding_rate"),
    "a settled rate of 0.6 %": (spoilt("hyperliquid", "funding", "rate", lambda _: 0.006), 0, "funding_rate"),
    "a settled rate of NaN": (spoilt("hyperliquid", "funding", "rate", lambda _: NAN), 0, "funding_rate"),
    "candles x100 after an outage": (spoilt("bybit", "candles", "candle", lambda v: 100 * v), 6, "price"),
    "candles x100 of another exchange": (spoilt("hyperliquid", "candles", "candle", lambda v: 100 * v), 6, "price"),
    "an interval of 480": (spoilt("bybit", "tickers", "interval", lambda _: 480.0), 0, "funding_interval_hours"),
}


@pytest.fixture(scope="module")
def right(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """Equity of the same hours undisturbed, by the length of the outage in them."""
    folder = tmp_path_factory.mktemp("right")
    outages = {outage for _, outage, _ in K1.values()}
    return {outage: played(begun, folder / str(outage), None, outage=outage)[0] for outage in outages}


@pytest.mark.parametrize("what", sorted(K1))
def test_what_one_exchange_answers_absurdly_costs_nothing(
    begun: Path, right: dict[int, float], tmp_path: Path, what: str
) -> None:
    rule, outage, field = K1[what]
    equity, _, statuses = played(begun, tmp_path / "spoilt", rule, outage=outage)
    assert equity == pytest.approx(right[outage], abs=0.01)
    assert ("missed" if outage else "degraded") in statuses
    assert statuses[-2:] == ["ok", "ok"]
    with Journal.open_for_reading(tmp_path / "spoilt") as journal:
        told = refused(journal)
        assert ("BTCUSDT", rule.exchange, field) in told
        assert {exchange for _, exchange, _ in told} == {rule.exchange}
        if not outage:
            assert {each for _, _, each in told} == {field}


def test_settlements_of_a_leg_go_on_being_asked_for_whatever_interval_is_stated(
    server: LoopbackServer, tmp_path: Path
) -> None:
    with holding(tmp_path, server) as live:
        live.trading.run()
        for value in (480.0, 24.0):
            server.faults.rules[:] = [spoilt("bybit", "tickers", "interval", lambda _, value=value: value)]
            asked = server.requests["bybit", "funding"]
            for _ in range(9):
                live.hour()
            assert server.requests["bybit", "funding"] > asked
        leg = next(leg for leg, name in enumerate(live.journal.legs) if name[1] == "bybit")
        first = live.journal.rows("SELECT min(hour) FROM decisions")[0][0]
        booked = live.journal.rows("SELECT hour, rate FROM settlements WHERE leg = ? AND hour > ?", leg, first)
        world = server.world.legs["bybit", "BTC"]
        due = [hour for hour in range(first + 1, server.world.now_ms // HOUR_MS + 1) if world.settles(hour)]
        assert booked == [(hour, world.rate(hour)) for hour in due]


def test_a_refused_rate_is_told_of_once_and_taken_when_it_is_corrected(server: LoopbackServer, tmp_path: Path) -> None:
    with holding(tmp_path, server) as live:
        live.trading.run()
        server.faults.rules[:] = [spoilt("bybit", "funding", "rate", lambda _: 3.0, "BTC")]
        for _ in range(9):
            live.hour()
        rows = live.journal.rows("SELECT hour, of_hour, value FROM events WHERE field = 'funding_rate'")
        assert len({of_hour for _, of_hour, _ in rows}) == len(rows) >= 1
        assert {value for _, _, value in rows} == {3.0}
        missing = {of_hour for _, of_hour, _ in rows}
        server.faults.rules.clear()
        live.hour()
        corrected = dict(live.journal.rows("SELECT hour, rate FROM settlements JOIN legs USING (leg) WHERE "
                                           "exchange = 'bybit' AND symbol = 'BTCUSDT'"))  # fmt: skip
        world = server.world.legs["bybit", "BTC"]
        assert {hour: corrected[hour] for hour in missing} == {hour: world.rate(hour) for hour in missing}
        assert_verified(live.journal)


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """The same hours with the same absurd answers, in one go and opened anew for each hour."""
    states = []
    for name, reopens in (("one", False), ("many", True)):
        with LoopbackServer(world_of(10, coins=("BTC", "ETH"))) as server:
            server.faults.random = Absurd(11, 0.2, from_hour=server.world.now_ms // HOUR_MS)
            for _ in range(20 if reopens else 1):
                with trader(tmp_path / name, server, attempts=1) as live:
                    for _ in range(1 if reopens else 20):
                        live.hour()
        with Journal.open_for_reading(tmp_path / name) as journal:
            tables = ("observations", "settlements", "decisions", "ledger", "equity")
            states.append([journal.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables])
            states[-1].append(journal.rows("SELECT hour, kind, leg, field, of_hour, value FROM events ORDER BY id"))
            assert len(refused(journal)) > 5
    assert states[0] == states[1]


def test_a_whole_exchange_that_moves_away_is_not_believed(server: LoopbackServer, tmp_path: Path) -> None:
    """All of its bids and asks 10 % up: each alone would be believed."""
    with holding(tmp_path, server) as live:
        before = live.hour().hours[-1].report["equity_usd"]
        up = edited("tickers", ("bid", "ask", "last"), lambda value: 1.1 * value)
        server.faults.rules.append(Rule(up, "okx", "tickers"))
        hour = live.hour().hours[-1]
        assert hour.status == "degraded"
        assert hour.decision.no_decision is None
        rows = live.journal.rows("SELECT leg FROM observations WHERE hour = ? AND price IS NOT NULL", hour.hour)
        assert {live.journal.legs[leg][1] for (leg,) in rows} == {"bybit", "hyperliquid"}
        limits = {event.refusal.limit for event in hour.events if event.refusal and event.refusal.field == "price"}
        assert limits == {"nearly all values of the exchange moved more than 2 % off the others"}
        assert hour.report["equity_usd"] == pytest.approx(before, rel=1e-3)


def test_an_interval_that_gets_shorter_for_one_answer_is_no_change(server: LoopbackServer, tmp_path: Path) -> None:
    """BTC settles every 8 h on bybit: 2 h is refused, and believed when it is said again, across a restart too."""
    leg = ("BTCUSDT", "bybit")
    while server.world.now_ms // HOUR_MS % 8 != 2:
        server.world.now_ms += HOUR_MS
    with holding(tmp_path, server) as live:
        live.trading.run()
        server.faults.rules[:] = [spoilt("bybit", "tickers", "interval", lambda _: 2.0)]
        assert _intervals(live, leg)[-1] is None
    with holding(tmp_path, server) as live:
        assert _intervals(live, leg)[-1] == 2.0
        server.faults.rules.clear()
        assert _intervals(live, leg)[-1] == 8.0
        assert ("BTCUSDT", "bybit", "funding_interval_hours") in refused(live.journal)


def _intervals(live: Trader, leg: tuple[str, str]) -> list[float | None]:
    """Believed intervals of a leg by hour, after one hour more."""
    live.hour()
    rows = live.journal.rows(
        "SELECT funding_interval_hours FROM observations JOIN legs USING (leg) "
        "WHERE symbol = ? AND exchange = ? ORDER BY hour",
        *leg,
    )
    return [value for (value,) in rows]


def test_absurd_history_at_the_first_start_is_not_believed(server: LoopbackServer, tmp_path: Path) -> None:
    bars = server.world.legs["okx", "ETH"].bars
    hour = server.world.now_ms // HOUR_MS - 20
    bars[hour - server.world.legs["okx", "ETH"].first_hour, 3] *= 60
    with trader(tmp_path, server) as live:
        live.trading.run()
        rows = live.journal.rows("SELECT hour, kind, text FROM events")
        assert [(at, kind) for at, kind, _ in rows] == [(hour + 1, "refused")]
        assert rows[0][2].startswith("ETHUSDT on okx, ")


def test_a_coin_that_cannot_be_read_costs_only_its_leg(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = collector.read_quote

    def fails(listing: Any, *rest: Any) -> Any:
        if (listing.exchange, listing.coin) == ("okx", "ETH"):
            raise RuntimeError("a defect")
        return read(listing, *rest)

    with trader(tmp_path, server) as live:
        live.hour()
        monkeypatch.setattr(collector, "read_quote", fails)
        hour = live.hour().hours[-1]
        assert [event.text for event in hour.events] == ["ETHUSDT on okx: unreadable: RuntimeError: a defect"]
        rows = live.journal.rows("SELECT count(*) FROM observations WHERE hour = ? AND price IS NOT NULL", hour.hour)
        assert rows == [(5,)]


def test_a_whole_exchange_of_refusals_is_told_in_few_lines(server: LoopbackServer, tmp_path: Path) -> None:
    with holding(tmp_path, server) as live:
        live.hour()
        for name, kind in (("bybit", "tickers"), ("okx", "marks"), ("hyperliquid", "rates")):
            server.faults.rules.append(spoilt(name, kind, "mark", lambda _: -1.0))
        hour = live.hour().hours[-1]
        assert len(hour.events) == 6
        status = status_of(live.journal, time_of(hour.hour))
        assert status["health"] == "degraded"
        assert status["why"].count("is not believed") == 5
        assert status["why"].endswith("... and 1 more")
        quotes = live.journal.rows("SELECT quote FROM quotes WHERE hour = ?", hour.hour)
        assert [json.loads(quote)["refused"][0]["value"] for (quote,) in quotes] == [-1.0] * 6


@pytest.mark.parametrize(("days", "seed"), [(1, 6), pytest.param(2, 5, marks=pytest.mark.slow)])
def test_days_in_which_every_tenth_answer_is_absurd(tmp_path: Path, days: int, seed: int) -> None:
    """The books are those of the undisturbed run, and whatever was believed is what the exchanges really had."""
    found = beside(tmp_path, 24 * days, seed=seed)
    assert found.problems == []
    assert found.apart < 0.005
    assert found.spoilt > 30 * days
    fields = {"funding_rate", "mark_price", "index_price", "exchange_time", "funding_interval_hours"}
    assert fields <= set(found.refused)


def test_exchanges_of_this_module_are_those_that_hold_the_position() -> None:
    """Pair 0 is the first of (symbol, long, short)."""
    assert EXCHANGES[:2] == ("bybit", "hyperliquid")
