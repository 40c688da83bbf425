"""data.binance.vision: zips of klines, mark price klines and funding rates, with and without heads, in ms or us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adapters.importing.recordings import BAR_VALUES, BARS, MARKS, SETTLEMENTS, NotUsedError, Recording
from adapters.importing.source_files import Source
from adapters.importing.text_tables import TextTable, read_text_table, times_of_numbers
from adapters.importing.timeframes import minutes_of
from engine.errors import DataError

KLINES = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
RATES = ("calc_time", "funding_interval_hours", "last_funding_rate")
NAME = re.compile(r"(?P<symbol>.+?)-(?P<kind>\d+(?:mo|[smhdw])|fundingRate)-\d{4}-\d\d(?:-\d\d)?\.(?:csv|zip)")
FOLDERS = {"indexPriceKlines": "prices of an index", "premiumIndexKlines": "a premium index", "spot": "spot prices"}
MARK_FOLDER = "markPriceKlines"
UNITS = ("ms", "us")  # spot files since 2025 have microseconds
FEWEST_BARS = 6


class BinanceArchive:
    """Klines of trades and of mark prices have the same names: the folders that they lie in tell them apart."""

    name, exchange = "binance-archive", "binanceusdm"
    files = "BTCUSDT-1h-2024-01.zip, BTCUSDT-fundingRate-2024-01.zip and the like, or the CSV files in them"

    def wants(self, path: Path) -> bool:
        """Whether the name is one of the archive's."""
        return NAME.fullmatch(path.name) is not None

    def read(self, source: Source) -> Iterator[Recording]:
        """See ``Format``."""
        named = NAME.fullmatch(source.name) or NAME.fullmatch(source.path.name)
        if named is None:
            raise NotUsedError("a file of another name than the archive's")
        if (other := next((FOLDERS[part] for part in source.path.parts if part in FOLDERS), None)) is not None:
            raise NotUsedError(other)
        if named["kind"] == "fundingRate":
            yield _rates(named["symbol"], source)
            return
        minutes = minutes_of(named["kind"])
        if minutes is None or minutes > 60:
            raise NotUsedError(f"candles of {named['kind']}")
        table = read_text_table(source, [KLINES])
        times = times_of_numbers(table.numbers("open_time"), UNITS)
        if MARK_FOLDER in source.path.parts:
            marks = {"mark": table.numbers("open")}
            yield Recording(MARKS, named["symbol"], source.file, times, marks, remarks=table.remarks)
            return
        _refuse_marks(table)
        values = {name: table.numbers(name) for name in BAR_VALUES}
        yield Recording(BARS, named["symbol"], source.file, times, values, minutes=minutes, remarks=table.remarks)


def _rates(symbol: str, source: Source) -> Recording:
    table = read_text_table(source, [RATES])
    times = times_of_numbers(table.numbers("calc_time", "fundingtime"), UNITS)
    rates = {"funding_rate": table.numbers("last_funding_rate", "fundingrate")}
    hours = table.numbers_if_any("funding_interval_hours")
    stated = {} if hours is None else {"interval_hours": hours}
    return Recording(SETTLEMENTS, symbol, source.file, times, rates | stated, remarks=table.remarks)


def _refuse_marks(table: TextTable) -> None:
    """Prices that move while nothing is traded are no prices of trades."""
    close, volume = table.numbers("close"), table.numbers("volume")
    if len(close) >= FEWEST_BARS and (volume == 0).all() and len(np.unique(close)) > 1:
        problem = f"has prices without any volume: mark or index prices; mark prices belong in a folder {MARK_FOLDER}"
        raise DataError(problem, file=table.file)
