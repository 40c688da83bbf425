"""Raw tables on disk while they grow: one pair of part files per leg, merged into the two tables at the end.

A part file is what is there of a leg; there is no other cursor. A run that was cut, a run again over the same span and
a run over a longer span all ask for exactly the rows that the part files lack, and what was imported is there already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.datasets.raw_tables import FUNDING_FILE, MARKS_FILE, PRICES_FILE
from adapters.datasets.settlement_intervals import USUAL_HOURS, intervals_in_force
from adapters.exchanges.coins import Listing
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.paging import Row
from adapters.exchanges.raw_gate import BARS, SETTLEMENTS, Refused, judge_parts
from adapters.gate.limits import GateSettings
from adapters.naming.names import contract_stem, shown
from adapters.storage.atomic import replacing_file
from adapters.storage.giving_way import check_parents
from engine.errors import DataError, UserError, in_words

TIME = pa.timestamp("ms", tz="UTC")
IDENTITY = (("exchange", pa.string()), ("symbol", pa.string()), ("base", pa.string()), ("multiplier", pa.int32()))
NUMBERS = ("open", "high", "low", "close", "volume")
PRICES = pa.schema([*IDENTITY, ("timestamp", TIME), *((name, pa.float64()) for name in NUMBERS)])
FUNDING = pa.schema(
    [*IDENTITY, ("settlement_time", TIME), ("funding_rate", pa.float64()), ("interval_hours", pa.float64())]
)
STATED = FUNDING.append(pa.field("stated_hours", pa.float64()))
"""Of a part whose source says how long the period was that a settlement ended; null where it does not."""
MARKS = pa.schema([*IDENTITY, ("timestamp", TIME), ("mark_price", pa.float64())])
SCHEMAS = {"prices": PRICES, "funding": FUNDING, "marks": MARKS}
PARTS = "parts"


@dataclass(frozen=True)
class RawStore:
    """The folder of the raw tables."""

    folder: Path

    def check(self, *more: str) -> None:
        """Raise ``UserError`` when it can be no folder of raw tables, or holds some that were not made of parts.

        ``more``: names of further files that are written there.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is no folder; give another --out")
        check_parents(self.folder)
        for path in (self.folder / name for name in (PRICES_FILE, FUNDING_FILE, *more)):
            if (path.exists() or path.is_symlink()) and not (self.folder / PARTS).is_dir():
                made = "is not from `arb data fetch` or `arb data import`"
                raise UserError(f"{path} exists already and {made}; give another --out")

    def load(self, listing: Listing) -> LegHistory:
        """The leg with the rows that earlier runs stored.

        Raises ``DataError`` for a part that cannot be read, or holds another contract.
        """
        leg = LegHistory(listing)
        for name, rows, columns in (
            ("prices", leg.bars, ("timestamp", *NUMBERS)),
            ("funding", leg.settlements, _RATES),
        ):
            path = self.part(listing, name)
            if path.is_file():
                rows.by_time.update({int(row[0]): row for row in _rows(_part_table(path), columns)})
        return leg

    def save(self, leg: LegHistory) -> None:
        """Store the leg as it is now; each file is replaced as a whole."""
        if leg.bars.by_time:
            _write(self.part(leg.listing, "prices"), prices_table(leg))
        if leg.settlements.by_time:
            _write(self.part(leg.listing, "funding"), funding_table(leg))

    def load_marks(self, listing: Listing) -> dict[int, Row]:
        """(time, mark of a listed unit) by time in ms. Raises ``DataError`` like ``load``."""
        path = self.part(listing, "marks")
        rows = _rows(_part_table(path), ("timestamp", "mark_price")) if path.is_file() else ()
        return {int(row[0]): row for row in rows}

    def save_marks(self, listing: Listing, marks: Mapping[int, Row]) -> None:
        """Store the marks of a contract."""
        times, values = _columns([marks[time] for time in sorted(marks)], 2)
        stamps = pa.array(times.astype(np.int64), TIME)
        table = pa.table([*_identity(listing, len(marks)), stamps, pa.array(values)], MARKS)
        _write(self.part(listing, "marks"), table)

    def judge(self, limits: GateSettings) -> Refused:
        """Which rows of all parts together are not believed."""
        return judge_parts(self._parts("prices"), self._parts("funding"), limits)

    def merge(self, refused: Refused) -> tuple[dict[str, int], list[str]]:
        """Make the two tables out of all parts, sorted by exchange, contract and time.

        Answers the rows by table, and a line for each part that cannot be used and is left out.
        """
        left_out: list[str] = []
        tables = [(PRICES_FILE, "prices", BARS), (FUNDING_FILE, "funding", SETTLEMENTS)]
        # Judged by the prices, so not before a data set is built; only imports bring any.
        if any((self.folder / PARTS).glob("*/*.marks.parquet")):
            tables.append((MARKS_FILE, "marks", ""))
        return {name: self._merge(name, part, refused, kind, left_out) for name, part, kind in tables}, left_out

    def _merge(self, name: str, part: str, refused: Refused, kind: str, left_out: list[str]) -> int:
        count = 0
        with replacing_file(self.folder / name) as aside, pq.ParquetWriter(aside, SCHEMAS[part]) as writer:
            for table in self._parts(part, left_out):
                kept = table.select(SCHEMAS[part].names)
                kept = refused.kept(kept, kind) if kind else kept
                writer.write_table(kept)
                count += kept.num_rows
        return count

    def _parts(self, part: str, left_out: list[str] | None = None) -> Iterator[pa.Table]:
        """The parts that can be used; ``left_out`` gets a line for each of the others."""
        for path in sorted((self.folder / PARTS).glob(f"*/*.{part}.parquet")):
            try:
                yield _part_table(path)
            except DataError as error:
                if left_out is not None:
                    left_out.append(str(error))

    def part(self, listing: Listing, name: str) -> Path:
        """The part file of a contract: ``prices``, ``funding`` or ``marks``."""
        return self.folder / PARTS / listing.exchange / f"{contract_stem(listing.listed)}.{name}.parquet"


