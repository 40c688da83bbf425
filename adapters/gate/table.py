"""The values of a market while they are judged: what is refused becomes nan in a copy, and is remembered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.refusals import Refusal, as_given
from engine.market.data import Floats, MarketData

Cells = Iterable[tuple[int, int]]
"""(leg, column)."""


class Table:
    """The arrays ``[legs, hours]`` of a market by kind; columns from ``since`` on are new, the others are believed."""

    def __init__(self, market: MarketData, limits: GateSettings, since: int) -> None:
        self.source, self.limits, self.since = market, limits, since
        self.refusals: list[Refusal] = []
        self._changed: dict[str, Floats] = {}

    def __getitem__(self, kind: str) -> Floats:
        """The values of a kind as they are by now; not to be written to."""
        return self._changed[kind] if kind in self._changed else np.asarray(getattr(self.source, kind))

    def refuse(self, kind: str, leg: int, column: int, limit: str) -> None:
        """Remember that a value is not believed, and forget the value."""
        symbol, exchange = self.source.leg_name(leg)
        given = as_given(float(self[kind][leg, column]))
        hour = int(self.source.hours[column])
        self.refusals.append(Refusal(exchange, symbol, hour, kind, given, limit))
        self.void(kind, [(leg, column)])

    def void(self, kind: str, cells: Cells) -> None:
        """Forget values that fall with another one."""
        if kind not in self._changed:
            # Copied at the first refusal only: in most hours everything is believed and nothing need be copied.
            self._changed[kind] = self[kind].copy()
        for leg, column in cells:
            self._changed[kind][leg, column] = np.nan

    def market(self) -> MarketData:
        """The market with what is believed; the one given when that is everything."""
        changed: dict[str, Any] = self._changed
        return replace(self.source, **changed) if changed else self.source
