"""Binance USD-M futures: funding ascending, 100 rows unless asked for 1000; no bid and ask in the 24 h tickers."""

from __future__ import annotations

from loopback.wire import Route, between
from loopback.world import HOUR_MS, Leg, World, text

ROUTES = {
    "fapi/v1/exchangeInfo": Route(
        "markets", lambda c: {"serverTime": c.now, "symbols": [_market(leg) for leg in c.legs]}
    ),
    "fapi/v1/premiumIndex": Route("rates", lambda c: [_rate(leg, c.now) for leg in _known(c.world, c.now)]),
    "fapi/v1/fundingInfo": Route(
        "intervals",
        lambda c: [_info(leg, c.now) for leg in c.legs if leg.interval(c.now // HOUR_MS) != 8],
    ),
    "fapi/v1/ticker/24hr": Route("tickers", lambda c: [_ticker(leg, c.now) for leg in c.legs]),
    "fapi/v1/ticker/bookTicker": Route("bids_asks", lambda c: [_top(leg, c.now) for leg in c.legs]),
    "fapi/v1/depth": Route("book", lambda c: _book(c.leg, c.now, int(c.query.get("limit", 500))), "symbol"),
    "fapi/v1/klines": Route("candles", lambda c: _klines(c.leg, c.now, c.query), "symbol"),
    "fapi/v1/fundingRate": Route("funding", lambda c: _funding(c.leg, c.world, c.now, c.query), "symbol"),
}
LIMITED = (429, {"code": -1003, "msg": "Too many requests; current limit is 2400 requests per minute."})


def identity(leg: Leg) -> str:
    return f"{leg.name}USDT"


def _known(world: World, now: int) -> list[Leg]:
    # A delisted contract stays in premiumIndex, with an empty rate and time 0.
    return [
        leg
        for (exchange, _), leg in world.legs.items()
        if exchange == "binanceusdm" and now // HOUR_MS >= leg.listed_from
    ]


def _market(leg: Leg) -> dict[str, object]:
    return {
        "symbol": identity(leg), "pair": identity(leg), "contractType": "PERPETUAL",
        "deliveryDate": leg.ends_ms or 4133404800000,
        "onboardDate": leg.created * HOUR_MS, "status": "TRADING", "baseAsset": leg.name, "quoteAsset": "USDT",
        "marginAsset": "USDT", "pricePrecision": 8, "quantityPrecision": 3, "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.0000001", "maxPrice": "1000000",
        "tickSize": "0.0000001"}],
    }  # fmt: skip


def _rate(leg: Leg, now: int) -> dict[str, object]:
    listed = leg.is_listed(now)
    price = text(leg.last(now)) if listed else "0.00000000"
    upcoming = leg.next_settlement(now)
    return {
        "symbol": identity(leg), "markPrice": price, "indexPrice": price, "estimatedSettlePrice": price,
        "lastFundingRate": text(leg.rate(upcoming)) if listed else "", "interestRate": "0.00010000",
        "nextFundingTime": upcoming * HOUR_MS if listed else 0, "time": now,
    }  # fmt: skip


def _info(leg: Leg, now: int) -> dict[str, object]:
    return {
        "symbol": identity(leg), "adjustedFundingRateCap": "0.02000000", "adjustedFundingRateFloor": "-0.02000000",
        "fundingIntervalHours": leg.interval(now // HOUR_MS), "disclaimer": False,
    }  # fmt: skip


def _ticker(leg: Leg, now: int) -> dict[str, object]:
    volume, usd = leg.volume_24h(now)
    return {
        "symbol": identity(leg), "priceChange": "0", "priceChangePercent": "0.1",
        "weightedAvgPrice": text(leg.last(now)),
        "lastPrice": text(leg.last(now)), "lastQty": "1", "openPrice": text(leg.last(now)),
        "highPrice": text(leg.last(now)),
        "lowPrice": text(leg.last(now)), "volume": text(volume), "quoteVolume": text(usd),
        "openTime": now - 24 * HOUR_MS,
        "closeTime": now - 7 * 60_000, "firstId": 1, "lastId": 2, "count": 2,
    }  # fmt: skip


def _top(leg: Leg, now: int) -> dict[str, object]:
    bid, ask = leg.bid_ask(now)
    return {
        "symbol": identity(leg),
        "bidPrice": text(bid),
        "bidQty": "5",
        "askPrice": text(ask),
        "askQty": "6",
        "time": now,
    }


def _book(leg: Leg, now: int, limit: int) -> dict[str, object]:
    bids, asks = leg.book(now, min(limit, 50))
    levels = {
        side: [[text(price), text(size)] for price, size in rows] for side, rows in (("bids", bids), ("asks", asks))
    }
    return {"lastUpdateId": now, "E": now, "T": now, **levels}


def _klines(leg: Leg, now: int, query: dict[str, str]) -> list[list[object]]:
    rows = between(leg.bars_of(query.get("interval"), now), query.get("startTime"), query.get("endTime"))
    limit = min(int(query.get("limit", 500)), 1500)
    rows = rows[:limit] if "startTime" in query else rows[-limit:]
    return [
        [
            t,
            text(o),
            text(h),
            text(low),
            text(c),
            text(v),
            t + HOUR_MS - 1,
            text(v * c),
            10,
            text(v / 2),
            text(v * c / 2),
            "0",
        ]
        for t, o, h, low, c, v in rows
    ]


def _funding(leg: Leg, world: World, now: int, query: dict[str, str]) -> list[dict[str, object]]:
    rows = between(leg.settled(now, world.publish_delay_ms), query.get("startTime"), query.get("endTime"))
    limit = min(int(query.get("limit", 100)), 1000)
    rows = rows[:limit] if "startTime" in query else rows[-limit:]
    return [{"symbol": identity(leg), "fundingTime": t, "fundingRate": text(r), "markPrice": "1"} for t, r in rows]
