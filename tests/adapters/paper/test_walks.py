"""Live takers walk the order books that were read at their hour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS, Leg
from support_absurd import HOLD, spoilt
from support_live import Trader, live_settings, trader

from adapters.configuration.settings import ArbSettings
from adapters.paper.journal import Journal
from adapters.paper.setup import prepare_player
from adapters.paper.verify import verify
from engine.accounting.books import Kind, Reason

LEVELS = 5
"""More than any order here walks."""


def large(usd: float, *overrides: str) -> ArbSettings:
    given = (f"position_size_usd={usd}", f"initial_capital_usd={10 * usd}", "max_positions=1", *overrides)
    return live_settings(*given, strategies={})


def entry_fees(live: Trader) -> Any:
    ledger = live.journal.records("ledger")
    return ledger[ledger["kind"] == int(Kind.FEE)]


def leg_of(live: Trader, fee: Any) -> Leg:
    symbol, exchange, *_ = live.journal.legs[fee["leg"]]
    return live.server.world.legs[exchange, symbol[:-4]]


def walk(leg: Leg, now: int, *, buys: bool, coins: float) -> float:
    """Mean price of so many coins over the mid of the book."""
    bids, asks = leg.book(now, LEVELS)
    left, paid = coins, 0.0
    for price, size in asks if buys else bids:
        part = min(left, size * leg.contract_size * leg.multiplier)
        paid, left = paid + part * price / leg.multiplier, left - part
    assert left == 0
    mid = (bids[0][0] + asks[0][0]) / 2 / leg.multiplier
    return paid / coins / mid


def assert_agrees(journal: Journal, settings: ArbSettings) -> None:
    assert verify(journal, prepare_player(HOLD, settings, (), 3)).difference is None


@pytest.mark.parametrize("usd", [1_000.0, 20_000.0])
def test_a_fill_is_the_mean_of_the_levels_that_it_takes(server: LoopbackServer, tmp_path: Path, usd: float) -> None:
    settings = large(usd)
    with trader(tmp_path, server, strategy=HOLD, settings=settings) as live:
        live.trading.run()
        fees = entry_fees(live)
        assert len(fees) == 2
        for fee in fees:
            leg, now = leg_of(live, fee), server.world.now_ms
            buys = fee["side"] == 0
            bid, ask = leg.bid_ask(now)
            share = walk(leg, now, buys=buys, coins=fee["quantity"])
            wanted = (bid + ask) / 2 / leg.multiplier * (share + (2e-4 if buys else -2e-4))
            assert fee["price"] == pytest.approx(wanted, rel=2e-7)
        assert live.journal.rows("SELECT count(*) FROM order_books") == [(2,)]  # of what was entered
        for _ in range(3):
            live.hour()
        assert_agrees(live.journal, settings)


def test_an_entry_is_cut_to_what_may_be_walked_on_both_legs(server: LoopbackServer, tmp_path: Path) -> None:
    legs = [server.world.legs[exchange, "BTC"] for exchange in ("bybit", "hyperliquid")]
    most = 1e4 * max(leg.spread / 2 for leg in legs) + 0.5  # within the second level
    settings = large(100_000.0, f"max_walk_bps={most}")
    with trader(tmp_path, server, strategy=HOLD, settings=settings) as live:
        live.trading.run()
        fees = entry_fees(live)
        assert len(set(fees["quantity"].tolist())) == 1
        now, sides = server.world.now_ms, fees["side"] == 0
        walks = [
            abs(walk(leg_of(live, fee), now, buys=bool(buys), coins=fee["quantity"]) - 1)
            for fee, buys in zip(fees, sides, strict=True)
        ]
        assert max(walks) == pytest.approx(most / 1e4, rel=1e-5)
        assert_agrees(live.journal, settings)


def test_a_book_too_thin_for_any_entry_refuses_it(server: LoopbackServer, tmp_path: Path) -> None:
    settings = large(1_000.0, "max_walk_bps=0.1")
    with trader(tmp_path, server, strategy=HOLD, settings=settings) as live:
        live.trading.run()
        assert not len(entry_fees(live))
        assert live.journal.records("notes")["reason"].tolist() == [int(Reason.THIN_BOOK)]
        assert_agrees(live.journal, settings)


def test_a_book_far_from_its_price_is_not_believed_and_the_quote_is_charged(
    server: LoopbackServer, tmp_path: Path
) -> None:
    settings = large(20_000.0)
    server.faults.rules.append(spoilt("bybit", "book", "book", lambda price: 3 * price))
    with trader(tmp_path, server, strategy=HOLD, settings=settings) as live:
        hour = live.trading.run().hours[-1]
        told = {(event.refusal.exchange, event.refusal.field) for event in hour.events if event.refusal is not None}
        assert ("bybit", "order book") in told
        assert hour.status == "degraded"
        bybit = next(fee for fee in entry_fees(live) if live.journal.legs[fee["leg"]][1] == "bybit")
        ask = leg_of(live, bybit).bid_ask(server.world.now_ms)[1]
        assert bybit["price"] == pytest.approx(ask * (1 + 2e-4), rel=1e-6)
        assert_agrees(live.journal, settings)


def test_a_book_that_cannot_be_is_told_and_the_others_are_walked(server: LoopbackServer, tmp_path: Path) -> None:
    settings = large(20_000.0)

    def crossed(answer: Any) -> Any:
        answer["result"]["b"], answer["result"]["a"] = answer["result"]["a"], answer["result"]["b"]
        return answer

    server.faults.rules.append(Rule(crossed, "bybit", "book"))
    with trader(tmp_path, server, strategy=HOLD, settings=settings) as live:
        hour = live.trading.run().hours[-1]
        told = [
            event.text for event in hour.events if event.refusal is not None and event.refusal.field == "order book"
        ]
        assert len(told) == 2  # of both coins
        assert all("is not below its best ask" in text for text in told)
        assert [live.journal.legs[leg][1] for (leg,) in live.journal.rows("SELECT leg FROM order_books")] == [
            "hyperliquid"
        ]
        assert_agrees(live.journal, settings)


def test_without_books_the_spread_is_charged(server: LoopbackServer, tmp_path: Path) -> None:
    settings = large(20_000.0)
    server.faults.rules.append(Rule("http500", None, "book"))
    with trader(tmp_path, server, strategy=HOLD, settings=settings) as live:
        live.trading.run()
        bybit = next(fee for fee in entry_fees(live) if live.journal.legs[fee["leg"]][1] == "bybit")
        ask = leg_of(live, bybit).bid_ask(server.world.now_ms)[1]
        assert bybit["price"] == pytest.approx(ask * (1 + 2e-4), rel=1e-6)
        assert live.journal.rows("SELECT count(*) FROM order_books") == [(0,)]


def test_books_are_ignored_where_that_is_wanted(server: LoopbackServer, tmp_path: Path) -> None:
    prices = []
    for name, settings in (("a", large(20_000.0, "order_books=ignore")), ("b", large(20_000.0))):
        with trader(tmp_path / name, server, strategy=HOLD, settings=settings) as live:
            live.trading.run()
            prices.append(entry_fees(live)["price"])
            server.world.now_ms += HOUR_MS
            server.world.now_ms -= HOUR_MS
            assert_agrees(live.journal, settings)
    assert np.all(np.abs(prices[0] / prices[1] - 1) > 1e-5)
