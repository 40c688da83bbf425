"""Storing derived opportunities beside the price history, in the columns of docs/design.md section 5.

A data set that holds the file offers exactly the rows in it. What is stored is what the engine derives under the
shipped settings, so that a backtest on the stored rows gives the same ledger as one that derives them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.configuration.settings import load_settings
from adapters.datasets.layout import OPPORTUNITIES, OPPORTUNITY_FEATURES
from adapters.storage.atomic import replacing_file
from engine.accounting.tape import Tape, prepare
from engine.market.data import MarketData
from engine.observation.features import COLUMN, RECORDED_NAMES
from engine.observation.opportunities import OpportunityBuilder

HOURS_PER_CHUNK = 336


def write_opportunities(
    market: MarketData, folder: Path, progress: Callable[[str, int, int], None] | None = None
) -> int:
    """Write ``opportunities.parquet`` with one row per offered pair and hour; returns the number of rows."""
    builder = OpportunityBuilder(prepare(market, load_settings()))
    hours, rows = len(market.hours), 0
    with replacing_file(folder / f"{OPPORTUNITIES}.parquet") as aside:
        writer: Any = None
        # In chunks: all pairs and features of a long span at once may not fit into memory.
        for start in range(0, hours, HOURS_PER_CHUNK):
            chunk = _chunk(builder, range(start, min(start + HOURS_PER_CHUNK, hours)))
            writer = writer or pq.ParquetWriter(aside, chunk.schema, compression="zstd")
            writer.write_table(chunk)
            rows += chunk.num_rows
            if progress:
                progress("writing opportunities", min(start + HOURS_PER_CHUNK, hours), hours)
        if writer is not None:
            writer.close()
    return rows


def _chunk(builder: OpportunityBuilder, hours: range) -> pa.Table:
    features, pairs, at = [], [], []
    for t in hours:
        matrix, offered = builder.at(t)
        shown = np.flatnonzero(offered)
        features.append(matrix[shown])
        pairs.append(shown)
        at.append(np.full(len(shown), t))
    values, pair, row = np.concatenate(features), np.concatenate(pairs), np.concatenate(at)
    columns = _keys(builder.tape, pair, row)
    for name in OPPORTUNITY_FEATURES:
        derived = RECORDED_NAMES.get(name, name)
        # These columns hold hours; the features behind them hold the same as a share of 8.
        columns[name] = values[:, COLUMN[derived]] * (8.0 if name in RECORDED_NAMES else 1.0)
    return pa.table(columns)


def _keys(tape: Tape, pair: Any, row: Any) -> dict[str, Any]:
    market = tape.market
    symbols, exchanges = np.array(market.symbols), np.array(market.exchanges)
    long_leg, short_leg = tape.pairs.long_leg[pair], tape.pairs.short_leg[pair]
    price = tape.arrays.quotes["price"]
    seconds = (market.hours[row] * 3600).astype("datetime64[s]")
    return {
        "entry_time": pa.array(seconds, pa.timestamp("s", tz="UTC")),
        "symbol": symbols[market.leg_symbol[long_leg]],
        "long_exchange": exchanges[market.leg_exchange[long_leg]],
        "short_exchange": exchanges[market.leg_exchange[short_leg]],
        "entry_long_price": price[long_leg, row],
        "entry_short_price": price[short_leg, row],
    }
