"""The gate over everything that a folder of downloads holds: which rows do not go into its tables.

The part files keep what the exchanges answered, so that other limits need no new download.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.datasets.arrays import market_of
from adapters.gate.limits import GateSettings
from adapters.gate.market import gate_market
from adapters.gate.refusals import Refusal
from adapters.gate.values import RATE
from adapters.naming.symbols import symbol_of
from adapters.storage.stamps import HOUR_MS
from engine.market.data import MarketData

BARS, SETTLEMENTS = "bars", "settlements"
Leg = tuple[str, str]
"""(symbol, exchange)."""


@dataclass(frozen=True)
class Refused:
    """Times in ms of the rows that are not believed, by leg, and why each value is not."""

    bars: dict[Leg, set[int]] = field(default_factory=lambda: defaultdict(set))
    settlements: dict[Leg, set[int]] = field(default_factory=lambda: defaultdict(set))
    refusals: dict[Leg, list[Refusal]] = field(default_factory=lambda: defaultdict(list))

    def kept(self, table: pa.Table, kind: str) -> pa.Table:
        """The rows of a part that are believed."""
        refused = (self.bars if kind == BARS else self.settlements).get(_leg_of(table), set())
        if not refused:
            return table
        return table.filter(pa.array([time not in refused for time in _times(table, kind).tolist()]))


def judge_parts(prices: Iterable[pa.Table], funding: Iterable[pa.Table], limits: GateSettings) -> Refused:
    """Judge all bars and settlements together, as they would be judged in a data set."""
    bars, settlements = list(_columns(prices, BARS)), list(_columns(funding, SETTLEMENTS))
    refused = Refused()
    if not bars:
        return refused
    market = _market(bars, settlements)
    # A refusal knows the hour, but rows are dropped by their own time, which need not be a whole hour.
    at = {(leg, _hour_of(time)): time for leg, times, _ in settlements for time in times.tolist()}
    for refusal in gate_market(market, limits).refusals:
        leg = refusal.symbol, refusal.exchange
        refused.refusals[leg].append(refusal)
        if refusal.field == RATE:
            refused.settlements[leg].add(at[leg, refusal.hour])
        else:  # the close of the bar that ended at the hour, or the open of the one that began there
            refused.bars[leg].add((refusal.hour - (refusal.field == "price")) * HOUR_MS)
    return refused


def _columns(tables: Iterable[pa.Table], kind: str) -> Iterator[tuple[Leg, np.ndarray, dict[str, Any]]]:
    """Leg, times and values per coin of every part that has rows."""
    for table in tables:
        if table.num_rows:
            names = ("open", "close") if kind == BARS else ("funding_rate",)
            # Rates are fractions and need no unit; prices are compared between exchanges per coin.
            unit = float(table["multiplier"][0].as_py()) if kind == BARS else 1.0
            yield _leg_of(table), _times(table, kind), {name: table[name].to_numpy() / unit for name in names}


def _market(bars: list[Any], settlements: list[Any]) -> MarketData:
    legs = sorted({leg for leg, _, _ in bars} | {leg for leg, _, _ in settlements})
    symbols, exchanges = sorted({symbol for symbol, _ in legs}), sorted({exchange for _, exchange in legs})
    ends = [_hour_of(int(time)) for _, times, _ in (*bars, *settlements) for time in (times.min(), times.max())]
    # One column more than the hours of the rows: the close of the last bar stands at the hour after its open.
    first, count = min(ends), max(ends) - min(ends) + 2
    kinds = {name: np.full((len(legs), count), np.nan) for name in ("price", "fill_price", RATE)}
    for leg, times, values in bars:
        columns = times // HOUR_MS - first
        _fill(kinds["price"][legs.index(leg)], columns + 1, values["close"])
        _fill(kinds["fill_price"][legs.index(leg)], columns, values["open"])
    for leg, times, values in settlements:
        # Rounded up as in a data set: at the hour before it the settlement had not happened.
        _fill(kinds[RATE][legs.index(leg)], -(-times // HOUR_MS) - first, values["funding_rate"])
    indexes = (
        np.array([symbols.index(symbol) for symbol, _ in legs], np.int64),
        np.array([exchanges.index(exchange) for _, exchange in legs], np.int64),
    )
    return market_of(kinds, hours=np.arange(first, first + count), legs=indexes, symbols=symbols, exchanges=exchanges)


def _fill(row: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
    """Of two contracts of one coin the first counts where both have a row."""
    free = np.isnan(row[columns])
    row[columns[free]] = values[free]


def _leg_of(table: pa.Table) -> Leg:
    return symbol_of(table["base"][0].as_py()), table["exchange"][0].as_py()


def _times(table: pa.Table, kind: str) -> np.ndarray:
    name = "timestamp" if kind == BARS else "settlement_time"
    return np.asarray(table[name].cast(pa.int64()).to_numpy())


def _hour_of(time_ms: int) -> int:
    return -(-time_ms // HOUR_MS)
