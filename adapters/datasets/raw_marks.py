"""Mark prices in raw folders, where somebody recorded them: what funding is paid on, and liquidation goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from adapters.datasets.contracts import LEG
from adapters.datasets.left_out import LeftOut
from adapters.datasets.raw_rows import read_rows
from adapters.datasets.raw_tables import MARKS_FILE, ROUNDING
from adapters.datasets.selection import Selection
from adapters.storage.stamps import HOUR_MS
from engine.market.data import MarketData

MARK_COLUMNS = ("exchange", "symbol", "base", "multiplier", "timestamp", "mark_price")
"""``timestamp`` is the whole hour at which it was the mark; of a listed unit, like other prices."""


def with_marks(market: MarketData, folders: Sequence[Path], left: LeftOut, selection: Selection) -> MarketData:
    """The market with the marks that raw folders have for its legs; marks that contradict each other are unknown.

    Rows that cannot be used are told and take nothing else out. Raises ``DataError`` for a file that cannot be read.
    """
    found = [_marks_of(path, left, selection) for folder in folders if (path := folder / MARKS_FILE).exists()]
    if not found:
        return market
    marks = _said_once(pd.concat(found, ignore_index=True))
    rows = {market.leg_name(leg): leg for leg in range(market.legs)}
    legs = np.array([rows.get(name, -1) for name in zip(marks["coin"], marks["exchange"], strict=True)], np.int64)
    columns = marks["hour"].to_numpy(np.int64) - int(market.hours[0])
    inside = (legs >= 0) & (columns >= 0) & (columns < len(market.hours))
    prices = market.mark_price.copy()
    prices[legs[inside], columns[inside]] = marks["mark"].to_numpy()[inside]
    return replace(market, mark_price=prices)


def _marks_of(path: Path, left: LeftOut, selection: Selection) -> pd.DataFrame:
    """Coin, exchange, hour number and mark of one coin."""
    # Its own: bad marks must not take the leg with its prices out.
    own = LeftOut(strict=left.strict)
    rows = read_rows(path, MARK_COLUMNS, "timestamp", own, selection)
    rows.leave_out(rows.milliseconds % HOUR_MS != 0, "the mark is not of a whole hour")
    with np.errstate(all="ignore"):  # what does not come out finite is left out
        marks = rows.numbers("mark_price") / rows.numbers("multiplier")
    rows.leave_out(~(np.isfinite(marks) & (marks > 0)), "mark_price is not a positive price")
    for line in own.lines():
        left.note(f"{MARKS_FILE}: {line}")
    return rows.frame(hour=rows.milliseconds // HOUR_MS, mark=marks)


def _said_once(marks: pd.DataFrame) -> pd.DataFrame:
    key = [*LEG, "hour"]
    values = marks.groupby(key, sort=False)["mark"]
    least, most = values.transform("min"), values.transform("max")
    return marks[most - least <= ROUNDING * most].drop_duplicates(key)
