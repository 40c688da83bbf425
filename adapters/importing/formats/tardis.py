"""Tardis' ``derivative_ticker``: every change of funding rate, last price and mark price, in microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adapters.importing.hourly import bars_of_last_prices, rates_of_ticker
from adapters.importing.recordings import BARS, MARKS, SETTLEMENTS, NotUsedError, Recording
from adapters.importing.source_files import Source
from adapters.importing.text_tables import read_text_table, times_of_numbers
from adapters.storage.stamps import HOUR_MS, settled_at
from adapters.storage.time_columns import EMPTY
from engine.market.data import Floats, Ints

NEEDED = frozenset({"exchange", "symbol", "timestamp", "funding_timestamp", "funding_rate", "last_price", "mark_price"})
REMARK = "rates are the last that the ticker showed for each settlement; bars have no high, low and volume"


class Tardis:
    """Recordings of tickers: hours that they do not cover from end to end are no bars."""

    name, exchange = "tardis", None
    files = "binance-futures_derivative_ticker_2024-01-01_BTCUSDT.csv.gz and the like"

    def wants(self, path: Path) -> bool:
        """Whether it is a CSV file that its own name, or that of a folder, calls so."""
        return path.name.removesuffix(".gz").endswith(".csv") and "derivative_ticker" in str(path)

    def read(self, source: Source) -> Iterator[Recording]:
        """See ``Format``."""
        table = read_text_table(source)
        if not set(table.columns) >= NEEDED:
            raise NotUsedError("a table of something else than derivative_ticker")
        times = times_of_numbers(table.numbers("timestamp"), ["us"])
        table.require_whole(times)
        due = times_of_numbers(table.numbers("funding_timestamp"), ["us"])
        rate, last, mark = (table.numbers(name) for name in ("funding_rate", "last_price", "mark_price"))
        exchanges, symbols = table.text("exchange"), table.text("symbol")
        for exchange, symbol in sorted(set(zip(exchanges.tolist(), symbols.tolist(), strict=True))):
            order = np.flatnonzero((exchanges == exchange) & (symbols == symbol))
            order = order[np.argsort(times[order], kind="stable")]
            for kind, moments, values in _of(times[order], due[order], rate[order], last[order], mark[order]):
                yield Recording(kind, symbol, source.file, moments, values, exchange=exchange, remarks=(REMARK,))


def _of(
    times: Ints, due: Ints, rate: Floats, last: Floats, mark: Floats
) -> Iterator[tuple[str, Ints, dict[str, Floats]]]:
    """Kind, times and values of the rows of one contract, which are in the order of time."""
    priced = last > 0
    if priced.any():
        yield BARS, *bars_of_last_prices(times[priced], last[priced])
    paid = (due != EMPTY) & ~np.isnan(rate)
    if paid.any():
        moments, rates = rates_of_ticker(times[paid], settled_at(due[paid]), rate[paid])
        yield SETTLEMENTS, moments, {"funding_rate": rates}
    marked = mark > 0
    if marked.any():
        # The last one at or before each whole hour.
        hours = -(-times[marked] // HOUR_MS)
        final = np.append(hours[1:] != hours[:-1], True)
        yield MARKS, hours[final] * HOUR_MS, {"mark": mark[marked][final]}
