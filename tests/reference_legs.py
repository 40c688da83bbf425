"""What one leg of a market shows hour by hour: the leg's half of the slow second implementation of DESIGN.md.

Independent of the engine on purpose: plain lists and exact fractions, nothing imported from the kernel.
``t`` and ``s`` are row indexes of ``MarketData.hours``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isnan

from engine.market import MarketData

ENDLESS = 10**9
"""Stale hours of a leg that has not shown a price yet."""


@dataclass(frozen=True)
class Booking:
    """One funding rate charged to whoever held the leg at ``settle_hour``.

    ``kind`` is ``actual``, ``imputed`` (the last rate stands in for a missing one) or ``reversal`` (the
    imputed rate taken back, because the actual settlement came late).
    """

    settle_hour: int
    rate: Fraction
    mark: Fraction
    kind: str


@dataclass(frozen=True)
class Outstanding:
    """An imputed settlement that no actual one has followed yet."""

    settle_hour: int
    interval: int
    rate: float


class LegHistory:
    """Carried prices, staleness, volumes and funding bookings of one leg over the whole data."""

    def __init__(self, market: MarketData, leg: int, max_stale_hours: int) -> None:
        self.symbol, self.exchange = market.leg_name(leg)
        self.delisting_hour = int(market.delisting_hour[leg])
        self.delisting_known_hour = int(market.delisting_known_hour[leg])
        self.fill_price: list[float] = market.fill_price[leg].tolist()
        self.spread: list[float] = market.bid_ask_spread[leg].tolist()
        self.depth: list[float] = market.depth_usd[leg].tolist()
        self.volume, self.traded_volume = _last_known_volumes(market.volume_24h_usd[leg].tolist())
        self.price, self.stale, self.fresh_hours = _carried(market.price[leg].tolist())
        self._mark: list[float] = market.mark_price[leg].tolist()
        self.bookings = self._schedule(market, leg, max_stale_hours)

    def mark(self, t: int) -> Fraction:
        """The mark price, or the carried price where the exchange gives none."""
        mark = self._mark[t]
        if not isnan(mark):
            return Fraction(mark)
        carried = self.price[t]
        return Fraction(0) if carried is None else Fraction(carried)

    def _schedule(self, market: MarketData, leg: int, max_stale_hours: int) -> dict[int, list[Booking]]:
        rates: list[float] = market.funding_rate[leg].tolist()
        stated: list[float] = market.funding_interval_hours[leg].tolist()
        arrivals = _arrivals(market, leg, rates)
        clock = _FundingClock(market.settlement_grace_hours)
        bookings: dict[int, list[Booking]] = {}
        for t in range(len(rates)):
            if not isnan(stated[t]):
                clock.stated = int(stated[t])
            found: list[tuple[int, float, str]] = []
            for s in arrivals.get(t, []):
                found.extend(clock.settled(s, rates[s]))
            if self.stale[t] <= max_stale_hours:
                found.extend(clock.missing(t))
            else:
                clock.skip(t)
            if found:
                # Stable: a reversal stays before the actual settlement of the same hour.
                found.sort(key=lambda row: (row[0], row[2] != "reversal"))
                bookings[t] = [Booking(s, Fraction(rate), self.mark(s), kind) for s, rate, kind in found]
        return bookings


class _FundingClock:
    """When the next settlement of a leg is due: by the stated interval, else by the gaps seen so far."""

    def __init__(self, grace: int) -> None:
        self.grace = grace
        self.stated: int | None = None
        self._inferred: int | None = None
        self._doubtful_gap: int | None = None  # a longer gap seen once; twice in a row it is believed
        self._last: int | None = None  # actual or imputed
        self._last_actual: int | None = None
        self._last_rate = 0.0
        self._actual: list[int] = []
        self._outstanding: list[Outstanding] = []

    def settled(self, s: int, rate: float) -> list[tuple[int, float, str]]:
        """The bookings of an actual settlement."""
        out: list[tuple[int, float, str]] = []
        replaced = self._replaced(s)
        if replaced is not None:
            out.append((replaced.settle_hour, -replaced.rate, "reversal"))
            self._outstanding.remove(replaced)
        out.append((s, rate, "actual"))
        self._actual.append(s)
        if self._last_actual is None or s > self._last_actual:
            self._learn_interval(s)
            self._last_actual, self._last_rate = s, rate
        self._last = max([self._last_actual, *(one.settle_hour for one in self._outstanding)])
        return out

    def _replaced(self, s: int) -> Outstanding | None:
        """The imputed settlement that this one follows late, else the first that it forestalls."""
        # Only the settlement right before ``s``: one that others have followed since stays missing.
        newest = max([one.settle_hour for one in self._outstanding if one.settle_hour <= s], default=s)
        between = any(newest < actual < s for actual in self._actual)
        followed = [
            one for one in self._outstanding if one.settle_hour == newest and s < newest + one.interval and not between
        ]
        interval = self._interval or 0
        forestalled = [one for one in self._outstanding if s < one.settle_hour < s + interval]
        return followed[-1] if followed else (forestalled[0] if forestalled else None)

    @property
    def _interval(self) -> int | None:
        return self.stated if self.stated is not None else self._inferred

    def missing(self, t: int) -> list[tuple[int, float, str]]:
        """The imputed booking, when a settlement is due and its hour (and the grace) is over."""
        interval = self._interval
        if self._last is None or interval is None or t < self._last + interval + self.grace:
            return []
        due = t - self.grace
        self._last = due
        self._outstanding.append(Outstanding(due, interval, self._last_rate))
        return [(due, self._last_rate, "imputed")]

    def skip(self, t: int) -> None:
        """A silent leg: what falls due is charged to nobody, and the schedule runs on."""
        interval = self._interval
        while self._last is not None and interval is not None and t >= self._last + interval + self.grace:
            self._last += interval

    def _learn_interval(self, s: int) -> None:
        if self._last_actual is None:
            return
        gap = s - self._last_actual
        if self._inferred is not None and gap > self._inferred and gap != self._doubtful_gap:
            self._doubtful_gap = gap
            return
        self._inferred = gap
        self._doubtful_gap = None


def _arrivals(market: MarketData, leg: int, rates: list[float]) -> dict[int, list[int]]:
    """Rows of the actual settlements by the row at which they became known, oldest first."""
    start = int(market.hours[0])
    known = None if market.funding_known_hour is None else market.funding_known_hour[leg].tolist()
    arrivals: dict[int, list[int]] = {}
    for s, rate in enumerate(rates):
        if not isnan(rate):
            row = s if known is None else max(s, known[s] - start)
            arrivals.setdefault(row, []).append(s)
    return arrivals


def _carried(prices: list[float]) -> tuple[list[float | None], list[int], list[int]]:
    """Last known price, hours since it was fresh, count of fresh hours so far; the row itself included."""
    carried: list[float | None] = []
    stale: list[int] = []
    fresh_hours: list[int] = []
    last: float | None = None
    age, fresh = ENDLESS, 0
    for price in prices:
        if isnan(price):
            age = age + 1 if last is not None else ENDLESS
        else:
            last, age, fresh = price, 0, fresh + 1
        carried.append(last)
        stale.append(age)
        fresh_hours.append(fresh)
    return carried, stale, fresh_hours


def _last_known_volumes(volumes: list[float]) -> tuple[list[float | None], list[float | None]]:
    """The last known volume, and the last known one above zero (impact cannot divide by an empty day)."""
    known: list[float | None] = []
    traded: list[float | None] = []
    last: float | None = None
    last_traded: float | None = None
    for volume in volumes:
        if not isnan(volume):
            last = volume
            last_traded = volume if volume > 0 else last_traded
        known.append(last)
        traded.append(last_traded)
    return known, traded
