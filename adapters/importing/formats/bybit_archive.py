"""public.bybit.com: klines for MetaTrader and trades of each day; and the answers of its v5 interface kept as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adapters.importing.hourly import bars_of_trades
from adapters.importing.recordings import BAR_VALUES, BARS, SETTLEMENTS, NotUsedError, Recording
from adapters.importing.source_files import Source
from adapters.importing.text_tables import TextTable, read_text_table, times_of_numbers, times_of_text
from adapters.importing.timeframes import usual_minutes
from engine.errors import DataError

KLINES = re.compile(r"(?P<symbol>[A-Z0-9]+)_(?P<minutes>\d+)_\d{4}-\d\d-\d\d_\d{4}-\d\d-\d\d\.csv")
TRADES = re.compile(r"(?P<symbol>[A-Z0-9]+?)\d{4}-\d\d-\d\d\.csv")
SPOT = re.compile(r"[A-Z0-9]+[-_]\d{4}-\d\d(?:-\d\d)?\.csv")
TRADE_ID = "trdmatchid"
COLUMNS = ("time", *BAR_VALUES)
CLOCK = "Etc/GMT-3"
"""The files for MetaTrader are in UTC+3, all year; bybit's page beside them says so. (Etc/GMT counts the other way.)"""
FOLDERS = {"spot": "spot trades", "premium_index": "a premium index", "spot_index": "prices of an index"}
V5_KLINES = ("openprice", "highprice", "lowprice", "closeprice", "volume")


class BybitArchive:
    """Bybit publishes no funding rates as files: those come from ``arb data fetch``, or from kept answers of v5."""

    name, exchange = "bybit-archive", "bybit"
    files = "BTCUSDT_60_2024-01-01_2024-01-31.csv.gz, BTCUSDT2024-01-01.csv.gz, or CSV with the heads of v5 answers"

    def wants(self, path: Path) -> bool:
        """Whether it is a CSV file."""
        return path.name.removesuffix(".gz").endswith(".csv")

    def read(self, source: Source) -> Iterator[Recording]:
        """See ``Format``."""
        other = next((FOLDERS[part] for part in source.path.parts if part in FOLDERS), None)
        if other is not None or SPOT.fullmatch(source.name):
            raise NotUsedError(other or "spot trades")
        if named := KLINES.fullmatch(source.name):
            yield _klines(named["symbol"], int(named["minutes"]), source)
        elif named := TRADES.fullmatch(source.name):
            yield _trades(named["symbol"], source)
        else:
            yield from _answers(source)


def _klines(symbol: str, minutes: int, source: Source) -> Recording:
    if minutes > 60:
        raise NotUsedError(f"candles of {minutes} minutes")
    table = read_text_table(source, [COLUMNS])
    times, _ = times_of_text(table.columns[_first(table)], "%Y.%m.%d %H:%M", CLOCK)
    values = {name: table.numbers(name) for name in BAR_VALUES}
    return Recording(BARS, symbol, source.file, times, values, minutes=minutes, remarks=table.remarks)


def _trades(symbol: str, source: Source) -> Recording:
    table = read_text_table(source)
    if {"timestamp", "symbol", "size", "price"} - set(table.columns):
        raise NotUsedError("a table of something else than trades")
    times = times_of_numbers(table.numbers("timestamp"), ["s", "ms"])
    table.require_whole(times)
    price, size = table.numbers("price"), table.numbers("size")
    wrong = (table.text("symbol") != symbol) | ~(price > 0) | ~(size >= 0)
    # One trade that is wrong makes its hour doubtful.
    if wrong.any():
        problem = f"trade {int(wrong.argmax()) + 1} is not one of {symbol} with a price and a size"
        raise DataError(f"{problem} ({int(wrong.sum()):,} such trades)", file=source.file)
    # Each trade has its own mark; two rows of one are one trade.
    once = np.arange(len(times))
    if TRADE_ID in table.columns:
        once = np.sort(np.unique(table.text(TRADE_ID), return_index=True)[1])
    hours, values = bars_of_trades(times[once], price[once], size[once])
    return Recording(BARS, symbol, source.file, hours, values)


def _answers(source: Source) -> Iterator[Recording]:
    table = read_text_table(source)
    if "fundingratetimestamp" in table.columns:
        times = times_of_numbers(table.numbers("fundingratetimestamp"), ["ms"])
        rates, symbols = table.numbers("fundingrate"), table.text("symbol")
        for symbol in sorted(set(symbols)):
            mine = symbols == symbol
            values = {"funding_rate": rates[mine]}
            yield Recording(SETTLEMENTS, str(symbol), source.file, times[mine], values, remarks=table.remarks)
    elif "starttime" in table.columns:
        times = times_of_numbers(table.numbers("starttime"), ["ms"])
        values = {name: table.numbers(column) for name, column in zip(BAR_VALUES, V5_KLINES, strict=True)}
        symbol, minutes = re.split(r"[-_. ]", source.name)[0], usual_minutes(times)
        # An answer ends with the bar that is running.
        yield Recording(
            BARS, symbol, source.file, times, values, minutes=minutes, last_may_run=True, remarks=table.remarks
        )
    else:
        raise NotUsedError("a table of something else")


def _first(table: TextTable) -> str:
    return next(iter(table.columns))
