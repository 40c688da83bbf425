"""What is wrong with a data set, one record per place: loading raises it, ``arb data validate`` lists it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from adapters.storage.stamps import year_of
from engine.errors import DataError
from engine.windows import EPOCH

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One problem at one place. Findings of one kind have the same ``kind``; ``message`` adds the numbers."""

    severity: Severity
    kind: str
    message: str
    file: str
    coin: str = ""
    exchange: str = ""
    hour: str = ""

    def as_error(self) -> DataError:
        """The exception with which loading refuses this."""
        coin = f"{self.coin} on {self.exchange}" if self.exchange else self.coin
        return DataError(self.message, file=self.file, coin=coin or None, hour=self.hour or None)


def hour_text(milliseconds: int) -> str:
    """A time as people read it, to the minute unless it has seconds: ``2024-05-01T08:00Z``."""
    try:
        time = EPOCH + timedelta(milliseconds=int(milliseconds))
    except OverflowError:
        return f"year {year_of(milliseconds)}"
    return f"{time:%Y-%m-%dT%H:%MZ}" if milliseconds % 60_000 == 0 else f"{time:%Y-%m-%dT%H:%M:%S.%fZ}"
