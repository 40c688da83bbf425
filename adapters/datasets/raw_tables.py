"""Raw tables as exchanges publish them: candles and settlements, checked and brought to one contract unit.

Rows that cannot be used are left out of their leg, and legs that cannot be used are left out as a whole; ``LeftOut``
has a line for each of them, or refuses the first (``strict``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters.datasets.contracts import BARS, LEG, SETTLEMENTS, joined
from adapters.datasets.findings import hour_text
from adapters.datasets.layout import BOOKS_FILE, INSTRUMENTS_FILE
from adapters.datasets.left_out import LeftOut, Place
from adapters.datasets.rate_units import HIGHEST_PER_8H, likely_unit
from adapters.datasets.raw_rows import RawRows, read_rows
from adapters.datasets.selection import EVERYTHING, Selection
from adapters.gate.limits import MAX_INTERVAL_HOURS, MAX_RATE
from adapters.naming.names import together
from adapters.storage.regular_files import sha256_of, sha256_of_file
from adapters.storage.stamps import HOUR_MS, MINUTE_MS, settled_at
from engine.market.data import Floats

PRICES_FILE = "prices_1h.parquet"
FUNDING_FILE = "funding.parquet"
NOTICES_FILE = "delistings.parquet"
MARKS_FILE = "marks_1h.parquet"
"""Notices and marks are optional."""
PRICE_COLUMNS = ("exchange", "symbol", "base", "multiplier", "timestamp", "open", "high", "low", "close", "volume")
RANGE_COLUMNS = ("high", "low")
"""Not every source has them: the columns may be absent, and values in them null."""
FUNDING_COLUMNS = ("exchange", "symbol", "base", "multiplier", "settlement_time", "funding_rate", "interval_hours")
ROUNDING = 1e-9
"""A relative difference of values that are the same, written with more or fewer digits."""
VOLUME_ROUNDING = 1e-6
"""Of volumes in two tables, one of which may have kept them in half the digits."""
LARGEST_MULTIPLIER = 1e9
"""No contract is on more coins than that."""
_CROWDED = "two settlements within one hour"


def read_bars(
    paths: Path | Sequence[Path], left: LeftOut | None = None, selection: Selection = EVERYTHING
) -> pd.DataFrame:
    """One row per finished hourly bar: coin, exchange, contract, opened_hour, four prices, volume_usd, is_still.

    ``opened_hour`` is the hour number of the bar's open; prices are per coin, divided by the multiplier; ``is_still``:
    open, high, low and close are one price and nothing was traded. Sorted by leg and hour, unique; a volume that cannot
    be true is unknown. The rows of several tables add up: the same bar counts once, bars that contradict each other are
    left out. Without ``left`` everything must be right. Raises ``DataError`` for a table that cannot be read at all.
    """
    left, files = left or LeftOut(), _each(paths)
    found = [_bars_of(path, left, selection) for path in files]
    for name in selection.absent(coin for _, coins in found for coin in coins):
        left.note(f"note: {PRICES_FILE} has no {name}")
    bars = joined(pd.concat([table for table, _ in found], ignore_index=True), BARS, left, together(files))
    return _unique(_said_once(bars), ["opened_hour"], "two different bars", left, together(files))


def _bars_of(path: Path, left: LeftOut, selection: Selection) -> tuple[pd.DataFrame, list[str]]:
    """The bars of one table that can be used, in its order, and the symbols that it has."""
    needed = tuple(name for name in PRICE_COLUMNS if name not in RANGE_COLUMNS)
    rows = read_rows(path, needed, "timestamp", left, selection)
    rows.leave_out(rows.milliseconds % HOUR_MS != 0, "the bar does not open at a whole hour")
    unknown = np.full(len(rows.leg), np.nan)
    prices = {
        name: rows.numbers(name) if name in rows.table.column_names else unknown
        for name in ("open", *RANGE_COLUMNS, "close")
    }
    for name, values in prices.items():
        known = ~np.isnan(values) | (name not in RANGE_COLUMNS)
        rows.leave_out(known & ~(np.isfinite(values) & (values > 0)), f"{name} is not a positive price")
    rows.leave_out(_contradicts_itself(prices), "open or close lies outside of low and high")
    multiplier = _multipliers(rows)
    with np.errstate(all="ignore"):  # what does not come out finite is left out
        per_coin = {name: values / multiplier for name, values in prices.items()}
        # The multiplier cancels: contracts times the price of a contract.
        volume = rows.numbers("volume")
        usd = volume * prices["close"]
    for values in (per_coin["open"], per_coin["close"]):
        rows.leave_out(~(np.isfinite(values) & (values > 0)), "the price of one coin is not a positive number")
    # Not every source has volumes: an empty one is unknown and no mistake.
    wrong = ~np.isnan(volume) & ~(np.isfinite(usd) & (usd >= 0))
    usd = rows.take_for_unknown(wrong, "volume is negative or not a number", usd)
    # An unknown volume (nan) is not 0: nobody knows that such a bar stood still. Nor without high and low.
    one_price = np.all([values == prices["close"] for values in prices.values()], axis=0)
    is_still = (volume == 0) & one_price
    bars = rows.frame(opened_hour=rows.milliseconds // HOUR_MS, **per_coin, volume_usd=usd, is_still=is_still)
    return bars, [coin for coin, _ in rows.legs]


def read_settlements(
    paths: Path | Sequence[Path], left: LeftOut | None = None, selection: Selection = EVERYTHING
) -> pd.DataFrame:
    """One row per settlement: coin, exchange, contract, row_hour, minute, funding_rate, interval_hours.

    ``minute`` is the instant as of ``stamps.settled_at``; ``row_hour`` is the first whole hour at or after it. At most
    one settlement lies in an hour of a leg; an interval that cannot be true is unknown. Several tables add up as those
    of bars do. Without ``left`` everything must be right. Raises ``DataError`` for a table that cannot be read at all.
    """
    left, files = left or LeftOut(), _each(paths)
    origin, found = together(files), [_settlements_of(path, left, selection) for path in files]
    settlements = joined(pd.concat(found, ignore_index=True), SETTLEMENTS, left, origin)
    # What two sources say alike is one settlement, though only one of them may state the interval.
    settlements = settlements.sort_values("interval_hours").drop_duplicates([*LEG, "minute", "funding_rate"])
    settlements = _unique(settlements, ["minute"], "two different settlements", left, origin)
    return _unique(_without_strays(settlements, left, origin), ["row_hour"], _CROWDED, left, origin)


def _settlements_of(path: Path, left: LeftOut, selection: Selection) -> pd.DataFrame:
    """The settlements of one table that can be used, in its order."""
    rows = read_rows(path, FUNDING_COLUMNS, "settlement_time", left, selection)
    rate, interval = rows.numbers("funding_rate"), rows.numbers("interval_hours")
    # Not within, rather than beyond: a comparison with nan is false, and nan must go too.
    rows.leave_out(~(np.abs(rate) <= MAX_RATE), lambda row: _why_no_rate(rows, rate, row))
    whole = (interval >= 1) & (interval <= MAX_INTERVAL_HOURS) & (interval == np.floor(interval))
    limits = f"interval_hours is not a whole number from 1 to {MAX_INTERVAL_HOURS}"
    wrong = ~(np.isnan(interval) | whole)
    interval = rows.take_for_unknown(wrong, lambda row: f"{limits}{_likely_interval(interval[row])}", interval)
    _multipliers(rows)
    # The multiplier does no more than leave out rows: a rate is a fraction, whatever unit the contract has.
    minute = settled_at(rows.milliseconds) // MINUTE_MS
    return rows.frame(row_hour=-(-minute // 60), minute=minute, funding_rate=rate, interval_hours=interval)


def hash_of_raw(folders: Sequence[Path]) -> str:
    """64 hex digits over the tables of raw folders; the order in which the folders are named changes nothing."""
    names = (PRICES_FILE, FUNDING_FILE, NOTICES_FILE, MARKS_FILE, INSTRUMENTS_FILE, BOOKS_FILE)
    tables = [folder / name for folder in folders for name in names]
    parts = sorted(f"{path.name} {sha256_of_file(path)}" for path in tables if path.is_file())
    return sha256_of("\n".join(parts).encode())


def _each(paths: Path | Sequence[Path]) -> tuple[Path, ...]:
    return (paths,) if isinstance(paths, Path) else tuple(paths)


def _why_no_rate(rows: RawRows, rate: Floats, row: int) -> str:
    """What is wrong with a rate, with the unit that the usual size of the leg's rates would be in."""
    found = f"funding_rate is not within +-{MAX_RATE}; rates are decimal fractions"
    sizes = np.abs(rate[rows.leg == rows.leg[row]])
    usual = float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else 0.0
    return f"{found}, these are likely {likely_unit(usual)}" if usual > HIGHEST_PER_8H else found


