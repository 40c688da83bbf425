"""An hour that is looked at: what a strategy would see of it, and where that is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from adapters.paper.report import due_row
from adapters.paper.session import blank_books
from engine.accounting.books import Reason
from engine.accounting.entries import Entry, against_entry
from engine.accounting.loop import HourlyLoop
from engine.accounting.tape import is_offered, prepare
from engine.live_window import MAX_DELAY_HOURS
from engine.market.counterfactual import up_to
from engine.market.data import MarketData
from engine.observation.features import build_tables
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import View
from engine.settings import EngineSettings
from engine.windows import time_of

LIVE, DATASET, STATE = "live", "data set", "paper state"


class Source(NamedTuple):
    """Where an hour is from: ``kind`` is ``live``, ``data set`` or ``paper state``.

    ``of``: the exchanges that were asked, how the data set was made, or what the state trades on. ``synthetic``:
    whether no exchange was ever asked (None: nobody can say any more).
    """

    kind: str
    name: str
    of: str
    synthetic: bool | None


@dataclass(frozen=True, eq=False)
class Scene:
    """The last row of a tape as somebody sees it who holds nothing but ``held``.

    ``seen``: when the numbers were taken. ``quotes`` by leg: what its exchange said at that moment, by the names of
    ``exchanges.quotes.Quote``. ``events``: what should be there and is not, in words.
    """

    source: Source
    builder: OpportunityBuilder
    seen: datetime
    held: frozenset[int] = frozenset()
    quotes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    events: tuple[str, ...] = ()

    @property
    def row(self) -> int:
        """The row that is looked at."""
        return self.builder.tape.hours - 1

    @property
    def time(self) -> datetime:
        """The hour, aware UTC."""
        return time_of(int(self.builder.tape.market.hours[self.row]))

    @cached_property
    def view(self) -> View:
        """What a strategy is given that holds nothing."""
        return View(self._loop, self.builder)

    @cached_property
    def _loop(self) -> HourlyLoop:
        tape = self.builder.tape
        loop = HourlyLoop(tape, max_delay_hours=MAX_DELAY_HOURS)
        # Never the books of a state: opening the row with them would settle and protect that hour once more.
        loop.resume(tape, self.row, blank_books(tape.wallet_shares, tape.settings))
        return loop

    def legs(self, pair: int) -> tuple[int, int]:
        """Long and short leg of a pair."""
        pairs = self.builder.tape.pairs
        return int(pairs.long_leg[pair]), int(pairs.short_leg[pair])

    def next_settlement(self, leg: int) -> datetime | None:
        """When the next settlement of a leg is due; in the past where its rate is not out yet, None where unknown."""
        tape = self.builder.tape
        row = due_row(tape.settlements, leg, self.row)
        return None if row is None else time_of(int(tape.market.hours[0]) + row)

    def stale_hours(self, leg: int) -> int | None:
        """Hours since the last price of a leg, None before its first."""
        stale = int(self.builder.tape.arrays.quotes["stale"][leg, self.row])
        return None if stale < 0 else stale

    def why_not(self, pair: int) -> str | None:
        """Why a pair is not offered for entry, in the words of a run's notes; None: it is offered."""
        if pair in self.held or int(self.builder.tape.pairs.mirror[pair]) in self.held:
            return _word(Reason.ALREADY_HELD)
        if self.view.offered[pair]:
            return None
        arrays = self.builder.tape.arrays
        if is_offered(arrays, pair, self.row):
            # Recorded opportunities have no row of it.
            return _word(Reason.NO_SUCH_OPPORTUNITY)
        # What keeps a pair from being offered is looked at before sizes and margin, so those do not matter here.
        return _word(Reason(against_entry(arrays, self._loop.books, 0, self.row, Entry(pair, 0.0, 0.0, False))))


def _word(reason: Reason) -> str:
    return reason.name.lower()


def market_scene(market: MarketData, at: datetime, settings: EngineSettings, source: Source) -> Scene:
    """An hour of a market, seen at that hour. Raises ``UserError`` for an hour outside of it."""
    tape = prepare(up_to(market, market.index_of(at)), settings)
    return Scene(source, OpportunityBuilder(tape, build_tables(tape, tape.hours - 1)), at)
