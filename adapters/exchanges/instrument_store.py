"""What exchanges demand of orders, kept in the raw folder with the hour since which it was seen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from adapters.datasets.instruments import InstrumentRow, read_instruments, write_instruments
from adapters.datasets.layout import INSTRUMENTS_FILE
from adapters.exchanges.coins import Listing
from adapters.storage.stamps import HOUR_MS


def record_instruments(folder: Path, listings: Iterable[Listing], now_ms: int) -> None:
    """Add what exchanges list now, where it is not what the folder has as their last word.

    Raises ``DataError`` when the file that is there cannot be read.
    """
    path = folder / INSTRUMENTS_FILE
    before = read_instruments(path) if path.exists() else []
    last = {row[:2]: row for row in before}
    hour = -(-now_ms // HOUR_MS)
    seen = [row for listing in listings if not np.isnan((row := _row(listing, hour)).rules).all()]
    news = [row for row in seen if row[:2] not in last or not _same(row, last[row[:2]])]
    if news:
        # Seen twice within an hour, the later word counts.
        dated = {row[:3]: row for row in (*before, *news)}
        write_instruments(path, dated.values())


def _row(listing: Listing, hour: int) -> InstrumentRow:
    rules = (np.nan if rule is None else rule for rule in listing.rules)
    return InstrumentRow(listing.symbol, listing.exchange, hour, *rules)


def _same(one: InstrumentRow, other: InstrumentRow) -> bool:
    return bool(np.array_equal(one.rules, other.rules, equal_nan=True))
