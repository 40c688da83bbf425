"""A market written as a data set: a price history file per coin, ``dataset.yaml``; rules of orders and order books if
known."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.datasets.instruments import rows_of, write_instruments
from adapters.datasets.layout import (
    BOOKS_FILE,
    INFO_FILE,
    INSTRUMENTS_FILE,
    OPPORTUNITIES,
    PRICE_FOLDER,
    REQUIRED_KINDS,
    DatasetInfo,
    read_info,
    write_info,
)
from adapters.datasets.order_books import write_order_books
from adapters.naming.names import LONGEST, file_stem, problem_of, shown
from adapters.naming.symbols import LONGEST_SYMBOL
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import Owned, check_place, unfamiliar
from engine.errors import DataError
from engine.market.data import MarketData, facts_of
from engine.windows import time_of

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


def write_dataset(
    market: MarketData,
    out: Path,
    info: DatasetInfo,
    *,
    replace: bool = False,
    also_write: Callable[[MarketData, Path], object] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write ``market`` to the folder ``out``, whole or not at all; ``load_dataset`` gives back an equal market.

    ``also_write(market, folder)`` adds files before the folder appears. Raises ``UserError`` when ``out`` exists
    (unless it is a data set that was made in the same way, and ``replace``), ``DataError`` when ``info`` does not
    describe the market or the market holds what price history does not: recorded opportunities, live settlement delays.
    """
    made_by = command_of(info)
    refuse_target(out, replace=replace, made_by=made_by)
    _fits(market, info)
    with new_directory(out, instead_of=data_set_of(made_by) if replace else None) as aside:
        folder = aside / PRICE_FOLDER
        folder.mkdir()
        for done, symbol in enumerate(market.symbols, start=1):
            pq.write_table(coin_table(market, symbol), folder / f"{file_stem(symbol)}.parquet", compression="zstd")
            if progress is not None:
                progress("writing coins", done, len(market.symbols))
        write_info(aside, info)
        if market.instruments is not None:
            write_instruments(aside / INSTRUMENTS_FILE, rows_of(market))
        if market.order_books is not None:
            write_order_books(aside / BOOKS_FILE, market)
        if also_write is not None:
            also_write(market, aside)


def refuse_target(out: Path, *, replace: bool, made_by: str) -> None:
    """Raise ``UserError`` unless ``out`` is new, an empty folder, or with ``replace`` a data set made by a command."""
    if replace:
        check_place(out, data_set_of(made_by))
    else:
        check_place(out, otherwise="choose another folder, or --replace a data set")


def data_set_of(made_by: str) -> Owned:
    """What a command wrote that makes data sets: ``dataset.yaml`` names it, and nothing else lies beside the coins."""

    def owned(folder: Path) -> str | None:
        try:
            if not (folder / INFO_FILE).is_file():
                return f"it is not a data set: it has no {INFO_FILE}"
            found = command_of(read_info(folder))
        except DataError as error:
            return str(error)
        if found != made_by:
            return f"{folder / INFO_FILE} does not say that `{made_by}` made it"
        coins = partial(unfamiliar, files=("*.parquet",))
        files = (INFO_FILE, INSTRUMENTS_FILE, BOOKS_FILE, f"{OPPORTUNITIES}.parquet")
        return unfamiliar(folder, files, {PRICE_FOLDER: coins})

    return owned


def command_of(info: DatasetInfo) -> str:
    """The command that made a data set: the first three words of how it was made."""
    return " ".join(re.split(r"[,;]", info.how_made)[0].split()[:3])


def coin_table(market: MarketData, symbol: str) -> pa.Table:
    """Price history of one coin: rows where any exchange knows anything; optional columns only where known."""
    legs = [i for i in range(market.legs) if market.leg_name(i)[0] == symbol]
    columns = {
        f"{market.leg_name(leg)[1]}_{kind}": values[leg]
        for leg in legs
        for kind, values in facts_of(market, np.asarray).items()
        if kind in REQUIRED_KINDS or not np.isnan(values[leg]).all()
    }
    rows = ~np.all([np.isnan(values) for values in columns.values()], axis=0)
    times = pa.array(market.hours[rows] * 3_600_000, pa.timestamp("ms", tz="UTC"))
    # nan becomes null: in the file what is unknown is empty.
    data = {name: pa.array(values[rows], pa.float64(), from_pandas=True) for name, values in columns.items()}
    return pa.table({"timestamp": times, **data})


def _fits(market: MarketData, info: DatasetInfo) -> None:
    if market.funding_known_hour is not None or market.settlement_grace_hours:
        raise DataError("a live recording with settlement delays cannot be written as a data set")
    if market.recorded is not None:
        raise DataError("recorded opportunities cannot be written as price history")
    for names, longest in ((market.symbols, LONGEST_SYMBOL), (market.exchanges, LONGEST)):
        for name in names:
            if (problem := problem_of(name, longest=longest)) is not None:
                raise DataError(f"{shown(name)} cannot be the name of a file or a column: it {problem}")
    span = (time_of(int(market.hours[0])), time_of(int(market.hours[-1])))
    if span != (info.first_hour, info.last_hour):
        raise DataError(f"the market spans {span[0]} to {span[1]}, dataset.yaml would say otherwise")
    if market.exchanges != tuple(sorted(info.exchanges)):
        raise DataError(f"the market has {', '.join(market.exchanges)}, dataset.yaml would say otherwise")
