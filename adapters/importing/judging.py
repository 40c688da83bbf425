"""Rows of one contract, judged by what each can be: its time, its numbers, the limits of the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from adapters.datasets.findings import hour_text
from adapters.datasets.left_out import MOST_WRONG_ROWS
from adapters.datasets.raw_tables import ROUNDING
from adapters.exchanges.coins import Listing
from adapters.gate.limits import GateSettings
from adapters.gate.values import INTERVAL, RATE, Flags, out_of_range, range_text
from adapters.importing.recordings import BARS, SETTLEMENTS, VALUES, Recording
from adapters.importing.refusals import Refusals, Refused
from adapters.storage.stamps import HOUR_MS, MINUTE_MS, TOLERANCE_MS, is_plausible, settled_at, why_implausible
from adapters.storage.time_columns import EMPTY
from engine.market.data import Floats, Ints

PRICE, VOLUME = "price", "volume_24h_usd"


@dataclass(eq=False)
class Rows:
    """Rows of one contract and kind out of several files. ``kept`` are the rows that may be used."""

    listing: Listing
    kind: str
    minutes: int
    files: Sequence[str]
    file: Ints
    times: Ints
    values: dict[str, Floats]
    has: dict[str, Flags]
    """Whether the source of a row has that value at all."""
    kept: Flags
    wrong: Flags
    refusals: Refusals

    def refuse(self, wrong: Flags, why: str | Callable[[int], str]) -> None:
        """Take rows out, with one line for each file that loses any."""
        wrong = wrong & self.kept
        for file in np.unique(self.file[wrong]).tolist():
            rows = np.flatnonzero(wrong & (self.file == file))
            first = int(rows[0])
            reason = why if isinstance(why, str) else why(first)
            self.refusals.some(self._told(file, reason, first, len(rows)))
        self.kept &= ~wrong
        self.wrong |= wrong

    def unknown(self, name: str, wrong: Flags, why: str) -> None:
        """Take values for unknown of which nothing hangs."""
        wrong = wrong & self.kept
        for file in np.unique(self.file[wrong]).tolist():
            self.refusals.remark(f"{name} {why} and counts as unknown", self.files[file])
        self.values[name] = np.where(wrong, np.nan, self.values[name])

    def left(self) -> Rows:
        """The rows that are kept, in the order of time."""
        order = np.flatnonzero(self.kept)
        order = order[np.argsort(self.times[order], kind="stable")]
        return Rows(
            self.listing, self.kind, self.minutes, self.files, self.file[order], self.times[order],
            {name: each[order] for name, each in self.values.items()},
            {name: each[order] for name, each in self.has.items()},
            np.ones(len(order), np.bool_), np.zeros(len(order), np.bool_), self.refusals,
        )  # fmt: skip

    def _told(self, file: int, why: str, first: int, count: int) -> Refused:
        time = int(self.times[first])
        hour = "" if time == EMPTY else hour_text(time)
        of = int((self.file == file).sum())
        return Refused(self.files[file], why, self.listing.listed, rows=count, of=of, first=hour)


def rows_of(listing: Listing, recordings: Sequence[Recording], unit: float, refusals: Refusals) -> Rows:
    """The rows of recordings of one contract, kind and length; ``unit``: listed units of a unit of ccxt's volume."""
    first = recordings[0]
    names = VALUES[first.kind]
    files = list(dict.fromkeys(each.file for each in recordings))
    sizes = [len(each.times) for each in recordings]

    def joined(name: str) -> tuple[Floats, Flags]:
        columns = [each.values.get(name, np.full(len(each.times), np.nan)) for each in recordings]
        return np.concatenate(columns), np.repeat([name in each.values for each in recordings], sizes)

    both = {name: joined(name) for name in names}
    values = {name: column for name, (column, _) in both.items()}
    if first.kind == BARS:
        values["volume"] = np.concatenate([_volume(each, listing, unit) for each in recordings])
    times = np.concatenate([each.times for each in recordings])
    return Rows(
        listing, first.kind, first.minutes, files, np.repeat([files.index(each.file) for each in recordings], sizes),
        times, values, {name: there for name, (_, there) in both.items()},
        np.ones(len(times), np.bool_), np.zeros(len(times), np.bool_), refusals,
    )  # fmt: skip


