"""Answers in which one field is absurd: a rate of 60 times, a price of another coin, an interval of nothing."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FIELDS: dict[str, tuple[str, ...]] = {
    "rate": ("lastFundingRate", "fundingRate", "realizedRate", "funding", "funding_rate", "r"),
    "mark": ("markPrice", "markPx", "mark_price", "fairPrice"),
    "index": ("indexPrice", "oraclePx", "index_price"),
    "bid": ("bidPrice", "bid1Price", "bidPx", "bidPr", "highest_bid", "bestBidPrice", "bid1"),
    "ask": ("askPrice", "ask1Price", "askPx", "askPr", "lowest_ask", "bestAskPrice", "ask1"),
    "last": ("lastPrice", "last", "lastPr", "lastTradePrice", "last_price"),
    "interval": ("fundingIntervalHours", "fundingIntervalHour", "funding_interval", "currentGranularity",
                 "collectCycle", "fundingRateInterval"),
    "time": ("time", "ts", "timestamp", "nextFundingTime", "fundingTime", "fundingRateTimestamp", "t"),
    "candle": ("o", "h", "l", "c", "open", "high", "low", "close"),
    "book": ("px", "p"),
}  # fmt: skip
"""The wire names of each field, whatever the exchange."""
NAMES = {name: kind for kind, names in FIELDS.items() for name in names}

MUTATIONS = ("NaN", "0", "negative", "x60", "x1e9", "another coin's")
ANOTHER = 0.37
"""Where an answer is of one coin, another coin's value is this much of it."""


def mutated(name: str, value: float, other: float) -> float:
    """A value made absurd; ``other`` is that of another coin."""
    wrong = {"NaN": float("nan"), "0": 0.0, "negative": -abs(value) - 1e-9, "another coin's": other}
    return wrong[name] if name in wrong else value * float(name.removeprefix("x"))


@dataclass(frozen=True)
class Place:
    """A number inside an answer: ``holder[key]``, of a field."""

    holder: Any
    key: Any
    field: str

    @property
    def value(self) -> float:
        return float(self.holder[self.key])

    def put(self, value: float) -> None:
        """Write a number as the exchange wrote the old one: as text or as a number."""
        was_text = isinstance(self.holder[self.key], str)
        self.holder[self.key] = f"{value!r}" if was_text else value


def places(answer: Any, kind: str) -> list[Place]:
    """Every number of a known field in an answer to a kind of request."""
    rows = {"candles": ("time", *["candle"] * 4), "book": ("book",)}
    return list(_places(answer, rows.get(kind, ())))


def _places(value: Any, rows: Sequence[str], column: str = "") -> Iterator[Place]:
    """``rows``: fields of the numbers of a row without names; ``column``: that of a whole column of numbers."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        named = NAMES.get(key, "") if isinstance(value, dict) else ""
        if isinstance(inner, dict | list):
            yield from _places(inner, rows, named)
            continue
        name = named or column or (rows[key] if isinstance(value, list) and key < len(rows) else "")
        if name and _is_number(inner):
            yield Place(value, key, name)


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and float(value) == float(value)
    except (TypeError, ValueError):
        return False


@dataclass
class Absurd:
    """One absurd field in a share of the answers, the same at every repetition; ``done`` says what and where.

    ``only``: fields to spoil (None: any); ``exchanges``: whose answers (None: all).
    """

    seed: int
    share: float
    only: tuple[str, ...] | None = None
    exchanges: tuple[str, ...] | None = None
    from_hour: int = 0
    done: list[tuple[str, str, str | None, int, str, str]] = field(default_factory=list)

    def pick(self, exchange: str, kind: str, coin: str | None, hour: int) -> Callable[[Any], Any] | None:
        """What to do with an answer; None: nothing. Lists of contracts are left alone, for all depends on them."""
        if kind == "markets" or hour < self.from_hour or (self.exchanges and exchange not in self.exchanges):
            return None
        rng = np.random.default_rng([self.seed, zlib.crc32(repr((exchange, kind, coin, hour)).encode())])
        if rng.random() >= self.share:
            return None

        def spoilt(answer: Any) -> Any:
            changed, told = spoil_one(answer, kind, rng, self.only)
            if told:
                self.done.append((exchange, kind, coin, hour, *told))
            return changed

        return spoilt


def spoil_one(
    answer: Any, kind: str, rng: np.random.Generator, only: tuple[str, ...] | None = None
) -> tuple[Any, tuple[str, str] | None]:
    """A copy of an answer with one number made absurd, and (field, mutation); the answer when it has no such number."""
    changed = copy.deepcopy(answer)
    found = [place for place in places(changed, kind) if only is None or place.field in only]
    if not found:
        return answer, None
    fields = sorted({place.field for place in found})
    chosen = fields[rng.integers(len(fields))]
    of_field = [place for place in found if place.field == chosen]
    place = of_field[rng.integers(len(of_field))]
    name = MUTATIONS[rng.integers(len(MUTATIONS))]
    others = [each.value for each in of_field if each.key == place.key and each.value != place.value]
    other = others[rng.integers(len(others))] if others else place.value * ANOTHER
    place.put(mutated(name, place.value, other))
    return changed, (chosen, name)
