"""A world, its server and the settings that reach it, for the tests of exchanges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from loopback.server import LoopbackServer
from loopback.world import EXCHANGES, HOUR_MS, Leg, World, make_world

from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.paging import Row
from adapters.exchanges.settings import ExchangesSettings, exchanges_settings
from adapters.storage.stamps import settled_at

START = datetime(2025, 1, 1, tzinfo=UTC)
IN_CONTRACTS = ("okx", "gate", "kucoinfutures", "mexc")
PATIENCE = {"retry_wait_seconds": 0, "time_limit_seconds": 60}


def world_of(days: int, *, coins: Sequence[str] = ("BTC", "ETH", "PEPE", "SOL"), **changes: Any) -> World:
    """A world whose clock stands 20 s after a whole hour, two days before its data end."""
    world = make_world(START, days * 24 + 48, coins=tuple(coins), **changes)
    world.now_ms += 20_000 - 48 * HOUR_MS
    return world


def settings_of(
    server: LoopbackServer, *names: str, ccxt: Mapping[str, Any] | None = None, **collection: Any
) -> ExchangesSettings:
    """Settings that reach the server, without waiting between repetitions."""
    values = {"exchanges": server.exchanges(*names, **(ccxt or {})), "collection": {**PATIENCE, **collection}}
    return exchanges_settings(values, origin="test")


def held_bars(leg: Leg, now_ms: int, since: int, until: int) -> list[Row]:
    """The finished bars that open in ``[since, until)`` as the server holds them, volume in listed units."""
    unit = leg.contract_size if leg.exchange in IN_CONTRACTS else 1.0
    finished = now_ms // HOUR_MS * HOUR_MS
    return [(*row[:5], row[5] * unit) for row in leg.candles(now_ms) if since <= row[0] < min(until, finished)]


def held_settlements(leg: Leg, now_ms: int, since: int, until: int) -> list[Row]:
    """The settlements in ``[since, until]`` as the server holds them, stamps rounded to the minute."""
    rows = [(settled_at(stamp), rate) for stamp, rate in leg.settled(now_ms)]
    return [row for row in rows if since <= row[0] <= until]


def assert_complete(found: LegHistory, held: Leg, now_ms: int, since: int, until: int) -> None:
    """Row for row what the server holds."""
    assert found.error is None
    bars = held_bars(held, now_ms, since, until)
    assert [row[:5] for row in found.bars.sorted()] == [row[:5] for row in bars]
    assert all(math.isclose(a[5], b[5], rel_tol=1e-12) for a, b in zip(found.bars.sorted(), bars, strict=True))
    assert found.settlements.sorted() == held_settlements(held, now_ms, since, until)


def every_exchange(symbols: Sequence[str]) -> dict[str, Sequence[str]]:
    """The same symbols on all exchanges."""
    return dict.fromkeys(EXCHANGES, symbols)
