"""Recorded opportunities: a row per directed pair and hour, in older files and from ``--write-opportunities``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.datasets.findings import hour_text
from adapters.datasets.layout import OPPORTUNITY_FEATURES, OPPORTUNITY_KEYS
from adapters.naming.exchanges import canonical_exchange
from adapters.naming.names import plain
from adapters.naming.symbols import symbol_among
from adapters.storage.stamps import HOUR_MS
from adapters.storage.table_files import floats_of, names_of, read_table
from adapters.storage.time_columns import milliseconds_of
from engine.errors import DataError
from engine.market.data import Floats, Ints, MarketData, RecordedOpportunities, directed_pairs

NO_PAIR = -1


def read_opportunities(path: Path, market: MarketData) -> tuple[RecordedOpportunities, tuple[str, ...]]:
    """Recorded opportunities of ``market``, and notes on rows that were passed over.

    An ``entry_time`` within ``(t - 1h, t]`` belongs to hour ``t``; of several rows of one pair and hour the latest
    wins (the last in the file among equals); rows outside the market's hours, and of pairs without price history, are
    left out. Raises ``DataError`` when a column is missing, a value is infinite, or no pair has a price history.
    """
    table = read_table(path, text=OPPORTUNITY_KEYS)
    missing = [name for name in OPPORTUNITY_KEYS if name not in table.column_names]
    if missing:
        raise DataError(
            f"column {', '.join(missing)} is missing; it has {', '.join(table.column_names)}", file=str(path)
        )
    times = milliseconds_of(table, "entry_time", path)
    pairs, strangers = _pairs(table, times, market, path)
    columns = tuple(name for name in OPPORTUNITY_FEATURES if name in table.column_names)
    features = _features(table, columns, times, path)
    # Rounded up: what was detected at 10:40 must not be shown at 10:00.
    index = -(-times // HOUR_MS) - int(market.hours[0])
    rows, notes = _kept_rows(index, pairs, times, len(market.hours))
    notes = strangers + notes
    offsets = np.searchsorted(index[rows], np.arange(len(market.hours) + 1), side="left")
    recorded = RecordedOpportunities(
        offsets=offsets.astype(np.int64),
        pair=pairs[rows],
        features=np.ascontiguousarray(features[rows]),
        columns=columns,
    )
    return recorded, notes


def _pairs(table: pa.Table, times: Ints, market: MarketData, path: Path) -> tuple[Ints, tuple[str, ...]]:
    """Index of each row's directed pair, ``NO_PAIR`` where the price history has none, and a note on these."""
    directed = directed_pairs(market)
    known = {
        (*market.leg_name(int(long_leg)), market.leg_name(int(short_leg))[1]): pair
        for pair, (long_leg, short_leg) in enumerate(zip(directed.long_leg, directed.short_leg, strict=True))
    }
    (symbols, symbol), (longs, long), (shorts, short) = (names_of(table, key, path) for key in OPPORTUNITY_KEYS[1:])
    # Millions of rows, few pairs: each distinct pair is looked up once.
    _, first, which = np.unique(
        (symbol * len(longs) + long) * len(shorts) + short, return_index=True, return_inverse=True
    )
    pairs = np.empty(len(first), np.int64)
    wrong: DataError | None = None
    for i in np.argsort(first):
        row = int(first[i])
        name = symbol_among(symbols[symbol[row]], market.symbols)
        legs = canonical_exchange(longs[long[row]]), canonical_exchange(shorts[short[row]])
        pairs[i] = known.get((name, *legs), NO_PAIR)
        if pairs[i] == NO_PAIR and wrong is None:
            problem = _why_unknown(market, plain(name), *(plain(leg) for leg in legs))
            wrong = DataError(problem, file=str(path), coin=plain(name), hour=hour_text(int(times[row])))
    if wrong is None:
        return pairs[which], ()
    if (pairs == NO_PAIR).all():
        raise wrong
    count = int((pairs[which] == NO_PAIR).sum())
    first_wrong = f"{wrong.coin}, {wrong.hour}: {wrong.problem}"
    return pairs[which], (f"{count} opportunities of pairs without price history: left out, the first: {first_wrong}",)


def _why_unknown(market: MarketData, symbol: str, long_exchange: str, short_exchange: str) -> str:
    if long_exchange == short_exchange:
        return f"both legs are on {long_exchange}"
    legs = {market.leg_name(leg) for leg in range(market.legs)}
    absent = next(name for name in (long_exchange, short_exchange) if (symbol, name) not in legs)
    return f"is an opportunity on {absent}, but the price history has no {symbol} there"


def _features(table: pa.Table, columns: tuple[str, ...], times: Ints, path: Path) -> Floats:
    features = np.empty((table.num_rows, len(columns)))
    for i, name in enumerate(columns):
        features[:, i] = floats_of(table, name, path)
        infinite = np.isinf(features[:, i])
        if infinite.any():
            row = int(np.argmax(infinite))
            coin = str(table.column("symbol")[row])
            raise DataError(f"{name} is infinite", file=str(path), coin=coin, hour=hour_text(int(times[row])))
    return features


def _kept_rows(index: Ints, pairs: Ints, times: Ints, hours: int) -> tuple[Ints, tuple[str, ...]]:
    """Row numbers sorted by hour and pair, the latest of each; and what was left out."""
    is_known = pairs != NO_PAIR
    inside = np.flatnonzero(is_known & (index >= 0) & (index < hours))
    # lexsort is stable, so rows that are equal in all keys stay in the order of the file.
    order = inside[np.lexsort((times[inside], pairs[inside], index[inside]))]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (np.diff(index[order]) != 0) | (np.diff(pairs[order]) != 0)
    notes = []
    outside = int(is_known.sum()) - len(inside)
    if outside:
        notes.append(f"{outside} opportunities lie outside the hours of the price history: left out")
    if not last.all():
        notes.append(f"{int((~last).sum())} opportunities were replaced by a later one of the same pair and hour")
    return order[last], tuple(notes)
