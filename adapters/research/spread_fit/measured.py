"""Recorded quotes and turnovers, as one half-spread and one 24 h volume of each coin on each exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from adapters.gate.limits import GateSettings
from adapters.naming.exchanges import checked_exchange
from adapters.naming.symbols import split_name
from adapters.storage.table_files import floats_of, names_of, read_table
from adapters.storage.time_columns import EMPTY, milliseconds_of
from engine.errors import DataError

QUOTES = ("timestamp", "exchange", "ticker", "best_bid", "best_ask")
OWN_VOLUME = "volume_24h_usd"
"""Of quotes that bring their volume along; then no other file is needed."""
SOURCE = "source"
"""Of quotes that say where they are from."""
VOLUMES = ("ts", "venue", "base", "turnover_musd")
MANY_SCANS = 20
"""A coin that an exchange quotes and so many scans of it never list traded less than what they list; fewer scans may
lack it for other reasons."""


@dataclass(frozen=True, eq=False)
class Measured:
    """``coins`` has exchange, coin, half_bps (median over its quotes) and volume_usd (median of days, nan: unknown)."""

    coins: pd.DataFrame
    sources: Mapping[str, str]
    """By exchange where its quotes are from, as they say themselves; else the name of the file."""
    first: date
    last: date
    dropped: int
    """Quotes that name no spread: without a time, crossed, or wider than the gate believes."""
    unknown: int
    """Coins whose volume is not known; they are left out of any fit."""


def read_measured(quotes: Path, volumes: Path | None) -> Measured:
    """Raises ``DataError`` for a file that is absent or lacks a column, and where nothing is left."""
    table = _table(quotes, QUOTES, ("exchange", "ticker", SOURCE))
    if volumes is None and OWN_VOLUME not in table.column_names:
        raise DataError(f"has no column {OWN_VOLUME}; give the volumes with --volumes FILE", file=str(quotes))
    frame = _named(table, "exchange", "ticker", quotes)
    frame["ms"] = milliseconds_of(table, "timestamp", quotes, empty_allowed=True)
    bid, ask = (floats_of(table, name, quotes) for name in ("best_bid", "best_ask"))
    frame["half_bps"] = 1e4 * (ask - bid) / (ask + bid)
    frame["volume_usd"] = floats_of(table, OWN_VOLUME, quotes) if volumes is None else np.nan
    most = 1e4 * GateSettings().max_spread / 2
    good = (frame["ms"] != EMPTY) & (bid > 0) & frame["half_bps"].between(0, most)
    kept = frame[good]
    if kept.empty:
        raise DataError("has no quote with a time and a spread that can be", file=str(quotes))
    coins = kept.groupby(["exchange", "coin"], as_index=False)[["half_bps", "volume_usd"]].median()
    if volumes is not None:
        coins["volume_usd"] = _volumes_of(coins, _turnovers(volumes))
    first, last = (datetime.fromtimestamp(ms / 1000, UTC).date() for ms in (kept["ms"].min(), kept["ms"].max()))
    sources = _sources(kept, table, good.to_numpy(), quotes)
    return Measured(coins, sources, first, last, int((~good).sum()), int(coins["volume_usd"].isna().sum()))


def _sources(kept: pd.DataFrame, table: pa.Table, good: NDArray[np.bool_], path: Path) -> dict[str, str]:
    if SOURCE not in table.column_names:
        return dict.fromkeys(kept["exchange"].unique(), path.name)
    names, of_row = names_of(table, SOURCE, path)
    said = kept["exchange"].to_frame().assign(source=np.array(names, dtype=object)[of_row][good])
    return {str(name): ", ".join(sorted(rows["source"].unique())) for name, rows in said.groupby("exchange")}


def _volumes_of(coins: pd.DataFrame, turnovers: pd.DataFrame) -> list[float]:
    """USD of each coin: the median over all scans of its exchange; in one without it it traded next to none."""
    scans = turnovers.groupby("exchange")["ms"].nunique()
    listed = turnovers.groupby(["exchange", "coin"])["usd"].apply(np.asarray)
    found = []
    for exchange, coin in zip(coins["exchange"], coins["coin"], strict=True):
        seen = listed.get((exchange, coin), np.empty(0))
        if len(seen) or scans.get(exchange, 0) >= MANY_SCANS:
            found.append(float(np.median(np.concatenate([seen, np.zeros(max(scans[exchange] - len(seen), 0))]))))
        else:
            found.append(np.nan)
    return found


def _turnovers(path: Path) -> pd.DataFrame:
    """exchange, coin, ms, usd: of several contracts on one coin the busiest."""
    table = _table(path, VOLUMES, ("venue", "base"))
    frame = _named(table, "venue", "base", path)
    frame["ms"] = milliseconds_of(table, "ts", path)
    frame["usd"] = 1e6 * floats_of(table, "turnover_musd", path)
    known = frame[frame["usd"] >= 0]
    busiest: pd.DataFrame = known.groupby(["exchange", "coin", "ms"], as_index=False)[["usd"]].max()
    return busiest


def _table(path: Path, columns: Sequence[str], text: tuple[str, ...]) -> pa.Table:
    table = read_table(path, text=text)
    absent = [name for name in columns if name not in table.column_names]
    if absent:
        raise DataError(f"has no column {absent[0]} (needed: {', '.join(columns)})", file=str(path))
    return table


def _named(table: pa.Table, exchange: str, ticker: str, path: Path) -> pd.DataFrame:
    """Exchanges under their ccxt ids, and coins without multipliers: 1000PEPE, kPEPE and PEPE are one."""
    exchanges, of_exchange = names_of(table, exchange, path)
    tickers, of_ticker = names_of(table, ticker, path)
    ids = np.array([checked_exchange(name) for name in exchanges], dtype=object)
    coins = np.array([split_name(name)[0] for name in tickers], dtype=object)
    return pd.DataFrame({"exchange": ids[of_exchange], "coin": coins[of_ticker]})
