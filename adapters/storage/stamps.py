"""Times as sources stamp them: the hour of a settlement and of an end, and which times cannot be true (pure)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.market.data import Ints

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
TOLERANCE_MS = 5 * MINUTE_MS
"""Every exchange settles at whole hours; some stamp the record when they have written it, seconds or minutes later."""
WITH_THE_HOUR_MS = 5 * MINUTE_MS
"""An end so soon after a whole hour counts as at it: there would be no time to leave in the hour that it cuts off."""
EARLIEST_MS, LATEST_MS = (int(np.datetime64(day, "ms").astype(np.int64)) for day in ("2010-01-01", "2100-01-01"))
"""No exchange had perpetual futures before; nothing is recorded of later."""
WRONG_UNITS = {
    1e3: "seconds read as milliseconds",
    1e6: "milliseconds read as nanoseconds",
    1e9: "seconds read as nanoseconds",
    1e-3: "microseconds read as milliseconds",
    1e-6: "nanoseconds read as milliseconds",
}
"""By the factor that brings such times back."""

Time = TypeVar("Time", int, Ints)


def settled_at(stamp_ms: Time) -> Time:
    """The instant of a settlement in ms: the whole hour where the stamp is near one, else the nearest minute."""
    # Far from a whole hour a stamp keeps its minute: moved, it would pass for a settlement of that hour.
    minute = (stamp_ms + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    hour = (stamp_ms + HOUR_MS // 2) // HOUR_MS * HOUR_MS
    is_near = abs(stamp_ms - hour) <= TOLERANCE_MS
    return minute + (hour - minute) * is_near


def end_hour(end_ms: int) -> int:
    """The hour number that counts as the end of a contract: a position leaves at the whole hour before it."""
    # Rounded up, because a position leaves an hour before this number: at the last whole hour before the end.
    return -(-(end_ms - WITH_THE_HOUR_MS) // HOUR_MS)


def is_plausible(milliseconds: Ints) -> NDArray[np.bool_]:
    """Which times can be those of market data."""
    return np.asarray((milliseconds >= EARLIEST_MS) & (milliseconds < LATEST_MS))


def why_implausible(milliseconds: int) -> str:
    """What is wrong with a time, and the mistake that usually makes such times."""
    text = f"lies in the year {year_of(milliseconds)}"
    for factor, mistake in WRONG_UNITS.items():
        if EARLIEST_MS <= milliseconds * factor < LATEST_MS:
            return f"{text}: likely {mistake}"
    return text


def year_of(milliseconds: int) -> int:
    """The year of a time, however far away it is."""
    return int(np.datetime64(int(milliseconds), "ms").astype("datetime64[Y]").astype(np.int64)) + 1970


def likely_unit(number: float) -> str | None:
    """The unit in which a bare number since 1970 would be a time of market data, in words."""
    units = {"seconds": 1e-3, "milliseconds": 1.0, "microseconds": 1e3, "nanoseconds": 1e6}
    for unit, per_millisecond in units.items():
        if EARLIEST_MS <= number / per_millisecond < LATEST_MS:
            return unit
    return None
