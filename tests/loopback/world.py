"""A made-up market on eight exchanges: what the loopback server holds, and what tests compare against.

Every exchange lists the same coins under its own names, scales and contract sizes. Hours are hour numbers since 1970.
All values are made once from a seed; the simulated clock is ``World.now_ms``.
"""

from __future__ import annotations

import bisect
import zlib
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
Candle = tuple[int, float, float, float, float, float]
COINS = ("BTC", "ETH", "PEPE", "SOL", "XRP", "DOGE", "KAS", "SUI", "LINK", "BONK")
SCALED = frozenset({"PEPE", "BONK"})  # listed per 1000 coins on some exchanges
EXCHANGES = ("binanceusdm", "bybit", "okx", "bitget", "gate", "kucoinfutures", "mexc", "hyperliquid")
SCALING = {"binanceusdm": "1000", "bybit": "1000", "hyperliquid": "k"}
CONTRACT_SIZES = {  # listed units per contract, where sizes are contracts: (BTC, every other coin)
    "okx": (0.01, 10.0),
    "gate": (0.0001, 0.1),
    "kucoinfutures": (0.001, 1.0),
    "mexc": (0.0001, 100.0),
}
JITTER_MS = {"binanceusdm": (-3, 12), "hyperliquid": (0, 80)}
ALWAYS_HOURLY = frozenset({"hyperliquid"})
CHANGING = ((0, 8), (300, 4), (700, 1), (1000, 2), (1100, 8))
"""(hours after the start, interval in hours): the schedule of a coin whose interval changes."""
FIXED = (((0, 8),), ((0, 4),), ((0, 1),))


def hour_number(time: datetime) -> int:
    """Hours since 1970 of an aware time."""
    return int(time.timestamp()) // 3600


def text(value: float) -> str:
    """A number as exchanges write it: plain decimals, in full."""
    return np.format_float_positional(value, trim="-")


