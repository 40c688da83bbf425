"""Every fault of every exchange: told, counted, repeated where that helps, and without cost to the others."""

from __future__ import annotations

import time

import pytest
from loopback.faults import ALL, TRANSPORT, Rule
from loopback.server import LoopbackServer
from loopback.world import EXCHANGES
from support_exchanges import settings_of

from adapters.exchanges.live import LiveMarket
from adapters.exchanges.quotes import Collection

SYMBOLS = ("BTCUSDT", "PEPEUSDT")
KINDS = {
    "hang": {"RequestTimeout"},
    "http500": {"ExchangeNotAvailable"},
    "http503": {"ExchangeNotAvailable"},
    "http429": {"RateLimitExceeded", "DDoSProtection"},
    "limit_body": {"RateLimitExceeded", "DDoSProtection"},
    "cut": {"ExchangeError"},
    "html": {"BrokenAnswer"},
    "half_json": {"BrokenAnswer"},
}
WORLD = {"days": 4, "coins": ("BTC", "PEPE", "SOL")}


def look(server: LoopbackServer, *exchanges: str, timeout_ms: int = 20_000, **collection: float) -> Collection:
    settings = settings_of(server, *exchanges, ccxt={"timeout": timeout_ms}, **collection)
    with LiveMarket(settings, clock=server.world.clock) as market:
        return market.quotes(SYMBOLS)


@pytest.mark.trap(27)
@pytest.mark.parametrize("fault", TRANSPORT)
def test_trap_27_an_exchange_that_answers_nothing_good_is_failed_and_told_why(
    server: LoopbackServer, fault: str
) -> None:
    server.faults.rules.append(Rule(fault))
    found = look(server, timeout_ms=300 if fault == "hang" else 20_000)
    assert found.quotes == ()
    assert found.failed == tuple(sorted(EXCHANGES))
    for outcome in found.outcomes:
        assert set(outcome.errors) <= KINDS[fault] | {"RequestTimeout", "ExchangeNotAvailable"}
        assert set(outcome.errors) & KINDS[fault], (outcome.exchange, outcome.errors)
        assert outcome.error is not None
        assert outcome.retries == 2


@pytest.mark.trap(27)
@pytest.mark.parametrize("fault", [*TRANSPORT, "empty"])
def test_trap_27_a_fault_that_passes_costs_a_retry_and_nothing_else(server: LoopbackServer, fault: str) -> None:
    server.faults.rules += [Rule(fault, exchange, "tickers", times=1) for exchange in EXCHANGES]
    server.faults.rules.append(Rule(fault, "hyperliquid", "rates", times=1))
    found = look(server, timeout_ms=1500 if fault == "hang" else 20_000)
    assert len(found.quotes) == 2 * len(EXCHANGES)
    assert not [quote for quote in found.quotes if quote.faults]
    assert [(o.exchange, o.status) for o in found.outcomes if o.status != "ok"] == []
    assert all(outcome.retries >= 1 for outcome in found.outcomes)


@pytest.mark.trap(27)
def test_trap_27_an_empty_bulk_answer_is_a_failure(server: LoopbackServer) -> None:
    server.faults.rules.append(Rule("empty"))
    found = look(server)
    assert found.failed == tuple(sorted(EXCHANGES))
    assert {outcome.error for outcome in found.outcomes} == {
        f"BrokenAnswer: {exchange} lists no live perpetual" for exchange in EXCHANGES
    }


@pytest.mark.trap(27)
def test_trap_27_null_fields_are_unknown_and_never_zero(server: LoopbackServer) -> None:
    shared = {
        "gate": "tickers",
        "hyperliquid": "book",
        "kucoinfutures": "bids_asks",
    }  # the others carry the market list
    server.faults.rules += [Rule("nulls", exchange, shared.get(exchange, "tickers")) for exchange in EXCHANGES]
    server.faults.rules += [Rule("nulls", None, kind) for kind in ("bids_asks", "book")]
    found = look(server)
    assert len(found.quotes) == 2 * len(EXCHANGES)
    for quote in found.quotes:
        values = (quote.bid_price, quote.ask_price, quote.last_price, quote.depth_usd, quote.funding_rate)
        assert 0 not in values
        assert quote.depth_usd is None
        if quote.exchange != "hyperliquid":  # where the bulk answer has prices of its own
            assert "no bid or no ask" in quote.faults
    assert found.failed == ()


