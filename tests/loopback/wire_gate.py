"""Gate v4: times in seconds, sizes in contracts; more than 2000 bars in a range is an error."""

from __future__ import annotations

from typing import Any

from loopback.wire import RefusedError, Route, between, newest_first
from loopback.world import HOUR_MS, Leg, World, text

ROUTES = {
    "futures/usdt/contracts": Route("rates", lambda c: [_contract(leg, c.now) for leg in c.legs]),
    "futures/usdt/tickers": Route("tickers", lambda c: [_ticker(leg, c.now) for leg in c.legs]),
    "futures/usdt/order_book": Route("book", lambda c: _book(c.leg, c.now), "contract"),
    "futures/usdt/candlesticks": Route("candles", lambda c: _candles(c.leg, c.now, c.query), "contract"),
    "futures/usdt/funding_rate": Route("funding", lambda c: _funding(c.leg, c.world, c.now, c.query), "contract"),
}
LIMITED = (429, {"label": "TOO_MANY_REQUESTS", "message": "Request Rate limit Exceeded (200)"})


def identity(leg: Leg) -> str:
    return f"{leg.name}_USDT"


def _contract(leg: Leg, now: int) -> dict[str, Any]:
    last, upcoming = text(leg.last(now)), leg.next_settlement(now)
    return {
        "name": identity(leg), "type": "direct", "quanto_multiplier": text(leg.contract_size),
        "ref_discount_rate": "0",
        "order_price_deviate": "0.5", "maintenance_rate": "0.005", "mark_type": "index", "last_price": last,
        "mark_price": last,
        "index_price": last, "funding_rate_indicative": text(leg.rate(upcoming)), "mark_price_round": "0.01",
        "funding_offset": 0,
        "in_delisting": leg.ending, "risk_limit_base": "1000000", "interest_rate": "0.0003", "order_price_round": "0.1",
        "order_size_min": 1, "ref_rebate_rate": "0.2", "funding_interval": leg.interval(now // HOUR_MS) * 3600,
        "risk_limit_step": "1000000", "leverage_min": "1", "leverage_max": "100", "risk_limit_max": "8000000",
        "maker_fee_rate": "-0.00025", "taker_fee_rate": "0.00075", "funding_rate": text(leg.rate(upcoming)),
        "order_size_max": 1000000, "funding_next_apply": upcoming * 3600, "config_change_time": 1609899548,
        "create_time": leg.created * 3600, "trade_size": 1, "position_size": 1, "status": "trading",
        "orders_limit": 50,
    }  # fmt: skip


def _ticker(leg: Leg, now: int) -> dict[str, Any]:
    last, (bid, ask), (contracts, usd) = text(leg.last(now)), leg.bid_ask(now), leg.volume_24h(now)
    base = text(contracts * leg.contract_size)
    return {
        "contract": identity(leg), "last": last, "low_24h": last, "high_24h": last, "change_percentage": "0.1",
        "total_size": "1", "volume_24h": text(contracts), "volume_24h_btc": "1", "volume_24h_usd": text(usd),
        "volume_24h_base": base, "volume_24h_quote": text(usd), "volume_24h_settle": text(usd), "mark_price": last,
        "funding_rate": "0", "funding_rate_indicative": "0", "index_price": last, "quanto_base_rate": "",
        "lowest_ask": text(ask), "lowest_size": "1", "highest_bid": text(bid), "highest_size": "1",
    }  # fmt: skip


def _book(leg: Leg, now: int) -> dict[str, Any]:
    bids, asks = leg.book(now, 50)
    levels = {key: [{"s": size, "p": text(p)} for p, size in rows] for key, rows in (("bids", bids), ("asks", asks))}
    return {"id": 1, "current": now / 1000, "update": now / 1000, **levels}


def _candles(leg: Leg, now: int, query: dict[str, str]) -> list[dict[str, Any]]:
    since, until = int(query["from"]), int(query.get("to", now // 1000))
    if (until - since) / 3600 > 2000:
        raise RefusedError(
            400, {"label": "INVALID_PARAM_VALUE", "message": "candlestick range too broad. Maximum 2000 data points"}
        )
    rows = between(leg.bars_of(query.get("interval"), now), since * 1000, until * 1000)
    return [
        {"t": t // 1000, "o": text(o), "h": text(h), "l": text(low), "c": text(c), "v": v, "sum": text(v * c)}
        for t, o, h, low, c, v in rows
    ]


def _funding(leg: Leg, world: World, now: int, query: dict[str, str]) -> list[dict[str, Any]]:
    since, until = (int(query[key]) * 1000 if key in query else None for key in ("from", "to"))
    rows = between(leg.settled(now, world.publish_delay_ms), since, until)
    return [{"r": text(r), "t": t // 1000} for t, r in newest_first(rows, min(int(query.get("limit", 100)), 1000))]
