"""The gate in front of a session: what became known at hours, judged by the session's window and by the hours before.

Everything that judging needs of the past stands in the journal, so a restart changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.market import gate_market
from adapters.gate.order_books import BOOK, gate_order_books
from adapters.gate.refusals import Refusal
from adapters.gate.values import INTERVAL, RATE
from adapters.paper.entries import Event
from adapters.paper.journal import Journal
from engine.errors import DataError
from engine.live_window import FACTS, MAX_DELAY_HOURS, HourFacts, RollingMarket
from engine.market.data import PER_LEG_FLOATS, Floats, MarketData
from engine.market.order_books import OrderBooks, SeenBook

REFUSED = "refused"
"""Kind of the events that tell of values that are not believed."""


@dataclass(frozen=True, eq=False)
class GatedHour:
    """An hour with what is believed of it, and events for what is not."""

    facts: HourFacts
    refusals: tuple[Refusal, ...]


class HourGate:
    """Judges hours before they are played. ``note`` hears of every hour that was, with its events."""

    def __init__(self, rolling: RollingMarket, journal: Journal, limits: GateSettings) -> None:
        self._rolling, self._limits = rolling, limits
        market = rolling.empty
        self._leg = {market.leg_name(leg): leg for leg in range(market.legs)}
        self._told: set[tuple[int, str, int, float | str]] = set()
        self._intervals: dict[int, tuple[int, float | str]] = {}
        if rolling.hour is not None:
            # What was told before a restart must be known again: else one rate is told of twice, and a
            # refused interval is forgotten.
            for hour, leg, field, of_hour, value in journal.refused(rolling.hour - self._reach + 1):
                self._keep(hour, leg, field, of_hour, value)

    @property
    def limits(self) -> GateSettings:
        """What the hours are judged by."""
        return self._limits

    @property
    def _reach(self) -> int:
        """Hours that a judgement may look back: memory, before the oldest settlement that can become known."""
        return self._limits.memory_hours + MAX_DELAY_HOURS

    def judge(self, hours: Sequence[HourFacts]) -> list[GatedHour]:
        """The next hours (ascending, without a gap) as far as they are believed."""
        market, new_rates = self._joined(hours)
        since = len(market.hours) - len(hours)
        gated = gate_market(
            market, self._limits, since=since, new_rates=new_rates, refused_intervals=self._refused_intervals(hours[0])
        )
        # A rate that came late is refused in the hour that it came in: its own hour is committed already.
        known_at = {(s.leg, s.hour): facts.hour for facts in hours for s in facts.settled}
        by_hour: dict[int, list[Refusal]] = {facts.hour: [] for facts in hours}
        for refusal in gated.refusals:
            leg = self._leg[refusal.symbol, refusal.exchange]
            at = known_at[leg, refusal.hour] if refusal.field == RATE else refusal.hour
            by_hour[at].append(refusal)
        believed = [_believed(facts, gated.market, since + i) for i, facts in enumerate(hours)]
        if any(facts.books for facts in hours):
            believed = [self._with_books(facts, gated.market, by_hour[facts.hour]) for facts in believed]
        return [GatedHour(facts, tuple(by_hour[facts.hour])) for facts in believed]

    def _with_books(self, facts: HourFacts, market: MarketData, refusals: list[Refusal]) -> HourFacts:
        """The facts with the order books that are believed; ``refusals`` gets what is wrong with the others."""
        priced = np.isfinite(facts.values[FACTS.index("price")])
        # What is wrong with its price is told already.
        given = [book for book in facts.books if priced[book.leg]]
        books, wrong = _possible(given)
        for leg, problem in wrong.items():
            symbol, exchange = market.leg_name(leg)
            refusals.append(Refusal(exchange, symbol, facts.hour, BOOK, "a book", problem))
        gated = gate_order_books(replace(market, order_books=books), self._limits)
        refusals += gated.refusals
        kept = gated.market.order_books
        legs = set() if kept is None else set(kept.leg.tolist())
        return replace(facts, books=tuple(book for book in given if book.leg in legs))

    def events(self, hour: int, refusals: Sequence[Refusal]) -> list[Event]:
        """What an hour tells of its refusals. A settled rate that is given again and again is told of once."""
        events = []
        for refusal in refusals:
            leg = self._leg[refusal.symbol, refusal.exchange]
            if self._keep(hour, leg, refusal.field, refusal.hour, refusal.value):
                events.append(Event(REFUSED, str(refusal), leg, refusal))
        return events

    def _keep(self, hour: int, leg: int, field: str, of_hour: int, value: float | str) -> bool:
        """Remember a refusal; False when this very one is known."""
        if field == INTERVAL:
            self._intervals[leg] = hour, value
        known = (leg, field, of_hour, value)
        is_new = known not in self._told
        self._told.add(known)
        return is_new

    def forget(self, hour: int) -> None:
        """What is out of reach at an hour cannot matter any more."""
        oldest = hour - self._reach
        self._told = {known for known in self._told if known[2] > oldest}

    def _refused_intervals(self, first: HourFacts) -> Floats:
        """Statements that were refused last, ``[legs]``: within memory, and with none believed after them."""
        values = np.full(self._rolling.empty.legs, np.nan)
        if self._rolling.hour is None:
            return values
        stated = self._rolling.market().funding_interval_hours
        for leg, (hour, value) in self._intervals.items():
            ago = first.hour - hour
            # The window ends an hour before ``first``, so these are the hours after the refusal.
            is_last = bool(np.isnan(stated[leg, stated.shape[1] - ago + 1 :]).all())
            if isinstance(value, float) and ago <= self._limits.memory_hours and is_last:
                values[leg] = value
        return values

    def _joined(self, hours: Sequence[HourFacts]) -> tuple[MarketData, Any]:
        """The believed hours within reach and the new ones behind them; and which settled rates are new."""
        rolling = self._rolling
        legs, past = rolling.empty.legs, self._reach
        known = None if rolling.hour is None else rolling.market()
        new = dict(zip(FACTS, np.stack([facts.values for facts in hours], axis=2), strict=True))
        new["funding_rate"] = np.full((legs, len(hours)), np.nan)
        # Before the first hour the past is unknown, not absent: judging always sees the same number of hours.
        unknown = np.full((legs, past), np.nan)
        values: dict[str, Any] = {
            name: np.hstack([unknown if known is None else getattr(known, name)[:, -past:], new[name]])
            for name in PER_LEG_FLOATS
        }
        begin = hours[0].hour - past
        new_rates = np.zeros((legs, past + len(hours)), np.bool_)
        for facts in hours:
            for settled in facts.settled:
                values["funding_rate"][settled.leg, settled.hour - begin] = settled.rate
                new_rates[settled.leg, settled.hour - begin] = True
        every_hour = np.arange(begin, begin + past + len(hours), dtype=np.int64)
        return replace(rolling.empty, hours=every_hour, **values), new_rates


def _possible(books: Sequence[SeenBook]) -> tuple[OrderBooks | None, dict[int, str]]:
    """The books of an hour that can be, and by leg what is wrong with the others."""
    try:
        return OrderBooks.of(books), {}
    except DataError:
        pass
    # One by one only when there is any such: an hour has hundreds of long ones.
    wrong = {}
    for book in books:
        try:
            OrderBooks.of([book])
        except DataError as error:
            wrong[book.leg] = str(error)
    return OrderBooks.of(book for book in books if book.leg not in wrong), wrong


def _believed(facts: HourFacts, market: MarketData, column: int) -> HourFacts:
    """The facts of an hour as they stand in a judged market."""
    values = np.array([getattr(market, name)[:, column] for name in FACTS])
    begin = int(market.hours[0])
    settled = tuple(s for s in facts.settled if not np.isnan(market.funding_rate[s.leg, s.hour - begin]))
    return replace(facts, values=values, settled=settled)
