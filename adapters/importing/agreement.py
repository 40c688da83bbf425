"""Rows that are there twice: the same row counts once, and of rows that contradict each other none.

Also whether the rates of an import are fractions at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from adapters.datasets.rate_units import FEWEST_SETTLEMENTS, HIGHEST_PER_8H, MONTH_HOURS, likely_unit
from adapters.datasets.raw_tables import ROUNDING, VOLUME_ROUNDING
from adapters.gate.values import RATE
from adapters.importing.hourly import hours_of_bars
from adapters.importing.judging import Rows, hours_between
from adapters.importing.recordings import BARS, SETTLEMENTS
from adapters.storage.stamps import HOUR_MS
from engine.market.data import Floats

FEWEST_TO_TELL = 4
"""Settlements that show a schedule."""


def tolerance(name: str) -> float:
    """How far apart two values of a column may be that are the same."""
    return VOLUME_ROUNDING if name == "volume" else ROUNDING


def said_once(rows: Rows) -> Rows:
    """One row a time, of rows in the order of time; what only one of them knows is taken from it."""
    if len(rows.times) < 2:
        return rows
    first = np.flatnonzero(np.append(True, rows.times[1:] != rows.times[:-1]))
    if len(first) == len(rows.times):
        return rows
    group = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(rows.times))))
    differs = np.zeros(len(first), np.bool_)
    for name, values in rows.values.items():
        least, most = np.fmin.reduceat(values, first), np.fmax.reduceat(values, first)
        if name != "interval_hours":
            differs |= most - least > tolerance(name) * np.maximum(np.abs(most), np.abs(least))
        known = np.where(np.isnan(values[first]), most, values[first])
        rows.values[name] = np.where(np.isin(np.arange(len(values)), first), known[group], values)
    rows.refuse(differs[group], f"there are {rows.kind} of one time that contradict each other")
    rows.kept &= np.isin(np.arange(len(group)), first)
    return rows.left()


def hourly(rows: Rows) -> Rows:
    """Bars of an hour out of shorter ones; other rows as they are."""
    if rows.kind != BARS or rows.minutes == 60 or not len(rows.times):
        return rows
    begins = np.flatnonzero(np.append(True, np.diff(rows.times // HOUR_MS) != 0))
    file_of = dict(zip((rows.times[begins] // HOUR_MS).tolist(), rows.file[begins].tolist(), strict=True))
    times, values, lacking = hours_of_bars(rows.times, rows.values, rows.minutes)
    if lacking:
        what = f"{rows.listing.listed}: {lacking} hours lack some of their bars of {rows.minutes} minutes, left out"
        rows.refusals.remark(what, rows.files[int(rows.file[0])])
    file = np.array([file_of[hour] for hour in (times // HOUR_MS).tolist()], np.int64)
    has = {name: np.ones(len(times), np.bool_) for name in values}
    none = np.zeros(len(times), np.bool_)
    return Rows(rows.listing, BARS, 60, rows.files, file, times, dict(values), has, ~none, none, rows.refusals)


def refuse_other_units(parts: Iterable[Rows]) -> None:
    """Refuse the settlements of contracts whose rates are, by their usual size, no fractions.

    For certain over a month, or when most contracts of the import are so; else it is remarked.
    """
    found = [(rows, _usual_rate(rows)) for rows in parts if rows.kind == SETTLEMENTS and len(rows.times)]
    high = [usual > HIGHEST_PER_8H for _, usual in found]
    most = sum(high) > len(high) / 2 and len(high) > 1
    for (rows, usual), is_high in zip(found, high, strict=True):
        if not is_high:
            continue
        why = f"half of all rates are above {100 * usual:.2g} % per 8 h: likely {likely_unit(usual)}, not fractions"
        enough = len(rows.times) >= FEWEST_SETTLEMENTS
        if (enough and hours_between(rows.times) >= MONTH_HOURS) or most:
            for file in np.unique(rows.file).tolist():
                rows.refusals.file(rows.files[file], why, rows.listing.listed)
            rows.kept[:] = False
        else:
            rows.refusals.remark(f"{rows.listing.listed}: {why}", rows.files[int(rows.file[0])])


def remark_zones(parts: Iterable[Rows]) -> None:
    """Say where settlements fall at hours at which no exchange settles: likely times of another zone.

    With intervals of 4 and 8 hours they settle at every fourth hour of UTC (kucoin's 8 hours begin at 4), with 2 at
    even ones.
    """
    for rows in parts:
        if rows.kind != SETTLEMENTS or len(rows.times) < FEWEST_TO_TELL:
            continue
        hours = rows.times // HOUR_MS
        usual = int(np.median(np.diff(hours)))
        step = {2: 2, 4: 4, 8: 4}.get(usual)
        # A single one may be late; of a wrong zone all are.
        if step is not None and (hours % step != 0).all():
            shown = ", ".join(f"{hour:02}:00" for hour in sorted(set((hours % 24).tolist())))
            what = f"{rows.listing.listed}: settlements at {shown} UTC, when no exchange settles: likely another zone"
            rows.refusals.remark(what, rows.files[int(rows.file[0])])


def _usual_rate(rows: Rows) -> float:
    """The median of |rate| per 8 h; the hours of a settlement as stated, else the usual distance of two."""
    times, hours = rows.times, rows.values["interval_hours"]
    distance = float(np.median(np.diff(times))) / HOUR_MS if len(times) > 1 else 8.0
    hours = np.where(np.isnan(hours), distance, hours)
    sizes: Floats = np.abs(rows.values[RATE]) * 8 / hours
    return float(np.median(sizes))


def without_running(rows: Rows, may_run: Collection[str]) -> Rows:
    """Bars in the order of time without the newest, where it is of a file whose last bar may have been running."""
    if len(rows.times) and rows.files[int(rows.file[-1])] in may_run:
        what = "the newest bar is left out: it may have been running when it was recorded"
        rows.refusals.remark(what, rows.files[int(rows.file[-1])])
        rows.kept[-1] = False
    return rows.left()
