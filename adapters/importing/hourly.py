"""Hourly bars out of shorter bars, of trades, and of the last prices that a ticker shows (pure)."""

from __future__ import annotations

import numpy as np

from adapters.importing.recordings import BAR_VALUES
from adapters.storage.stamps import HOUR_MS, MINUTE_MS
from engine.market.data import Floats, Ints

COVERED_MS = MINUTE_MS
"""A ticker tells of an hour when it speaks so soon after its beginning and so shortly before its end."""


def hours_of_bars(times: Ints, values: dict[str, Floats], minutes: int) -> tuple[Ints, dict[str, Floats], int]:
    """Hourly bars out of bars of ``minutes`` in the order of time; and how many hours lack a part and are left out.

    In an hour of which a part is missing nobody knows the high, the volume, or what came first and last.
    """
    hours, first, counts = np.unique(times // HOUR_MS, return_index=True, return_counts=True)
    whole = counts == 60 // minutes
    last = first + counts - 1
    made = {"open": values["open"][first], "close": values["close"][last]}
    for name, over in (("high", np.fmax), ("low", np.fmin), ("volume", np.add)):
        if name in values:
            reduced = over.reduceat(values[name], first)
            unknown = np.add.reduceat(np.isnan(values[name]).astype(np.int64), first) > 0
            made[name] = np.where(unknown, np.nan, reduced)
    ordered = {name: made[name][whole] for name in BAR_VALUES if name in made}
    return hours[whole] * HOUR_MS, ordered, int((~whole).sum())


def bars_of_trades(times: Ints, price: Floats, size: Floats) -> tuple[Ints, dict[str, Floats]]:
    """Hourly bars of trades in any order; those of one instant keep the order that they come in."""
    if not len(times):
        return times, {name: np.empty(0) for name in BAR_VALUES}
    # Older files have the newest trade first; sorting alone would turn round the trades of one instant.
    if times[0] > times[-1]:
        times, price, size = times[::-1], price[::-1], size[::-1]
    order = np.argsort(times, kind="stable")
    times, price, size = times[order], price[order], size[order]
    hours, first, counts = np.unique(times // HOUR_MS, return_index=True, return_counts=True)
    bars = {
        "open": price[first],
        "high": np.maximum.reduceat(price, first),
        "low": np.minimum.reduceat(price, first),
        "close": price[first + counts - 1],
        "volume": np.add.reduceat(size, first),
    }
    return hours * HOUR_MS, bars


def bars_of_last_prices(times: Ints, last: Floats) -> tuple[Ints, dict[str, Floats]]:
    """Open and close of the hours that a ticker covers, out of the last prices that it shows, in the order of time.

    The open is the first price that is not the one carried into the hour: what still shows at its beginning was traded
    before it. The ticker may skip trades, so it knows no high, low and volume.
    """
    hours, first, counts = np.unique(times // HOUR_MS, return_index=True, return_counts=True)
    final = first + counts - 1
    begin = hours * HOUR_MS
    covered = (times[first] - begin <= COVERED_MS) & (begin + HOUR_MS - times[final] <= COVERED_MS)
    opens = np.empty(len(hours))
    for i, (start, stop) in enumerate(zip(first, final + 1, strict=True)):
        # After a silence the first price that shows may be of a trade before the hour: nothing is known to be carried.
        spoke = start > 0 and begin[i] - times[start - 1] <= COVERED_MS
        carried = last[start - 1] if spoke else last[start]
        moved = np.flatnonzero(last[start:stop] != carried)
        opens[i] = last[start + moved[0]] if len(moved) else carried
    return begin[covered], {"open": opens[covered], "close": last[final][covered]}


def rates_of_ticker(times: Ints, due: Ints, rate: Floats) -> tuple[Ints, Floats]:
    """Settlements out of the running rates of a ticker, in the order of time: the last one shown for each ``due`` time.

    Only where it was shown shortly before the settlement or after it; earlier it was an estimate.
    """
    order = np.lexsort((times, due))
    times, due, rate = times[order], due[order], rate[order]
    last = np.flatnonzero(np.append(due[1:] != due[:-1], True)) if len(due) else np.empty(0, np.int64)
    settled = last[times[last] >= due[last] - COVERED_MS]
    return due[settled], rate[settled]
