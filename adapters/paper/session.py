"""A paper trading state in motion: hours go in one after the other, each ends as one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.paper.dataset_hours import without_hours
from adapters.paper.digests import observation_hash
from adapters.paper.entries import Decision, Event, HourEntry, Snapshot, shifted
from adapters.paper.journal import Journal
from adapters.paper.report import RunningRate, hour_report
from engine.accounting.books import Books, OrderKind, Status, open_books, seen_from
from engine.accounting.loop import HourlyLoop, order_records
from engine.accounting.records import Records
from engine.accounting.tape import wallet_shares
from engine.errors import DataError, in_words
from engine.live_window import MAX_DELAY_HOURS, NOW, WALKED_ROWS, WINDOW_ROWS, HourFacts, RollingMarket
from engine.market.data import Floats, MarketData
from engine.market.earlier_hours import load_before
from engine.market.order_books import SeenBook
from engine.observation.answers import answer
from engine.observation.clock import BETWEEN_DECISIONS, clock_of
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Strategy, View
from engine.settings import EngineSettings

RECORDING_HOURS = 64
"""Far more than an hour needs: late settlements of days may be booked in one."""


@dataclass(frozen=True)
class Played:
    """One hour after it was committed. ``records`` count hours since 1970."""

    hour: int
    status: str
    decision: Decision
    records: Records
    events: tuple[Event, ...]
    report: Mapping[str, Any]


class Session:
    """Goes on where the journal ends. ``market`` names the legs and has no hours.

    ``rng`` is the generator that the strategy draws from; its state is part of the snapshot. With ``excuse_errors``
    an error of the strategy is an hour without a decision, otherwise it is raised.
    """

    def __init__(
        self,
        journal: Journal,
        market: MarketData,
        settings: EngineSettings,
        strategy_name: str,
        strategy: Strategy,
        rng: np.random.Generator,
        *,
        recorded_columns: tuple[str, ...] | None = None,
        excuse_errors: bool = False,
    ) -> None:
        self.journal, self.settings = journal, settings
        self._name, self._strategy, self._rng = strategy_name, strategy, rng
        self._excuse_errors = excuse_errors
        self._rolling = RollingMarket(without_hours(market), settings, recorded_columns=recorded_columns)
        self._books: Books | None = None  # as the last hour left them, rows seen from its window
        self._loop: HourlyLoop | None = None
        self._restore()

    @property
    def hour(self) -> int | None:
        """The last hour in the journal."""
        return self._rolling.hour

    @property
    def rolling(self) -> RollingMarket:
        """The last hours of the market."""
        return self._rolling

    @property
    def books(self) -> Books | None:
        """The books as the last hour left them; None before the first hour that was played."""
        return self._books

    def remember(
        self, hours: Sequence[HourFacts], *, detail: str = "", events: Mapping[int, Sequence[Event]] | None = None
    ) -> None:
        """Hours before the first one that is played: the strategy's past, in one transaction; ``events`` by hour."""
        told = events or {}
        with self.journal.transaction():
            for facts in hours:
                self._rolling.append(facts)
                self.journal.add_hour(HourEntry(facts, "history", detail, events=tuple(told.get(facts.hour, ()))))
            self.journal.store(self._snapshot({}))

    def play(
        self,
        facts: HourFacts,
        *,
        status: str = "ok",
        detail: str = "",
        no_decision: str | None = None,
        is_last: bool = False,
        events: Sequence[Event] = (),
        quotes: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> Played:
        """One hour: settle, mark, protect, decide (unless ``no_decision`` says why not), fill, commit.

        ``is_last`` ends the books like a backtest's. After an exception the session must not be used any more.
        """
        self._rolling.append(facts)
        builder = self._rolling.builder()
        loop = self._opened(builder)
        orders: tuple[tuple[int, int], ...] = ()
        told = list(events)
        if is_last:
            no_decision = "end of data"
            loop.close()
        else:
            clock = clock_of(self._strategy)
            if no_decision is None and not clock.decides_at(facts.hour):
                no_decision = f"{BETWEEN_DECISIONS} ({clock})"
            if no_decision is None:
                orders, no_decision = self._decide(loop, builder)
                if no_decision is not None:
                    status = "degraded"
                    told.append(Event("no_decision", no_decision))
            loop.fill(order_records(list(orders)))
        facts = replace(facts, books=self._books_used(facts, orders))
        self._rolling.keep_books(facts.books)
        decision = Decision(self._name, orders, no_decision, observation_hash(facts))
        records = shifted(loop.drain(), facts.hour - NOW)
        # A copy: the loop is used again for the next hour, and would write into the books of this one.
        self._books = seen_from(loop.books, 0)
        report = hour_report(loop, self._running_rates(facts.hour, quotes or {}))
        entry = HourEntry(facts, status, detail, decision, records, tuple(told), quotes or {})
        with self.journal.transaction():
            self.journal.add_hour(entry)
            self.journal.store(self._snapshot(report))
        return Played(facts.hour, status, decision, records, tuple(told), report)

    def _books_used(self, facts: HourFacts, orders: Sequence[tuple[int, int]]) -> tuple[SeenBook, ...]:
        """The order books of legs that were held, ordered or entered at the hour: fills can have walked no others.

        All of them would make up most of a journal.
        """
        pairs = [target for kind, target in orders if kind == int(OrderKind.ENTER)]
        if self._books is not None:
            slots = self._books.slots[0]
            pairs += slots["pair"][slots["status"] != int(Status.FREE)].tolist()
        known = [pair for pair in pairs if 0 <= pair < len(self._rolling.pairs)]
        of = self._rolling.pairs
        legs = {*of.long_leg[known].tolist(), *of.short_leg[known].tolist()}
        return tuple(book for book in facts.books if book.leg in legs)

    def _running_rates(self, now: int, quotes: Mapping[int, Mapping[str, Any]]) -> RunningRate:
        """Estimates by leg and hour: those of this hour are not in the journal yet."""

        def running(leg: int, hour: int) -> float | None:
            return quotes.get(leg, {}).get("funding_rate") if hour == now else self.journal.running_rate(leg, hour)

        return running

    def _decide(self, loop: HourlyLoop, builder: OpportunityBuilder) -> tuple[tuple[tuple[int, int], ...], str | None]:
        try:
            return tuple(answer(self._strategy, View(loop, builder))), None
        except Exception as error:  # without an answer there is no order, and it is said
            if not self._excuse_errors:
                raise
            return (), f"strategy {self._name} failed: {in_words(error)}"

    def _opened(self, builder: OpportunityBuilder) -> HourlyLoop:
        """The loop with the last row of the window open."""
        tape = builder.tape
        if self._loop is None:
            self._loop = HourlyLoop(tape, recording_hours=RECORDING_HOURS, max_delay_hours=MAX_DELAY_HOURS)
        # The window moves on by an hour, and the books count its rows.
        books = seen_from(self._books, 1) if self._books is not None else blank_books(tape.wallet_shares, self.settings)
        self._loop.resume(tape, NOW, books)
        return self._loop

    def _snapshot(self, report: Mapping[str, Any]) -> Snapshot:
        hour = self._rolling.hour
        assert hour is not None  # an hour was just added
        portfolio, slots, awaiting, wallets = (
            (None, None, None, None) if self._books is None else (array.tobytes() for array in self._books.state)
        )
        # With the generator's state a restart draws what an uninterrupted run would have drawn.
        generator = json.dumps(self._rng.bit_generator.state)
        return Snapshot(hour, self._rolling.before.dump(), portfolio, slots, awaiting, wallets, generator, report)

    def _restore(self) -> None:
        snapshot = self.journal.snapshot()
        if snapshot is None:
            return
        if snapshot.hour != self.journal.last_hour:
            raise DataError("snapshot and journal end at different hours", file=str(self.journal.folder))
        legs = self._rolling.empty.legs
        self._rolling.before = load_before(snapshot.before, legs, walked=WALKED_ROWS)
        self._rolling.restore(list(self.journal.facts(snapshot.hour - WINDOW_ROWS + 1, snapshot.hour, checked=True)))
        if snapshot.portfolio is not None:
            shares = wallet_shares(self._rolling.empty.exchanges, self.settings)
            self._books = _load_books(blank_books(shares, self.settings), snapshot)
        if snapshot.generator is not None:
            self._rng.bit_generator.state = json.loads(snapshot.generator)


def blank_books(shares: Floats, settings: EngineSettings) -> Books:
    """Books of one portfolio with all capital in cash, spread over its wallets by ``shares``, without records."""
    return open_books(
        1, settings.max_positions, settings.initial_capital_usd, wallet_shares=shares, max_delay_hours=MAX_DELAY_HOURS
    )


def _load_books(blank: Books, snapshot: Snapshot) -> Books:
    def array(content: bytes | None, like: NDArray[Any]) -> NDArray[Any]:
        if content is None or len(content) != like.nbytes:
            raise DataError("the snapshot holds books of another shape")
        # frombuffer gives a view that cannot be written, and the kernel writes into the books.
        return np.frombuffer(content, like.dtype).reshape(like.shape).copy()

    return blank._replace(
        portfolios=array(snapshot.portfolio, blank.portfolios),
        slots=array(snapshot.slots, blank.slots),
        awaiting_settlement=array(snapshot.awaiting_settlement, blank.awaiting_settlement),
        wallets=array(snapshot.wallets, blank.wallets),
    )