def _likely_interval(value: float) -> str:
    for unit, per_hour in (("minutes", 60.0), ("seconds", 3600.0), ("milliseconds", 3_600_000.0)):
        if value / per_hour in range(1, MAX_INTERVAL_HOURS + 1):
            return f": {value:g}, likely {unit}"
    return f": {value:g}"


def _contradicts_itself(prices: dict[str, Floats]) -> NDArray[np.bool_]:
    """Bars of which open or close lies outside of low and high."""
    ends = prices["open"], prices["close"]
    with np.errstate(over="ignore"):
        top, bottom = prices["high"] * (1 + ROUNDING), prices["low"] * (1 - ROUNDING)
    # nan is above and below nothing: an unknown high or low contradicts no price.
    return np.asarray((np.maximum(*ends) > top) | (np.minimum(*ends) < bottom))


def _multipliers(rows: RawRows) -> Floats:
    values = rows.numbers("multiplier")
    sensible = (values > 0) & (values >= 1 / LARGEST_MULTIPLIER) & (values <= LARGEST_MULTIPLIER)
    rows.leave_out(~sensible, "multiplier is not positive, or out of all proportion")
    return values


def _said_once(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars of which several rows know the same prices: one with a volume, where only some have it, else the first.

    High and low are what any of them says; where they disagree these are unknown, and the prices still are not.
    """
    key = [*LEG, "opened_hour"]
    crowded = bars.duplicated(key, keep=False)
    if not crowded.any():
        return bars
    # Unknown volumes are sorted to the end, and so are the ones that go.
    some = bars[crowded].sort_values("volume_usd", kind="stable")
    values = some.groupby(key, sort=False)[["open", "close", "volume_usd"]]
    least, most = values.transform("min"), values.transform("max")
    allowed = most * [ROUNDING, ROUNDING, VOLUME_ROUNDING]
    alike = ((most - least <= allowed) | most.isna()).all(axis=1)
    ranges = some.groupby(key, sort=False)[[*RANGE_COLUMNS]]
    top, bottom = ranges.transform("max"), ranges.transform("min")
    bars.loc[some.index[alike], [*RANGE_COLUMNS]] = top.where(top - bottom <= top * ROUNDING)[alike]
    return bars.drop(some.index[alike & some.duplicated(key)])


def _without_strays(settlements: pd.DataFrame, left: LeftOut, origin: str) -> pd.DataFrame:
    """Of several settlements within an hour the one at the whole hour counts; the others fit no schedule."""
    key = [*LEG, "row_hour"]
    crowded, at_the_hour = settlements.duplicated(key, keep=False), settlements["minute"] % 60 == 0
    kept = pd.MultiIndex.from_frame(settlements.loc[crowded & at_the_hour, key])
    stray = crowded & ~at_the_hour & pd.MultiIndex.from_frame(settlements[key]).isin(kept)
    _leave_out(settlements, stray, ["row_hour"], _CROWDED, left, origin)
    return settlements[~stray]


def _unique(table: pd.DataFrame, key: list[str], problem: str, left: LeftOut, origin: str) -> pd.DataFrame:
    """Drop exact repetitions, and all rows of one leg and time that differ."""
    table = table.drop_duplicates(ignore_index=True).sort_values([*LEG, *key], ignore_index=True)
    # All of them: of rows that contradict each other nobody knows the right one.
    twice = table.duplicated([*LEG, *key], keep=False)
    _leave_out(table, twice, key, problem, left, origin)
    return table[~twice].reset_index(drop=True)


def _leave_out(table: pd.DataFrame, wrong: pd.Series, key: list[str], problem: str, left: LeftOut, origin: str) -> None:
    """A line for each leg of which rows are wrong."""
    if not wrong.any():
        return
    sizes = table.groupby(LEG).size().to_dict()
    for leg, rows in table[wrong].groupby(LEG):
        hours = int(rows[key[0]].iloc[0]) // (60 if key[0] == "minute" else 1)
        place = Place(origin, "", hour_text(hours * HOUR_MS))
        coin, exchange = (str(part) for part in leg)
        left.rows((coin, exchange), f"{problem} on {exchange}", place, wrong=len(rows), of=int(sizes[leg]))
