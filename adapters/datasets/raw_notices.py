"""Notices of delistings in a raw folder: what exchanges said about the ends of contracts, and when that was seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from adapters.datasets.contracts import LEG
from adapters.datasets.layout import Delisting
from adapters.datasets.left_out import LeftOut, Leg
from adapters.datasets.raw_rows import read_rows
from adapters.datasets.raw_tables import NOTICES_FILE
from adapters.datasets.selection import EVERYTHING
from adapters.storage.stamps import HOUR_MS, end_hour, is_plausible
from adapters.storage.time_columns import milliseconds_of
from engine.market.data import NEVER, MarketData
from engine.market.notices import last_word
from engine.windows import time_of

NOTICE_COLUMNS = ("exchange", "symbol", "base", "multiplier", "seen_time", "end_time")
"""``end_time`` is null where an exchange took an earlier end back."""


def read_notices(
    folders: Sequence[Path], bars: pd.DataFrame, market: MarketData, left: LeftOut
) -> tuple[Delisting, ...]:
    """What stands of the notices in raw folders, for the legs of ``market``; none without a file of them.

    A notice is known from the first whole hour at or after the time it was seen on. The end of a contract that another
    one of the coin follows in ``bars`` ends nothing. Raises ``DataError`` for a file that cannot be read.
    """
    said: dict[Leg, list[tuple[int, int]]] = defaultdict(list)
    replaced = _replaced(bars)
    for path in (folder / NOTICES_FILE for folder in folders):
        if path.exists():
            _hear(path, replaced, left, said)
    names = [market.leg_name(leg) for leg in range(market.legs)]
    standing = {name: last_word(said[name]) for name in names if name in said}
    return tuple(
        Delisting(exchange=exchange, symbol=symbol, time=time_of(end), known_at=time_of(known))
        for (symbol, exchange), (end, known) in standing.items()
        if end != NEVER
    )


def _hear(path: Path, replaced: dict[Leg, set[str]], left: LeftOut, said: dict[Leg, list[tuple[int, int]]]) -> None:
    """Add what one file says about ends: (hour from which it is known, hour of the end)."""
    # Its own: bad rows among the notices must not take the leg with its prices out.
    own = LeftOut(strict=left.strict)
    rows = read_rows(path, NOTICE_COLUMNS, "seen_time", own, EVERYTHING)
    ends = milliseconds_of(rows.table, "end_time", path, text=False, empty_allowed=True)
    for line in own.lines():
        left.note(f"{NOTICES_FILE}: {line}")
    for row in np.flatnonzero(rows.kept).tolist():
        leg = rows.legs[rows.leg[row]]
        if rows.contracts[rows.contract[row]] not in replaced[leg]:
            end = end_hour(int(ends[row])) if is_plausible(ends[row]) else NEVER
            # Seen within an hour it is known at the next whole one: at the hour before nobody could act on it.
            said[leg].append((-(-int(rows.milliseconds[row]) // HOUR_MS), end))


def _replaced(bars: pd.DataFrame) -> dict[Leg, set[str]]:
    """By leg the contracts that are not its last one."""
    last = bars.groupby(["coin", "exchange", "contract"])["opened_hour"].max().reset_index()
    found: dict[Leg, set[str]] = defaultdict(set)
    for (coin, exchange), rows in last.groupby(LEG):
        newest = rows["opened_hour"].max()
        found[str(coin), str(exchange)] = {str(name) for name in rows.loc[rows["opened_hour"] < newest, "contract"]}
    return found
