"""MEXC contracts: no bulk rates but in the tickers; funding by page number, sizes in contracts."""

from __future__ import annotations

from typing import Any

from loopback.wire import Route, between, newest_first
from loopback.world import HOUR_MS, Leg, World


def _data(rows: Any) -> dict[str, Any]:
    return {"success": True, "code": 0, "data": rows}


ROUTES = {
    "api/v3/exchangeInfo": Route("markets", lambda c: {"timezone": "CST", "serverTime": c.now, "symbols": []}),
    "api/v1/contract/detail": Route("markets", lambda c: _data([_contract(leg) for leg in c.legs])),
    "api/v1/contract/ticker": Route("tickers", lambda c: _data([_ticker(leg, c.now) for leg in c.legs])),
    "api/v1/contract/funding_rate/history": Route(
        "funding", lambda c: _data(_funding(c.leg, c.world, c.now, c.query)), "symbol"
    ),
    "api/v1/contract/funding_rate/{symbol}": Route("rates", lambda c: _data(_rate(c.leg, c.now)), "symbol"),
    "api/v1/contract/depth/{symbol}": Route("book", lambda c: _data(_book(c.leg, c.now)), "symbol"),
    "api/v1/contract/kline/{symbol}": Route("candles", lambda c: _data(_candles(c.leg, c.now, c.query)), "symbol"),
}
LIMITED = (429, {"success": False, "code": 510, "message": "Requests are too frequent, please try again later!"})


def identity(leg: Leg) -> str:
    return f"{leg.name}_USDT"


def _contract(leg: Leg) -> dict[str, Any]:
    return {
        "symbol": identity(leg), "displayName": identity(leg), "displayNameEn": identity(leg), "positionOpenType": 3,
        "baseCoin": leg.name, "quoteCoin": "USDT", "settleCoin": "USDT", "contractSize": leg.contract_size,
        "minLeverage": 1,
        "maxLeverage": 125, "priceScale": 2, "volScale": 0, "amountScale": 4, "priceUnit": 0.5, "volUnit": 1,
        "minVol": 1,
        "maxVol": 1000000, "takerFeeRate": 0.0002, "makerFeeRate": 0, "state": 0, "isNew": False, "isHot": True,
        "isHidden": False,
    }  # fmt: skip


def _ticker(leg: Leg, now: int) -> dict[str, Any]:
    last, (bid, ask), (contracts, usd) = leg.last(now), leg.bid_ask(now), leg.volume_24h(now)
    return {
        "contractId": 1, "symbol": identity(leg), "lastPrice": last, "bid1": bid, "ask1": ask, "volume24": contracts,
        "amount24": usd, "holdVol": 1, "lower24Price": last, "high24Price": last, "riseFallRate": 0.01,
        "riseFallValue": 0.0,
        "indexPrice": last, "fairPrice": last, "fundingRate": leg.rate(leg.next_settlement(now)), "maxBidPrice": last,
        "minAskPrice": last, "timestamp": now,
    }  # fmt: skip


def _rate(leg: Leg, now: int) -> dict[str, Any]:
    upcoming = leg.next_settlement(now)
    return {
        "symbol": identity(leg), "fundingRate": leg.rate(upcoming), "maxFundingRate": 0.003, "minFundingRate": -0.003,
        "collectCycle": leg.interval(now // HOUR_MS), "nextSettleTime": upcoming * HOUR_MS, "timestamp": now,
    }  # fmt: skip


def _book(leg: Leg, now: int) -> dict[str, Any]:
    bids, asks = leg.book(now, 50)
    return {"version": 1, "timestamp": now, "bids": [[p, s, 1] for p, s in bids], "asks": [[p, s, 1] for p, s in asks]}


def _candles(leg: Leg, now: int, query: dict[str, str]) -> dict[str, list[float]]:
    since, until = int(query["start"]) * 1000, int(query.get("end", now // 1000)) * 1000
    rows = between(leg.bars_of(query.get("interval"), now), since, until)[-2000:]
    columns: list[list[float]] = (
        [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(6)]
    )
    times, opens, highs, lows, closes, volumes = columns
    return {
        "time": [int(t) // 1000 for t in times], "open": opens, "close": closes, "high": highs, "low": lows,
        "vol": volumes,
        "amount": volumes,
    }  # fmt: skip


def _funding(leg: Leg, world: World, now: int, query: dict[str, str]) -> dict[str, Any]:
    size, page = min(int(query.get("page_size", 20)), 100), int(query.get("page_num", 1))
    settled = leg.settled(now, world.publish_delay_ms)
    rows = newest_first(settled, page * size)[(page - 1) * size :]
    return {
        "pageSize": size, "totalCount": len(settled), "totalPage": -(-len(settled) // size), "currentPage": page,
        "resultList": [{"symbol": identity(leg), "fundingRate": r, "settleTime": t} for t, r in rows],
    }  # fmt: skip
