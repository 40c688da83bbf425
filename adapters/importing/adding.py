"""Rows added to what a raw folder holds of a contract: what is there stays, what says something else is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.datasets.findings import hour_text
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.paging import Row
from adapters.exchanges.raw_store import RawStore
from adapters.importing.agreement import tolerance
from adapters.importing.judging import Rows
from adapters.importing.recordings import BARS, MARKS, RATE_VALUES, SETTLEMENTS, VALUES
from adapters.importing.refusals import Refused

PART_NAMES = {BARS: "prices", SETTLEMENTS: "funding", MARKS: "marks"}


@dataclass(frozen=True)
class Added:
    """Rows of a contract that are new in the folder, by kind, and those that were there already."""

    leg: LegHistory
    new: dict[str, int]
    there: dict[str, int]


def add(store: RawStore, parts: Sequence[Rows]) -> Added:
    """Add the rows of one contract to its part files.

    Raises ``DataError`` for a part that cannot be read, and whatever ``Refusals`` raise.
    """
    listing = parts[0].listing
    leg, marks = store.load(listing), store.load_marks(listing)
    added = Added(leg, {}, {})
    held_by_kind = {BARS: leg.bars.by_time, SETTLEMENTS: leg.settlements.by_time, MARKS: marks}
    for rows in parts:
        held = held_by_kind[rows.kind]
        size = len(held)
        _add(rows, VALUES[rows.kind], held, str(store.part(listing, PART_NAMES[rows.kind])))
        added.new[rows.kind] = len(held) - size
        added.there[rows.kind] = len(rows.times) - added.new[rows.kind]
    store.save(leg)
    if any(rows.kind == MARKS for rows in parts):
        store.save_marks(listing, marks)
    return added


def _add(rows: Rows, names: Sequence[str], held: dict[int, Row], part: str) -> None:
    columns = [rows.values[name].tolist() for name in names]
    against: dict[int, list[int]] = {}
    for i, (time, *values) in enumerate(zip(rows.times.tolist(), *columns, strict=True)):
        if time not in held:
            held[time] = _row(time, values)
            continue
        before = [*held[time][1:], math.nan][: len(names)]
        if _contradict(before, values, names):
            against.setdefault(int(rows.file[i]), []).append(i)
        else:
            # What only one of them knows is taken from it.
            held[time] = _row(time, [new if math.isnan(old) else old for old, new in zip(before, values, strict=True)])
    for file, which in against.items():
        why = f"contradicts {part}, which stays as it is: import into another folder, or delete that file"
        first = hour_text(int(rows.times[which[0]]))
        of = int((rows.file == file).sum())
        told = Refused(rows.files[file], why, rows.listing.listed, rows=len(which), of=of, first=first)
        rows.refusals.some(told)


def _row(time: int, values: Sequence[float]) -> Row:
    """A row as the store keeps it: a settlement without a stated interval ends before it."""
    if len(values) == len(RATE_VALUES) and math.isnan(values[-1]):
        return time, *values[:-1]
    return time, *values


def _contradict(before: Sequence[float], values: Sequence[float], names: Sequence[str]) -> bool:
    """Whether two rows differ in a value that both know; an interval that differs changes no money that was paid."""
    return any(
        abs(old - new) > tolerance(name) * max(abs(old), abs(new))
        for old, new, name in zip(before, values, names, strict=True)
        if name != "interval_hours" and not (math.isnan(old) or math.isnan(new))
    )
