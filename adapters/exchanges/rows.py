"""Rows of candles and settled rates out of an exchange's answer: each judged alone, so that no row can spoil others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.exchanges.coins import Listing
from adapters.exchanges.fields import number
from adapters.exchanges.paging import Row
from adapters.gate.limits import GateSettings
from adapters.gate.refusals import Refusal, as_given
from adapters.gate.values import RATE, can_be, range_text
from adapters.storage.stamps import HOUR_MS, settled_at

FIRST_MS = 1_230_768_000_000  # 2009: no coin is older
BAR, PRICE, VOLUME = "candle", "price", "volume_24h_usd"


@dataclass
class RowReader:
    """Reads the rows of one contract; what is refused is kept once, however often it is sent. ``now_ms``: the clock.

    ``bar_ms``: how long a candle is.
    """

    listing: Listing
    limits: GateSettings
    refused: dict[tuple[str, int], Refusal]
    now_ms: int
    bar_ms: int = HOUR_MS

    def bars(self, answer: Iterable[Any], unit: float) -> list[Row]:
        """Whole bars (open time, open, high, low, close, volume in listed units); ``unit``: listed units per size.

        A bar with a null in it is none: its hour stays missing, and is asked for again.
        """
        return [bar for row in answer if (bar := self._bar(row, unit)) is not None]

    def rates(self, answer: Iterable[Any]) -> list[Row]:
        """Settled rates (instant in ms as of ``settled_at``, rate)."""
        return [rate for row in answer if (rate := self._rate(row)) is not None]

    def _bar(self, row: Any, unit: float) -> Row | None:
        if not isinstance(row, Sequence) or isinstance(row, str) or len(row) < 6:
            self._refuse(BAR, self.now_ms, row, "a candle is six numbers")
            return None
        if any(value is None for value in row[:6]):
            return None
        time = self._time(row[0])
        if time is None or time % self.bar_ms:
            whole = "hour" if self.bar_ms == HOUR_MS else "minute"
            self._refuse(BAR, self.now_ms, row[0], f"a candle opens at a whole {whole} of the past")
            return None
        values = [number(value) for value in row[1:6]]
        for given, value in zip(row[1:5], values[:4], strict=True):
            # Limits are per coin, rows per listed unit; the cap of 0 counts for rates only.
            if value is None or not can_be(PRICE, value / self.listing.multiplier, self.limits, 0.0):
                self._refuse(BAR, time, given, f"a price is {range_text(PRICE, self.limits, 0.0)} USD")
                return None
        volume = values[4]
        # In USD the multiplier cancels: listed units times the price of a listed unit.
        if volume is None or not can_be(VOLUME, volume * unit * float(values[3] or 0.0), self.limits, 0.0):
            self._refuse(BAR, time, row[5], f"a volume is {range_text(VOLUME, self.limits, 0.0)} USD")
            return None
        return (time, *(float(value) for value in values[:4] if value is not None), volume * unit)

    def _rate(self, row: Any) -> Row | None:
        if not isinstance(row, Mapping):
            self._refuse(RATE, self.now_ms, row, "a settlement has a time and a rate")
            return None
        if row.get("timestamp") is None or row.get("fundingRate") is None:
            return None
        time = self._time(row["timestamp"])
        if time is None:
            self._refuse(RATE, self.now_ms, row["timestamp"], "no time at which it can have settled")
            return None
        at, rate = settled_at(int(time)), number(row["fundingRate"])
        cap = self.limits.rate_cap(self.listing.exchange)
        if rate is None or not can_be(RATE, rate, self.limits, cap):
            self._refuse(RATE, at, row["fundingRate"], range_text(RATE, self.limits, cap))
            return None
        return at, rate

    def _time(self, value: Any) -> int | None:
        """A time in the past, up to the clocks' difference, else None."""
        stamp = number(value)
        return int(stamp) if stamp is not None and FIRST_MS <= stamp <= self.now_ms + HOUR_MS else None

    def _refuse(self, name: str, time: int, given: Any, limit: str) -> None:
        hour = -(-time // HOUR_MS)
        refusal = Refusal(self.listing.exchange, self.listing.symbol, hour, name, as_given(given), limit)
        self.refused[name, hour] = refusal
