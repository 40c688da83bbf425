"""What a market that begins in the middle of a longer one needs to know of the hours that it leaves out.

With it a window gives the bits of the whole: carried prices, ages, funding schedules and imputed settlements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError
from engine.market.schedule import ASSUMED, NOT_YET, SCHEDULE
from engine.market.settlements import Schedules, no_schedules

LEG_BEFORE = np.dtype(
    [
        ("price", "f8"),  # last own price, nan: none
        ("stale", "i8"),  # hours since then at the row before the first; -1: none
        ("fresh_hours", "i8"),
        ("first", "i8"),  # row of the first own price, negative; NO_PRICE: none
        ("volume", "f8"),  # last known 24 h volume, USD
        ("traded_volume", "f8"),  # last one above zero
    ],
    align=True,
)
# Later than any row, so that the smaller of it and a row of the window is that row.
NO_PRICE = 2**62


@dataclass(frozen=True, eq=False)
class Before:
    """``legs`` ``[legs]`` of ``LEG_BEFORE`` stands before row 0, ``schedules`` after the first ``walked`` rows."""

    legs: NDArray[Any]
    schedules: Schedules

    def dump(self) -> bytes:
        """All of it as bytes; only assumed settlements that are there take place."""
        states, assumed = self.schedules.states, self.schedules.assumed
        present = np.arange(assumed.shape[1]) < states["assumed"][:, None]
        return self.legs.tobytes() + states.tobytes() + assumed[present].tobytes()


def nothing_before(legs: int, *, walked: int) -> Before:
    """The beginning of all data. A window has places for the assumed settlements of the walked rows and the next."""
    blank: NDArray[Any] = np.zeros(legs, LEG_BEFORE)
    for name in ("price", "volume", "traded_volume"):
        blank[name] = np.nan
    blank["stale"], blank["first"] = -1, NO_PRICE
    return Before(blank, no_schedules(legs, walked=walked, places=walked + 1 if walked else 0))


def load_before(content: bytes, legs: int, *, walked: int) -> Before:
    """What ``dump`` wrote. Raises ``DataError`` when the bytes do not fit this number of legs."""
    blank = nothing_before(legs, walked=walked)
    start = legs * LEG_BEFORE.itemsize
    stop = start + legs * SCHEDULE.itemsize
    if len(content) < stop:
        raise DataError("the stored state of the legs is cut off")
    leg_rows = np.frombuffer(content[:start], LEG_BEFORE).copy()
    states = np.frombuffer(content[start:stop], SCHEDULE).copy()
    assumed = blank.schedules.assumed
    present = np.arange(assumed.shape[1]) < states["assumed"][:, None]
    if len(content) != stop + int(present.sum()) * ASSUMED.itemsize:
        raise DataError("the stored state of the legs does not belong to this number of legs")
    assumed[present] = np.frombuffer(content[stop:], ASSUMED)
    return Before(leg_rows, Schedules(walked, states, assumed))


def legs_one_row_on(legs: NDArray[Any], price: NDArray[Any], volume: NDArray[Any]) -> NDArray[Any]:
    """``LEG_BEFORE`` when the first row, with these own prices and volumes ``[legs]``, has left the window."""
    own = ~np.isnan(price)
    moved = legs.copy()
    moved["price"] = np.where(own, price, legs["price"])
    moved["stale"] = np.where(own, 0, np.where(legs["stale"] < 0, -1, legs["stale"] + 1))
    moved["fresh_hours"] = legs["fresh_hours"] + own
    moved["first"] = np.where(legs["first"] != NO_PRICE, legs["first"] - 1, np.where(own, -1, NO_PRICE))
    moved["volume"] = np.where(np.isnan(volume), legs["volume"], volume)
    # Apart from ``volume``: an hour without trade is a fact for filters, but impact would divide by it.
    moved["traded_volume"] = np.where(volume > 0, volume, legs["traded_volume"])
    return moved


def schedules_one_row_on(after: Schedules) -> Schedules:
    """Schedules that have walked one row more, seen from a window whose first row has left.

    An assumed settlement of that row is out of reach of any actual one that may still come, and forgotten.
    """
    states, assumed = after.states.copy(), np.zeros_like(after.assumed)
    for name in ("last", "known"):
        # NOT_YET is a mark and no row: moved, it would count as one, long ago.
        states[name] = np.where(states[name] == NOT_YET, NOT_YET, states[name] - 1)
    for leg in np.flatnonzero(after.states["assumed"]):
        entries = after.assumed[leg, : after.states["assumed"][leg]].copy()
        entries["settle_hour"] -= 1
        kept = entries[entries["settle_hour"] >= 0]
        states["assumed"][leg] = len(kept)
        assumed[leg, : len(kept)] = kept
    return Schedules(after.walked - 1, states, assumed)
