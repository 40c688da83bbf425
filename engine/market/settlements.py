"""From funding rates as recorded to the bookings that positions receive: once per market, by ``schedule``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import CapacityError
from engine.market.data import Floats, Ints, MarketData
from engine.market.schedule import ASSUMED, BOOKING, NOT_YET, SCHEDULE, walk


@dataclass(frozen=True, eq=False)
class Schedules:
    """Where the settlements of every leg stand after the first ``walked`` rows of a market.

    ``states`` is ``[legs]`` of ``SCHEDULE``, ``assumed`` ``[legs, n]`` of ``ASSUMED``: settlements that were booked by
    the last rate and may still be taken back, oldest first, the first ``states["assumed"]`` of each leg.
    """

    walked: int
    states: NDArray[Any]
    assumed: NDArray[Any]


def no_schedules(legs: int, *, walked: int = 0, places: int = 0) -> Schedules:
    """Nothing has settled yet. ``places`` is how many assumed settlements of a leg can be held."""
    states: NDArray[Any] = np.zeros(legs, SCHEDULE)
    states["last"], states["known"], states["last_rate"] = NOT_YET, NOT_YET, np.nan
    return Schedules(walked, states, np.zeros((legs, places), ASSUMED))


class Settlements:
    """Bookings of every leg and hour, and what was known about rate and interval.

    ``bookings[starts[leg, t] : starts[leg, t] + counts[leg, t]]`` are the payments booked at row ``t``.
    ``interval_hours`` and ``last_rate`` ``[legs, hours]`` are the interval in force and the last settled rate, nan
    before any is known; ``silent`` says where a leg's funding is silent. ``before``: the rows that were walked earlier
    and have no bookings here.
    """

    def __init__(
        self, market: MarketData, mark: Floats, stale: Ints, max_stale_hours: int, before: Schedules | None = None
    ) -> None:
        begin = no_schedules(market.legs) if before is None else before
        rows = np.broadcast_to(np.arange(len(market.hours)), market.funding_rate.shape)
        states, held = begin.states.copy(), begin.assumed.copy()
        # At most one is assumed an hour, and each is taken back at most once.
        actual, assumed = np.count_nonzero(~np.isnan(market.funding_rate)), market.funding_rate.size
        out: NDArray[np.void] = np.zeros(int(actual + 2 * assumed + states["assumed"].sum()) + 1, BOOKING)
        n, self.counts, self.interval_hours, self.last_rate, self.silent = walk(
            np.ascontiguousarray(market.funding_rate),
            np.ascontiguousarray(_known_rows(market, rows)),
            np.ascontiguousarray(market.funding_interval_hours),
            mark,
            stale,
            max_stale_hours,
            market.settlement_grace_hours,
            states,
            held,
            begin.walked,
            out,
        )
        self._after = Schedules(len(market.hours), states, held)
        self.bookings = out[:n].copy()
        ends = np.cumsum(self.counts.ravel())
        self.starts: Ints = (ends - self.counts.ravel()).reshape(self.counts.shape)
        lateness = self._booked_rows() - self.bookings["settle_hour"]
        self.max_delay_hours = int(lateness.max()) if n else 0

    @property
    def last_rows(self) -> Ints:
        """Row from which each leg's next settlement is due, as of the last row; ``NOT_YET``: none has settled yet."""
        states = self._after.states
        rows: Ints = np.where(np.isnan(states["last_rate"]), NOT_YET, states["last"])
        return rows

    @property
    def missed(self) -> Ints:
        """How many settlements of each leg, as of the last row, were due since the last actual one and did not come."""
        missed: Ints = self._after.states["missed"]
        return missed

    @property
    def after(self) -> Schedules:
        """Where the schedules stand after the last row, when ``before`` had places for that many assumed ones."""
        if self._after.states["assumed"].max(initial=0) > self._after.assumed.shape[1]:
            raise CapacityError("more assumed settlements than places for them")
        return self._after

    def _booked_rows(self) -> Ints:
        """Row at which each booking is booked."""
        hours = np.broadcast_to(np.arange(self.counts.shape[1]), self.counts.shape)
        return np.repeat(hours.ravel(), self.counts.ravel())


def _known_rows(market: MarketData, rows: Ints) -> Ints:
    """Row at which each settlement is known, never before its own."""
    if market.funding_known_hour is None:
        return rows
    # A rate that is known before it settled is a running estimate, and may still change.
    return np.maximum(market.funding_known_hour - int(market.hours[0]), rows)
