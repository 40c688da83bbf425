"""Raw tables on disk while they grow: one pair of part files per leg, merged into the two tables at the end.

A part file is what is there of a leg; there is no other cursor. A run that was cut, a run again over the same span and
a run over a longer span all ask for exactly the rows that the part files lack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.datasets.raw_tables import FUNDING_FILE, PRICES_FILE
from adapters.datasets.settlement_intervals import USUAL_HOURS, intervals_in_force
from adapters.exchanges.coins import Listing
from adapters.exchanges.leg_source import LegHistory
from adapters.exchanges.paging import Row
from adapters.exchanges.raw_gate import BARS, SETTLEMENTS, Refused, judge_parts
from adapters.gate.limits import GateSettings
from adapters.naming.names import contract_stem, shown
from adapters.storage.atomic import replacing_file
from engine.errors import DataError, in_words

TIME = pa.timestamp("ms", tz="UTC")
IDENTITY = (("exchange", pa.string()), ("symbol", pa.string()), ("base", pa.string()), ("multiplier", pa.int32()))
NUMBERS = ("open", "high", "low", "close", "volume")
PRICES = pa.schema([*IDENTITY, ("timestamp", TIME), *((name, pa.float64()) for name in NUMBERS)])
FUNDING = pa.schema(
    [*IDENTITY, ("settlement_time", TIME), ("funding_rate", pa.float64()), ("interval_hours", pa.float64())]
)
SCHEMAS = {"prices": PRICES, "funding": FUNDING}
PARTS = "parts"


@dataclass(frozen=True)
class RawStore:
    """The folder of the raw tables."""

    folder: Path

    def load(self, listing: Listing) -> LegHistory:
        """The leg with the rows that earlier runs stored.

        Raises ``DataError`` for a part that cannot be read, or holds another contract.
        """
        leg = LegHistory(listing)
        for name, rows, columns in (
            ("prices", leg.bars, ("timestamp", *NUMBERS)),
            ("funding", leg.settlements, _RATES),
        ):
            path = self._part(listing, name)
            if path.is_file():
                rows.by_time.update({int(row[0]): row for row in _rows(_part_table(path), columns)})
        return leg

    def save(self, leg: LegHistory) -> None:
        """Store the leg as it is now; each file is replaced as a whole."""
        if leg.bars.by_time:
            _write(self._part(leg.listing, "prices"), prices_table(leg))
        if leg.settlements.by_time:
            _write(self._part(leg.listing, "funding"), funding_table(leg))

    def judge(self, limits: GateSettings) -> Refused:
        """Which rows of all parts together are not believed."""
        return judge_parts(self._parts("prices"), self._parts("funding"), limits)

    def merge(self, refused: Refused) -> tuple[dict[str, int], list[str]]:
        """Make the two tables out of all parts, sorted by exchange, contract and time.

        Answers the rows by table, and a line for each part that cannot be used and is left out.
        """
        left_out: list[str] = []
        tables = ((PRICES_FILE, "prices", BARS), (FUNDING_FILE, "funding", SETTLEMENTS))
        return {name: self._merge(name, part, refused, kind, left_out) for name, part, kind in tables}, left_out

    def _merge(self, name: str, part: str, refused: Refused, kind: str, left_out: list[str]) -> int:
        count = 0
        with replacing_file(self.folder / name) as aside, pq.ParquetWriter(aside, SCHEMAS[part]) as writer:
            for table in self._parts(part, left_out):
                kept = refused.kept(table, kind)
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

    def _part(self, listing: Listing, name: str) -> Path:
        return self.folder / PARTS / listing.exchange / f"{contract_stem(listing.listed)}.{name}.parquet"


def prices_table(leg: LegHistory) -> pa.Table:
    """The leg's bars in the raw layout."""
    columns = _columns(leg.bars.sorted(), 6)
    times = pa.array(columns[0].astype(np.int64), TIME)
    return pa.table([*_identity(leg.listing, len(times)), times, *(pa.array(column) for column in columns[1:])], PRICES)


def funding_table(leg: LegHistory) -> pa.Table:
    """The leg's settlements in the raw layout, with the interval that each of them ended."""
    rows = leg.settlements.sorted()
    times, rates = _columns(rows, 2)
    hours, _ = intervals_in_force([int(row[0]) for row in rows])
    # An unusual distance is rather a missing row than an interval: the table must not state it.
    known = np.array([value if value in USUAL_HOURS else np.nan for value in hours])
    stamps = pa.array(times.astype(np.int64), TIME)
    return pa.table([*_identity(leg.listing, len(rows)), stamps, pa.array(rates), pa.array(known)], FUNDING)


_RATES = ("settlement_time", "funding_rate")


def _identity(listing: Listing, rows: int) -> list[pa.Array]:
    values = (listing.exchange, listing.listed, listing.coin, listing.multiplier)
    return [pa.array([value] * rows, kind) for value, (_, kind) in zip(values, IDENTITY, strict=True)]


def _columns(rows: list[Row], width: int) -> list[np.ndarray]:
    return list(np.array(rows, np.float64).reshape(-1, width).T)


def _rows(table: pa.Table, columns: tuple[str, ...]) -> Iterator[Row]:
    times = table[columns[0]].cast(pa.int64()).to_pylist()
    return zip(times, *(table[name].to_pylist() for name in columns[1:]), strict=True)


def _part_table(path: Path) -> pa.Table:
    """A part file. Raises ``DataError`` unless it holds the contract that it is named after, and nothing else."""
    table, kind = _read(path), path.name.split(".")[-2]
    if table.schema.names != SCHEMAS[kind].names:
        raise DataError("is none of arb's parts; move it elsewhere", file=str(path))
    try:
        table = table.cast(SCHEMAS[kind])
    except pa.ArrowException as error:
        raise _damaged(path, error) from None
    exchanges, contracts = (table[name].unique().to_pylist() for name in ("exchange", "symbol"))
    named = [contract for contract in contracts if contract_stem(str(contract)) == path.name.split(".")[0]]
    if table.num_rows and (exchanges != [path.parent.name] or named != contracts):
        found = ", ".join(f"{shown(str(name))} on {exchanges[0]}" for name in contracts[:2])
        problem = f"holds {found}, which is not what it is named after; delete it and it will be downloaded again"
        raise DataError(problem, file=str(path))
    return table


def _read(path: Path) -> pa.Table:
    try:
        # Without this pyarrow reads a folder called ``a=b`` on the way as a column of the table.
        return pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    problem = f"is damaged; delete it and it will be downloaded again ({in_words(error)})"
    return DataError(problem, file=str(path))


def _write(path: Path, table: pa.Table) -> None:
    with replacing_file(path) as aside:
        pq.write_table(table, aside)
