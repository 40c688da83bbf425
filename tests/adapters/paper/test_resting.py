"""Orders that rest at live exchanges: what the minutes after their quotes make of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_absurd import spoilt
from support_live import live_settings, trader

from adapters.configuration.settings import ArbSettings
from adapters.paper.journal import Journal
from adapters.paper.setup import prepare_player
from adapters.paper.verify import verify
from engine.accounting.books import Kind, NoteKind, Reason

FILLED, MISSED = int(Reason.WHOLLY_FILLED), int(Reason.NOT_FILLED)


def rests(*overrides: str) -> ArbSettings:
    """Orders that rest, of which all that was traded beyond the limit is ours."""
    return live_settings("execution=maker_then_hedge", "maker.volume_share=1", *overrides)


def became(journal: Journal) -> list[int]:
    """What became of the orders that rested, in order."""
    notes = journal.records("notes")
    return notes["reason"][notes["kind"] == int(NoteKind.RESTED)].tolist()


def assert_agrees(journal: Journal, settings: ArbSettings) -> None:
    assert verify(journal, prepare_player("random", settings, (), 3)).difference is None


def test_an_order_is_filled_at_its_limit_by_what_was_traded_since_its_quote(
    server: LoopbackServer, tmp_path: Path
) -> None:
    settings, world, mids = rests(), server.world, {}
    with trader(tmp_path, server, settings=settings) as live:
        live.trading.run()
        for _ in range(12):
            hour = world.now_ms // HOUR_MS
            mids |= {(hour, *key): sum(leg.bid_ask(world.now_ms)) / 2 for key, leg in world.legs.items()}
            live.hour()
        assert set(became(live.journal)) >= {FILLED}
        ledger, legs = live.journal.records("ledger"), live.journal.legs
        fees = ledger[ledger["kind"] == int(Kind.FEE)]
        notes = live.journal.records("notes")
        entries = notes[(notes["kind"] == int(NoteKind.RESTED)) & (notes["reason"] == FILLED) & (notes["order"] == 1)]
        assert len(entries) > 2
        at_the_limit = 0
        for note in entries:
            pairs = live.session.rolling.pairs
            both = [int(pairs.long_leg[note["target"]]), int(pairs.short_leg[note["target"]])]
            paid = fees[fees["hour"] == note["hour"]]
            by_position = [paid[paid["position_id"] == number] for number in np.unique(paid["position_id"])]
            # The last one: the same pair may have been left in that hour, before.
            two = [rows for rows in by_position if rows["leg"].tolist() == both][-1]
            for fee in two:
                symbol, exchange, *_ = legs[fee["leg"]]
                leg = world.legs[exchange, symbol[:-4]]
                mid = mids[int(note["hour"]) - 1, exchange, symbol[:-4]] / leg.multiplier
                buys = fee["side"] == 0
                sign = 1 if buys else -1
                limit = mid * (1 - sign * max(2e-4, leg.spread / 2)) * (1 + sign * 1e-4)
                at_the_limit += fee["price"] == pytest.approx(limit, rel=2e-7)
        assert at_the_limit == len(entries)  # one leg of each; the other was taken
        assert_agrees(live.journal, settings)


def test_nothing_is_filled_where_nothing_was_traded_beyond_the_limit(server: LoopbackServer, tmp_path: Path) -> None:
    settings = rests("maker.through_bps=5000")
    with trader(tmp_path, server, settings=settings) as live:
        live.trading.run()
        for _ in range(6):
            live.hour()
        assert set(became(live.journal)) == {MISSED}
        assert len(live.journal.records("ledger")) > 3  # taken an hour later
        assert_agrees(live.journal, settings)


@pytest.mark.parametrize("rule", [Rule("cut", None, "candles"), Rule("hang", None, "candles")], ids=["cut", "hang"])
def test_minutes_that_cannot_be_had_fill_nothing_and_are_told(
    rule: Rule, server: LoopbackServer, tmp_path: Path
) -> None:
    settings = rests()
    with trader(tmp_path, server, settings=settings, time_limit_seconds=2) as live:
        live.trading.run()
        server.faults.rules.append(rule)
        hours = [live.hour().hours[-1] for _ in range(4)]
        told = [event.text for hour in hours for event in hour.events if event.kind == "no_minutes"]
        assert told
        assert all("no minutes" in text for text in told)
        assert set(became(live.journal)) == {MISSED}
        assert {hour.status for hour in hours if hour.events} == {"degraded"}
        server.faults.rules.clear()
        live.hour()
        assert_agrees(live.journal, settings)


def test_absurd_minutes_fill_nothing_and_are_told(server: LoopbackServer, tmp_path: Path) -> None:
    settings = rests("maker.leg=short")  # what sells is filled by highs
    with trader(tmp_path, server, settings=settings) as live:
        live.trading.run()
        server.faults.rules += [spoilt(name, "candles", "candle", lambda v: 100 * v) for name in server_names(live)]
        hours = [live.hour().hours[-1] for _ in range(4)]
        fields = {event.refusal.field for hour in hours for event in hour.events if event.refusal is not None}
        assert fields == {"high"}
        assert set(became(live.journal)) == {MISSED}
        assert_agrees(live.journal, settings)


def server_names(live: Any) -> list[str]:
    return sorted({exchange for _, exchange, *_ in live.journal.legs})


def test_what_rested_while_the_program_was_away_is_filled_all_the_same(server: LoopbackServer, tmp_path: Path) -> None:
    settings = rests()
    began = server.world.now_ms
    with trader(tmp_path / "there", server, settings=settings) as live:
        live.trading.run()
        while FILLED not in became(live.journal):
            live.hour()
        posted = server.world.now_ms - HOUR_MS
    shutil.rmtree(tmp_path / "there")
    for name in ("there", "away"):
        server.world.now_ms = began
        with trader(tmp_path / name, server, settings=settings) as live:
            live.trading.run()
            while server.world.now_ms < posted:
                live.hour()
    found = {}
    for name, hours in (("there", 1), ("away", 3)):
        server.world.now_ms = posted
        with trader(tmp_path / name, server, settings=settings) as live:
            booked = live.hour(hours).hours[0]
            assert booked.status == ("ok" if hours == 1 else "missed")
            notes = booked.records.notes
            found[name] = (
                notes[notes["kind"] == int(NoteKind.RESTED)].tolist(),
                live.journal.rows("SELECT * FROM extremes"),
            )
            assert_agrees(live.journal, settings)
    assert found["there"] == found["away"]
    assert found["there"][0]
    assert found["there"][1]


def test_takers_ask_for_no_minutes(server: LoopbackServer, tmp_path: Path) -> None:
    with trader(tmp_path, server) as live:
        live.trading.run()
        asked = {name: server.requests[name, "candles"] for name in server_names(live)}
        for _ in range(4):
            live.hour()
        assert {name: server.requests[name, "candles"] for name in server_names(live)} == asked
        assert live.journal.rows("SELECT count(*) FROM extremes") == [(0,)]
