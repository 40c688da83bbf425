"""The blocking face of the exchanges, hour after hour."""

from __future__ import annotations

import time

from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_exchanges import assert_complete, settings_of, world_of

from adapters.exchanges.leg_source import Wanted
from adapters.exchanges.live import LiveMarket


def test_hour_after_hour_nothing_stays_open_and_nothing_is_missed() -> None:
    symbols = ("BTCUSDT", "SOLUSDT")
    with LoopbackServer(world_of(2, coins=("BTC", "SOL"))) as server:
        world = server.world
        with LiveMarket(settings_of(server, "bybit", "hyperliquid"), clock=world.clock) as market:
            for hour in range(6):
                if hour == 3:
                    server.faults.rules.append(Rule("cut", "bybit", times=1))
                until = world.now_ms // HOUR_MS * HOUR_MS
                wanted = Wanted(until - 3 * HOUR_MS, until, bars=False)
                found, past, _ = market.hour(symbols, {"bybit": symbols, "hyperliquid": symbols}, wanted)
                assert len(found.quotes) == 4
                assert {quote.collected_ms for quote in found.quotes} == {world.now_ms}
                assert server.settle() == 0
                for exchange, history in past.items():
                    for leg in history.legs.values():
                        held = world.legs[exchange, leg.listing.coin]
                        settled = [(hour_ms, held.rate(hour_ms // HOUR_MS)) for hour_ms in leg.settlements.times()]
                        assert leg.settlements.sorted() == settled
                        assert not leg.bars.by_time
                world.now_ms += HOUR_MS
            assert server.settle() == 0


def test_an_hour_with_a_hanging_exchange_keeps_its_time_limit() -> None:
    with LoopbackServer(world_of(2, coins=("BTC",))) as server:
        server.faults.rules.append(Rule("hang", "okx"))
        names = ("bybit", "gate", "okx")
        with LiveMarket(settings_of(server, *names, time_limit_seconds=2), clock=server.world.clock) as market:
            wanted = Wanted(server.world.now_ms - 9 * HOUR_MS, server.world.now_ms, bars=False)
            began = time.monotonic()
            found, past, _ = market.hour(["BTCUSDT"], dict.fromkeys(names, ("BTCUSDT",)), wanted)
            assert time.monotonic() - began < 12
        assert found.failed == ("okx",)
        assert {name: history.error for name, history in past.items()} == {
            "bybit": None,
            "gate": None,
            "okx": "not done within 2 s",
        }
        assert server.requests["gate", "rates"] == 2  # one list of contracts for both, and the rates
        assert server.settle() == 0


def test_a_settlement_that_is_not_published_yet_is_not_invented() -> None:
    with LoopbackServer(world_of(2, coins=("BTC",))) as server:
        world = server.world
        world.now_ms -= world.now_ms % (8 * HOUR_MS) - 20_000
        due = world.now_ms // HOUR_MS * HOUR_MS
        world.publish_delay_ms = 60_000
        with LiveMarket(settings_of(server, "okx"), clock=world.clock) as market:
            wanted = Wanted(due - 24 * HOUR_MS, due)
            early = market.history({"okx": ["BTCUSDT"]}, wanted)["okx"].legs["BTCUSDT"]
            world.now_ms += 60_000
            late = market.history({"okx": ["BTCUSDT"]}, wanted)["okx"].legs["BTCUSDT"]
        assert early.settlements.times() == late.settlements.times()[:-1]
        assert late.settlements.times()[-1] == due
        assert_complete(late, world.legs["okx", "BTC"], world.now_ms, wanted.since, wanted.until)


def test_the_ranking_takes_bulk_answers_only() -> None:
    coins = ("BTC", "ETH", "SOL")
    with LoopbackServer(world_of(2, coins=coins)) as server:
        with LiveMarket(settings_of(server), clock=server.world.clock) as market:
            chosen, outcomes = market.top_symbols(2)
        volumes: dict[str, list[float]] = {}
        for (_, coin), leg in server.world.legs.items():
            volumes.setdefault(coin, []).append(leg.volume_24h(server.world.now_ms)[1])
        by_volume = sorted(coins, key=lambda coin: -sorted(volumes[coin])[-2])
        assert chosen == [f"{coin}USDT" for coin in by_volume[:2]]
        assert {outcome.status for outcome in outcomes} == {"ok"}
        assert not [kind for _, kind in server.requests if kind in ("book", "candles", "funding")]