@dataclass
class Leg:
    """One contract of one exchange. Prices are per listed unit, volume in the unit that the exchange uses."""

    exchange: str
    coin: str
    name: str  # the base name as the exchange writes it: 1000PEPE, kPEPE, XBT
    multiplier: int
    contract_size: float
    first_hour: int
    bars: np.ndarray  # [hours, 5] open, high, low, close, volume
    rates: np.ndarray  # [hours] rate of a settlement at the start of that hour
    schedule: tuple[tuple[int, int], ...]
    spread: float
    listed_from: int = 0  # hour number
    delisted_at: int | None = None
    created_at: int | None = None  # hour number that the exchange calls its listing; None: the true one
    ends_ms: int | None = None  # announced end
    ending: bool = False  # being taken off, where an exchange says so without a date
    missing_hours: frozenset[int] = frozenset()  # bars that the exchange does not have
    _settlements: tuple[object, list[tuple[int, float]]] | None = None
    _candles: tuple[object, list[Candle]] | None = None

    @property
    def created(self) -> int:
        """When it was listed (hour number), as the exchange says."""
        return self.listed_from if self.created_at is None else self.created_at

    def interval(self, hour: int) -> int:
        """Funding interval in force at an hour number."""
        passed = [hours for offset, hours in self.schedule if self.first_hour + offset <= hour]
        return passed[-1] if passed else self.schedule[0][1]

    def settles(self, hour: int) -> bool:
        """Whether a settlement falls on this hour."""
        inside = 0 <= hour - self.first_hour < len(self.rates) and hour >= self.listed_from
        return inside and hour % self.interval(hour) == 0 and (self.delisted_at is None or hour < self.delisted_at)

    def next_settlement(self, now_ms: int) -> int:
        """Hour number of the next settlement after now."""
        hour = now_ms // HOUR_MS + 1
        while hour % self.interval(hour):
            hour += 1
        return hour

    def stamp(self, hour: int) -> int:
        """The exchange's own time stamp of a settlement, with its jitter."""
        low, high = JITTER_MS.get(self.exchange, (0, 0))
        return hour * HOUR_MS + low + zlib.crc32(f"{self.exchange}{self.coin}{hour}".encode()) % (high - low + 1)

    def settled(self, now_ms: int, delay_ms: int = 0) -> list[tuple[int, float]]:
        """(stamp, rate) of every settlement published by now, oldest first."""
        rows = self._all_settlements()
        return rows[: bisect.bisect_right(rows, now_ms - delay_ms, key=lambda row: row[0])]

    def _all_settlements(self) -> list[tuple[int, float]]:
        key = (self.schedule, self.listed_from, self.delisted_at)
        if self._settlements is None or self._settlements[0] != key:
            hours = (hour for hour in range(self.first_hour, self._end()) if self.settles(hour))
            self._settlements = (key, [(self.stamp(hour), self.rate(hour)) for hour in hours])
        return self._settlements[1]

    def rate(self, hour: int) -> float:
        """Rate of a settlement."""
        return float(self.rates[min(hour - self.first_hour, len(self.rates) - 1)])

    def candles(self, now_ms: int) -> list[Candle]:
        """(open time, open, high, low, close, volume), oldest first; the last one is unfinished."""
        rows, this_hour = self._all_candles(), now_ms // HOUR_MS
        finished = rows[: bisect.bisect_left(rows, this_hour * HOUR_MS, key=lambda row: row[0])]
        if len(finished) == len(rows) or rows[len(finished)][0] != this_hour * HOUR_MS:
            return finished
        _, open_, _, _, _, volume = rows[len(finished)]
        close, so_far = self.last(now_ms), round(volume * (now_ms % HOUR_MS) / HOUR_MS, 3)
        return [*finished, (this_hour * HOUR_MS, open_, max(open_, close), min(open_, close), close, so_far)]

    def minutes(self, now_ms: int) -> list[Candle]:
        """The same of the minutes of the last two days: on the line from open to close of the hour's bar, but for one
        that reaches its high (minute 20) and one that reaches its low (minute 40)."""
        rows: list[Candle] = []
        for at, open_, high, low, close, volume in self._all_candles():
            if not now_ms - 48 * HOUR_MS < at <= now_ms:
                continue
            line = [open_ + (close - open_) * minute / 60 for minute in range(61)]
            for minute in range(60):
                time, (a, b) = at + minute * MINUTE_MS, line[minute : minute + 2]
                if time <= now_ms:
                    top, bottom = (high if minute == 20 else max(a, b)), (low if minute == 40 else min(a, b))
                    rows.append((time, a, top, bottom, b, round(volume / 60, 3)))
        return rows

    def bars_of(self, timeframe: object, now_ms: int) -> list[Candle]:
        """Candles by the word that an exchange has for their length."""
        return self.minutes(now_ms) if timeframe in ("1m", "1", 1, "Min1") else self.candles(now_ms)

    def _all_candles(self) -> list[Candle]:
        key = (self.missing_hours, self.listed_from, self.delisted_at)
        if self._candles is None or self._candles[0] != key:
            first = max(self.first_hour, self.listed_from)
            last = self._end() if self.delisted_at is None else min(self._end(), self.delisted_at)
            hours = (hour for hour in range(first, last) if hour not in self.missing_hours)
            rows = [(hour * HOUR_MS, *self.bars[hour - self.first_hour].tolist()) for hour in hours]
            self._candles = (key, rows)
        return self._candles[1]

    def last(self, now_ms: int) -> float:
        """Last traded price: on the line from the open of this hour's bar to its close."""
        open_, _, _, close, _ = (float(v) for v in self.bars[min(now_ms // HOUR_MS, self._end() - 1) - self.first_hour])
        return float(f"{open_ + (close - open_) * (now_ms % HOUR_MS) / HOUR_MS:.7g}")

    def bid_ask(self, now_ms: int) -> tuple[float, float]:
        """Top of the book."""
        last = self.last(now_ms)
        return float(f"{last * (1 - self.spread / 2):.9g}"), float(f"{last * (1 + self.spread / 2):.9g}")

    def book(self, now_ms: int, levels: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """(bids, asks) of (price, size in the exchange's unit), best first, one basis point apart."""
        bid, ask = self.bid_ask(now_ms)
        size = float(f"{5_000 / self.last(now_ms) / self.contract_size:.6g}")
        bids = [(float(f"{bid * (1 - i * 1e-4):.9g}"), size * (1 + i)) for i in range(levels)]
        asks = [(float(f"{ask * (1 + i * 1e-4):.9g}"), size * (2 + i)) for i in range(levels)]
        return bids, asks

    def volume_24h(self, now_ms: int) -> tuple[float, float]:
        """(in the exchange's unit, in USD) over the 24 finished hours before this one."""
        end = now_ms // HOUR_MS - self.first_hour
        day = self.bars[max(0, end - 24) : end]
        return float(day[:, 4].sum()), float((day[:, 4] * day[:, 3]).sum() * self.contract_size)

    def is_listed(self, now_ms: int) -> bool:
        """Whether the exchange lists it now."""
        hour = now_ms // HOUR_MS
        return hour >= self.listed_from and (self.delisted_at is None or hour < self.delisted_at)

    def _end(self) -> int:
        return self.first_hour + len(self.bars)


@dataclass
class World:
    """All legs, and the clock."""

    legs: dict[tuple[str, str], Leg]
    now_ms: int
    publish_delay_ms: int = 0  # how long after its time a settled rate appears in the history
    delays: dict[str, float] = field(default_factory=dict)  # seconds that an exchange takes to answer

    def of(self, exchange: str, now_ms: int | None = None) -> list[Leg]:
        """What an exchange lists now."""
        now = self.now_ms if now_ms is None else now_ms
        return [leg for (name, _), leg in self.legs.items() if name == exchange and leg.is_listed(now)]

    def clock(self) -> int:
        """Now, as a clock for the product."""
        return self.now_ms


def make_world(
    start: datetime,
    hours: int,
    *,
    coins: tuple[str, ...] = COINS,
    exchanges: tuple[str, ...] = EXCHANGES,
    seed: int = 1,
    now: datetime | None = None,
) -> World:
    """A world whose data begins at ``start`` and lasts ``hours``; now is its end unless given."""
    rng, first = np.random.default_rng(seed), hour_number(start)
    paths = {coin: _path(rng, 10.0 ** rng.uniform(-5, 4.5), hours) for coin in coins}
    legs = {}
    for exchange in exchanges:
        for i, coin in enumerate(coins):
            legs[exchange, coin] = _leg(rng, exchange, coin, i, first, paths[coin])
    end_ms = (first + hours) * HOUR_MS if now is None else int(now.timestamp() * 1000)
    return World(legs, end_ms)


def _path(rng: np.random.Generator, price: float, hours: int) -> np.ndarray:
    return price * np.exp(np.cumsum(rng.standard_t(4, hours + 1) * 0.004))


def _leg(rng: np.random.Generator, exchange: str, coin: str, i: int, first: int, path: np.ndarray) -> Leg:
    prefix = SCALING.get(exchange, "") if coin in SCALED else ""
    multiplier = 1000 if prefix else 1
    size = CONTRACT_SIZES.get(exchange, (1.0, 1.0))[0 if coin == "BTC" else 1]
    hours = len(path) - 1
    basis = np.exp(rng.normal(0, 0.0005, hours + 1))
    edge = _significant(path * basis * multiplier, 6)
    open_, close = edge[:-1], edge[1:]
    top = _significant(np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 0.002, hours))), 6)
    low = _significant(np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 0.002, hours))), 6)
    volume = np.maximum(1.0, np.round(rng.lognormal(13, 0.5, hours) / path[1:] / multiplier / size, 3))
    schedule = ((0, 1),) if exchange in ALWAYS_HOURLY else CHANGING if i % 4 == 3 else FIXED[i % 4]
    name = "XBT" if exchange == "kucoinfutures" and coin == "BTC" else prefix + coin
    return Leg(
        exchange=exchange,
        coin=coin,
        name=name,
        multiplier=multiplier,
        contract_size=size,
        first_hour=first,
        bars=np.stack(
            [
                open_,
                np.maximum(top, np.maximum(open_, close)),
                np.minimum(low, np.minimum(open_, close)),
                close,
                volume,
            ],
            1,
        ),
        rates=np.round(rng.standard_t(3, hours) * 2e-5 + 1e-5, 8),
        schedule=schedule,
        spread=float(rng.uniform(1e-4, 8e-4)),
    )


def _significant(values: np.ndarray, digits: int) -> np.ndarray:
    return np.array([float(f"{value:.{digits}g}") for value in values])
