"""How long a bar is: ``1h`` in the name of a file, or the distance of its rows."""

from __future__ import annotations

import re

import numpy as np

from adapters.storage.stamps import MINUTE_MS
from adapters.storage.time_columns import EMPTY
from engine.market.data import Ints

MINUTES = {"s": 1 / 60, "m": 1, "h": 60, "d": 24 * 60, "w": 7 * 24 * 60, "M": 30 * 24 * 60, "mo": 30 * 24 * 60}
WRITTEN = re.compile(r"(\d+)(mo|[smhdwM])")
IN_A_NAME = re.compile(r"(?<![A-Za-z0-9])(\d{1,2}(?:mo|[smhdwM]))(?![A-Za-z0-9])")
PARTS_OF_AN_HOUR = (1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60)


def minutes_of(written: str) -> int | None:
    """Minutes of a timeframe such as ``15m`` or ``1h``; None for what is none, or shorter than a minute."""
    found = WRITTEN.fullmatch(written)
    minutes = None if found is None else int(found[1]) * MINUTES[found[2]]
    return int(minutes) if minutes is not None and minutes >= 1 else None


def named_minutes(name: str) -> int | None:
    """Minutes of the timeframe that a file name holds, if it holds one."""
    found = IN_A_NAME.search(name)
    return None if found is None else minutes_of(found[1])


def usual_minutes(times: Ints) -> int:
    """The usual distance of rows in minutes; an hour where nothing shows it."""
    known = np.unique(times[times != EMPTY])
    if len(known) < 2:
        return 60
    distances, counts = np.unique(np.diff(known), return_counts=True)
    return max(1, int(distances[counts.argmax()]) // MINUTE_MS)
