"""KuCoin futures: XBT is Bitcoin, sizes in contracts, funding the newest 100 of a window, 200 candles."""

from __future__ import annotations

from typing import Any

from loopback.wire import Route, between, newest_first
from loopback.world import HOUR_MS, Leg, World


def _data(rows: Any) -> dict[str, Any]:
    return {"code": "200000", "data": rows}


ROUTES = {
    "api/v1/contracts/active": Route("tickers", lambda c: _data([_contract(leg, c.now) for leg in c.legs])),
    "api/v1/allTickers": Route("bids_asks", lambda c: _data([_top(leg, c.now) for leg in c.legs])),
    "api/ua/v2/market/funding-rate": Route("rates", lambda c: _data(_rates(c.world, c.now))),
    "api/v1/level2/depth100": Route("book", lambda c: _data(_book(c.leg, c.now, 100)), "symbol"),
    "api/v1/level2/depth20": Route("book", lambda c: _data(_book(c.leg, c.now, 20)), "symbol"),
    "api/v1/kline/query": Route("candles", lambda c: _data(_candles(c.leg, c.now, c.query)), "symbol"),
    "api/v1/contract/funding-rates": Route(
        "funding", lambda c: _data(_funding(c.leg, c.world, c.now, c.query)), "symbol"
    ),
}
LIMITED = (429, {"code": "429000", "msg": "Too Many Requests"})


def identity(leg: Leg) -> str:
    return f"{leg.name}USDTM"


def _contract(leg: Leg, now: int) -> dict[str, Any]:
    last, (contracts, usd) = leg.last(now), leg.volume_24h(now)
    upcoming = leg.next_settlement(now)
    return {
        "symbol": identity(leg), "rootSymbol": "USDT", "type": "FFWCSX", "firstOpenDate": leg.created * HOUR_MS,
        "expireDate": leg.ends_ms, "settleDate": None, "baseCurrency": leg.name, "quoteCurrency": "USDT",
        "settleCurrency": "USDT",
        "maxOrderQty": 1000000, "maxPrice": 1000000, "lotSize": 1, "tickSize": 0.1, "indexPriceTickSize": 0.01,
        "multiplier": leg.contract_size, "initialMargin": 0.01, "makerFeeRate": 0.0002, "takerFeeRate": 0.0006,
        "isQuanto": True, "isInverse": False, "status": "Open", "fundingFeeRate": leg.rate(upcoming),
        "fundingRateGranularity": leg.interval(now // HOUR_MS) * HOUR_MS, "openInterest": "1", "turnoverOf24h": usd,
        "volumeOf24h": contracts * leg.contract_size, "markPrice": last, "indexPrice": last, "lastTradePrice": last,
        "nextFundingRateTime": upcoming * HOUR_MS - now, "maxLeverage": 100, "lowPrice": last, "highPrice": last,
        "priceChgPct": 0.001, "priceChg": 0.0,
    }  # fmt: skip


def _top(leg: Leg, now: int) -> dict[str, Any]:
    bid, ask = leg.bid_ask(now)
    return {
        "sequence": 1, "symbol": identity(leg), "side": "buy", "size": 1, "price": str(leg.last(now)),
        "bestBidSize": 5,
        "bestBidPrice": str(bid), "bestAskPrice": str(ask), "tradeId": "1", "bestAskSize": 6, "ts": now * 1_000_000,
    }  # fmt: skip


def _rates(world: World, now: int) -> list[dict[str, Any]]:
    rows = []
    for leg in world.of("kucoinfutures", now):
        upcoming, granularity = leg.next_settlement(now), leg.interval(now // HOUR_MS) * HOUR_MS
        shared = {
            "nextFundingRate": leg.rate(upcoming), "fundingTime": upcoming * HOUR_MS, "fundingRateCap": 0.003,
            "fundingRateFloor": -0.003, "currentGranularity": granularity, "newGranularity": granularity,
            "newGranularityStartTime": 1750147200000,
        }  # fmt: skip
        rows += [{"symbol": identity(leg), **shared}, {"symbol": f".{identity(leg)}FPI8H", **shared}]
    return rows


def _book(leg: Leg, now: int, levels: int) -> dict[str, Any]:
    bids, asks = leg.book(now, min(levels, 50))
    return {"symbol": identity(leg), "sequence": 1, "ts": now * 1_000_000, "bids": bids, "asks": asks}


def _candles(leg: Leg, now: int, query: dict[str, str]) -> list[list[float]]:
    return [
        list(row)
        for row in between(leg.bars_of(query.get("granularity"), now), query.get("from"), query.get("to"))[:200]
    ]


def _funding(leg: Leg, world: World, now: int, query: dict[str, str]) -> list[dict[str, Any]]:
    rows = between(leg.settled(now, world.publish_delay_ms), query.get("from"), query.get("to"))
    return [{"symbol": identity(leg), "fundingRate": r, "timepoint": t} for t, r in newest_first(rows, 100)]
