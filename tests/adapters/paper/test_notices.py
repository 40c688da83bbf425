"""Announced ends of contracts in paper trading: out in the last hour before, and every restart knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS, Leg
from support_live import Trader, live_settings, trader

from adapters.paper.journal import Journal
from adapters.paper.setup import prepare_player
from adapters.paper.verify import verify
from engine.accounting.books import Reason
from engine.market.data import NEVER

STRATEGY = "plugin_strategies:Churn"


def leg_of(journal: Journal, symbol: str, exchange: str) -> int:
    return [leg[:2] for leg in journal.legs].index((symbol, exchange))


def trades(live: Trader, leg: int) -> Any:
    """Every trade with this leg that is closed."""
    pairs, rows = live.session.rolling.pairs, live.journal.records("trades")
    return rows[(pairs.long_leg[rows["pair"]] == leg) | (pairs.short_leg[rows["pair"]] == leg)]


def exits(live: Trader, leg: int) -> list[tuple[int, int]]:
    """(hour, reason) of every trade with this leg."""
    return [(int(trade["closed"]), int(trade["reason"])) for trade in trades(live, leg)]


def entered(live: Trader, leg: int) -> set[int]:
    """Hours in which a position with this leg was opened."""
    return {int(hour) for hour in trades(live, leg)["opened"]}


def delistings(journal: Journal) -> list[str]:
    return [text for (text,) in journal.rows("SELECT text FROM events WHERE kind = 'delisting' ORDER BY id")]


def assert_agrees(journal: Journal) -> None:
    assert verify(journal, prepare_player(STRATEGY, live_settings(), (), 3)).difference is None


def hold(live: Trader, exchange: str) -> tuple[Leg, int]:
    """Play until a position with a leg on the exchange is held; its leg in the world and in the journal."""
    for _ in range(12):
        for position in live.hour().hours[-1].report["positions"]:
            for leg in position["legs"]:
                if leg["exchange"] == exchange and position["symbol"] == leg["symbol"]:
                    held = live.server.world.legs[exchange, leg["symbol"][:-4]]
                    return held, leg_of(live.journal, leg["symbol"], exchange)
    raise AssertionError("nothing was entered there")


def now(live: Trader) -> int:
    return live.server.world.now_ms // HOUR_MS


@pytest.mark.parametrize(("minutes", "last"), [(0, 2), (30, 3), (4, 2)])
def test_a_position_leaves_in_the_last_hour_before_the_end(
    server: LoopbackServer, tmp_path: Path, minutes: int, last: int
) -> None:
    with trader(tmp_path, server, strategy=STRATEGY) as live:
        held, leg = hold(live, "bybit")
        seen = now(live) + 1
        held.ends_ms = (seen + 3) * HOUR_MS + minutes * 60_000
        held.delisted_at = seen + 4
        assert live.hour().hours[-1].status == "ok"
    for _ in range(6):  # each hour in a process of its own
        with trader(tmp_path, server, strategy=STRATEGY) as live:
            live.hour()
    with trader(tmp_path, server, strategy=STRATEGY) as live:
        live.hour()
        assert {hour for hour, reason in exits(live, leg) if reason == Reason.DELISTING} == {seen + last}
        assert not {hour for hour in entered(live, leg) if hour >= seen + last}
        assert not [hour for hour, reason in exits(live, leg) if reason == Reason.DATA_OUTAGE]
        assert len(delistings(live.journal)) == 1
        assert live.journal.notices()[0][0] == seen
        assert_agrees(live.journal)


def test_an_end_that_is_moved_or_taken_back_is_what_was_said_last(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server, strategy=STRATEGY) as live:
        leg = server.world.legs["okx", "BTC"]
        live.hour()
        at = leg_of(live.journal, "BTCUSDT", "okx")
        for end in (now(live) + 9, now(live) + 30, None):
            leg.ends_ms = None if end is None else end * HOUR_MS
            live.hour()
            assert live.session.rolling.empty.delisting_hour[at] == (NEVER if end is None else end)
        told = delistings(live.journal)
        assert ["ends at" in line for line in told] == [True, True, False]
        assert "as it was before" in told[1]
        assert "goes on" in told[2]
        for _ in range(10):
            live.hour()
        assert not [reason for _, reason in exits(live, at) if reason == Reason.DELISTING]
        assert_agrees(live.journal)


def test_a_contract_that_is_being_taken_off_without_a_date_is_left_at_once(
    server: LoopbackServer, tmp_path: Path
) -> None:
    with trader(tmp_path, server, strategy=STRATEGY, exchanges=("bybit", "gate")) as live:
        held, leg = hold(live, "gate")
        held.ending = True
        seen = now(live) + 1
        for _ in range(5):
            live.hour()
        assert (seen, int(Reason.DELISTING)) in exits(live, leg)
        assert not {hour for hour in entered(live, leg) if hour >= seen}
        assert len(delistings(live.journal)) == 1
        assert_agrees(live.journal)


def test_an_exchange_that_does_not_answer_takes_nothing_back(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server, strategy=STRATEGY, attempts=1) as live:
        live.hour()
        leg = server.world.legs["bybit", "BTC"]
        end = now(live) + 20
        leg.ends_ms = end * HOUR_MS
        live.hour()
        server.faults.rules.append(Rule("http503", "bybit"))
        live.hour()
        server.faults.rules.clear()
        at = leg_of(live.journal, "BTCUSDT", "bybit")
        assert live.session.rolling.empty.delisting_hour[at] == end
        assert_agrees(live.journal)
