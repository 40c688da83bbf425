"""One quote out of bulk answers: units, missing values and faults."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.exchanges.coins import Listing
from adapters.exchanges.fields import depth_within, interval_hours, is_level, look_up, number, oldest_time, positive
from adapters.exchanges.quirks import QUIRKS
from adapters.exchanges.quotes import Quote
from adapters.exchanges.reading import read_quote
from adapters.exchanges.settings import CollectionSettings
from adapters.gate.limits import GateSettings

NOW = 1_700_000_000_000
NAME = "X/USDT:USDT"


def quote_of(exchange: str = "bybit", *, multiplier: int = 1, contract_size: float = 1.0, **tables: Any) -> Quote:
    listing = Listing(exchange, "X", NAME, multiplier, contract_size, "USDT", None)
    by_name = {name: {NAME: value} for name, value in tables.items()}
    return read_quote(listing, by_name, QUIRKS[exchange], CollectionSettings(), NOW, {})


def whole(**changes: Any) -> dict[str, Any]:
    rates = {"fundingRate": 1e-4, "interval": "8h", "fundingTimestamp": NOW + 60_000, "timestamp": NOW, "info": {}}
    tickers = {"last": 10.0, "bid": 9.9, "ask": 10.1, "quoteVolume": 5e6}
    return {"rates": {**rates, **changes}, "tickers": {**tickers, **changes}}


@pytest.mark.parametrize(
    ("stated", "hours"),
    [
        ("8h", 8),
        ("1h", 1),
        ("7200000", 2),
        (28800000, 8),
        ("4", 4),
        (None, None),
        ("", None),
        ("0h", None),
        ("?", None),
    ],
)
def test_intervals_come_in_hours_or_milliseconds(stated: Any, hours: float | None) -> None:
    assert interval_hours(stated) == hours


def test_a_whole_quote_has_no_faults() -> None:
    quote = quote_of(**whole())
    assert quote.faults == ()
    assert (quote.mid_price, quote.funding_interval_hours, quote.volume_24h_usd) == (10.0, 8.0, 5e6)
    assert quote.spread == pytest.approx(0.02)


@pytest.mark.trap(4)
def test_trap_04_missing_is_none_and_zero_is_zero() -> None:
    missing = quote_of(rates={"fundingRate": None, "interval": "8h", "info": {}}, tickers={"bid": 0, "ask": None})
    assert (missing.funding_rate, missing.bid_price, missing.ask_price, missing.volume_24h_usd) == (None,) * 4
    assert missing.faults == ("no funding rate", "no bid or no ask")
    assert quote_of(**whole(fundingRate=0.0)).funding_rate == 0.0
    assert quote_of(**whole(fundingRate=float("nan"))).funding_rate is None


@pytest.mark.trap(4)
def test_trap_04_a_delisted_coin_of_hyperliquid_has_no_rate() -> None:
    rates = {"fundingRate": 0.0, "interval": "1h"}
    assert quote_of("hyperliquid", rates=rates, tickers={"bid": None, "ask": None}).funding_rate is None
    assert quote_of("hyperliquid", rates=rates, tickers={"bid": 1.0, "ask": 1.1}).funding_rate == 0.0


def test_prices_are_per_coin_and_depth_in_dollars() -> None:
    book = {"bids": [[9.999, 50.0], [9.0, 1e6]], "asks": [[10.001, 70.0]], "bid": 9.999, "ask": 10.001}
    quote = quote_of("gate", multiplier=1000, contract_size=0.1, **whole(), book=book)
    assert quote.bid_price == pytest.approx(0.0099)
    assert quote.depth_usd == pytest.approx(9.999 * 50 * 0.1)  # contracts, the thinner side, the far level left out


def test_volume_in_coins_is_valued_at_the_last_price() -> None:
    tickers = {**whole()["tickers"], "quoteVolume": None, "info": {"volCcy24h": "3"}}
    quote = quote_of("okx", multiplier=10, rates=whole()["rates"], tickers=tickers)
    assert quote.volume_24h_usd == pytest.approx(30.0)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"timestamp": NOW - 3_600_000}, "stale by 3600 s"),
        ({"timestamp": NOW + 3_600_000}, "stamped 3600 s ahead of our clock"),
        ({"bid": 10.2}, "bid above ask"),
        ({"interval": None}, "no funding interval"),
    ],
)
def test_faults_are_told(changes: dict[str, Any], fault: str) -> None:
    quote = quote_of(**whole(**changes))
    assert quote.faults == (fault,)
    if fault == "bid above ask":
        assert quote.mid_price is None


def test_the_stalest_part_makes_the_age() -> None:
    tables = {"rates": {NAME: {"timestamp": 20}}, "bids_asks": {NAME: {"timestamp": 10}}, "tickers": {}}
    assert oldest_time(tables, ("rates.timestamp", "bids_asks.timestamp", "tickers.timestamp"), NAME) == 10
    assert oldest_time(tables, ("tickers.timestamp",), NAME) is None


def test_a_coin_left_out_of_the_list_of_intervals_has_the_usual_one_only_if_the_list_came() -> None:
    rates = {"fundingRate": 1e-4}
    assert quote_of("binanceusdm", rates=rates, intervals={}).funding_interval_hours == 8.0
    assert quote_of("binanceusdm", rates=rates, intervals={"interval": "4h"}).funding_interval_hours == 4.0
    assert quote_of("binanceusdm", rates=rates).funding_interval_hours is None


def test_paths_fall_through_to_the_first_value() -> None:
    tables = {"rates": {NAME: {"info": {"a": ""}, "b": 2}}}
    assert look_up(tables, ("rates.info.a", "rates.none.deep", "rates.b"), NAME) == 2
    assert look_up(tables, ("book.bid",), NAME) is None


def test_numbers() -> None:
    assert [number(v) for v in ("1.5", None, "x", float("inf"), 0)] == [1.5, None, None, None, 0.0]
    assert [positive(v) for v in ("0", -1, 2)] == [None, None, 2.0]


def test_an_empty_side_is_no_depth() -> None:
    assert depth_within([], [(1.0, 1.0)], bps=10, unit=1.0) is None


def told(quote: Quote) -> list[tuple[str, float | str]]:
    """(field, value) of what was refused."""
    return [(each.field, each.value) for each in quote.refused]


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"bid": 0}, "bid_price", 0.0),
        ({"ask": -10.1}, "ask_price", -10.1),
        ({"last": 1e10}, "last_price", 1e10),
        ({"markPrice": float("nan")}, "mark_price", "nan"),
        ({"indexPrice": "none"}, "index_price", "none"),
        ({"fundingRate": 3.0}, "funding_rate", 3.0),
        ({"fundingRate": "NaN"}, "funding_rate", "NaN"),
        ({"interval": "480h"}, "funding_interval_hours", 480.0),
        ({"interval": "-8h"}, "funding_interval_hours", "-8h"),
        ({"interval": "5h"}, "funding_interval_hours", 5.0),
        ({"quoteVolume": -5.0}, "volume_24h_usd", -5.0),
        ({"quoteVolume": 1e15}, "volume_24h_usd", 1e15),
        ({"fundingTimestamp": NOW + 30 * 3_600_000}, "next_settlement", float(NOW + 30 * 3_600_000)),
        ({"fundingTimestamp": NOW - 3_600_000}, "next_settlement", float(NOW - 3_600_000)),
        ({"timestamp": -5}, "exchange_time", -5.0),
        ({"markPrice": 10**400}, "mark_price", "too large a number"),
        ({"markPrice": {"a": 1}}, "mark_price", "{'a': 1}"),
    ],
)
def test_a_value_that_cannot_be_is_absent_and_named(changes: dict[str, Any], field: str, value: float | str) -> None:
    quote = quote_of(**whole(**changes))
    assert told(quote) == [(field, value)]
    names = {"next_settlement": "next_settlement_ms", "exchange_time": "exchange_time_ms"}
    assert getattr(quote, names.get(field, field)) is None
    good = quote_of(**whole())
    lost = [name for name in Quote.__slots__ if getattr(good, name) is not None and getattr(quote, name) is None]
    assert lost == ([names.get(field, field)] if field not in ("mark_price", "index_price") else [])


def test_a_quote_with_a_time_that_cannot_be_is_not_used() -> None:
    assert quote_of(**whole(timestamp=0)).faults == ("a time that cannot be",)


def test_a_refused_interval_is_not_replaced_by_the_usual_one() -> None:
    rates = {"fundingRate": 1e-4}
    quote = quote_of("binanceusdm", rates=rates, intervals={"interval": "480h"})
    assert quote.funding_interval_hours is None


def test_limits_can_be_others() -> None:
    listing = Listing("bybit", "X", NAME, 1, 1.0, "USDT", None)
    tables = {name: {NAME: value} for name, value in whole(fundingRate=0.03).items()}
    limits = GateSettings(rate_caps={"bybit": 0.05})
    assert read_quote(listing, tables, QUIRKS["bybit"], CollectionSettings(), NOW, {}, limits).funding_rate == 0.03


@pytest.mark.parametrize(
    "level", [None, 7, "ab", [], [1.0], [0, 1.0], [1.0, 0], [-1.0, 1.0], [float("nan"), 1.0], [1.0, float("inf")],
              ["1.0", "2.0"], [None, 1.0], {"price": 1.0}]
)  # fmt: skip
def test_a_row_of_a_book_that_cannot_be_is_none(level: Any) -> None:
    assert not is_level(level)
    assert is_level([1.0, 2.0, 3])