def prices_table(leg: LegHistory) -> pa.Table:
    """The leg's bars in the raw layout."""
    columns = _columns(leg.bars.sorted(), 6)
    times = pa.array(columns[0].astype(np.int64), TIME)
    # nan becomes null: an imported bar may lack its high, low or volume.
    numbers = (pa.array(column, from_pandas=True) for column in columns[1:])
    return pa.table([*_identity(leg.listing, len(times)), times, *numbers], PRICES)


def funding_table(leg: LegHistory) -> pa.Table:
    """The leg's settlements in the raw layout, with the interval that each of them ended: as stated, else inferred."""
    rows = [(*row, np.nan)[:3] for row in leg.settlements.sorted()]
    times, rates, stated = _columns(rows, 3)
    hours, _ = intervals_in_force([int(row[0]) for row in rows])
    # An unusual distance is rather a missing row than an interval: the table must not state it.
    inferred = np.array([value if value in USUAL_HOURS else np.nan for value in hours])
    known = pa.array(np.where(np.isnan(stated), inferred, stated))
    columns = [*_identity(leg.listing, len(rows)), pa.array(times.astype(np.int64), TIME), pa.array(rates), known]
    if np.isnan(stated).all():
        return pa.table(columns, FUNDING)
    return pa.table([*columns, pa.array(stated, from_pandas=True)], STATED)


_RATES = ("settlement_time", "funding_rate", "stated_hours")


_AGAIN = "downloaded again (what was imported: import it again)"


def _identity(listing: Listing, rows: int) -> list[pa.Array]:
    values = (listing.exchange, listing.listed, listing.coin, listing.multiplier)
    return [pa.array([value] * rows, kind) for value, (_, kind) in zip(values, IDENTITY, strict=True)]


def _columns(rows: list[Row], width: int) -> list[np.ndarray]:
    return list(np.array(rows, np.float64).reshape(-1, width).T)


def _rows(table: pa.Table, columns: tuple[str, ...]) -> Iterator[Row]:
    """Rows with nan for what is unknown; one without a stated interval ends before it, as rows of exchanges do."""
    times = table[columns[0]].cast(pa.int64()).to_pylist()
    known = [table[name].to_pylist() for name in columns[1:] if name in table.column_names]
    for row in zip(times, *known, strict=True):
        stated = row if columns is not _RATES or row[-1] is not None else row[:-1]
        yield tuple(np.nan if value is None else value for value in stated)


def _part_table(path: Path) -> pa.Table:
    """A part file. Raises ``DataError`` unless it holds the contract that it is named after, and nothing else."""
    table, kind = _read(path), path.name.split(".")[-2]
    schema = STATED if kind == "funding" and "stated_hours" in table.schema.names else SCHEMAS[kind]
    if table.schema.names != schema.names:
        raise DataError("is none of arb's parts; move it elsewhere", file=str(path))
    try:
        table = table.cast(schema)
    except pa.ArrowException as error:
        raise _damaged(path, error) from None
    exchanges, contracts = (table[name].unique().to_pylist() for name in ("exchange", "symbol"))
    named = [contract for contract in contracts if contract_stem(str(contract)) == path.name.split(".")[0]]
    if table.num_rows and (exchanges != [path.parent.name] or named != contracts):
        found = ", ".join(f"{shown(str(name))} on {exchanges[0]}" for name in contracts[:2])
        problem = f"holds {found}, which is not what it is named after; delete it and it will be {_AGAIN}"
        raise DataError(problem, file=str(path))
    return table


def _read(path: Path) -> pa.Table:
    try:
        # Without this pyarrow reads a folder called ``a=b`` on the way as a column of the table.
        return pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    problem = f"is damaged; delete it and it will be {_AGAIN} ({in_words(error)})"
    return DataError(problem, file=str(path))


def _write(path: Path, table: pa.Table) -> None:
    with replacing_file(path) as aside:
        pq.write_table(table, aside)
