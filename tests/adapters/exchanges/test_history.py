"""History from real ccxt clients against the loopback server: row for row what the server holds."""

from __future__ import annotations

import pytest
from loopback.faults import TRANSPORT, RandomFaults, Rule
from loopback.server import LoopbackServer
from loopback.world import EXCHANGES, HOUR_MS, World
from support_exchanges import assert_complete, every_exchange, held_bars, settings_of

from adapters.exchanges.history import ExchangeHistory, Watcher
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.leg_source import Wanted
from adapters.exchanges.live import LiveMarket
from adapters.exchanges.quirks import QUIRKS

COINS = ("BTC", "ETH", "PEPE", "SOL")  # settled every 8, 4 and 1 h, and at changing intervals
SYMBOLS = tuple(f"{coin}USDT" for coin in COINS)
DAYS = 60
WORLD = {"days": DAYS, "coins": COINS}


def span(world: World, days: int = DAYS) -> Wanted:
    until = world.now_ms // HOUR_MS * HOUR_MS
    return Wanted(until - days * 24 * HOUR_MS, until)


def fetched(
    server: LoopbackServer,
    wanted: Wanted,
    *exchanges: str,
    symbols: tuple[str, ...] = SYMBOLS,
    watcher: Watcher | None = None,
    **collection: float,
) -> dict[str, ExchangeHistory]:
    with LiveMarket(settings_of(server, *exchanges, **collection), clock=server.world.clock) as market:
        return market.history(dict.fromkeys(exchanges, symbols), wanted, watcher=watcher)


def assert_all_complete(found: dict[str, ExchangeHistory], world: World, wanted: Wanted) -> None:
    for exchange, history in found.items():
        assert history.error is None
        for leg in history.legs.values():
            assert_complete(leg, world.legs[exchange, leg.listing.coin], world.now_ms, wanted.since, wanted.until)


@pytest.mark.trap(28)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_trap_28_sixty_days_are_complete(server: LoopbackServer, exchange: str) -> None:
    wanted = span(server.world)
    found = fetched(server, wanted, exchange)
    assert set(found[exchange].legs) == set(SYMBOLS)
    assert_all_complete(found, server.world, wanted)
    assert found[exchange].retries == 0


@pytest.mark.trap(28)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_trap_28_a_span_in_the_past_that_ends_between_settlements(server: LoopbackServer, exchange: str) -> None:
    until = server.world.now_ms // HOUR_MS * HOUR_MS - 333 * HOUR_MS
    wanted = Wanted(until - 501 * HOUR_MS, until)
    assert_all_complete(fetched(server, wanted, exchange), server.world, wanted)


