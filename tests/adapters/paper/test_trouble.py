"""Trouble around an hour: exchanges that hang, requests that are repeated, webhooks that never answer."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import numpy as np
import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from support_exchanges import START, settings_of
from support_live import live_settings, trader

from adapters.exchanges.history import ExchangeHistory, Patience
from adapters.paper import service
from adapters.paper.due import due, held_legs
from adapters.paper.history_facts import retries_of
from adapters.paper.service import open_service
from adapters.paper.settings import NotifySettings, PaperConfig, PaperSettings

SYMBOLS = ("BTCUSDT", "ETHUSDT")
HASTY = {"time_limit_seconds": 2, "ccxt": {"timeout": 600_000}, "attempts": 1}


@pytest.mark.trap(27)
@pytest.mark.parametrize("kind", [None, "candles"])
def test_trap_27_an_exchange_that_hangs_at_the_first_start_is_given_up_and_not_waited_for_twice(
    kind: str | None, server: LoopbackServer, tmp_path: Path
) -> None:
    """In the hour that follows it is not asked again; a request may hang for ten minutes here."""
    server.faults.rules.append(Rule("hang", "okx", kind))
    with trader(tmp_path, server, **HASTY) as live:
        hour = live.trading.run().hours[-1]
        assert (hour.status, hour.decision.no_decision) == ("degraded", None)
        assert [event.text for event in hour.events if event.kind == "exchange_failed"] == [
            "okx: it gave no answer when its history was asked for"
        ]
        told = live.journal.rows("SELECT text FROM events WHERE kind = 'no_history'")
        assert told == [("okx: no answer for 2 s",)]
        assert server.requests["okx", "markets"] == 1
        assert server.requests["okx", "tickers"] == 0
        server.faults.rules.clear()
        assert live.hour().hours[-1].status == "ok"


def test_patience_is_renewed_by_every_answer_but_not_beyond_the_whole_limit() -> None:
    async def through() -> None:
        loop, now = asyncio.get_running_loop(), 1000.0
        loop.time = lambda: now  # type: ignore[method-assign]  # a clock of the test's
        patience = Patience(100, 5)
        async with patience.timeout:
            assert patience.timeout.when() == 1005
            now = 1003
            patience.renew()
            assert patience.timeout.when() == 1008
            now = 1008
            assert (patience.was_silent(), patience.complaint()) == (True, "no answer for 5 s")
            now = 1098
            patience.renew()
            assert patience.timeout.when() == 1100
            now = 1100
            assert (patience.was_silent(), patience.complaint()) == (False, "not done within 100 s")
        endless = Patience(None, None)
        async with endless.timeout:
            endless.renew()
            assert endless.timeout.when() is None

    asyncio.run(through())


def test_what_was_repeated_is_counted_and_shown(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server) as live:
        live.hour()
        server.faults.rules[:] = [Rule("cut", "okx", "funding", times=1), Rule("http503", "bybit", "book", times=1)]
        hour = live.hour(8).hour
        (detail,) = live.journal.rows("SELECT detail FROM slots WHERE hour = ?", hour)[0]
        assert "retries: bybit 1 (ExchangeNotAvailable 1)" in detail
        (missed,) = live.journal.rows("SELECT detail FROM slots WHERE hour = ?", hour - 1)[0]
        assert missed == "the hour had passed; retries: okx 1 (ExchangeError 1)"


def test_errands_are_added_up_by_exchange() -> None:
    first = ExchangeHistory("okx", retries=2, errors={"RequestTimeout": 3})
    second = ExchangeHistory("okx", retries=1, errors={"BrokenAnswer": 1})
    fine = ExchangeHistory("bybit")
    assert retries_of([first, fine], [second]) == "retries: okx 3 (BrokenAnswer 1, RequestTimeout 3)"
    assert retries_of([fine]) == ""


def test_settled_rates_of_what_is_held_are_asked_for_first(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While time lasts: a position must not wait behind coins that nobody holds."""
    with trader(tmp_path, server) as live:
        while not (held := held_legs(live.session)):
            live.hour()
        monkeypatch.setattr(live.session.rolling, "stated_intervals", lambda: np.ones(6))
        asked, _ = due(live.session, live.trading._legs, live.trading._hour() + 1)
        assert sorted(asked) == ["bybit", "hyperliquid", "okx"]
        assert {tuple(sorted(symbols)) for symbols in asked.values()} == {SYMBOLS}
        names = {live.trading._legs[leg] for leg in held}
        for exchange, symbols in asked.items():
            positions = [(symbol, exchange) in names for symbol in symbols]
            assert positions == sorted(positions, reverse=True)


def test_a_webhook_that_never_answers_does_not_keep_the_hour_waiting(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "NOTIFY_AT_EXIT_SECONDS", 0.1)
    exchanges = settings_of(server, "bybit", "okx")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hook"
        notify = NotifySettings(url=url, timeout_seconds=600, events=("degraded",))
        paper = PaperSettings(strategy="random", symbols=SYMBOLS, notify=notify)
        config = PaperConfig(paper, live_settings(), exchanges)
        server.faults.rules.append(Rule("http500", "okx"))
        now = START.fromtimestamp(server.world.now_ms / 1000, START.tzinfo)
        with open_service(tmp_path, config, exchanges, now=now, echo=lambda _: None) as opened:
            line = opened.run_hour()
            silent.settimeout(5)
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(16).startswith(b"POST /hook")
                assert ": degraded: okx: " in line
