"""Answers of bounded size from the host that was asked, through real ccxt clients."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from loopback.faults import UNSAFE, Rule
from loopback.server import LoopbackServer, gzip_of_spaces
from support_exchanges import settings_of
from support_live import EXCHANGES, trader

from adapters.exchanges.live import LiveMarket
from adapters.exchanges.quotes import Collection
from adapters.exchanges.settings import exchanges_settings
from engine.errors import SettingsError

SAID = {"bomb": "answered with more than 32 MB", "redirect": "another host is not followed"}
WORLD = {"days": 10, "coins": ("BTC", "ETH")}


def look(server: LoopbackServer, *exchanges: str, **collection: float) -> Collection:
    with LiveMarket(settings_of(server, *exchanges, **collection), clock=server.world.clock) as market:
        return market.quotes(["BTCUSDT"])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@pytest.mark.parametrize("fault", UNSAFE)
@pytest.mark.parametrize("kind", ["markets", "tickers", "book"])
def test_an_unsafe_answer_fails_its_request_only_and_is_not_asked_for_again(
    server: LoopbackServer, fault: str, kind: str
) -> None:
    server.faults.rules.append(Rule(fault, "bybit", kind))
    found = look(server, "bybit", "okx")
    outcome = next(each for each in found.outcomes if each.exchange == "bybit")
    assert SAID[fault] in (outcome.error or outcome.notes[0])
    assert set(outcome.errors) == {"RefusedAnswer"}
    assert outcome.retries == 0
    assert found.quote("BTCUSDT", "okx") is not None
    assert found.outcomes[-1].status == "ok"


def test_a_gigabyte_in_a_megabyte_is_never_in_memory(server: LoopbackServer) -> None:
    assert len(gzip_of_spaces(1_000)) < 1_100_000
    look(server, "bybit", "okx")
    before = peak_mb()
    server.faults.rules += [Rule("bomb", name) for name in EXCHANGES]
    assert set(look(server, *EXCHANGES).failed) == set(EXCHANGES)
    assert peak_mb() - before < 250  # three answers of 32 MB at a time, in pieces


def test_the_size_is_that_of_the_answer_as_it_is_unpacked(server: LoopbackServer) -> None:
    assert look(server, "bybit", max_answer_mb=1).failed == ()
    failed = look(server, "bybit", max_answer_mb=0.0001)
    assert "answered with more than 0.0001 MB" in (failed.outcomes[0].error or "")
    with pytest.raises(SettingsError, match="max_answer_mb = 0"):
        exchanges_settings({"exchanges": {"bybit": {}}, "collection": {"max_answer_mb": 0}}, origin="test")


def test_a_redirect_within_the_host_is_followed(server: LoopbackServer) -> None:
    server.faults.rules.append(Rule("moved", "okx", times=2))
    assert look(server, "okx", attempts=1).outcomes[0].status == "ok"


@pytest.mark.parametrize("fault", UNSAFE)
def test_the_paper_hour_of_the_others_goes_on(server: LoopbackServer, tmp_path: Path, fault: str) -> None:
    with trader(tmp_path, server) as live:
        live.trading.run()
        server.faults.rules.append(Rule(fault, "okx"))
        hour = live.hour().hours[-1]
        assert hour.status == "degraded"
        assert next(event.text for event in hour.events if event.kind == "exchange_failed").startswith("okx: ")
        rows = live.journal.rows("SELECT leg FROM observations WHERE hour = ? AND price IS NOT NULL", hour.hour)
        assert {live.journal.legs[leg][1] for (leg,) in rows} == {"bybit", "hyperliquid"}
