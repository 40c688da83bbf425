"""Bitget v2: funding by page number, newest first; candles counted back from the end of the window."""

from __future__ import annotations

from typing import Any

from loopback.wire import Call, Route, between, newest_first
from loopback.world import HOUR_MS, Leg, World, text


def _data(rows: Any, now: int) -> dict[str, Any]:
    return {"code": "00000", "msg": "success", "requestTime": now, "data": rows}


ROUTES = {
    "api/v2/mix/market/contracts": Route("markets", lambda c: _data([_market(leg, c.now) for leg in _usdt(c)], c.now)),
    "api/v2/mix/market/tickers": Route("tickers", lambda c: _data([_ticker(leg, c.now) for leg in _usdt(c)], c.now)),
    "api/v2/mix/market/current-fund-rate": Route(
        "rates", lambda c: _data([_rate(leg, c.now) for leg in _usdt(c)], c.now)
    ),
    "api/v2/mix/market/merge-depth": Route("book", lambda c: _data(_book(c.leg, c.now), c.now), "symbol"),
    "api/v2/mix/market/candles": Route(
        "candles", lambda c: _data(_candles(c.leg, c.now, c.query, 1000), c.now), "symbol"
    ),
    "api/v2/mix/market/history-candles": Route(
        "candles", lambda c: _data(_candles(c.leg, c.now, c.query, 200), c.now), "symbol"
    ),
    "api/v2/mix/market/history-fund-rate": Route(
        "funding", lambda c: _data(_funding(c.leg, c.world, c.now, c.query), c.now), "symbol"
    ),
}
LIMITED = (429, {"code": "429", "msg": "Too Many Requests", "requestTime": 0, "data": None})


def identity(leg: Leg) -> str:
    return f"{leg.name}USDT"


def _usdt(call: Call) -> list[Leg]:
    return call.legs if call.query.get("productType") == "USDT-FUTURES" else []


def _market(leg: Leg, now: int) -> dict[str, Any]:
    return {
        "symbol": identity(leg), "baseCoin": leg.name, "quoteCoin": "USDT", "buyLimitPriceRatio": "0.05",
        "sellLimitPriceRatio": "0.05", "feeRateUpRatio": "0.005", "makerFeeRate": "0.0002", "takerFeeRate": "0.0006",
        "openCostUpRatio": "0.01", "supportMarginCoins": ["USDT"], "minTradeNum": "0.001", "priceEndStep": "1",
        "volumePlace": "3", "pricePlace": "7", "sizeMultiplier": "0.001", "symbolType": "perpetual",
        "minTradeUSDT": "5",
        "symbolStatus": "normal", "offTime": str(leg.ends_ms or -1), "limitOpenTime": "-1",
        "deliveryTime": "", "deliveryStartTime": "",
        "launchTime": str(leg.created * HOUR_MS), "fundInterval": str(leg.interval(now // HOUR_MS)),
        "minLever": "1", "maxLever": "125",
    }  # fmt: skip


def _ticker(leg: Leg, now: int) -> dict[str, Any]:
    last, (bid, ask), (volume, usd) = text(leg.last(now)), leg.bid_ask(now), leg.volume_24h(now)
    return {
        "symbol": identity(leg), "lastPr": last, "askPr": text(ask), "bidPr": text(bid), "bidSz": "5", "askSz": "6",
        "high24h": last, "low24h": last, "ts": str(now), "change24h": "0.001", "baseVolume": text(volume),
        "quoteVolume": text(usd), "usdtVolume": text(usd), "openUtc": last, "changeUtc24h": "0", "indexPrice": last,
        "fundingRate": text(leg.rate(leg.next_settlement(now))), "holdingAmount": "1", "deliveryStartTime": None,
        "deliveryTime": None, "deliveryStatus": "", "open24h": last, "markPrice": last,
    }  # fmt: skip


def _rate(leg: Leg, now: int) -> dict[str, Any]:
    upcoming = leg.next_settlement(now)
    return {
        "symbol": identity(leg), "fundingRate": text(leg.rate(upcoming)),
        "fundingRateInterval": str(leg.interval(now // HOUR_MS)),
        "nextUpdate": str(upcoming * HOUR_MS), "minFundingRate": "-0.003", "maxFundingRate": "0.003",
    }  # fmt: skip


def _book(leg: Leg, now: int) -> dict[str, Any]:
    bids, asks = leg.book(now, 50)
    levels = {key: [[text(p), text(s)] for p, s in rows] for key, rows in (("bids", bids), ("asks", asks))}
    return {"ts": str(now), "scale": "0.1", "precision": "scale0", "isMaxPrecision": "NO", **levels}


def _candles(leg: Leg, now: int, query: dict[str, str], most: int) -> list[list[str]]:
    rows = between(leg.bars_of(query.get("granularity"), now), query.get("startTime"), query.get("endTime"))[
        -min(int(query.get("limit", 100)), most) :
    ]
    return [[str(t), text(o), text(h), text(low), text(c), text(v), text(v * c)] for t, o, h, low, c, v in rows]


def _funding(leg: Leg, world: World, now: int, query: dict[str, str]) -> list[dict[str, str]]:
    size, page = min(int(query.get("pageSize", 20)), 100), int(query.get("pageNo", 1))
    rows = newest_first(leg.settled(now, world.publish_delay_ms), page * size)[(page - 1) * size :]
    return [{"symbol": identity(leg), "fundingRate": text(r), "fundingTime": str(t)} for t, r in rows]
