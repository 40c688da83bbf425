"""High and low of the minutes in which an order rested, from every exchange in its own wire format."""

from __future__ import annotations

import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import EXCHANGES, HOUR_MS, MINUTE_MS
from support_exchanges import settings_of, world_of

from adapters.exchanges.live import LiveMarket
from adapters.exchanges.minutes import Minutes, whole_minutes
from adapters.naming.symbols import symbol_of


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("span", [(1, 60), (1, 30), (25, 35), (58, 60)])
def test_every_exchange_tells_the_minutes_of_an_hour(exchange: str, span: tuple[int, int]) -> None:
    with LoopbackServer(world_of(3, coins=("BTC", "PEPE"))) as server:
        world = server.world
        hour = world.now_ms // HOUR_MS * HOUR_MS
        since, until = (hour - HOUR_MS + minute * MINUTE_MS for minute in span)
        with LiveMarket(settings_of(server, exchange), clock=world.clock) as market:
            found = market.extremes([Minutes(symbol_of(coin), exchange, since, until) for coin in ("BTC", "PEPE")])
        assert not found.complaints
        assert not found.refused
        for coin in ("BTC", "PEPE"):
            leg = world.legs[exchange, coin]
            bars = [bar for bar in leg.minutes(world.now_ms) if since <= bar[0] < until]
            assert len(bars) == span[1] - span[0]
            high, low = max(bar[2] for bar in bars), min(bar[3] for bar in bars)
            assert found.found[symbol_of(coin), exchange] == (high / leg.multiplier, low / leg.multiplier)
            whole = world.legs[exchange, coin].candles(world.now_ms)[-2]
            assert (high == whole[2]) == (span in ((1, 60), (1, 30)))  # in minute 20
            assert (low == whole[3]) == (span == (1, 60))  # in minute 40


def test_only_minutes_that_lie_wholly_inside_count() -> None:
    assert whole_minutes("BTCUSDT", "okx", 3 * MINUTE_MS + 1, 9 * MINUTE_MS - 1) == Minutes(
        "BTCUSDT", "okx", 4 * MINUTE_MS, 8 * MINUTE_MS
    )
    assert whole_minutes("BTCUSDT", "okx", 3 * MINUTE_MS, 9 * MINUTE_MS) == Minutes(
        "BTCUSDT", "okx", 3 * MINUTE_MS, 9 * MINUTE_MS
    )


def test_an_exchange_that_fails_is_a_complaint_and_the_others_are_there() -> None:
    with LoopbackServer(world_of(2, coins=("BTC",))) as server:
        server.faults.rules += [Rule("hang", "okx", "candles"), Rule("cut", "gate", "candles")]
        names, now = ("bybit", "gate", "okx"), server.world.now_ms
        spans = [whole_minutes("BTCUSDT", name, now - HOUR_MS, now) for name in names]
        spans.append(whole_minutes("ETHUSDT", "bybit", now - HOUR_MS, now))
        with LiveMarket(settings_of(server, *names, time_limit_seconds=2), clock=server.world.clock) as market:
            found = market.extremes(spans)
        assert set(found.found) == {("BTCUSDT", "bybit")}
        assert len(found.complaints) == 3
        assert any(line.startswith("gate: no minutes (") for line in found.complaints)
        assert {"okx: no minutes within 2 s", "bybit: ETHUSDT is not listed any more"} < set(found.complaints)
        assert server.settle() == 0
