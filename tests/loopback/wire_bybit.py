"""Bybit v5: everything newest first; funding at most 200 rows, and a start needs an end."""

from __future__ import annotations

from typing import Any

from loopback.wire import Route, between, newest_first
from loopback.world import HOUR_MS, Leg, World, text


def _enveloped(result: Any, now: int) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now}


ROUTES = {
    "v5/market/instruments-info": Route("markets", lambda c: _enveloped(_markets(c.world, c.now, c.query), c.now)),
    "v5/market/tickers": Route(
        "tickers",
        lambda c: _enveloped({"category": "linear", "list": [_ticker(leg, c.now) for leg in c.legs]}, c.now),
    ),
    "v5/market/orderbook": Route("book", lambda c: _enveloped(_book(c.leg, c.now, c.query), c.now), "symbol"),
    "v5/market/kline": Route("candles", lambda c: _enveloped(_klines(c.leg, c.now, c.query), c.now), "symbol"),
    "v5/market/funding/history": Route(
        "funding", lambda c: _enveloped(_funding(c.leg, c.world, c.now, c.query), c.now), "symbol"
    ),
}
LIMITED = (200, {"retCode": 10006, "retMsg": "Too many visits. Exceeded the API Rate Limit.", "result": {}, "time": 0})


def identity(leg: Leg) -> str:
    return f"{leg.name}USDT"


def _markets(world: World, now: int, query: dict[str, str]) -> dict[str, Any]:
    legs = [] if query.get("status") == "PreLaunch" else world.of("bybit", now)
    return {"category": "linear", "nextPageCursor": "", "list": [_market(leg, now) for leg in legs]}


def _market(leg: Leg, now: int) -> dict[str, Any]:
    return {
        "symbol": identity(leg), "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": leg.name,
        "quoteCoin": "USDT", "settleCoin": "USDT", "launchTime": str(leg.created * HOUR_MS),
        "deliveryTime": str(leg.ends_ms or 0),
        "priceScale": "2", "leverageFilter": {"minLeverage": "1", "maxLeverage": "50", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.01", "maxPrice": "199999", "tickSize": "0.01"},
        "lotSizeFilter": {"maxOrderQty": "100", "minOrderQty": "0.001", "qtyStep": "0.001", "minNotionalValue": "5"},
        "fundingInterval": leg.interval(now // HOUR_MS) * 60,
    }  # fmt: skip


def _ticker(leg: Leg, now: int) -> dict[str, Any]:
    last, (bid, ask), (volume, usd) = text(leg.last(now)), leg.bid_ask(now), leg.volume_24h(now)
    upcoming = leg.next_settlement(now)
    return {
        "symbol": identity(leg), "lastPrice": last, "indexPrice": last, "markPrice": last, "prevPrice24h": last,
        "price24hPcnt": "0", "highPrice24h": last, "lowPrice24h": last, "prevPrice1h": last, "openInterest": "1",
        "openInterestValue": "1", "turnover24h": text(usd), "volume24h": text(volume),
        "fundingRate": text(leg.rate(upcoming)),
        "nextFundingTime": str(upcoming * HOUR_MS), "predictedDeliveryPrice": "", "basisRate": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0", "ask1Size": "6", "bid1Price": text(bid), "ask1Price": text(ask), "bid1Size": "5",
        "fundingIntervalHour": str(leg.interval(now // HOUR_MS)),
    }  # fmt: skip


def _book(leg: Leg, now: int, query: dict[str, str]) -> dict[str, Any]:
    bids, asks = leg.book(now, min(int(query.get("limit", 25)), 50))
    levels = {key: [[text(price), text(size)] for price, size in rows] for key, rows in (("b", bids), ("a", asks))}
    return {"s": identity(leg), "ts": now, "u": 1, **levels}


def _klines(leg: Leg, now: int, query: dict[str, str]) -> dict[str, Any]:
    bars = leg.bars_of(query.get("interval"), now)
    rows = newest_first(between(bars, query.get("start"), query.get("end")), min(int(query.get("limit", 200)), 1000))
    listed = [[str(t), text(o), text(h), text(low), text(c), text(v), text(v * c)] for t, o, h, low, c, v in rows]
    return {"symbol": identity(leg), "category": "linear", "list": listed}


def _funding(leg: Leg, world: World, now: int, query: dict[str, str]) -> dict[str, Any]:
    if "startTime" in query and "endTime" not in query:
        return {"category": "linear", "list": []}
    rows = between(leg.settled(now, world.publish_delay_ms), query.get("startTime"), query.get("endTime"))
    listed = [
        {"symbol": identity(leg), "fundingRate": text(r), "fundingRateTimestamp": str(t)}
        for t, r in newest_first(rows, min(int(query.get("limit", 200)), 200))
    ]
    return {"category": "linear", "list": listed}
