"""OKX v5: pages run backwards by ``after``; books, ``vol24h`` and ``vol`` of candles count contracts."""

from __future__ import annotations

from typing import Any

from loopback.wire import Route, between, newest_first
from loopback.world import HOUR_MS, Leg, World, text


def _data(rows: list[Any]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": rows}


ROUTES = {
    "api/v5/public/instruments": Route(
        "markets", lambda c: _data([_market(leg) for leg in c.legs] if c.query.get("instType") == "SWAP" else [])
    ),
    "api/v5/public/funding-rate": Route(
        "rates", lambda c: _data([_rate(leg, c.now) for leg in c.legs if c.query["instId"] in ("ANY", identity(leg))])
    ),
    "api/v5/public/mark-price": Route("marks", lambda c: _data([_mark(leg, c.now) for leg in c.legs])),
    "api/v5/market/tickers": Route(
        "tickers", lambda c: _data([_ticker(leg, c.now) for leg in c.legs] if c.query.get("instType") == "SWAP" else [])
    ),
    "api/v5/market/books": Route("book", lambda c: _data([_book(c.leg, c.now, c.query)]), "instId"),
    "api/v5/market/candles": Route("candles", lambda c: _data(_candles(c.leg, c.now, c.query, 1440)), "instId"),
    "api/v5/market/history-candles": Route("candles", lambda c: _data(_candles(c.leg, c.now, c.query, None)), "instId"),
    "api/v5/public/funding-rate-history": Route(
        "funding", lambda c: _data(_funding(c.leg, c.world, c.now, c.query)), "instId"
    ),
}
LIMITED = (200, {"code": "50011", "msg": "Too Many Requests", "data": []})


def identity(leg: Leg) -> str:
    return f"{leg.name}-USDT-SWAP"


def _market(leg: Leg) -> dict[str, Any]:
    return {
        "instType": "SWAP", "instId": identity(leg), "uly": f"{leg.name}-USDT", "instFamily": f"{leg.name}-USDT",
        "baseCcy": "", "quoteCcy": "", "settleCcy": "USDT", "ctVal": text(leg.contract_size), "ctMult": "1",
        "ctValCcy": leg.name, "ctType": "linear", "optType": "", "stk": "",
        "listTime": str(leg.created * HOUR_MS),
        "expTime": str(leg.ends_ms or ""), "lever": "50",
        "tickSz": "0.0000001", "lotSz": "1", "minSz": "1", "state": "live",
        "ruleType": "normal",
        "maxLmtSz": "100000000", "maxMktSz": "100000",
    }  # fmt: skip


def _rate(leg: Leg, now: int) -> dict[str, Any]:
    upcoming = leg.next_settlement(now)
    following = upcoming + leg.interval(upcoming)
    return {
        "instType": "SWAP", "instId": identity(leg), "method": "current_period", "formulaType": "withRate",
        "fundingRate": text(leg.rate(upcoming)), "nextFundingRate": "", "fundingTime": str(upcoming * HOUR_MS),
        "nextFundingTime": str(following * HOUR_MS), "minFundingRate": "-0.02", "maxFundingRate": "0.02",
        "settState": "settled", "settFundingRate": text(leg.rate(upcoming)), "premium": "0", "ts": str(now),
    }  # fmt: skip


def _mark(leg: Leg, now: int) -> dict[str, Any]:
    return {"instType": "SWAP", "instId": identity(leg), "markPx": text(leg.last(now)), "ts": str(now)}


def _ticker(leg: Leg, now: int) -> dict[str, Any]:
    last, (bid, ask), (contracts, _) = text(leg.last(now)), leg.bid_ask(now), leg.volume_24h(now)
    return {
        "instType": "SWAP", "instId": identity(leg), "last": last, "lastSz": "1", "askPx": text(ask), "askSz": "6",
        "bidPx": text(bid), "bidSz": "5", "open24h": last, "high24h": last, "low24h": last,
        "volCcy24h": text(contracts * leg.contract_size), "vol24h": text(contracts), "ts": str(now),
        "sodUtc0": last, "sodUtc8": last,
    }  # fmt: skip


def _book(leg: Leg, now: int, query: dict[str, str]) -> dict[str, Any]:
    bids, asks = leg.book(now, min(int(query.get("sz", 1)), 50))
    levels = {key: [[text(p), text(s), "0", "2"] for p, s in rows] for key, rows in (("bids", bids), ("asks", asks))}
    return {"ts": str(now), **levels}


def _candles(leg: Leg, now: int, query: dict[str, str], kept: int | None) -> list[list[str]]:
    rows = leg.bars_of(query.get("bar"), now)[-(kept or 0) :]
    rows = newest_first(_inside(rows, query), min(int(query.get("limit", 100)), 300))
    return [
        [str(t), text(o), text(h), text(low), text(c), text(v), text(v * leg.contract_size),
         text(v * leg.contract_size * c), "1" if t + HOUR_MS <= now else "0"]
        for t, o, h, low, c, v in rows
    ]  # fmt: skip


def _funding(leg: Leg, world: World, now: int, query: dict[str, str]) -> list[dict[str, str]]:
    rows = newest_first(
        _inside(leg.settled(now, world.publish_delay_ms), query), min(int(query.get("limit", 100)), 100)
    )
    return [
        {"instType": "SWAP", "instId": identity(leg), "formulaType": "withRate", "fundingRate": text(r + 1e-6),
         "realizedRate": text(r), "fundingTime": str(t), "method": "current_period"}
        for t, r in rows
    ]  # fmt: skip


def _inside(rows: list[Any], query: dict[str, str]) -> list[Any]:
    # `before`: newer than, `after`: older than, both exclusive.
    since = int(query["before"]) + 1 if "before" in query else None
    until = int(query["after"]) - 1 if "after" in query else None
    return between(rows, since, until)
