"""Hyperliquid: one address, the request is in the body; 500 settlements and the latest 5000 candles, ascending."""

from __future__ import annotations

from typing import Any

from loopback.wire import Route, between
from loopback.world import HOUR_MS, Leg, World, text

BY_TYPE = {
    "metaAndAssetCtxs": Route("rates", lambda c: _bulk(c.world, c.now)),
    "l2Book": Route("book", lambda c: _book(c.leg, c.now), "coin"),
    "candleSnapshot": Route("candles", lambda c: _candles(c.leg, c.now, c.query["req"]), "coin"),
    "fundingHistory": Route("funding", lambda c: _funding(c.leg, c.world, c.now, c.query), "coin"),
}
LIMITED = (429, None)


def identity(leg: Leg) -> str:
    return leg.name


def _bulk(world: World, now: int) -> list[Any]:
    legs = [
        leg
        for (exchange, _), leg in world.legs.items()
        if exchange == "hyperliquid" and now // HOUR_MS >= leg.listed_from
    ]
    return [{"universe": [_meta(leg, now) for leg in legs]}, [_context(leg, now) for leg in legs]]


def _meta(leg: Leg, now: int) -> dict[str, Any]:
    meta: dict[str, Any] = {"szDecimals": 2, "name": leg.name, "maxLeverage": 50, "marginTableId": 1}
    return meta if leg.is_listed(now) else {**meta, "isDelisted": True}


def _context(leg: Leg, now: int) -> dict[str, Any]:
    if not leg.is_listed(now):
        return {"funding": "0.0", "openInterest": "0.0", "prevDayPx": "1", "dayNtlVlm": "0.0", "premium": None,
                "oraclePx": "1", "markPx": "1", "midPx": None, "impactPxs": None, "dayBaseVlm": "0.0"}  # fmt: skip
    last, (bid, ask), (volume, usd) = text(leg.last(now)), leg.bid_ask(now), leg.volume_24h(now)
    impact = [
        text(float(f"{bid * 0.999:.9g}")),
        text(float(f"{ask * 1.001:.9g}")),
    ]  # further out than the top of the book
    return {
        "funding": text(leg.rate(leg.next_settlement(now))), "openInterest": "1.0", "prevDayPx": last,
        "dayNtlVlm": text(usd),
        "premium": "0.0001", "oraclePx": last, "markPx": last, "midPx": last, "impactPxs": impact,
        "dayBaseVlm": text(volume),
    }  # fmt: skip


def _book(leg: Leg, now: int) -> dict[str, Any]:
    levels = [[{"px": text(p), "sz": text(s), "n": 2} for p, s in side] for side in leg.book(now, 20)]
    return {"coin": leg.name, "levels": levels, "time": now}


def _candles(leg: Leg, now: int, query: dict[str, Any]) -> list[dict[str, Any]]:
    rows = between(leg.bars_of(query["interval"], now)[-5000:], query["startTime"], query.get("endTime"))
    return [
        {"t": t, "T": t + HOUR_MS - 1, "s": leg.name, "i": "1h", "o": text(o), "c": text(c), "h": text(h),
         "l": text(low), "v": text(v), "n": 5}
        for t, o, h, low, c, v in rows
    ]  # fmt: skip


def _funding(leg: Leg, world: World, now: int, query: dict[str, Any]) -> list[dict[str, Any]]:
    rows = between(leg.settled(now, world.publish_delay_ms), query["startTime"], query.get("endTime"))[:500]
    return [{"coin": leg.name, "fundingRate": text(r), "premium": "0.0001", "time": t} for t, r in rows]
