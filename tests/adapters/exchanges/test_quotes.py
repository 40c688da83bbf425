"""Live quotes from real ccxt clients against the loopback server: right values, right units, right names."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import EXCHANGES, HOUR_MS, Leg
from support_exchanges import settings_of, world_of

from adapters.exchanges.live import LiveMarket
from adapters.exchanges.quotes import Collection, Quote

SYMBOLS = ("BTCUSDT", "ETHUSDT", "PEPEUSDT", "SOLUSDT", "KASUSDT")
NO_INDEX, NO_LAST = frozenset({"okx"}), frozenset({"hyperliquid"})


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(world_of(8, coins=("BTC", "ETH", "PEPE", "SOL", "KAS"))) as running:
        yield running


@pytest.fixture(scope="module")
def looked(server: LoopbackServer) -> Collection:
    with LiveMarket(settings_of(server), clock=server.world.clock) as market:
        return market.quotes([*SYMBOLS, "NOPEUSDT"])


def sources(looked: Collection, server: LoopbackServer, exchange: str) -> list[tuple[Quote, Leg]]:
    quotes = [quote for quote in looked.quotes if quote.exchange == exchange]
    assert [quote.symbol for quote in quotes] == sorted(SYMBOLS)
    return [(quote, server.world.legs[exchange, quote.symbol.removesuffix("USDT")]) for quote in quotes]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_prices_are_per_coin_and_missing_ones_are_none(
    looked: Collection, server: LoopbackServer, exchange: str
) -> None:
    for quote, leg in sources(looked, server, exchange):
        now = server.world.now_ms
        last = leg.last(now) / leg.multiplier
        bid, ask = (price / leg.multiplier for price in leg.bid_ask(now))
        assert (quote.multiplier, quote.faults) == (leg.multiplier, ())
        assert (quote.bid_price, quote.ask_price) == pytest.approx((bid, ask), rel=1e-12)
        assert quote.mark_price == pytest.approx(last, rel=1e-12)
        assert quote.last_price == (None if exchange in NO_LAST else pytest.approx(last, rel=1e-12))
        assert quote.index_price == (None if exchange in NO_INDEX else pytest.approx(last, rel=1e-12))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_rates_come_with_their_interval_and_time(looked: Collection, server: LoopbackServer, exchange: str) -> None:
    for quote, leg in sources(looked, server, exchange):
        upcoming = leg.next_settlement(server.world.now_ms)
        assert quote.funding_rate == leg.rate(upcoming)
        assert quote.funding_interval_hours == leg.interval(server.world.now_ms // HOUR_MS)
        assert quote.next_settlement_ms == upcoming * HOUR_MS
        assert quote.exchange_time_ms == server.world.now_ms


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_volume_and_depth_are_dollars_on_every_exchange(
    looked: Collection, server: LoopbackServer, exchange: str
) -> None:
    for quote, leg in sources(looked, server, exchange):
        now = server.world.now_ms
        contracts, usd = leg.volume_24h(now)
        valued_at_last = contracts * leg.contract_size * leg.last(now)
        assert quote.volume_24h_usd == pytest.approx(valued_at_last if exchange == "okx" else usd, rel=1e-9)
        bids, asks = leg.book(now, 50)
        mid = (bids[0][0] + asks[0][0]) / 2
        sides = (
            sum(price * size for price, size in bids if price >= mid * 0.999),
            sum(price * size for price, size in asks if price <= mid * 1.001),
        )
        assert quote.depth_usd == pytest.approx(min(sides) * leg.contract_size, rel=1e-9)
        assert 1e4 < quote.depth_usd < 1e6


def test_the_outcome_of_a_good_look(looked: Collection, server: LoopbackServer) -> None:
    assert [outcome.exchange for outcome in looked.outcomes] == sorted(EXCHANGES)
    for outcome in looked.outcomes:
        assert (outcome.status, outcome.error, outcome.notes, outcome.retries) == ("ok", None, (), 0)
        assert outcome.missing == ("NOPEUSDT",)
    assert looked.started_ms == looked.finished_ms == server.world.now_ms
    assert {quote.quote_currency for quote in looked.quotes if quote.exchange == "hyperliquid"} == {"USDC"}
    assert looked.quote("PEPEUSDT", "hyperliquid") is not None
    assert looked.quote("PEPEUSDT", "nowhere") is None


def test_only_public_addresses_are_asked_and_no_connection_stays(looked: Collection, server: LoopbackServer) -> None:
    assert looked.quotes
    posts = {path for method, path in server.paths if method == "POST"}
    assert posts == {"hyperliquid/info"}
    words = ("order/", "account", "position", "balance", "withdraw", "transfer", "private")
    assert not [path for _, path in server.paths if any(word in path for word in words)]
    assert server.settle() == 0


def test_books_only_where_they_are_wanted(server: LoopbackServer) -> None:
    with LiveMarket(settings_of(server, "bybit"), clock=server.world.clock) as market:
        found = market.quotes(["BTCUSDT", "ETHUSDT"], book_symbols=["ETHUSDT"])
    assert [quote.depth_usd is None for quote in found.quotes] == [True, False]


@pytest.mark.trap(27)
def test_trap_27_a_coin_that_leaves_is_missing_and_never_zero(server: LoopbackServer) -> None:
    for exchange in EXCHANGES:
        server.world.legs[exchange, "ETH"].delisted_at = server.world.now_ms // HOUR_MS
    try:
        with LiveMarket(settings_of(server), clock=server.world.clock) as market:
            found = market.quotes(["ETHUSDT", "BTCUSDT"])
    finally:
        for exchange in EXCHANGES:
            server.world.legs[exchange, "ETH"].delisted_at = None
    assert {quote.symbol for quote in found.quotes} == {"BTCUSDT"}
    assert {outcome.missing for outcome in found.outcomes} == {("ETHUSDT",)}


def test_intervals_that_an_exchange_does_not_tell_are_read_from_its_history(server: LoopbackServer) -> None:
    server.faults.rules.append(Rule("empty", "binanceusdm", "intervals"))
    try:
        with LiveMarket(settings_of(server, "binanceusdm"), clock=server.world.clock) as market:
            found = market.quotes(SYMBOLS, book_symbols=[])
    finally:
        server.faults.rules.clear()
    assert found.outcomes[0].status == "partial"
    assert "no intervals" in found.outcomes[0].notes[0]
    assert {quote.symbol: quote.funding_interval_hours for quote in found.quotes} == {
        symbol: server.world.legs["binanceusdm", symbol[:-4]].interval(server.world.now_ms // HOUR_MS)
        for symbol in SYMBOLS
    }


def test_eight_exchanges_with_a_hundred_coins_take_seconds() -> None:
    coins = tuple(f"C{number}" for number in range(100))
    with LoopbackServer(world_of(2, coins=coins)) as server:
        with LiveMarket(settings_of(server), clock=server.world.clock) as market:
            began = time.process_time()
            found = market.quotes([f"{coin}USDT" for coin in coins])
            spent = time.process_time() - began  # of the server too, which shares the process
        assert len(found.quotes) == 800
        assert all(quote.depth_usd for quote in found.quotes)
        assert spent < 10


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_order_books_are_in_coins_and_usd_a_coin(looked: Collection, server: LoopbackServer, exchange: str) -> None:
    for quote, leg in sources(looked, server, exchange):
        book = looked.books[quote.symbol, exchange]
        # Sizes are contracts of so many listed units where they are any, and else the world has a contract of 1.
        unit = leg.multiplier * leg.contract_size
        for found, held in zip(book, leg.book(server.world.now_ms, len(book.bids)), strict=True):
            levels = [(price / leg.multiplier, size * unit) for price, size in held]
            assert len(found) > 5
            assert [*map(tuple, found)] == [pytest.approx(level, rel=1e-9) for level in levels]
