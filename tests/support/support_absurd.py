"""The same paper hours twice, once with absurd fields in a share of the answers: what differs, what was believed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopback.absurd import Absurd, places
from loopback.faults import Rule
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS, World
from support_exchanges import world_of
from support_live import live_settings, trader

from adapters.paper.journal import Journal
from adapters.paper.setup import prepare_player
from adapters.paper.verify import verify

HOLD = "plugin_strategies:HoldOne"
"""Holds BTCUSDT, long bybit and short hyperliquid, from the first hour on."""
USUAL_RATE = 0.002
"""A usual rate of another coin, or sixty times next to nothing, looks like a rate; above this nothing does."""

NEXT_LEVEL = 1e-3
"""How far a price may be from the true one: without its best level a book begins with the next."""


@dataclass(frozen=True)
class Beside:
    """``problems``: what was believed and is not what the exchange had, hours that are missing, a failed replay."""

    right_usd: float
    absurd_usd: float
    spoilt: int
    refused: dict[str, int]
    other_events: int
    problems: list[str]

    @property
    def apart(self) -> float:
        """Difference of the final equities, as a fraction."""
        return abs(self.absurd_usd / self.right_usd - 1)


def beside(
    folder: Path, hours: int, coins: Sequence[str] = ("BTC", "ETH"), *, share: float = 0.1, seed: int = 5
) -> Beside:
    """Hold one position through the hours, undisturbed and with absurd answers, and two good hours more."""
    right, _, _ = _held(folder / "right", hours, coins, None)
    absurd = Absurd(seed, share)
    equity, world, problems = _held(folder / "absurd", hours, coins, absurd)
    with Journal.open_for_reading(folder / "absurd") as journal:
        problems += [*_untrue_prices(journal, world), *_untrue_rates(journal, world), *_missing_hours(journal, hours)]
        refused = dict(journal.rows("SELECT field, count(*) FROM events WHERE field IS NOT NULL GROUP BY 1"))
        others = journal.rows("SELECT count(*) FROM events WHERE field IS NULL")[0][0]
    return Beside(right, equity, len(absurd.done), refused, others, problems)


def _held(folder: Path, hours: int, coins: Sequence[str], absurd: Absurd | None) -> tuple[float, World, list[str]]:
    world = world_of(12 + hours // 24, coins=tuple(coins))
    world.now_ms -= (hours // 24 + 1) * 24 * HOUR_MS
    settings = live_settings(strategies={})
    with LoopbackServer(world) as server, trader(folder, server, strategy=HOLD, settings=settings, attempts=1) as live:
        live.trading.run()
        if absurd is not None:
            absurd.from_hour = world.now_ms // HOUR_MS + 1
            server.faults.random = absurd
        for _ in range(hours):
            live.hour()
        server.faults.random = None
        report = [live.hour() for _ in range(2)][-1].hours[-1].report
        difference = verify(live.journal, prepare_player(HOLD, settings, (), 3)).difference
        problems = [f"replay: {difference}"] if difference else []
        if [position["symbol"] for position in report["positions"]] != ["BTCUSDT"]:
            problems.append("the position is gone")
        return report["equity_usd"], world, problems


def _untrue_prices(journal: Journal, world: World) -> Iterator[str]:
    for hour, symbol, exchange, price, mark in _since_the_first(journal, "observations", "price, mark_price"):
        leg, now = world.legs[exchange, symbol.removesuffix("USDT")], hour * HOUR_MS + 20_000
        mid, last = sum(leg.bid_ask(now)) / 2 / leg.multiplier, leg.last(now) / leg.multiplier
        for name, believed, true in (("price", price, mid), ("mark_price", mark, last)):
            if believed is not None and abs(believed / true - 1) > NEXT_LEVEL:
                yield f"{symbol} on {exchange}, hour {hour}: {name} {believed} for {true}"


def _untrue_rates(journal: Journal, world: World) -> Iterator[str]:
    for hour, symbol, exchange, rate in _since_the_first(journal, "settlements", "rate"):
        true = world.legs[exchange, symbol.removesuffix("USDT")].rate(hour)
        if rate != true and abs(rate) > USUAL_RATE:
            yield f"{symbol} on {exchange}, hour {hour}: rate {rate} for {true}"


def _since_the_first(journal: Journal, table: str, columns: str) -> list[tuple]:
    """Rows of the hours that were played live: hour, symbol, exchange, and the columns."""
    first = journal.rows("SELECT min(hour) FROM decisions")[0][0]
    query = f"SELECT hour, symbol, exchange, {columns} FROM {table} JOIN legs USING (leg) WHERE hour > ?"
    return journal.rows(query, first)


def _missing_hours(journal: Journal, hours: int) -> list[str]:
    done, span = journal.rows("SELECT count(*), max(hour) - min(hour) + 1 FROM decisions")[0]
    return [] if done == span == hours + 3 else [f"{done} hours of {span}, {hours + 3} expected"]


def edited(kind: str, fields: Sequence[str], value: Callable[[float], float]) -> Callable[[Any], Any]:
    """Every value of some fields of an answer to such a request, changed."""

    def edit(answer: Any) -> Any:
        changed = copy.deepcopy(answer)
        for place in places(changed, kind):
            if place.field in fields:
                place.put(value(place.value))
        return changed

    return edit


def spoilt(exchange: str, kind: str, field: str, value: Callable[[float], float], coin: str | None = None) -> Rule:
    """A fault that changes every value of a field in the answers of an exchange to such requests."""
    return Rule(edited(kind, (field,), value), exchange, kind, coin)