def judge(rows: Rows, limits: GateSettings, now_ms: int) -> Rows:
    """The rows that can be right, in the order of time; none of them where too many are wrong."""
    rows.refuse(rows.times == EMPTY, "the time is empty or none")
    rows.refuse(~is_plausible(rows.times), lambda row: f"the time {why_implausible(int(rows.times[row]))}")
    if rows.kind == BARS:
        _judge_bars(rows, limits, now_ms)
    else:
        rows.refuse(rows.times > now_ms + TOLERANCE_MS, "the time lies in the future")
        if rows.kind == SETTLEMENTS:
            _judge_rates(rows, limits)
        else:
            rows.refuse(rows.times % HOUR_MS != 0, "the mark is not of a whole hour")
            _judge_prices(rows, ("mark",), limits)
    return _trusted(rows)


def _judge_bars(rows: Rows, limits: GateSettings, now_ms: int) -> None:
    step = rows.minutes * MINUTE_MS
    what = "hour" if rows.minutes == 60 else f"multiple of {rows.minutes} minutes"
    rows.refuse(rows.times % step != 0, f"the bar does not open at a whole {what}")
    running = rows.kept & (rows.times + step > now_ms)
    for file in np.unique(rows.file[running]).tolist():
        rows.refusals.remark("bars that are not finished are left out", rows.files[file])
    rows.kept &= ~running
    _judge_prices(rows, ("open", "high", "low", "close"), limits)
    ends = rows.values["open"], rows.values["close"]
    top, bottom = rows.values["high"] * (1 + ROUNDING), rows.values["low"] * (1 - ROUNDING)
    # nan is above and below nothing: an unknown high or low contradicts no price.
    wrong = (np.maximum(*ends) > top) | (np.minimum(*ends) < bottom)
    rows.refuse(wrong, "open or close lies outside of low and high")
    volume = rows.values["volume"]
    rows.unknown(
        "volume", rows.has["volume"] & ~(volume >= 0), "is negative, no number, or in contracts of no known size"
    )
    with np.errstate(over="ignore"):
        usd = rows.values["volume"] * rows.values["close"]
    rows.unknown("volume", out_of_range(VOLUME, usd, limits, 0.0), f"in USD is not {range_text(VOLUME, limits, 0.0)}")


def _judge_prices(rows: Rows, names: tuple[str, ...], limits: GateSettings) -> None:
    for name in names:
        values, needed = rows.values[name], rows.has[name] | (name in ("open", "close"))
        rows.refuse(needed & ~(values > 0), f"{name} is not a positive number")
        # Limits are per coin, rows per listed unit.
        beyond = out_of_range(PRICE, values / rows.listing.multiplier, limits, 0.0)
        rows.refuse(beyond, f"{name} of one coin is not {range_text(PRICE, limits, 0.0)} USD")


def _judge_rates(rows: Rows, limits: GateSettings) -> None:
    rates, cap = rows.values[RATE], limits.rate_cap(rows.listing.exchange)
    rows.refuse(np.isnan(rates), "the rate is empty or no number")
    rows.refuse(out_of_range(RATE, rates, limits, cap), f"a rate is {range_text(RATE, limits, cap)}, as a fraction")
    hours = rows.values["interval_hours"]
    wrong = out_of_range(INTERVAL, hours, limits, cap) | (rows.has["interval_hours"] & np.isnan(hours))
    rows.unknown("interval_hours", wrong, "is none that exchanges have")
    readable = rows.times != EMPTY
    rows.times = np.where(readable, settled_at(np.where(readable, rows.times, 0)), EMPTY)


def _trusted(rows: Rows) -> Rows:
    """The rows that are left, or none of them: where many rows are nonsense the others are not to be trusted."""
    wrong, of = int(rows.wrong.sum()), len(rows.wrong)
    if rows.kept.any() and wrong > of * MOST_WRONG_ROWS:
        for file in np.unique(rows.file[rows.kept]).tolist():
            why = f"{wrong:,} of {of:,} rows cannot be used: the others are not trusted either"
            rows.refusals.file(rows.files[file], why, rows.listing.listed)
        rows.kept[:] = False
    return rows.left()


def _volume(recording: Recording, listing: Listing, unit: float) -> Floats:
    """In listed units, so that USD are volume times close."""
    volume = recording.values.get("volume", np.full(len(recording.times), np.nan))
    if recording.volume_unit == "usd":
        close = recording.values["close"]
        return np.asarray(np.divide(volume, close, out=np.full(len(volume), np.nan), where=close > 0))
    factors = {"listed": 1.0, "contracts": listing.contract_size, "ccxt": unit}
    return volume * factors[recording.volume_unit]


def hours_between(times: Ints) -> int:
    """Hours from the first of ordered times to the last."""
    return int(times[-1] - times[0]) // HOUR_MS if len(times) else 0
