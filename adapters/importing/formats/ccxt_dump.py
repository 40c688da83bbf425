"""JSON dumps of ccxt's answers: ``fetch_ohlcv`` (lists of numbers) and ``fetch_funding_rate_history`` (mappings)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adapters.importing.json_rows import json_of, number_of, rows_of
from adapters.importing.recordings import BAR_VALUES, BARS, MARKS, SETTLEMENTS, NotUsedError, Recording
from adapters.importing.source_files import Source
from adapters.importing.text_tables import times_of_numbers
from adapters.importing.timeframes import named_minutes, usual_minutes
from adapters.naming.symbols import contract_in
from engine.errors import DataError, shown

UNITS = ("ms",)
OTHERS = ("index", "premium")


class CcxtDump:
    """A list of rows, or a mapping from symbols to such lists; of candles alone the file's name says the symbol."""

    name, exchange = "ccxt", None
    files = "BTC_USDT_USDT-1h.json with a list of candles, or JSON of funding_rate_history"

    def wants(self, path: Path) -> bool:
        """Whether it is a JSON file."""
        return path.name.removesuffix(".gz").endswith(".json")

    def read(self, source: Source) -> Iterator[Recording]:
        """See ``Format``."""
        value = json_of(source)
        if isinstance(value, Mapping):
            for symbol, rows in value.items():
                # fetch_ohlcv of several timeframes: {symbol: {timeframe: rows}}
                for part in rows.values() if isinstance(rows, Mapping) else [rows]:
                    yield from _of(part, str(symbol), source)
        else:
            yield from _of(value, None, source)


def _of(rows: Any, symbol: str | None, source: Source) -> Iterator[Recording]:
    if not isinstance(rows, list) or not rows:
        raise DataError("holds no rows: lists of candles or of funding rates are expected", file=source.file)
    if symbol is not None:
        _refuse_spot(symbol, source)
    if isinstance(rows[0], Mapping):
        yield from _rates(rows, symbol, source)
    else:
        yield _candles(rows, symbol or _named(source), source)


def _rates(rows: list[Any], symbol: str | None, source: Source) -> Iterator[Recording]:
    settled = [row for row in rows if isinstance(row, Mapping) and "fundingRate" in row]
    if not settled:
        raise NotUsedError("mappings of something else than funding rates")
    by_symbol: dict[str, list[tuple[float, float]]] = {}
    for row in settled:
        name = str(row.get("symbol") or symbol or _named(source))
        _refuse_spot(name, source)
        pair = number_of(row.get("timestamp")), number_of(row.get("fundingRate"))
        by_symbol.setdefault(name, []).append(pair)
    lost = len(rows) - len(settled)
    remarks = (f"{lost} rows are no funding rates and are left out",) if lost else ()
    for name, pairs in by_symbol.items():
        times, rates = np.array(pairs, np.float64).T
        values = {"funding_rate": rates}
        yield Recording(SETTLEMENTS, name, source.file, times_of_numbers(times, UNITS), values, remarks=remarks)


def _candles(rows: list[Any], symbol: str, source: Source) -> Recording:
    if any(word in source.name.lower() for word in OTHERS):
        raise NotUsedError("prices of an index")
    numbers = rows_of(rows, 1 + len(BAR_VALUES), source)
    times = times_of_numbers(numbers[:, 0], UNITS)
    values = dict(zip(BAR_VALUES, numbers[:, 1:].T, strict=True))
    if "mark" in source.name.lower():
        return Recording(MARKS, symbol, source.file, times, {"mark": values["open"]})
    minutes = named_minutes(source.name) or usual_minutes(times)
    if minutes > 60:
        raise NotUsedError(f"candles of {minutes // 60} hours")
    return Recording(BARS, symbol, source.file, times, values, minutes=minutes, volume_unit="ccxt", last_may_run=True)


def _named(source: Source) -> str:
    """The contract that the file is named after. Raises ``DataError`` for none."""
    found = contract_in(source.name.rsplit(".json", 1)[0])
    if found is None:
        problem = "does not say of which contract it is; name it after one, such as BTC_USDT_USDT-1h.json"
        raise DataError(problem, file=source.file)
    return found


def _refuse_spot(symbol: str, source: Source) -> None:
    if "/" in symbol and ":" not in symbol:
        problem = f"{shown(symbol)} is ccxt's name of a spot market; that of a perpetual ends with :USDT or :USDC"
        raise DataError(problem, file=source.file)
