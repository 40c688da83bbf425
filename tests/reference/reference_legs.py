"""What one leg of a market shows hour by hour: the leg's half of the slow second implementation of docs/design.md.

Independent of the engine on purpose: plain lists and exact fractions, nothing imported from the kernel.
``t`` and ``s`` are row indexes of ``MarketData.hours``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isnan

from engine.market.data import MarketData

Levels = list[tuple[float, float]]
Book = tuple[Levels, Levels]
"""Bids and asks as (price, quantity), the best ones first."""
ENDLESS = 10**9
"""Stale hours of a leg that has not shown a price yet."""


@dataclass(frozen=True)
class Booking:
    """One funding rate charged to whoever held the leg at ``settle_hour``.

    ``kind`` is ``actual``, ``imputed`` (the last rate stands in for a missing one, where that costs) or ``reversal``
    (the imputed rate taken back, because of an actual settlement close to it).
    """

    settle_hour: int
    rate: Fraction
    mark: Fraction
    kind: str


class LegHistory:
    """Carried prices, staleness, volumes and funding bookings of one leg over the whole data."""

    def __init__(self, market: MarketData, leg: int, max_stale_hours: int) -> None:
        self.symbol, self.exchange = market.leg_name(leg)
        self.first_hour = int(market.hours[0]) if len(market.hours) else 0
        self.instruments = _instruments(market, leg)
        self.books = _books(market, leg)
        self.delisting_hour = int(market.delisting_hour[leg])
        self.delisting_known_hour = int(market.delisting_known_hour[leg])
        self.fill_price: list[float] = market.fill_price[leg].tolist()
        self.spread: list[float] = market.bid_ask_spread[leg].tolist()
        self.depth: list[float] = market.depth_usd[leg].tolist()
        self.high: list[float] = [] if market.high is None else market.high[leg].tolist()
        self.low: list[float] = [] if market.low is None else market.low[leg].tolist()
        self.volume, self.traded_volume = _last_known_volumes(market.volume_24h_usd[leg].tolist())
        self.price, self.stale, self.fresh_hours = _carried(market.price[leg].tolist())
        self._mark: list[float] = market.mark_price[leg].tolist()
        self.silent: list[bool] = []
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
        clock = _FundingClock(market.settlement_grace_hours, max_stale_hours)
        bookings: dict[int, list[Booking]] = {}
        for t in range(len(rates)):
            if not isnan(stated[t]):
                clock.stated = int(stated[t])
            found: list[tuple[int, float, str]] = []
            for s in arrivals.get(t, []):
                found.extend(clock.settled(s, rates[s], None if isnan(stated[s]) else int(stated[s])))
            if self.price[t] is not None:
                clock.priced(t)
            found.extend(clock.missing(t, is_dark=self.stale[t] > max_stale_hours))
            self.silent.append(clock.is_silent(t))
            if found:
                # Stable: a reversal stays before the actual settlement of the same hour.
                found.sort(key=lambda row: (row[0], row[2] != "reversal"))
                bookings[t] = [Booking(s, Fraction(rate), self.mark(s), kind) for s, rate, kind in found]
        return bookings


LONGEST = 24
"""The interval of a leg that has not shown one."""


class _FundingClock:
    """When the next settlement of a leg is due: by the stated interval, else by the gaps seen so far."""

    def __init__(self, grace: int, max_stale_hours: int) -> None:
        self.grace, self.max_stale_hours = grace, max_stale_hours
        self.stated: int | None = None
        self._inferred: int | None = None
        self._doubtful_gap: int | None = None  # a longer gap seen once; twice in a row it is believed
        self._first_price: int | None = None
        self._newest: tuple[int, float] | None = None  # the latest actual settlement and its rate
        self._assumed: dict[int, float] = {}  # rates by hour, not taken back
        self._came_due: list[int] = []  # hours of those that were due since the newest and did not come
        self._was_silent = False

    def priced(self, t: int) -> None:
        """The leg has a price; while nothing has settled, its first one is where the schedule starts."""
        if self._first_price is None and self._newest is None:
            self._first_price = t

    def settled(self, s: int, rate: float, stated: int | None) -> list[tuple[int, float, str]]:
        """The bookings of an actual settlement; ``stated`` is the interval that the source states for it."""
        own = stated or self._in_force()
        wrong = [hour for hour in self._assumed if abs(hour - s) < own]
        out = [(hour, -self._assumed.pop(hour), "reversal") for hour in wrong]
        out.append((s, rate, "actual"))
        if self._newest is None or s > self._newest[0]:
            if self._newest is not None:
                self._learn_interval(s - self._newest[0])
            self._newest = s, rate
            self._came_due = sorted(hour for hour in self._assumed if hour > s)
            self._was_silent = False
        return out

    def _in_force(self) -> int:
        return self.stated or self._inferred or LONGEST

    def _since(self) -> int | None:
        """The last known settlement, or what stands for it: the first price."""
        return self._first_price if self._newest is None else self._newest[0]

    def missing(self, t: int, *, is_dark: bool) -> list[tuple[int, float, str]]:
        """The imputed booking of what is due and whose hour (and the grace) is over; none in the dark or in silence."""
        begin = self._since()
        if begin is None:
            return []
        found = []
        if is_dark or self._was_silent:
            while (due := max([begin, *self._came_due]) + self._in_force()) + self.grace <= t:
                self._came_due.append(due)
        elif max([begin, *self._came_due]) + self._in_force() + self.grace <= t:
            hour = t - self.grace
            self._came_due.append(hour)
            if self._newest is not None:  # else no rate is known that could be assumed
                self._assumed[hour] = self._newest[1]
                found = [(hour, self._newest[1], "imputed")]
        self._was_silent = self._was_silent or self.is_silent(t)
        return found

    def is_silent(self, t: int) -> bool:
        """Two in a row did not come, and nothing has been heard for the hours that a price may be old."""
        begin = self._since()
        if begin is None:
            return False
        return self._was_silent or (len(self._came_due) >= 2 and t - begin >= self.max_stale_hours)

    def _learn_interval(self, gap: int) -> None:
        if gap > LONGEST:
            self._doubtful_gap = None
        elif self._inferred is not None and gap > self._inferred and gap != self._doubtful_gap:
            self._doubtful_gap = gap
        else:
            self._inferred, self._doubtful_gap = gap, None


def _instruments(market: MarketData, leg: int) -> list[tuple[int, float, float, float, float]]:
    """(hour, tick, lot, least USD, most leverage) of every dated row of the leg."""
    known = market.instruments
    if known is None:
        return []
    columns = (known.since, known.tick, known.lot, known.min_notional_usd, known.max_leverage)
    rows = zip(known.leg.tolist(), *(column.tolist() for column in columns), strict=True)
    return [row for of, *values in rows if of == leg for row in [tuple(values)]]


def _books(market: MarketData, leg: int) -> dict[int, Book]:
    """(bids, asks) by hour number."""
    known = market.order_books
    if known is None:
        return {}
    levels = list(zip(known.price.tolist(), known.quantity.tolist(), strict=True))
    ends = known.offsets.tolist()
    return {
        hour: (levels[ends[2 * k] : ends[2 * k + 1]], levels[ends[2 * k + 1] : ends[2 * k + 2]])
        for k, (of, hour) in enumerate(zip(known.leg.tolist(), known.hour.tolist(), strict=True))
        if of == leg
    }


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