@pytest.mark.trap(27)
@pytest.mark.parametrize(("fault", "words"), [("stale", "stale by 3600 s"), ("ahead", "ahead of our clock")])
def test_trap_27_data_of_another_time_are_faulty(server: LoopbackServer, fault: str, words: str) -> None:
    server.faults.rules.append(Rule(fault))
    found = look(server)
    assert len(found.quotes) == 2 * len(EXCHANGES)
    for quote in found.quotes:
        assert any(words in told for told in quote.faults), quote


@pytest.mark.trap(27)
def test_trap_27_half_a_list_leaves_the_other_coins_unknown(server: LoopbackServer) -> None:
    server.faults.rules += [Rule("truncated", exchange, "tickers") for exchange in ("bybit", "okx", "bitget")]
    server.faults.rules.append(Rule("http500", "okx", "book"))
    found = look(server, "bybit", "okx", "bitget")
    kept = [quote for quote in found.quotes if quote.symbol == "BTCUSDT"]
    lost = [quote for quote in found.quotes if quote.symbol == "PEPEUSDT"]
    assert [quote.faults for quote in kept] == [(), (), ()]
    assert [(quote.last_price, quote.volume_24h_usd) for quote in lost] == [(None, None)] * 3
    without_prices = [quote.exchange for quote in lost if "no bid or no ask" in quote.faults]
    assert without_prices == ["okx"]  # the books of the others have them


@pytest.mark.trap(27)
@pytest.mark.parametrize("slow", [EXCHANGES[::2], EXCHANGES[1::2]])
def test_trap_27_hanging_exchanges_do_not_delay_the_others(server: LoopbackServer, slow: tuple[str, ...]) -> None:
    server.faults.rules += [Rule("hang", exchange) for exchange in slow]
    began = time.monotonic()
    found = look(server, time_limit_seconds=2)
    assert time.monotonic() - began < 12
    assert found.failed == tuple(sorted(slow))
    assert {outcome.error for outcome in found.outcomes if outcome.exchange in slow} == {"not done within 2 s"}
    assert {quote.exchange for quote in found.quotes} == set(EXCHANGES) - set(slow)
    assert not [quote for quote in found.quotes if quote.faults]


@pytest.mark.trap(27)
def test_trap_27_what_came_before_the_time_limit_is_used(server: LoopbackServer) -> None:
    server.faults.rules.append(Rule("hang", "bybit", "book"))
    found = look(server, "bybit", time_limit_seconds=2)
    outcome = found.outcomes[0]
    assert (outcome.status, outcome.error, outcome.notes) == ("partial", None, ("not done within 2 s",))
    assert [(quote.faults, quote.depth_usd) for quote in found.quotes] == [((), None), ((), None)]


@pytest.mark.parametrize("fault", ALL)
def test_rates_that_fail_leave_the_prices(server: LoopbackServer, fault: str) -> None:
    server.faults.rules.append(Rule(fault, "okx", "rates"))
    quick = {"timeout_ms": 1000, "attempts": 1} if fault == "hang" else {}
    found = look(server, "okx", **quick)
    assert all(quote.mid_price is not None for quote in found.quotes)
    if fault in (*TRANSPORT, "empty"):
        assert found.outcomes[0].status == "partial"
        assert found.outcomes[0].notes[0].startswith("no rates: ")
        assert [quote.faults for quote in found.quotes] == [("no funding rate", "no funding interval")] * 2
    else:
        assert found.outcomes[0].status == "ok"
