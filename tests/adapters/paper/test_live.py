"""Live hours through real ccxt clients against the loopback server: prices, funding, outages, faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_live import live_settings, trader

from adapters.paper.journal import Journal
from adapters.paper.live import PASSED
from adapters.paper.setup import prepare_player
from adapters.paper.verify import verify
from engine.accounting.books import Kind, Reason
from engine.errors import ArbError, UserError
from engine.market.schedule import ACTUAL, IMPUTED, REVERSAL


def funding(journal: Journal) -> Any:
    ledger = journal.records("ledger")
    return ledger[ledger["kind"] == int(Kind.FUNDING)]


def assert_agrees(journal: Journal, **more: Any) -> None:
    settings = more.pop("settings", live_settings())
    assert verify(journal, prepare_player("random", settings, (), 3)).difference is None


def test_fills_are_bid_and_ask_and_funding_is_what_was_settled(server: LoopbackServer, tmp_path: Path) -> None:
    world = server.world
    now_of_hour = {}
    with trader(tmp_path, server) as live:
        assert [hour.status for hour in live.trading.run().hours] == ["ok"]
        for _ in range(10):
            live.hour()
            now_of_hour[world.now_ms // HOUR_MS] = world.now_ms
        legs, ledger = live.journal.legs, live.journal.records("ledger")
        entries = ledger[(ledger["kind"] == int(Kind.FEE)) & np.isin(ledger["hour"], list(now_of_hour))]
        opened = {int(trade["position_id"]): int(trade["opened"]) for trade in live.journal.records("trades")}
        assert len(entries) > 3
        for fee in entries:
            leg = world.legs[legs[fee["leg"]][1], legs[fee["leg"]][0][:-4]]
            bid, ask = leg.bid_ask(now_of_hour[int(fee["hour"])])
            is_entry = opened.get(int(fee["position_id"]), int(fee["hour"])) == fee["hour"]
            buys = (fee["side"] == 0) == is_entry
            wanted = ask * (1 + 2e-4 * bid / ask) if buys else bid * (1 - 2e-4)
            assert fee["price"] == pytest.approx(wanted, rel=2e-7)
        for entry in funding(live.journal):
            symbol, exchange, *_ = legs[entry["leg"]]
            assert entry["booking"] == ACTUAL
            assert entry["rate"] == world.legs[exchange, symbol[:-4]].rate(int(entry["hour"]))
        assert len(funding(live.journal)) > 5
        assert live.journal.rows("SELECT DISTINCT status FROM slots ORDER BY 1") == [("history",), ("ok",)]
        assert_agrees(live.journal)


def test_an_hour_is_done_once(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server) as live:
        assert len(live.trading.run().hours) == 1
        assert live.trading.run().hours == ()
    with trader(tmp_path, server) as again:
        assert again.trading.run().hours == ()
        assert len(again.hour().hours) == 1


def test_funding_is_pending_until_its_rate_is_published(server: LoopbackServer, tmp_path: Path) -> None:
    """Half an hour late: booked in the next hour. Two hours late: assumed first, then replaced."""
    with trader(tmp_path, server) as live:
        for _ in range(4):
            live.hour()
        server.world.publish_delay_ms = HOUR_MS // 2
        report = live.hour().hours[-1].report
        legs = {(symbol, exchange): leg for leg, (symbol, exchange, *_) in enumerate(live.journal.legs)}
        hour = live.journal.last_hour
        assert hour is not None
        for shown in (leg for position in report["positions"] for leg in position["legs"]):
            running = live.journal.running_rate(legs[shown["symbol"], shown["exchange"]], hour)
            assert shown["running_rate"] == running is not None
        owed = sum(leg["pending_funding_usd"] for position in report["positions"] for leg in position["legs"])
        assert report["pending_funding_usd"] == owed != 0
        assert not any(leg["settlements_missing"] for position in report["positions"] for leg in position["legs"])
        price_pnl = sum(position["price_pnl_usd"] for position in report["positions"])
        assert report["equity_usd"] == pytest.approx(report["cash_usd"] + price_pnl, rel=1e-12)
        for _ in range(4):
            live.hour()
        hyperliquid = [leg for leg, (_, exchange, *_) in enumerate(live.journal.legs) if exchange == "hyperliquid"]
        late = funding(live.journal)[-3:]
        assert set(late["booking"]) == {ACTUAL}
        known = live.journal.rows(
            "SELECT max(known_hour - hour) FROM settlements WHERE known_hour = ?", int(late["hour"][-1])
        )
        assert known == [(1,)]
        server.world.publish_delay_ms = 2 * HOUR_MS + HOUR_MS // 2
        reports = [live.hour().hours[-1].report for _ in range(6)]
        legs = [leg for report in reports for position in report["positions"] for leg in position["legs"]]
        assert max(leg["settlements_missing"] for leg in legs if leg["exchange"] == "hyperliquid") > 0
        booked = funding(live.journal)
        booked = booked[np.isin(booked["leg"], hyperliquid)]
        assert {ACTUAL, IMPUTED, REVERSAL} == set(booked["booking"].tolist())
        assert_agrees(live.journal)


@pytest.mark.trap(26)
def test_trap_26_missed_hours_are_booked_at_their_times_and_nothing_is_decided_in_them(
    server: LoopbackServer, tmp_path: Path
) -> None:
    with trader(tmp_path, server) as live:
        for _ in range(3):
            live.hour()
        assert live.hour().hours[-1].report["positions"]
    with trader(tmp_path, server) as live:
        done = live.hour(9)
        assert [hour.status for hour in done.hours] == ["missed"] * 8 + ["ok"]
        assert {hour.decision.no_decision for hour in done.hours[:-1]} == {PASSED}
        assert all(hour.decision.orders == () for hour in done.hours[:-1])
        first = done.hours[0].hour
        booked = funding(live.journal)
        assert len(set(booked["hour"][booked["hour"] >= first].tolist())) >= 8
        assert set(booked["booking"]) == {ACTUAL}
        hours = [hour for (hour,) in live.journal.rows("SELECT hour FROM slots ORDER BY hour")]
        assert hours == list(range(hours[0], done.hour + 1))
        bars = server.world.legs["bybit", "BTC"].candles(server.world.now_ms)
        closes = {int(bar[0]) // HOUR_MS + 1: bar[4] for bar in bars}
        btc = [
            leg
            for leg, (symbol, exchange, *_) in enumerate(live.journal.legs)
            if (symbol, exchange) == ("BTCUSDT", "bybit")
        ]
        seen = live.journal.rows("SELECT hour, price FROM observations WHERE leg = ? AND hour < ?", btc[0], first)
        assert len(seen) > 190
        missed = live.journal.rows(
            "SELECT hour, price FROM observations WHERE leg = ? AND hour BETWEEN ? AND ?", btc[0], first, first + 7
        )
        assert missed == [(hour, closes[hour]) for hour in range(first, first + 8)]
        assert_agrees(live.journal)


@pytest.mark.trap(27)
def test_trap_27_a_dead_exchange_costs_its_legs_and_after_the_limit_its_positions(
    server: LoopbackServer, tmp_path: Path
) -> None:
    holding = {"random": {"enter_probability": 0.6, "exit_probability": 0.0}}
    settings = live_settings("max_stale_hours=2", strategies=holding)
    with trader(tmp_path, server, settings=settings) as live:
        while not any(
            "okx" in (position["long_exchange"], position["short_exchange"])
            for position in live.hour().hours[-1].report["positions"]
        ):
            pass
        server.faults.rules.append(Rule("http500", "okx"))
        dead = [live.hour().hours[-1] for _ in range(4)]
        assert {hour.status for hour in dead} == {"degraded"}
        assert all(any(event.text.startswith("okx: ") for event in hour.events) for hour in dead)
        reasons = [int(trade["reason"]) for hour in dead for trade in hour.records.trades]
        assert int(Reason.DATA_OUTAGE) in reasons
        pairs = live.session.rolling.pairs
        okx = {leg for leg, (_, exchange, *_) in enumerate(live.journal.legs) if exchange == "okx"}
        for hour in dead:
            for kind, target in hour.decision.orders:
                assert kind == 2 or not {int(pairs.long_leg[target]), int(pairs.short_leg[target])} & okx
        server.faults.rules.clear()
        assert live.hour().hours[-1].status == "ok"
        assert_agrees(live.journal, settings=settings)


@pytest.mark.trap(24)
def test_trap_24_without_usable_quotes_or_answer_it_says_no_decision(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server) as live:
        live.hour()
        server.faults.rules.append(Rule("empty"))
        hour = live.hour().hours[-1]
        assert (hour.status, hour.decision.no_decision) == ("degraded", "no exchange gave a usable quote")
        server.faults.rules.clear()
        live.session._strategy.decide = _fails  # type: ignore[method-assign]  # a double
        hour = live.hour().hours[-1]
        assert (hour.status, hour.decision.orders) == ("degraded", ())
        assert hour.decision.no_decision == "strategy random failed: ZeroDivisionError: by nothing"


def _fails(_: object) -> None:
    raise ZeroDivisionError("by nothing")


@pytest.mark.trap(27)
def test_trap_27_stale_quotes_and_null_fields_void_their_legs_only(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server) as live:
        live.hour()
        for fault in ("stale", "nulls", "ahead"):
            server.faults.rules[:] = [Rule(fault, "bybit")]
            hour = live.hour().hours[-1]
            assert hour.status == "degraded", fault
            rows = live.journal.rows("SELECT leg FROM observations WHERE hour = ? AND price IS NOT NULL", hour.hour)
            seen = {live.journal.legs[leg][1] for (leg,) in rows}
            assert seen == {"hyperliquid", "okx"}, fault


def test_an_hour_that_ends_while_it_is_collected_is_caught_up_and_not_decided_late(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trader(tmp_path, server) as live:
        live.hour()
        collect, calls = live.trading._live.hour, []

        def slowly(*arguments: Any, **keywords: Any) -> Any:
            found = collect(*arguments, **keywords)
            if not calls:
                server.world.now_ms += HOUR_MS
            calls.append(found)
            return found

        monkeypatch.setattr(live.trading._live, "hour", slowly)
        assert [hour.status for hour in live.hour().hours] == ["missed", "ok"]
        assert_agrees(live.journal)


def test_the_clock_must_not_go_back_and_one_exchange_is_not_enough(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path / "a", server) as live:
        live.hour()
        with pytest.raises(UserError, match="later than now"):
            live.hour(-3)
    with pytest.raises(UserError, match="at least two exchanges"), trader(tmp_path / "b", server, exchanges=["okx"]):
        pass


def test_a_first_start_without_any_history_can_be_tried_again(server: LoopbackServer, tmp_path: Path) -> None:
    server.faults.rules.append(Rule("http500"))
    with trader(tmp_path, server, attempts=1) as live, pytest.raises(ArbError, match="no exchange gave any history"):
        live.trading.run()
    server.faults.rules.clear()
    with trader(tmp_path, server) as live:
        assert [hour.status for hour in live.trading.run().hours] == ["ok"]
