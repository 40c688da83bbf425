"""What can go wrong with an answer. A fault is named by a word; all of them have been seen with ccxt 4.5.90."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loopback.absurd import Absurd

Fault = str | Callable[[Any], Any]
"""A word, or what makes another answer out of the right one."""

TRANSPORT = ("hang", "http500", "http503", "http429", "limit_body", "cut", "html", "half_json")
UNSAFE = ("bomb", "redirect")
"""What an honest exchange never does: a GB in a MB of gzip, and a way to another host."""
CONTENT = ("empty", "truncated", "nulls", "stale", "ahead")
ALL = TRANSPORT + CONTENT
IDENTITY = ("symbol", "instId", "name", "contract", "coin", "instType", "category", "productType")
ENVELOPE = ("code", "retCode", "success", "msg", "retMsg", "s", "universe", "bids", "asks", "levels", "b", "a")
NAMES = frozenset(IDENTITY + ENVELOPE)
SHIFT_MS = {"stale": -3_600_000, "ahead": 3_600_000}


@dataclass
class Rule:
    """``fault`` for the requests that match; None matches all. ``times`` limits how often."""

    fault: Fault
    exchange: str | None = None
    kind: str | None = None
    coin: str | None = None
    times: int | None = None

    def matches(self, exchange: str, kind: str, coin: str | None) -> bool:
        wanted = ((self.exchange, exchange), (self.kind, kind), (self.coin, coin))
        return self.times != 0 and all(mine is None or mine == its for mine, its in wanted)


@dataclass
class RandomFaults:
    """A fault with probability ``share`` for each (exchange, kind, coin, hour), the same at every repetition.

    With ``passing`` only the first request of that hour is hit, so that a retry succeeds.
    """

    seed: int
    share: float
    faults: tuple[str, ...] = ALL
    passing: bool = False
    exchanges: tuple[str, ...] | None = None
    _hit: set[tuple[str, str, str | None, int]] = field(default_factory=set)

    def pick(self, exchange: str, kind: str, coin: str | None, hour: int) -> str | None:
        if self.exchanges is not None and exchange not in self.exchanges:
            return None
        key = (exchange, kind, coin, hour)
        draw = zlib.crc32(repr((self.seed, *key)).encode())
        if draw % 10_000 >= self.share * 10_000 or (self.passing and key in self._hit):
            return None
        self._hit.add(key)
        return self.faults[draw // 10_000 % len(self.faults)]


@dataclass
class Faults:
    """Rules first, in order; then the random ones."""

    rules: list[Rule] = field(default_factory=list)
    random: RandomFaults | Absurd | None = None

    def pick(self, exchange: str, kind: str, coin: str | None, hour: int) -> Fault | None:
        for rule in self.rules:
            if rule.matches(exchange, kind, coin):
                if rule.times is not None:
                    rule.times -= 1
                return rule.fault
        return self.random.pick(exchange, kind, coin, hour) if self.random else None


def spoil(answer: Any, fault: Fault | None) -> Any:
    """The content faults, on any wire format."""
    if callable(fault):
        return fault(answer)
    if fault == "empty":
        return _emptied(answer)
    if fault == "truncated":
        return _truncated(answer)
    if fault == "nulls":
        return _nulled(answer)
    return answer


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _emptied(inner) for key, inner in value.items()}
    return [] if isinstance(value, list) else value


def _truncated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _truncated(inner) for key, inner in value.items()}
    if isinstance(value, list):
        rows = [_truncated(inner) if isinstance(inner, dict | list) else inner for inner in value]
        return rows[: max(1, len(rows) // 3)] if rows and all(isinstance(row, dict) for row in rows) else rows
    return value


def _nulled(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: inner if key in NAMES and not isinstance(inner, dict | list) else _nulled(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_nulled(inner) if isinstance(inner, dict | list) else None for inner in value]
    return None
