"""``instruments.parquet`` of a data set or a raw folder: what exchanges demand of orders, by leg and date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.datasets.findings import hour_text
from adapters.datasets.layout import INSTRUMENTS_FILE
from adapters.naming.exchanges import checked_exchange
from adapters.naming.names import plain, shown
from adapters.naming.symbols import symbol_among
from adapters.storage.atomic import replacing_file
from adapters.storage.stamps import HOUR_MS, is_plausible, why_implausible
from adapters.storage.table_files import floats_of, names_of, read_table
from adapters.storage.time_columns import milliseconds_of
from engine.errors import DataError, UserError
from engine.market.data import Floats, MarketData
from engine.market.instruments import RULES_OF_ORDERS, Instruments

KEYS = ("exchange", "symbol", "since")
_TIME = pa.timestamp("ms", tz="UTC")
_TEXT = pa.string()
_RULES = [(name, pa.float64()) for name in RULES_OF_ORDERS]
SCHEMA = pa.schema([("exchange", _TEXT), ("symbol", _TEXT), ("since", _TIME), *_RULES])


class InstrumentRow(NamedTuple):
    """The rules of one leg from an hour on: USD per coin, coins, USD, times; nan where unknown."""

    symbol: str
    exchange: str
    since_hour: int
    tick: float
    lot: float
    min_notional_usd: float
    max_leverage: float

    @property
    def rules(self) -> tuple[float, ...]:
        """In the order of ``RULES_OF_ORDERS``."""
        return self[3:]


def read_instruments(path: Path, symbols: Collection[str] = ()) -> list[InstrumentRow]:
    """The rows of a file, by leg and date; a column of a rule that is absent is unknown throughout.

    A row holds from the first whole hour at or after its ``since``; ``symbols`` are those that may be written in
    another way. Raises ``DataError`` for a file that cannot be read, and with the coin for a row that cannot be.
    """
    table = read_table(path, text=("exchange", "symbol"))
    missing = [name for name in KEYS if name not in table.column_names]
    if missing:
        raise DataError(f"column {missing[0]} is missing; it has {', '.join(table.column_names)}", file=str(path))
    names, exchanges = (_names(table, column, path) for column in ("symbol", "exchange"))
    times = milliseconds_of(table, "since", path, text=False)
    columns = [_column(table, name, path) for name in RULES_OF_ORDERS]
    rows = []
    for i, (name, exchange, time) in enumerate(zip(names, exchanges, times.tolist(), strict=True)):
        problem = _problem(times[i], [column[i] for column in columns])
        try:
            row = InstrumentRow(
                symbol_among(name, symbols), checked_exchange(exchange), -(-time // HOUR_MS), *(c[i] for c in columns)
            )
        except UserError as error:
            raise DataError(str(error), file=str(path), coin=shown(name)) from None
        if problem is not None:
            raise DataError(problem, file=str(path), coin=f"{plain(name)} on {row.exchange}")
        rows.append(row)
    return _one_of_a_date(rows, path)


def _names(table: pa.Table, column: str, path: Path) -> list[str]:
    names, row = names_of(table, column, path)
    return [names[i] for i in row.tolist()]


def _column(table: pa.Table, name: str, path: Path) -> list[float]:
    values: Floats = floats_of(table, name, path) if name in table.column_names else np.full(table.num_rows, np.nan)
    return [float(value) for value in values]


def _problem(time: int, rules: Sequence[float]) -> str | None:
    """What is wrong with a row."""
    if not is_plausible(np.array([time]))[0]:
        return f"since {why_implausible(int(time))}"
    for name, value in zip(RULES_OF_ORDERS, rules, strict=True):
        if not (np.isnan(value) or 0 < value < np.inf):
            return f"{name} is {value:g}, not a positive number; leave it empty where it is unknown"
    return None


def _one_of_a_date(rows: Iterable[InstrumentRow], path: Path) -> list[InstrumentRow]:
    """The rows by leg and date. Raises ``DataError`` for two of one date that do not say the same."""
    found: dict[tuple[Any, ...], InstrumentRow] = {}
    for row in rows:
        if not np.array_equal(found.setdefault(row[:3], row).rules, row.rules, equal_nan=True):
            when = hour_text(row.since_hour * HOUR_MS)
            raise DataError("two different rows of one date; keep one", file=str(path), coin=_leg(row), hour=when)
    return [found[key] for key in sorted(found)]


def _leg(row: InstrumentRow) -> str:
    return f"{row.symbol} on {row.exchange}"


def with_instruments(market: MarketData, paths: Sequence[Path]) -> tuple[MarketData, tuple[str, ...]]:
    """The market with the rules in those of the files that are there, and a note on rows of legs that it does not have.

    Raises ``DataError`` like ``read_instruments``, and for two files that contradict each other.
    """
    present = [path for path in paths if path.exists()]
    if not present:
        return market, ()
    legs = {market.leg_name(leg): leg for leg in range(market.legs)}
    rows = _one_of_a_date((row for path in present for row in read_instruments(path, market.symbols)), present[-1])
    known = sorted((legs[row[:2]], *row[2:]) for row in rows if row[:2] in legs)
    others = sorted({_leg(row) for row in rows if row[:2] not in legs})
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    notes = (f"{INSTRUMENTS_FILE}: not used, since no price of it is here: {others[0]}{more}",) if others else ()
    if not known:
        return market, notes
    leg, since, *rules = zip(*known, strict=True)
    columns = {name: np.array(values) for name, values in zip(RULES_OF_ORDERS, rules, strict=True)}
    found = Instruments(leg=np.array(leg, np.int64), since=np.array(since, np.int64), **columns)
    return replace(market, instruments=found), notes


def rows_of(market: MarketData) -> list[InstrumentRow]:
    """The rules that a market has, as rows of a file."""
    known = market.instruments
    if known is None:
        return []
    columns = (known.since, *(getattr(known, name) for name in RULES_OF_ORDERS))
    return [
        InstrumentRow(*market.leg_name(leg), *values)
        for leg, *values in zip(known.leg.tolist(), *(column.tolist() for column in columns), strict=True)
    ]


def write_instruments(path: Path, rows: Iterable[InstrumentRow]) -> None:
    """Write a file of rows, whole or not at all; what is unknown is empty."""
    listed = sorted(rows, key=lambda row: row[:3])
    times = pa.array([row.since_hour * HOUR_MS for row in listed], _TIME)
    names = [pa.array([row.exchange for row in listed]), pa.array([row.symbol for row in listed])]
    rules = np.array([row.rules for row in listed], np.float64).reshape(-1, len(RULES_OF_ORDERS)).T
    columns = [pa.array(values, pa.float64(), from_pandas=True) for values in rules]
    with replacing_file(path) as aside:
        pq.write_table(pa.table([*names, times, *columns], SCHEMA), aside)
