"""What is special about each exchange, as data, with the cause beside each entry (ccxt 4.5.90).

A field of a quote is looked up along a list of paths, the first value that is there wins. A path starts with the name
of a bulk answer (``rates``, ``tickers``, ``bids_asks``, ``marks``, ``intervals``) or with ``book``; the rest
are keys. Where nothing is said about an exchange, ccxt's unified answer is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

UNIFIED: Mapping[str, tuple[str, ...]] = {
    "rate": ("rates.fundingRate",),
    "interval": ("rates.interval",),
    "next_settlement": ("rates.fundingTimestamp",),
    "mark": ("rates.markPrice", "tickers.markPrice"),
    "index": ("rates.indexPrice", "tickers.indexPrice"),
    "last": ("tickers.last",),
    "bid": ("tickers.bid", "book.bid"),
    "ask": ("tickers.ask", "book.ask"),
    "volume_usd": ("tickers.quoteVolume",),
    "volume_coins": (),  # stands in where no volume in USD is given: times the last price
}

RATES_AND_TICKERS: Mapping[str, str] = {"rates": "fetch_funding_rates", "tickers": "fetch_tickers"}


@dataclass(frozen=True)
class FundingHistory:
    """How one page of settled rates is asked for.

    ``window``: by ``since`` and ``until``; ``before``: the newest rows older than ``cursor_parameter``; ``pages``:
    by page number from the newest, in ``cursor_parameter``. ``rows`` is the most that one page holds; a page that
    holds fewer than that only costs more requests, never rows (see ``paging``).
    """

    rows: int
    style: Literal["window", "before", "pages"] = "window"
    cursor_parameter: str = ""
    pass_limit: bool = True


@dataclass(frozen=True)
class Candles:
    """How one page of hourly candles is asked for: the most bars in a page and the unit of their volume."""

    rows: int
    pass_until: bool = True
    volume_in_contracts: bool = False


@dataclass(frozen=True)
class Quirks:
    """One exchange."""

    ccxt: Mapping[str, Any]  # defaults of the constructor; what the user configures is merged over them
    funding_history: FundingHistory
    candles: Candles
    bulk: Mapping[str, str] = field(default_factory=lambda: RATES_AND_TICKERS)
    optional: Mapping[str, str] = field(default_factory=dict)  # may fail without failing the exchange
    per_coin_rates: bool = False
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    times: tuple[str, ...] = ("rates.timestamp", "tickers.timestamp")  # the oldest counts
    default_interval_hours: float | None = None  # for a coin that the list of intervals leaves out
    zero_rate_without_book_is_missing: bool = False
    quotes: tuple[str, ...] = ("USDT", "USDC")  # in this order of preference
    scaled_name: str = "base"  # key of the market that holds the name as the exchange writes it
    tick_follows_price: bool = False  # the listed step of the price is that of the price of this minute
    book_limit: int | None = None
    book_in_contracts: bool = False
    ends: tuple[
        str, ...
    ] = ()  # keys of the list of contracts that hold an announced end, in ms or s; the earliest counts
    ending: Mapping[str, tuple[Any, ...]] = field(
        default_factory=dict
    )  # a contract that is being taken off has one of these values

    def paths(self, name: str) -> tuple[str, ...]:
        """Where a field of the quote is found."""
        return self.fields.get(name, UNIFIED[name])


def _lean(types: list[str], **options: Any) -> dict[str, Any]:
    # Market lists of spot, options and currencies cost up to nine requests more and are never used. Without
    # defaultType the bulk tickers of okx, bitget, gate and mexc are those of the spot market.
    return {
        "has": {"fetchCurrencies": False},
        "options": {"defaultType": "swap", "fetchMarkets": {"types": types}, **options},
    }


QUIRKS: Mapping[str, Quirks] = {
    "binanceusdm": Quirks(
        ccxt=_lean(["linear"]),
        # `paginate` steps 1000 x 8 h and so ends after 1000 rows where the interval is shorter.
        funding_history=FundingHistory(rows=1000),
        candles=Candles(rows=1000),
        # The 24 h tickers carry no bid and ask.
        bulk={"rates": "fetch_funding_rates", "tickers": "fetch_tickers", "bids_asks": "fetch_bids_asks"},
        # premiumIndex has no interval; fundingInfo lists only coins whose interval or cap was ever adjusted.
        optional={"intervals": "fetch_funding_intervals"},
        default_interval_hours=8.0,
        fields={
            "interval": ("intervals.interval",),
            "bid": ("bids_asks.bid", "book.bid"),
            "ask": ("bids_asks.ask", "book.ask"),
        },
        # closeTime of the 24 h ticker is the last trade of the coin, which may be old with the data fresh.
        times=("rates.timestamp", "bids_asks.timestamp"),
        book_limit=50,
        ends=("deliveryDate",),  # 4133404800000 for a perpetual that goes on
    ),
    "bybit": Quirks(
        ccxt=_lean(["linear"]),
        # A limit above 200 shifts the window by limit x interval; a row at `since` is lost when the page is full.
        funding_history=FundingHistory(rows=200),
        candles=Candles(rows=1000),
        # The unified interval is that of the market list; the ticker's own is of this minute.
        fields={"interval": ("rates.info.fundingIntervalHour", "rates.interval")},
        times=("rates.timestamp",),
        book_limit=200,
        ends=("deliveryTime",),  # of a perpetual it is the time of its delisting; "0" when none is planned
    ),
    "okx": Quirks(
        ccxt=_lean(["swap"]),
        # `since` only drops rows and `until` is ignored: every answer is the newest 100 rows older than `after`.
        funding_history=FundingHistory(rows=100, style="before", cursor_parameter="after"),
        candles=Candles(rows=300),
        optional={"marks": "fetch_mark_prices"},
        fields={
            "mark": ("marks.markPrice",),
            "index": (),  # only at an address that ccxt has no method for
            "volume_usd": (),  # vol24h counts contracts; volCcy24h counts coins
            "volume_coins": ("tickers.info.volCcy24h",),
        },
        times=("rates.info.ts", "tickers.timestamp"),  # the unified rate has no time
        ends=("expTime",),
        book_limit=100,
        book_in_contracts=True,
    ),
    "bitget": Quirks(
        ccxt=_lean(["swap"]),
        # `since` and `until` do nothing there; pages are numbered from the newest, of 20 rows unless asked for 100.
        funding_history=FundingHistory(rows=100, style="pages", cursor_parameter="pageNo"),
        # Bars older than 30 days come from an address that gives 200 counted back from the end of the window.
        candles=Candles(rows=200),
        # The rates in the tickers come without interval and settlement time; this call has both.
        bulk={"rates": "fetch_funding_intervals", "tickers": "fetch_tickers"},
        fields={"mark": ("tickers.markPrice",), "index": ("tickers.indexPrice",)},
        times=("tickers.timestamp",),
        quotes=("USDT",),  # the bulk calls answer for one settlement currency
        book_limit=100,
        ends=("limitOpenTime", "offTime", "deliveryTime"),  # from the first on nothing can be opened; "-1" means none
    ),
    "gate": Quirks(
        ccxt=_lean(["swap"], swap={"fetchMarkets": {"settlementCurrencies": ["usdt"]}}),
        # Newest first: a small limit with `from` gives the newest rows, not the ones after `from`.
        funding_history=FundingHistory(rows=1000),
        # A range of more than 2000 bars is refused. Volume counts contracts.
        candles=Candles(rows=1000, volume_in_contracts=True),
        times=("book.timestamp",),  # rates and tickers carry none
        ends=("delisting_time", "delisted_time"),  # in seconds; ccxt's own examples show in_delisting alone
        ending={"in_delisting": (True,), "status": ("delisting",)},  # positions can only be closed
        quotes=("USDT",),
        book_limit=100,
        book_in_contracts=True,
    ),
    "kucoinfutures": Quirks(
        ccxt=_lean(["swap", "future", "contract"]),
        # A range with more than 100 settlements gives the newest 100. A limit is applied by ccxt from the oldest.
        funding_history=FundingHistory(rows=100, pass_limit=False),
        # ccxt sends `until` on as an unknown parameter; the end follows from since and limit.
        candles=Candles(rows=200, pass_until=False, volume_in_contracts=True),
        # The list of contracts has prices and volume but no bid, ask and time.
        bulk={"rates": "fetch_funding_rates", "tickers": "fetch_tickers", "bids_asks": "fetch_bids_asks"},
        fields={
            "mark": ("tickers.markPrice",),
            "index": ("tickers.indexPrice",),
            "bid": ("bids_asks.bid", "book.bid"),
            "ask": ("bids_asks.ask", "book.ask"),
        },
        times=("bids_asks.timestamp",),  # nextFundingTimestamp of the rates is no funding time at all
        ends=("expireDate", "settleDate"),
        book_limit=100,  # the only limits taken are 20 and 100
        book_in_contracts=True,
    ),
    "mexc": Quirks(
        ccxt=_lean(["swap"]),
        # Like bitget, under another name; an answer holds 20 rows unless asked for 100.
        funding_history=FundingHistory(rows=100, style="pages", cursor_parameter="page_num"),
        candles=Candles(rows=1000, volume_in_contracts=True),
        # There is no bulk call for rates; the tickers carry the rate, but not when and how often it is paid.
        bulk={"tickers": "fetch_tickers"},
        per_coin_rates=True,
        fields={
            "rate": ("rates.fundingRate", "tickers.info.fundingRate"),
            "mark": ("tickers.info.fairPrice",),
            "index": ("tickers.info.indexPrice",),
        },
        book_limit=100,
        book_in_contracts=True,
    ),
    "hyperliquid": Quirks(
        ccxt=_lean(["swap"]),
        funding_history=FundingHistory(rows=500),
        candles=Candles(rows=1000),  # 5000 latest bars are kept
        fields={
            "last": (),  # not published; ccxt puts the mid there
            # impactPxs are the prices of a fixed notional, not the top of the book.
            "bid": ("book.bid", "tickers.bid"),
            "ask": ("book.ask", "tickers.ask"),
        },
        times=("book.timestamp",),  # rates and tickers carry no time
        zero_rate_without_book_is_missing=True,  # how a delisted coin looks in the bulk answer
        quotes=("USDC",),
        tick_follows_price=True,  # five significant digits
        scaled_name="baseName",  # ccxt writes kPEPE as KPEPE, which could be a coin of that name
    ),
}
"""Every exchange that arb supports, by ccxt id."""