@pytest.mark.trap(9)
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_trap_09_the_bar_of_the_running_hour_is_never_there(server: LoopbackServer, exchange: str) -> None:
    now = server.world.now_ms
    for late in (20_000, 30 * 60_000, HOUR_MS - 1):
        server.world.now_ms = now - 20_000 + late
        wanted = Wanted(now - 6 * HOUR_MS, server.world.now_ms)
        found = fetched(server, wanted, exchange, symbols=("BTCUSDT",))
        assert found[exchange].legs["BTCUSDT"].bars.times()[-1] == (now // HOUR_MS - 1) * HOUR_MS
        assert_all_complete(found, server.world, wanted)
    server.world.now_ms = now


def test_a_bar_that_ended_a_moment_ago_is_not_believed_yet(server: LoopbackServer) -> None:
    now = server.world.now_ms
    server.world.now_ms = now - 19_000  # one second after the hour
    found = fetched(server, Wanted(now - 6 * HOUR_MS, now), "okx", symbols=("BTCUSDT",))
    server.world.now_ms = now
    assert found["okx"].legs["BTCUSDT"].bars.times()[-1] == (now // HOUR_MS - 2) * HOUR_MS


@pytest.mark.trap(28)
def test_trap_28_a_coin_listed_and_delisted_within_the_span(server: LoopbackServer) -> None:
    wanted, first = span(server.world), server.world.legs["bybit", "BTC"].first_hour
    for exchange in EXCHANGES:
        leg = server.world.legs[exchange, "ETH"]
        leg.listed_from, leg.missing_hours = first + 300, frozenset({first + 500, *range(first + 700, first + 760)})
    try:
        found = fetched(server, wanted, *EXCHANGES, symbols=("ETHUSDT",))
        assert_all_complete(found, server.world, wanted)
        for exchange in EXCHANGES:
            held = held_bars(server.world.legs[exchange, "ETH"], server.world.now_ms, wanted.since, wanted.until)
            assert len(held) == DAYS * 24 - (300 - 0) - 61 + (first * HOUR_MS - wanted.since) // HOUR_MS
    finally:
        for exchange in EXCHANGES:
            leg = server.world.legs[exchange, "ETH"]
            leg.listed_from, leg.missing_hours = 0, frozenset()


@pytest.mark.trap(27)
def test_trap_27_history_is_complete_through_passing_faults(server: LoopbackServer) -> None:
    faults = tuple(fault for fault in TRANSPORT if fault != "hang")
    server.faults.random = RandomFaults(seed=3, share=0.6, faults=faults, passing=True)
    wanted = span(server.world, 20)
    found = fetched(server, wanted, *EXCHANGES)
    assert_all_complete(found, server.world, wanted)
    assert sum(history.retries for history in found.values()) > 20


@pytest.mark.trap(27)
@pytest.mark.parametrize("kind", ["candles", "funding"])
def test_trap_27_an_empty_page_that_is_a_fault_loses_nothing(server: LoopbackServer, kind: str) -> None:
    server.faults.rules += [Rule("empty", exchange, kind, coin, times=1) for exchange in EXCHANGES for coin in COINS]
    wanted = span(server.world, 15)
    assert_all_complete(fetched(server, wanted, *EXCHANGES), server.world, wanted)


@pytest.mark.trap(27)
def test_trap_27_an_exchange_that_fails_costs_nothing_to_the_others(server: LoopbackServer) -> None:
    server.faults.rules += [Rule("http500", "bybit"), Rule("html", "okx", "funding")]
    wanted = span(server.world, 5)
    found = fetched(server, wanted, "bybit", "okx", "gate")
    assert found["bybit"].error is not None
    assert "ExchangeNotAvailable" in found["bybit"].error
    errors = [leg.error for leg in found["okx"].legs.values()]
    assert all(error and ("no JSON" in error or "not tried" in error) for error in errors)
    assert_all_complete({"gate": found["gate"]}, server.world, wanted)


def test_only_what_is_missing_is_asked_for(server: LoopbackServer) -> None:
    wanted = span(server.world, 30)
    whole = fetched(server, wanted, *EXCHANGES, symbols=("SOLUSDT",))
    before = server.requests.copy()

    class Resumed(Watcher):
        def known(self, listing: object) -> LegHistory:
            leg = whole[listing.exchange].legs[listing.symbol]  # type: ignore[attr-defined]  # an object to the protocol
            if listing.exchange in ("bybit", "hyperliquid"):  # type: ignore[attr-defined]  # an object to the protocol
                for rows in (leg.bars, leg.settlements):
                    for time in rows.times()[100:130]:
                        del rows.by_time[time]
            return leg

    again = fetched(server, wanted, *EXCHANGES, symbols=("SOLUSDT",), watcher=Resumed())
    assert_all_complete(again, server.world, wanted)
    asked = {key for key in (server.requests - before) if key[1] in ("candles", "funding")}
    assert {exchange for exchange, _ in asked} == {"bybit", "hyperliquid"}


def test_a_time_limit_holds_for_each_exchange(server: LoopbackServer) -> None:
    server.faults.rules.append(Rule("hang", "okx", "candles"))
    wanted = span(server.world, 3)
    with LiveMarket(settings_of(server, "okx", "gate"), clock=server.world.clock) as market:
        found = market.history({"okx": SYMBOLS, "gate": SYMBOLS}, wanted, time_limit_seconds=2)
    assert found["okx"].error == "not done within 2 s"
    assert {leg.error for leg in found["okx"].legs.values()} == {"not reached in time"}
    assert_all_complete({"gate": found["gate"]}, server.world, wanted)


def test_symbols_that_an_exchange_does_not_list_are_named(server: LoopbackServer) -> None:
    with LiveMarket(settings_of(server), clock=server.world.clock) as market:
        found = market.history(every_exchange(["BTCUSDT", "NOPEUSDT"]), span(server.world, 1))
    assert {history.not_listed for history in found.values()} == {("NOPEUSDT",)}


@pytest.mark.trap(6)
def test_trap_06_a_late_stamp_is_of_its_hour_in_the_history_too(server: LoopbackServer) -> None:
    leg = server.world.legs["gate", "BTC"]
    usual = leg.stamp
    leg.stamp = lambda hour: usual(hour) + 42_000  # type: ignore[method-assign]  # a leg with another clock
    leg._settlements = None
    try:
        found = fetched(server, span(server.world, 3), "gate", symbols=("BTCUSDT",))["gate"].legs["BTCUSDT"]
    finally:
        del leg.stamp
        leg._settlements = None
    times = found.settlements.times()
    assert len(times) == 9
    assert all(time % (8 * HOUR_MS) == 0 for time in times)


@pytest.mark.parametrize("exchange", ["binanceusdm", "bybit", "okx", "bitget", "gate", "kucoinfutures"])
@pytest.mark.parametrize("wrong_by", [200, 5_000])
def test_a_wrong_time_of_listing_cuts_nothing(server: LoopbackServer, exchange: str, wrong_by: int) -> None:
    """The list of contracts says that it began days before now, or years after; every row comes all the same."""
    world, legs = server.world, [server.world.legs[exchange, coin] for coin in ("BTC", "SOL")]
    for leg in legs:
        leg.created_at = world.now_ms // HOUR_MS - 200 + (0 if wrong_by == 200 else wrong_by)
    try:
        wanted = span(world)
        found = fetched(server, wanted, exchange, symbols=("BTCUSDT", "SOLUSDT"))
    finally:
        for leg in legs:
            leg.created_at = None
    for leg in legs:
        assert_complete(found[exchange].legs[f"{leg.coin}USDT"], leg, world.now_ms, wanted.since, wanted.until)


@pytest.mark.parametrize("exchange", ["binanceusdm", "bybit", "okx", "bitget", "gate", "kucoinfutures"])
def test_what_was_before_a_gap_and_a_new_listing_is_found_too(server: LoopbackServer, exchange: str) -> None:
    """A coin that was taken off for longer than a page of bars, and listed anew."""
    world, leg = server.world, server.world.legs[exchange, "BTC"]
    again = world.now_ms // HOUR_MS - 100
    leg.created_at = again
    page = min(QUIRKS[exchange].candles.rows, 300)
    leg.missing_hours = frozenset(range(again - page - 20, again))
    try:
        wanted = span(world)
        found = fetched(server, wanted, exchange, symbols=("BTCUSDT",))[exchange].legs["BTCUSDT"]
        assert_complete(found, leg, world.now_ms, wanted.since, wanted.until)
    finally:
        leg.created_at, leg.missing_hours = None, frozenset()


@pytest.mark.parametrize("exchange", ["binanceusdm", "bybit", "okx", "bitget", "gate", "kucoinfutures"])
def test_years_before_a_listing_are_not_asked_for_page_by_page(server: LoopbackServer, exchange: str) -> None:
    world, leg = server.world, server.world.legs[exchange, "BTC"]
    leg.listed_from = world.now_ms // HOUR_MS - 100
    leg._settlements = leg._candles = None
    before = server.requests.copy()
    try:
        until = world.now_ms // HOUR_MS * HOUR_MS
        wanted = Wanted(until - 5 * 365 * 24 * HOUR_MS, until)
        found = fetched(server, wanted, exchange, symbols=("BTCUSDT",))[exchange].legs["BTCUSDT"]
        assert_complete(found, leg, world.now_ms, wanted.since, wanted.until)
    finally:
        leg.listed_from = 0
        leg._settlements = leg._candles = None
    asked = server.requests - before
    assert sum(count for (_, kind), count in asked.items() if kind in ("candles", "funding")) <= 12
