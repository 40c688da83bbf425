"""The one hourly loop: it moves portfolios from hour to hour, whoever decides.

Backtest, gymnasium and vectorised environments, evaluation and paper trading all step this class. What they add is
who chooses the orders and what is done with the records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.books import ORDER, Books, open_books
from engine.accounting.hour import advance, begin, close, fill
from engine.accounting.records import Records, drain
from engine.accounting.tape import Tape, TapeArrays
from engine.compiled import bind
from engine.errors import CapacityError, UserError
from engine.market.data import Floats, Ints

DRAIN_EVERY_HOURS = 256


class HourlyLoop:
    """B portfolios over one tape. ``rows`` ``[B]`` is the hour each has opened and not yet decided.

    ``close_at_end`` closes everything at ``last_rows`` as a backtest does; without it an episode is cut there.
    ``recording_hours`` 0 records nothing. ``max_delay_hours``: how late a settlement may be booked, where books must
    fit more than one tape.
    """

    def __init__(
        self,
        tape: Tape,
        portfolios: int = 1,
        *,
        close_at_end: bool = True,
        recording_hours: int = DRAIN_EVERY_HOURS,
        max_delay_hours: int | None = None,
    ) -> None:
        self.tape = tape
        self._max_delay_hours = tape.settlements.max_delay_hours if max_delay_hours is None else max_delay_hours
        self.close_at_end = close_at_end
        self.rows: Ints = np.zeros(portfolios, np.int64)
        self.last_rows: Ints = np.zeros(portfolios, np.int64)
        self.gains: Floats = np.zeros(portfolios)
        self.books = self._open(portfolios, recording_hours)
        self._blank = self._open(1, 0)
        self._recording_hours = recording_hours
        self.undrained = 0
        self._bind(portfolios)

    def _open(self, portfolios: int, recording_hours: int) -> Books:
        settings, settlements = self.tape.settings, self.tape.settlements
        return open_books(
            portfolios,
            settings.max_positions,
            settings.initial_capital_usd,
            wallet_shares=self.tape.wallet_shares,
            recording_hours=recording_hours,
            max_delay_hours=self._max_delay_hours,
            max_bookings=int(settlements.counts.max(initial=1)),
        )

    def _bind(self, portfolios: int) -> None:
        everyone, orders = np.arange(portfolios), np.zeros((portfolios, 1), ORDER)
        self._begin = bind(begin, self.tape.arrays, self.books, self._blank, self.rows, everyone)
        self._advance = bind(advance, *self._state(), orders, self.gains)

    def start(self, first: int | Ints, last: int | Ints, which: Ints | None = None) -> None:
        """Open hour ``first`` with fresh books for the named portfolios (all by default); ``last`` is inclusive.

        Raises ``UserError`` for a window of fewer than two hours: nothing could be decided in it.
        """
        chosen = np.arange(len(self.rows)) if which is None else np.ascontiguousarray(which, np.int64)
        if np.any(np.asarray(last) <= np.asarray(first)):
            raise UserError("the window is empty: it needs at least two hours")
        if np.min(first) < 0 or np.max(last) >= self.tape.hours:
            raise UserError("the window lies outside the data")
        self.rows[chosen], self.last_rows[chosen] = first, last
        self._begin(self.tape.arrays, self.books, self._blank, self.rows, chosen)

    def resume(self, tape: Tape, row: int, books: Books) -> None:
        """Open hour ``row`` with the portfolio of ``books`` as the hour before left it (``books.seen_from``).

        ``tape`` is another look at the same legs under the same settings. Where hours come one at a time, ``fill`` or
        ``close`` ends this one; there is no next row.
        """
        self.tape = tape
        self.rows[:] = self.last_rows[:] = row
        self._begin(self.tape.arrays, self.books, books, self.rows, np.zeros(1, np.int64))

    def fill(self, orders: NDArray[np.void]) -> None:
        """Fill ``orders`` ``[B, M]`` at the current hour, without opening another."""
        fill(self.tape.arrays, self.books, self.rows, np.ascontiguousarray(orders, ORDER))
        self.undrained += 1

    def close(self) -> None:
        """End of data at the current hour: cancel what is pending, close what is open."""
        close(self.tape.arrays, self.books, self.rows)
        self.undrained += 1

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

    def must_drain(self, hours: int = 1) -> bool:
        """Whether the record buffers may not hold ``hours`` more."""
        # One hour is spared: the last step fills one hour and closes the next.
        return self.undrained >= self._recording_hours - hours

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
