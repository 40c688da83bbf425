"""One coin on consecutive hours, for checks that compare neighbours in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adapters.datasets.coin_files import CoinFile
from adapters.datasets.findings import Finding, Severity, hour_text
from adapters.storage.stamps import HOUR_MS
from engine.market.data import PER_LEG_FLOATS, Floats, MarketData


@dataclass(frozen=True, eq=False)
class CoinGrid:
    """``legs[exchange][kind]`` is ``[hours]`` from ``first_hour`` on, nan where the file has no row."""

    file: str
    coin: str
    first_hour: int
    legs: dict[str, dict[str, Floats]]

    def finding(self, severity: Severity, kind: str, message: str, exchange: str, row: int | None) -> Finding:
        """A finding at an hour of this coin."""
        hour = "" if row is None else hour_text((self.first_hour + row) * HOUR_MS)
        return Finding(severity, kind, message, self.file, self.coin, exchange, hour)


def grid_of(file: CoinFile) -> CoinGrid:
    """The hours of a file that passed ``row_errors``."""
    rows = file.hours - file.hours[0]
    legs: dict[str, dict[str, Floats]] = {}
    for exchange, kinds in file.legs.items():
        legs[exchange] = {}
        for kind, values in kinds.items():
            grid = np.full(int(rows[-1]) + 1, np.nan)
            grid[rows] = values
            legs[exchange][kind] = grid
    return CoinGrid(str(file.path), file.coin, int(file.hours[0]), legs)


def grids_of(market: MarketData, file: str) -> Iterator[CoinGrid]:
    """The coins of a market, as ``grid_of`` gives those of its files."""
    for index, symbol in enumerate(market.symbols):
        legs = {
            market.leg_name(int(leg))[1]: {kind: getattr(market, kind)[leg] for kind in PER_LEG_FLOATS}
            for leg in np.flatnonzero(market.leg_symbol == index)
        }
        yield CoinGrid(file, symbol, int(market.hours[0]), legs)
