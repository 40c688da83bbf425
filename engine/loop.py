"""The one hourly loop: it moves portfolios from hour to hour, whoever decides.

Backtest, gymnasium and vectorised environments, evaluation and paper trading all step this class. What they add is
who chooses the orders and what is done with the records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.books import ORDER, Books, open_books, reset_books
from engine.compiled import bind
from engine.errors import CapacityError, UserError
from engine.kernel import advance, begin
from engine.market import Floats, Ints
from engine.records import Records, drain
from engine.tape import Tape, TapeArrays

DRAIN_EVERY_HOURS = 256


class HourlyLoop:
    """B portfolios over one tape. ``rows`` ``[B]`` is the hour each has opened and not yet decided.

    ``close_at_end`` closes everything at ``last_rows`` as a backtest does; without it an episode is cut there.
    ``recording_hours`` 0 records nothing.
    """

    def __init__(
        self,
        tape: Tape,
        portfolios: int = 1,
        *,
        close_at_end: bool = True,
        recording_hours: int = DRAIN_EVERY_HOURS,
    ) -> None:
        self.tape = tape
        self.close_at_end = close_at_end
        self.rows: Ints = np.zeros(portfolios, np.int64)
        self.last_rows: Ints = np.zeros(portfolios, np.int64)
        self.gains: Floats = np.zeros(portfolios)
        settings, settlements = tape.settings, tape.settlements
        self.books: Books = open_books(
            portfolios,
            settings.max_positions,
            settings.initial_capital_usd,
            recording_hours=recording_hours,
            max_delay_hours=settlements.max_delay_hours,
            max_bookings=int(settlements.counts.max(initial=1)),
        )
        self._recording_hours = recording_hours
        self.undrained = 0
        self._advance = bind(advance, *self._state(), np.zeros((portfolios, 1), ORDER), self.gains)

    def start(self, first: int | Ints, last: int | Ints, which: Ints | None = None) -> None:
        """Open hour ``first`` with fresh books for the named portfolios (all by default); ``last`` is inclusive.

        Raises ``UserError`` for a window of fewer than two hours: nothing could be decided in it.
        """
        chosen = np.arange(len(self.rows)) if which is None else which
        if np.any(np.asarray(last) <= np.asarray(first)):
            raise UserError("the window is empty: it needs at least two hours")
        if np.any(np.asarray(first) < 0) or np.any(np.asarray(last) >= self.tape.hours):
            raise UserError("the window lies outside the data")
        self.rows[chosen], self.last_rows[chosen] = first, last
        reset_books(self.books, chosen, self.tape.settings.initial_capital_usd)
        begin(self.tape.arrays, self.books, self.rows, chosen)

    @property
    def finished(self) -> NDArray[np.bool_]:
        """Which portfolios have reached the last hour of their window."""
        return self.rows >= self.last_rows

    def advance(self, orders: NDArray[np.void]) -> Floats:
        """Fill ``orders`` ``[B, M]`` at the current hour and open the next; returns equity gains in USD ``[B]``.

        The returned array is reused by the next call.
        """
        self._advance(*self._state(), np.ascontiguousarray(orders, ORDER), self.gains)
        self.undrained += 1
        return self.gains

    def _state(self) -> tuple[TapeArrays, Books, Ints, Ints, bool]:
        return self.tape.arrays, self.books, self.rows, self.last_rows, self.close_at_end

    def must_drain(self) -> bool:
        """Whether the record buffers may not hold another hour."""
        return self.undrained >= self._recording_hours - 1

    def drain(self, b: int = 0) -> Records:
        """Take the records of portfolio b out of the buffers. Drain every portfolio before the next hour."""
        if self.books.portfolios["overflow"][b]:
            raise CapacityError("a record buffer of the kernel overflowed")
        self.undrained = 0
        return drain(self.books, b)


def order_records(orders: list[tuple[int, int]]) -> NDArray[Any]:
    """One portfolio's ``(kind, target)`` orders as the kernel's ``[1, M]`` array."""
    records: NDArray[Any] = np.zeros((1, len(orders)), ORDER)
    for k, (kind, target) in enumerate(orders):
        records[0, k] = (kind, target)
    return records
