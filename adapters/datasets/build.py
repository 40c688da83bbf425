"""``arb data build``: raw candles and settlements become a data set (docs/design.md section 5).

A bar that opened at ``t - 1h`` is finished at ``t``: its close is ``price(t)``. The bar that opens at ``t`` gives
only its open, as ``fill_price(t)``. So nothing that a strategy may see at ``t`` comes from an unfinished bar.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from adapters.datasets.arrays import market_of
from adapters.datasets.assemble import with_delistings
from adapters.datasets.contracts import LEG
from adapters.datasets.hourly_intervals import hourly_intervals
from adapters.datasets.instruments import with_instruments
from adapters.datasets.layout import BOOKS_FILE, INSTRUMENTS_FILE, DatasetInfo
from adapters.datasets.left_out import LeftOut, Place
from adapters.datasets.order_books import with_order_books
from adapters.datasets.raw_marks import with_marks
from adapters.datasets.raw_notices import read_notices
from adapters.datasets.raw_tables import FUNDING_FILE, PRICES_FILE, hash_of_raw, read_bars, read_settlements
from adapters.datasets.selection import EVERYTHING, Selection
from adapters.datasets.table_findings import leave_out_what_is_certain
from adapters.datasets.unused_rows import settlements_outside, without_frozen
from adapters.datasets.windows import WindowEdges, check_windows, default_windows
from adapters.datasets.write import Progress, refuse_target, write_dataset
from adapters.gate.limits import GateSettings
from adapters.gate.market import gate_market
from adapters.gate.order_books import gate_order_books
from adapters.gate.refusals import lines_of
from adapters.naming.exchanges import is_known, nearest_exchange
from adapters.naming.names import together
from engine.market.data import Floats, Ints, MarketData
from engine.windows import time_of

VOLUME_BARS = 24


def build_dataset(
    raw: Path | Sequence[Path],
    out: Path,
    *,
    name: str,
    source: str,
    windows: WindowEdges | None = None,
    replace: bool = False,
    left: LeftOut | None = None,
    selection: Selection = EVERYTHING,
    gate: GateSettings | None = None,
    also_write: Callable[[MarketData, Path], object] | None = None,
    progress: Progress | None = None,
) -> tuple[DatasetInfo, list[str]]:
    """Build the data set ``out`` from a raw folder or several, whose rows add up, whole or not at all.

    Without ``windows`` the default split is written (none when the data is too short for it). ``also_write`` adds
    files of its own to the folder before it appears. What cannot be used goes to ``left`` (by default nothing may); a
    value that ``gate`` (None: the shipped limits) does not believe is unknown. Returns the content of ``dataset.yaml``
    and warnings: what of the tables is not used, and what is wrong with the windows. Raises ``DataError`` for raw
    tables that cannot be used at all and ``UserError`` for a bad target or bad windows.
    """
    left = left or LeftOut()
    folders = (raw,) if isinstance(raw, Path) else tuple(raw)
    origin = together(folders)
    # Before minutes of reading and not after them.
    refuse_target(out, replace=replace, made_by="arb data build")
    tell = progress or (lambda *_: None)
    tell("reading raw tables", 0, 2)
    bars = read_bars([folder / PRICES_FILE for folder in folders], left, selection)
    tell("reading raw tables", 1, 2)
    settlements = read_settlements([folder / FUNDING_FILE for folder in folders], left, selection)
    tell("reading raw tables", 2, 2)
    bars, settlements, frozen = without_frozen(bars, settlements, origin=origin)
    market = market_from_raw(bars, settlements, origin=origin, left=left)
    # Before the gate, in which a leg of another unit would speak against the right ones.
    market = leave_out_what_is_certain(market, left, origin)
    market = with_marks(market, folders, left, selection)
    market, refusals = gate_market(market, gate or GateSettings())
    notices = read_notices(folders, bars, market, left)
    market = with_delistings(market, notices)
    # Rows of legs that are left out, or were never asked for, say nothing about this data set.
    market, _ = with_instruments(market, [folder / INSTRUMENTS_FILE for folder in folders])
    market, _ = with_order_books(market, [folder / BOOKS_FILE for folder in folders])
    market, of_books = gate_order_books(market, gate or GateSettings())
    first, last = time_of(int(market.hours[0])), time_of(int(market.hours[-1]))
    chosen = default_windows(first, last) if windows is None else windows.over({}, first, last)
    unused = [*frozen, *settlements_outside(bars, settlements), *lines_of((*refusals, *of_books))]
    warnings = [*unused, *check_windows(chosen, first, last)]
    info = DatasetInfo(
        name=name,
        source=source,
        exchanges=market.exchanges,
        first_hour=first,
        last_hour=last,
        # Begins with the command: ``--replace`` gives way only to what the same command made.
        how_made="arb data build; price: close of the bar before the hour, fill_price: open of the bar at it",
        windows=chosen,
        delistings=notices,
        raw_sha256=hash_of_raw(folders),
        frozen_bars_left_out=True,
    )
    write_dataset(market, out, info, replace=replace, also_write=also_write, progress=progress)
    return info, warnings


def market_from_raw(
    bars: pd.DataFrame, settlements: pd.DataFrame, *, origin: str, left: LeftOut | None = None
) -> MarketData:
    """Market of checked raw tables (see ``raw_tables``); spans the first bar's open to the last bar's close.

    Settlements outside that span have no price beside them and are left out (``settlements_outside`` tells of them).
    Intervals are those of every hour (``hourly_intervals``). A leg that has settlements but no bars, or bars but no
    settlements, is left out (without ``left`` it is a ``DataError``).
    """
    left = left or LeftOut()
    names = _legs(bars, settlements, origin, left)
    for line in _about_names(names):
        left.note(line)
    index = pd.MultiIndex.from_frame(names)
    bars, settlements = (table[pd.MultiIndex.from_frame(table[LEG]).isin(index)] for table in (bars, settlements))
    start, end = int(bars["opened_hour"].min()), int(bars["opened_hour"].max()) + 1
    hours = np.arange(start, end + 1, dtype=np.int64)
    shape = (len(names), len(hours))

    bar_leg, opened = _leg_codes(bars, index), bars["opened_hour"].to_numpy(np.int64) - start
    settlements = settlements[settlements["row_hour"].between(start, end)]
    paid_leg, paid = _leg_codes(settlements, index), settlements["row_hour"].to_numpy(np.int64) - start
    symbols, exchanges = sorted(set(names["coin"])), sorted(set(names["exchange"]))
    kinds: dict[str, Floats] = {
        "price": _scatter(shape, bar_leg, opened + 1, bars["close"]),
        "fill_price": _scatter(shape, bar_leg, opened, bars["open"]),
        "high": _scatter(shape, bar_leg, opened, bars["high"]),
        "low": _scatter(shape, bar_leg, opened, bars["low"]),
        "funding_rate": _scatter(shape, paid_leg, paid, settlements["funding_rate"]),
        "funding_interval_hours": _scatter(shape, paid_leg, paid, settlements["interval_hours"]),
        "volume_24h_usd": trailing_sum(_scatter(shape, bar_leg, opened + 1, bars["volume_usd"]), VOLUME_BARS),
    }
    kinds["funding_interval_hours"] = hourly_intervals(kinds["funding_rate"], kinds["funding_interval_hours"])
    leg_symbol = np.array([symbols.index(coin) for coin in names["coin"]], np.int64)
    leg_exchange = np.array([exchanges.index(exchange) for exchange in names["exchange"]], np.int64)
    return market_of(kinds, hours=hours, legs=(leg_symbol, leg_exchange), symbols=symbols, exchanges=exchanges)


def trailing_sum(values: Floats, length: int) -> Floats:
    """Sum of the known values of the last ``length`` columns; nan where none is known.

    Each window is summed on its own: a running sum would carry rounding of the whole past along.
    """
    padded = np.concatenate([np.full((values.shape[0], length - 1), np.nan), values], axis=1)
    total, known = np.zeros_like(values), np.zeros(values.shape, np.bool_)
    for shift in range(length):
        part = padded[:, shift : shift + values.shape[1]]
        total += np.nan_to_num(part, nan=0.0)
        known |= ~np.isnan(part)
    return np.where(known, total, np.nan)


def _legs(bars: pd.DataFrame, settlements: pd.DataFrame, origin: str, left: LeftOut) -> pd.DataFrame:
    """Every (coin, exchange) that has both bars and settlements and is not left out, sorted."""
    priced, paying = (
        {(str(coin), str(exchange)) for coin, exchange in table[LEG].drop_duplicates().itertuples(index=False)}
        for table in (bars, settlements)
    )
    for lacking, what in ((paying - priced, "no bars"), (priced - paying, "no settlements")):
        for leg in sorted(lacking):
            left.leg(leg, f"{leg[1]} has {what} of it", Place(origin))
    legs = sorted((priced & paying) - left.legs)
    left.refuse_nothing_left(len(legs), origin)
    return pd.DataFrame(legs, columns=LEG)


def _about_names(legs: pd.DataFrame) -> Iterator[str]:
    """Lines on names that may be mistakes."""
    for exchange in sorted(set(legs["exchange"])):
        if not is_known(exchange):
            near = nearest_exchange(exchange)
            yield f"note: {exchange} is none of arb's exchanges (nearest: {near}); its fees must stand in a --config"
    by_capitals: dict[str, list[str]] = defaultdict(list)
    for coin in sorted(set(legs["coin"])):
        by_capitals[coin.casefold()].append(coin)
    for coins in by_capitals.values():
        if len(coins) > 1:
            yield f"note: {' and '.join(coins)} differ by case only: they are kept as different coins"


def _leg_codes(table: pd.DataFrame, index: pd.MultiIndex) -> Ints:
    return np.asarray(index.get_indexer(pd.MultiIndex.from_frame(table[LEG])), np.int64)


def _scatter(shape: tuple[int, int], legs: Ints, columns: Ints, values: pd.Series) -> Floats:
    target = np.full(shape, np.nan)
    target[legs, columns] = values.to_numpy(np.float64)
    return target
