"""What a format reads out of one file: rows of one contract as the source has them, their times already UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from engine.market.data import Floats, Ints

BARS, SETTLEMENTS, MARKS = "bars", "settlements", "marks"
BAR_VALUES = ("open", "high", "low", "close", "volume")
RATE_VALUES = ("funding_rate", "interval_hours")
VALUES = {BARS: BAR_VALUES, SETTLEMENTS: RATE_VALUES, MARKS: ("mark",)}

VolumeUnit = Literal["listed", "contracts", "ccxt", "usd"]
"""``ccxt``: as ccxt gives it, contracts on some exchanges and listed units on the others."""


class NotUsedError(Exception):
    """A file that is right as it is, but holds nothing for the raw tables; the message says what it holds."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Rows of one contract.

    ``times`` are ms since 1970, ``time_columns.EMPTY`` where they cannot be read: opens of bars, instants of
    settlements and marks. ``values`` are ``BAR_VALUES``, ``RATE_VALUES`` or ``mark``, nan where they are absent or no
    numbers; what the source does not have at all is no key. ``remarks``: what to know of how it was read.
    """

    kind: str
    contract: str
    file: str
    times: Ints
    values: Mapping[str, Floats]
    minutes: int = 60
    """How long a bar is."""
    made_of: int = 60
    """How long the bars of the source are that it was made of."""
    volume_unit: VolumeUnit = "listed"
    last_may_run: bool = False
    """Whether the newest bar may have been recorded while it was still running."""
    exchange: str = ""
    """Where the source says which exchange it is of."""
    multiplier: int | None = None
    """Where the source says how many coins a listed unit is."""
    remarks: tuple[str, ...] = ()
