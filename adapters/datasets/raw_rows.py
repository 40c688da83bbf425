"""The rows of one raw table with whose they are; a row that cannot be used is left out of its leg."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adapters.datasets.findings import hour_text
from adapters.datasets.left_out import LeftOut, Leg, Omission, Place
from adapters.datasets.selection import Selection
from adapters.naming.exchanges import canonical_exchange
from adapters.naming.names import checked_name, plain, problem_of, shown
from adapters.naming.symbols import symbol_of
from adapters.storage.stamps import is_plausible, why_implausible
from adapters.storage.table_files import floats_of, names_of, read_table
from adapters.storage.time_columns import EMPTY, milliseconds_of
from engine.errors import DataError, UserError
from engine.market.data import Floats, Ints

Why = str | Callable[[int], str]
"""Why a row is left out, or a function that says it of the first such row."""


@dataclass(eq=False)
class RawRows:
    """``leg[row]`` and ``contract[row]`` index ``legs`` and ``contracts``; ``kept`` are the rows that may be used."""

    path: Path
    table: pa.Table
    legs: list[Leg]
    leg: Ints
    contracts: list[str]
    contract: Ints
    milliseconds: Ints
    kept: NDArray[np.bool_]
    left: LeftOut

    def numbers(self, column: str) -> Floats:
        """A column as float64, null as nan. Raises ``DataError`` when it holds no numbers."""
        return floats_of(self.table, column, self.path)

    def leave_out(self, wrong: NDArray[np.bool_], why: Why) -> None:
        """Take rows out, with one line for each leg that loses any."""
        for leg, place, reason, count, of in self._by_leg(wrong, why):
            self.left.rows(leg, reason, place, wrong=count, of=of)
        self.kept &= ~wrong

    def take_for_unknown(self, wrong: NDArray[np.bool_], why: Why, values: Floats) -> Floats:
        """The values of a column of which nothing hangs, those that cannot be true unknown (nan); a line each leg."""
        for leg, place, reason, count, of in self._by_leg(wrong, why):
            told = Omission(leg, reason, place, f"{count:,} of {of:,} rows")
            if self.left.strict:
                raise told.as_error()
            self.left.note(f"unknown for {leg[0]} on {leg[1]}: {told}")
        return np.where(wrong, np.nan, values)

    def frame(self, **columns: Ints | Floats) -> pd.DataFrame:
        """The rows that are kept, of legs that are kept: coin, exchange, contract, and ``columns``."""
        coins, exchanges = (np.array([leg[part] for leg in self.legs], object) for part in (0, 1))
        out = self.left.legs
        whole = np.array([leg not in out for leg in self.legs], np.bool_)
        rows = self.kept & whole[self.leg]
        contracts = np.array(self.contracts, object)
        who = {
            "coin": coins[self.leg[rows]],
            "exchange": exchanges[self.leg[rows]],
            "contract": contracts[self.contract[rows]],
        }
        return pd.DataFrame(who | {name: values[rows] for name, values in columns.items()})

    def _by_leg(self, wrong: NDArray[np.bool_], why: Why) -> Iterator[tuple[Leg, Place, str, int, int]]:
        """(leg, first place, reason, wrong rows, rows) of each leg with wrong rows, in the order of the file."""
        rows = np.flatnonzero(wrong & self.kept)
        legs, first, counts = np.unique(self.leg[rows], return_index=True, return_counts=True)
        sizes = np.bincount(self.leg, minlength=len(self.legs))
        for i in np.argsort(first):
            row = int(rows[first[i]])
            reason = why if isinstance(why, str) else why(row)
            yield self.legs[legs[i]], self._place(row), reason, int(counts[i]), int(sizes[legs[i]])

    def _place(self, row: int) -> Place:
        time = int(self.milliseconds[row])
        return Place(str(self.path), self.contracts[self.contract[row]], "" if time == EMPTY else hour_text(time))


def read_rows(path: Path, columns: tuple[str, ...], time: str, left: LeftOut, selection: Selection) -> RawRows:
    """The rows of a raw table that are of legs with usable names and are selected, and whose times can be true.

    Raises ``DataError`` when the file is missing or unreadable, has no rows, or lacks a column, or when a column is of
    another kind altogether.
    """
    if not path.is_file():
        raise DataError("is missing; a raw folder holds prices_1h.parquet and funding.parquet", file=str(path))
    table = read_table(path, text=())
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(
            f"column {', '.join(missing)} is missing; it has {', '.join(table.column_names)}", file=str(path)
        )
    table = _with_names(table, path, left)
    legs, leg = _legs(table, path, left)
    contracts, contract = names_of(table, "symbol", path)
    # By leg first: there are few legs and millions of rows.
    kept = np.array([name is not None and selection.keeps(name[0]) for name in legs], np.bool_)[leg]
    rows = RawRows(
        path=path,
        table=table,
        legs=[name or ("", "") for name in legs],
        leg=leg,
        contracts=[plain(name) for name in contracts],
        contract=contract,
        milliseconds=milliseconds_of(table, time, path, text=False, empty_allowed=True),
        kept=kept,
        left=left,
    )
    rows.leave_out(~is_plausible(rows.milliseconds), lambda row: _why_wrong(time, int(rows.milliseconds[row])))
    return rows


def _with_names(table: pa.Table, path: Path, left: LeftOut) -> pa.Table:
    """The rows that say whose they are."""
    nameless = np.zeros(table.num_rows, np.bool_)
    for column in ("exchange", "symbol", "base"):
        values = table.column(column)
        nameless |= pc.fill_null(values.is_null(), True).to_numpy()
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            nameless |= pc.fill_null(pc.equal(values, ""), True).to_numpy()
    if not nameless.any():
        return table
    first = f"a row has no exchange, symbol or base (row {int(np.argmax(nameless)) + 1})"
    if left.strict or nameless.all():
        raise DataError(first, file=str(path))
    left.note(f"left out: {int(nameless.sum()):,} rows of {path.name} without exchange, symbol or base")
    return table.filter(pa.array(~nameless))


def _why_wrong(column: str, time: int) -> str:
    return f"{column} is empty" if time == EMPTY else f"{column} {why_implausible(time)}"


def _legs(table: pa.Table, path: Path, left: LeftOut) -> tuple[list[Leg | None], Ints]:
    """The leg of each distinct (base, exchange), None for a name that breaks the rule, and its index for each row."""
    (bases, base), (exchanges, exchange) = (names_of(table, column, path) for column in ("base", "exchange"))
    pairs, leg = np.unique(base * len(exchanges) + exchange, return_inverse=True)
    found: dict[Leg | None, int] = {}
    at = np.empty(len(pairs), np.int64)
    for i, pair in enumerate(pairs.tolist()):
        name = _leg_of(bases[pair // len(exchanges)], exchanges[pair % len(exchanges)], path, left)
        at[i] = found.setdefault(name, len(found))
    return list(found), at[leg]


def _leg_of(base: str, exchange: str, path: Path, left: LeftOut) -> Leg | None:
    venue = canonical_exchange(exchange)
    try:
        return symbol_of(checked_name(base, "base")), checked_name(venue, "exchange")
    except UserError as error:
        shown_venue = venue if problem_of(venue) is None else shown(venue)
        left.leg((shown(base), shown_venue), f"the name cannot be used: {error}", Place(str(path)))
        return None
