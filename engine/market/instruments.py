"""What exchanges demand of an order, by leg and date: steps of price and size, the least value, the most leverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

RULES_OF_ORDERS = ("tick", "lot", "min_notional_usd", "max_leverage")
INSTRUMENT_ARRAYS = ("leg", "since", *RULES_OF_ORDERS)
"""The columns that are numbers above zero, nan where unknown."""


@dataclass(frozen=True, eq=False)
class Instruments:
    """Dated rows, sorted by (leg, since). In force is the latest row dated at or before an hour, else the earliest.

    As with fees, what is known now stands for what was before it: exchanges do not publish what their rules were.
    """

    leg: NDArray[np.int64]  # [rows] index of the leg
    since: NDArray[np.int64]  # hour number from which the row holds
    tick: NDArray[np.float64]  # step of prices, USD per coin
    lot: NDArray[np.float64]  # step of sizes, coins
    min_notional_usd: NDArray[np.float64]  # of an order
    max_leverage: NDArray[np.float64]

    def __post_init__(self) -> None:
        rows = list(zip(self.leg.tolist(), self.since.tolist(), strict=True))
        if rows != sorted(set(rows)):
            raise DataError("instruments must be sorted by leg and date, one row each")
        for name in RULES_OF_ORDERS:
            values = getattr(self, name)
            if not np.all(np.isnan(values) | ((values > 0) & np.isfinite(values))):
                raise DataError(f"{name} of an instrument is not a positive number")

    def __len__(self) -> int:
        return len(self.leg)

    def until(self, hour: int) -> Instruments:
        """The rows dated at or before an hour, and of a leg without any its earliest, which stands for that time."""
        is_first = np.diff(self.leg, prepend=-1) != 0
        rows = (self.since <= hour) | is_first
        return Instruments(**{name: getattr(self, name)[rows] for name in INSTRUMENT_ARRAYS})

    def of_legs(self, keep: NDArray[np.bool_]) -> Instruments | None:
        """The rows of the legs to ``keep``, numbered as these are then; None when there are none."""
        rows = keep[self.leg]
        if not rows.any():
            return None
        numbers: Any = np.cumsum(keep) - 1
        facts = {name: getattr(self, name)[rows] for name in ("since", *RULES_OF_ORDERS)}
        return Instruments(leg=numbers[self.leg[rows]].astype(np.int64), **facts)
