"""Announced ends in the lists of contracts of each exchange, and names there that cannot be used."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loopback.server import LoopbackServer
from loopback.world import EXCHANGES, HOUR_MS
from support_exchanges import settings_of, world_of

from adapters.exchanges.calls import Caller
from adapters.exchanges.clients import Clients
from adapters.exchanges.coins import Listing, listings
from adapters.exchanges.endings import announced_end, is_ending, stated_end
from adapters.exchanges.quirks import QUIRKS
from adapters.storage.stamps import end_hour

DATED = ("binanceusdm", "bybit", "okx", "bitget", "kucoinfutures")
NOW = 1_735_700_000_000
DAY = 24 * HOUR_MS


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(world_of(3, coins=("BTC", "ETH"))) as running:
        yield running


def listed(server: LoopbackServer, exchange: str) -> dict[str, Listing]:
    async def load() -> dict[str, Listing]:
        settings = settings_of(server, exchange)
        async with Clients(settings, server.world.clock) as clients:
            return await clients.listings(exchange, Caller(settings.collection))

    return asyncio.run(load())


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_contract_that_goes_on_has_no_end(server: LoopbackServer, exchange: str) -> None:
    found = listed(server, exchange)
    assert {coin: listing.announced_end(server.world.now_ms) for coin, listing in found.items()} == {
        "BTC": None,
        "ETH": None,
    }


@pytest.mark.parametrize("exchange", DATED)
def test_a_dated_end_is_read(server: LoopbackServer, exchange: str) -> None:
    leg, now = server.world.legs[exchange, "ETH"], server.world.now_ms
    leg.ends_ms = now // HOUR_MS * HOUR_MS + 30 * HOUR_MS
    try:
        found = listed(server, exchange)
    finally:
        leg.ends_ms = None
    assert found["ETH"].announced_end(now) == now // HOUR_MS * HOUR_MS + 30 * HOUR_MS
    assert found["ETH"].end_hour(now) == now // HOUR_MS + 30
    assert found["BTC"].end_hour(now) is None


def test_a_contract_that_is_being_taken_off_ends_now(server: LoopbackServer) -> None:
    leg, now = server.world.legs["gate", "ETH"], server.world.now_ms
    leg.ending = True
    try:
        found = listed(server, "gate")
    finally:
        leg.ending = False
    assert found["ETH"].announced_end(now) == now
    assert found["BTC"].announced_end(now) is None


@pytest.mark.parametrize(
    "stated", [None, "", "0", 0, "-1", -1, 4133404800000, "4133404800000", 253402300799000, "nan", "soon", [], {}]
)
@pytest.mark.parametrize("exchange", [name for name in EXCHANGES if QUIRKS[name].ends])
def test_what_stands_for_never_is_no_end(exchange: str, stated: Any) -> None:
    quirks = QUIRKS[exchange]
    end = stated_end(dict.fromkeys(quirks.ends, stated), quirks)
    assert announced_end(end, False, NOW) is None


@pytest.mark.parametrize(
    ("end", "believed"),
    [
        (NOW + DAY, True),
        (NOW - HOUR_MS, True),
        (NOW - 2 * DAY, False),
        (NOW + 400 * DAY, True),
        (NOW + 2000 * DAY, False),
    ],
)
def test_ends_long_past_of_contracts_that_go_on_are_remnants(end: int, believed: bool) -> None:
    assert announced_end(end, False, NOW) == (end if believed else None)
    assert announced_end(end, True, NOW) == NOW


def test_of_several_dates_the_earliest_counts_and_seconds_are_seconds() -> None:
    bitget = {"limitOpenTime": "-1", "offTime": str(NOW + 2 * DAY), "deliveryTime": str(NOW + DAY)}
    assert stated_end(bitget, QUIRKS["bitget"]) == NOW + DAY
    gate = {"delisting_time": NOW // 1000, "delisted_time": NOW // 1000 + 3600}
    assert stated_end(gate, QUIRKS["gate"]) == NOW
    assert is_ending({"status": "delisting"}, QUIRKS["gate"])
    assert not is_ending({"status": "trading", "in_delisting": False}, QUIRKS["gate"])


@pytest.mark.parametrize(("minutes", "hours"), [(0, 0), (4, 0), (6, 1), (30, 1), (59, 1), (60, 1), (-1, 0), (-54, 0)])
def test_the_hour_before_an_end_is_the_last_to_leave_at(minutes: int, hours: int) -> None:
    at = 480_000
    assert end_hour(at * HOUR_MS + minutes * 60_000) == at + hours


def contract(base: str, **changes: Any) -> dict[str, Any]:
    values = {"swap": True, "linear": True, "active": True, "contractSize": 1.0, "created": None, "info": {}}
    quote = {"symbol": f"{base}/USDT:USDT", "base": base, "quote": "USDT", "settle": "USDT"}
    return {**quote, **values, **changes}


def test_contracts_with_names_that_cannot_be_used_are_not_listed() -> None:
    names = ["BTC", "../X", "/ETC/X", "A B", "\u202eX", "X" * 41, "", "币安人生"]
    found = listings("bybit", [contract(name) for name in names], QUIRKS["bybit"])
    assert set(found) == {"BTC", "币安人生"}


@pytest.mark.parametrize("created", [None, "", "soon", -1, 0, float("nan"), [], "1735700000000"])
def test_a_time_of_listing_that_is_none_stops_nothing(created: Any) -> None:
    found = listings("bybit", [contract("BTC", created=created)], QUIRKS["bybit"])
    assert found["BTC"].created_ms == (1735700000000 if created == "1735700000000" else None)


def test_a_contract_without_an_answer_of_its_exchange_is_read() -> None:
    found = listings("gate", [contract("BTC", info=None), contract("ETH", active=False)], QUIRKS["gate"])
    assert set(found) == {"BTC"}
    off = contract("ETH", active=False, info={"in_delisting": True, "status": "delisting"})
    assert listings("gate", [off], QUIRKS["gate"])["ETH"].ending
