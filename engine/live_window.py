"""A market that grows by the hour and keeps only its last rows: how paper trading looks at live data.

The tape of the last row has the same bits as the tape of all rows would have: what left the window lives on in
``Before``. Nothing later than the row that was added last exists here.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.tape import prepare
from engine.errors import DataError
from engine.market.carried import carry_forward, staleness
from engine.market.data import (
    BAR_EXTREMES,
    PER_LEG_FLOATS,
    Floats,
    MarketData,
    Pairs,
    RecordedOpportunities,
    directed_pairs,
)
from engine.market.earlier_hours import Before, legs_one_row_on, nothing_before, schedules_one_row_on
from engine.market.notices import Notice, with_notices
from engine.market.order_books import OrderBooks, SeenBook
from engine.market.schedule import LONGEST_INTERVAL_HOURS
from engine.market.settlements import Settlements
from engine.observation.features import HISTORY_HOURS, build_tables
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings

WALKED_ROWS = 96
MAX_DELAY_HOURS = WALKED_ROWS - LONGEST_INTERVAL_HOURS
"""A settlement that becomes known later than this after its hour cannot be booked any more: what it takes back lies up
to an interval before it."""
WINDOW_ROWS = WALKED_ROWS + HISTORY_HOURS
NOW = WINDOW_ROWS - 1
"""Row of the hour that was added last."""
FACTS = tuple(name for name in PER_LEG_FLOATS if name != "funding_rate")
"""What is known of a leg at its hour; settled rates may come later."""


@dataclass(frozen=True)
class Settled:
    """A settled rate (decimal) of one leg, at the hour number of its instant."""

    leg: int
    hour: int
    rate: float


@dataclass(frozen=True, eq=False)
class HourFacts:
    """What became known at one hour: ``values`` ``[FACTS, legs]``, nan where unknown, settled rates, and notices.

    ``recorded`` holds (pairs, features) of recorded opportunities, for data sets that bring them. ``extremes`` ``[2,
    legs]``: high and low of what was traded since the hour before, where orders may have rested (None: nobody asked).
    ``books``: order books that were seen at the hour, at most one a leg.
    """

    hour: int
    values: Floats
    settled: tuple[Settled, ...] = ()
    recorded: tuple[Any, Any] | None = None
    notices: tuple[Notice, ...] = ()
    extremes: Floats | None = None
    books: tuple[SeenBook, ...] = ()


class RollingMarket:
    """The last ``WINDOW_ROWS`` hours of the legs of ``empty``, a market without hours that names them.

    ``empty`` also holds the notices of delistings that are known. ``recorded_columns`` names the features of recorded
    opportunities (None: they are derived).
    """

    def __init__(
        self,
        empty: MarketData,
        settings: EngineSettings,
        *,
        recorded_columns: tuple[str, ...] | None = None,
        before: Before | None = None,
        pairs: Pairs | None = None,
    ) -> None:
        self.empty, self.settings, self.recorded_columns = empty, settings, recorded_columns
        self.pairs = directed_pairs(empty) if pairs is None else pairs
        self.before = nothing_before(empty.legs, walked=WALKED_ROWS) if before is None else before
        self.hour: int | None = None
        shape = (empty.legs, WINDOW_ROWS)
        self._values = {name: np.full(shape, np.nan) for name in PER_LEG_FLOATS}
        # By the row at which the bar opens, as everywhere: those of ``NOW`` are not known yet.
        self._extremes = {name: np.full(shape, np.nan) for name in BAR_EXTREMES if settings.orders_rest}
        self._known = np.zeros(shape, np.int64)
        self._recorded: tuple[Any, Any] | None = None
        self._books: tuple[SeenBook, ...] = ()
        self._order_books: OrderBooks | None = None

    def append(self, facts: HourFacts) -> None:
        """Add the next hour. Raises ``DataError`` for an hour that does not follow, or a settlement out of reach."""
        if self.hour is not None and facts.hour != self.hour + 1:
            raise DataError(f"hour {facts.hour} does not follow hour {self.hour}")
        for settled in facts.settled:
            if not 0 <= facts.hour - settled.hour <= MAX_DELAY_HOURS:
                raise DataError(f"a settlement of hour {settled.hour} cannot be booked at hour {facts.hour}")
        if self.hour is not None:
            # Before ``_put``: the row that leaves must still be there to be carried over.
            self.before = self._one_row_on()
        self.empty = with_notices(self.empty, facts.notices, facts.hour)
        self._put(facts)

    def with_hour(self, facts: HourFacts) -> RollingMarket:
        """The window with the next hour added, while this one stays as it is. Raises like ``append``."""
        longer = copy(self)
        longer._values = {name: array.copy() for name, array in self._values.items()}
        longer._extremes = {name: array.copy() for name, array in self._extremes.items()}
        longer._known = self._known.copy()
        longer.append(facts)
        return longer

    def restore(self, hours: Sequence[HourFacts]) -> None:
        """Put back the last hours (ascending, at most ``WINDOW_ROWS``) of a market whose ``before`` was given.

        Their notices are not read again: ``empty`` has them.
        """
        self.hour = hours[-1].hour - len(hours)
        for facts in hours:
            self._put(facts)

    def _put(self, facts: HourFacts) -> None:
        for array in (*self._values.values(), *self._extremes.values(), self._known):
            array[:, :-1] = array[:, 1:]
        self.hour, self._recorded = facts.hour, facts.recorded
        for name, values in zip(FACTS, facts.values, strict=True):
            self._values[name][:, NOW] = values
        for i, array in enumerate(self._extremes.values()):
            array[:, NOW - 1] = np.nan if facts.extremes is None else facts.extremes[i]
            array[:, NOW] = np.nan
        # What rested since the hour before is hedged by the book of then.
        self._keep([*(book for book in self._books if book.hour == facts.hour - 1), *facts.books])
        # A rate is put in the row of its instant, which may be an earlier one than the row at which it became known.
        self._values["funding_rate"][:, NOW] = np.nan
        self._known[:, NOW] = facts.hour
        for settled in facts.settled:
            row = NOW - (facts.hour - settled.hour)
            self._values["funding_rate"][settled.leg, row] = settled.rate
            self._known[settled.leg, row] = facts.hour

    def keep_books(self, books: Sequence[SeenBook]) -> None:
        """Forget all order books of the hour that was added last but these."""
        self._keep([*(book for book in self._books if book.hour != self.hour), *books])

    def _keep(self, books: Sequence[SeenBook]) -> None:
        # Made once an hour: books of hundreds of legs are long, and the window is looked at several times.
        self._books, self._order_books = tuple(books), OrderBooks.of(books)

    def market(self) -> MarketData:
        """The window as a market; row ``NOW`` is the hour that was added last."""
        if self.hour is None:
            raise DataError("no hour has been added yet")
        hours = np.arange(self.hour - NOW, self.hour + 1, dtype=np.int64)
        values: dict[str, Any] = {**self._values, **self._extremes}
        values["order_books"] = self._order_books
        return replace(self.empty, hours=hours, funding_known_hour=self._known, recorded=self._rows(), **values)

    def builder(self) -> OpportunityBuilder:
        """Tape and features of the window, right at row ``NOW``."""
        tape = prepare(self.market(), self.settings, before=self.before, pairs=self.pairs)
        return OpportunityBuilder(tape, build_tables(tape, NOW))

    def settled_rows(self) -> NDArray[np.bool_]:
        """Which rows of the window have an actual settlement, ``[legs, WINDOW_ROWS]``."""
        settled: NDArray[np.bool_] = ~np.isnan(self._values["funding_rate"])
        return settled

    def priced_legs(self) -> NDArray[np.bool_]:
        """Which legs have a price of their own anywhere in the window."""
        priced: NDArray[np.bool_] = ~np.isnan(self._values["price"]).all(axis=1)
        return priced

    def stated_intervals(self) -> Floats:
        """The interval in hours that each leg's source stated last within the window, nan for none."""
        return np.asarray(carry_forward(self._values["funding_interval_hours"])[:, NOW])

    def _rows(self) -> RecordedOpportunities | None:
        if self.recorded_columns is None:
            return None
        width = len(self.recorded_columns)
        pairs, features = self._recorded or (np.empty(0, np.int64), np.empty((0, width)))
        offsets = np.zeros(WINDOW_ROWS + 1, np.int64)
        offsets[-1] = len(pairs)
        return RecordedOpportunities(offsets, pairs, features, self.recorded_columns)

    def _one_row_on(self) -> Before:
        """What is before the window once its first row has left."""
        rows = slice(0, WALKED_ROWS + 1)
        market = self.market()
        values: dict[str, Any] = {name: np.ascontiguousarray(array[:, rows]) for name, array in self._values.items()}
        known = self._known[:, rows]
        values |= dict.fromkeys((*BAR_EXTREMES, "order_books"))  # settlements do not look at them
        walked = replace(market, hours=market.hours[rows], funding_known_hour=known, recorded=None, **values)
        legs = self.before.legs
        price = carry_forward(walked.price, legs["price"])
        stale, _ = staleness(walked.price, (legs["stale"], legs["fresh_hours"]))
        mark = np.where(np.isnan(walked.mark_price), price, walked.mark_price)
        after = Settlements(walked, mark, stale, self.settings.max_stale_hours, self.before.schedules).after
        moved = legs_one_row_on(legs, walked.price[:, 0], walked.volume_24h_usd[:, 0])
        return Before(moved, schedules_one_row_on(after))
