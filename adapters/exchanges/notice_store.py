"""Announced ends of contracts, kept in the raw folder with the time at which they were seen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.datasets.raw_notices import NOTICE_COLUMNS
from adapters.datasets.raw_tables import NOTICES_FILE
from adapters.exchanges.coins import Listing
from adapters.storage.atomic import replacing_file
from engine.errors import DataError

_TIME = pa.timestamp("ms", tz="UTC")
_TEXT = pa.string()
SCHEMA = pa.schema(list(zip(NOTICE_COLUMNS, (_TEXT, _TEXT, _TEXT, pa.int32(), _TIME, _TIME), strict=True)))

Row = tuple[str, str, str, int, int, int | None]
"""The columns; times in ms, the end None when an exchange took it back."""


def record_notices(folder: Path, listings: Iterable[Listing], now_ms: int) -> None:
    """Add what exchanges say now about the ends of contracts, where it is not what the folder has as their last word.

    Raises ``DataError`` when the file that is there cannot be read.
    """
    path = folder / NOTICES_FILE
    rows = _rows(path)
    last = {(row[0], row[1]): row[5] for row in rows}
    news: list[Row] = []
    for listing in sorted(listings, key=lambda listing: (listing.exchange, listing.listed)):
        end, before = listing.announced_end(now_ms), last.get((listing.exchange, listing.listed))
        # A contract that is gone states no end any more; that does not take the notice back.
        has_ended = before is not None and before <= now_ms
        if end != before and not has_ended:
            news.append((listing.exchange, listing.listed, listing.coin, listing.multiplier, now_ms, end))
    if news:
        with replacing_file(path) as aside:
            columns = zip(*rows, *news, strict=True)
            arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
            pq.write_table(pa.table(arrays, SCHEMA), aside)


def _rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    try:
        table = pq.read_table(path, partitioning=None).cast(SCHEMA)
    except (OSError, pa.ArrowException, ValueError) as error:
        problem = f"cannot be read; move it away and notices are kept anew ({str(error).splitlines()[0]})"
        raise DataError(problem, file=str(path)) from None
    plain = [
        table[name] if kind != _TIME else table[name].cast(pa.int64())
        for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)
    ]
    return list(zip(*(column.to_pylist() for column in plain), strict=True))
