"""freqtrade's data folder: ``BTC_USDT_USDT-1h-futures.feather``, ``-8h-funding_rate``, ``-8h-mark``, or as JSON."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from adapters.importing.json_rows import json_of, rows_of
from adapters.importing.recordings import BAR_VALUES, BARS, MARKS, SETTLEMENTS, NotUsedError, Recording
from adapters.importing.source_files import Source
from adapters.importing.text_tables import times_of_numbers
from adapters.importing.timeframes import minutes_of
from adapters.storage.table_files import floats_of
from adapters.storage.time_columns import milliseconds_of
from engine.errors import LONGEST_REASON, DataError, cut
from engine.market.data import Floats, Ints

NAME = re.compile(
    r"(?P<pair>.+?)-(?P<timeframe>\d+[smhdwM])(?:-(?P<kind>[a-zA-Z_]+))?\.(?P<suffix>feather|parquet|json|json\.gz|h5)"
)
OTHERS = {
    None: "spot prices",
    "index": "prices of an index",
    "premiumIndex": "a premium index",
    "trades": "trades",
}
_COLUMNS = ("date", *BAR_VALUES)


class Freqtrade:
    """Candles, mark candles and funding rates. freqtrade keeps a rate in the column ``open`` of its time."""

    name, exchange = "freqtrade", None
    files = "BTC_USDT_USDT-1h-futures.feather, BTC_USDT_USDT-8h-funding_rate.json and the like"

    def wants(self, path: Path) -> bool:
        """Whether the name is one of freqtrade's."""
        return NAME.fullmatch(path.name) is not None

    def read(self, source: Source) -> Iterator[Recording]:
        """See ``Format``."""
        named = NAME.fullmatch(source.path.name)
        if named is None:
            raise NotUsedError("a file of another name than freqtrade's")
        kind, minutes = named["kind"], minutes_of(named["timeframe"])
        if kind not in ("futures", "mark", "funding_rate"):
            raise NotUsedError(OTHERS.get(kind, f"data of the kind {kind}"))
        if kind == "futures" and (minutes is None or minutes > 60):
            raise NotUsedError(f"candles of {named['timeframe']}")
        if named["suffix"] == "h5":
            raise DataError("is HDF5, which arb does not read; freqtrade converts it: convert-data", file=source.file)
        times, values = _json(source) if named["suffix"].startswith("json") else _table(source)
        if kind == "futures":
            yield Recording(BARS, named["pair"], source.file, times, values, minutes=minutes or 60, volume_unit="ccxt")
        elif kind == "funding_rate":
            yield Recording(SETTLEMENTS, named["pair"], source.file, times, {"funding_rate": values["open"]})
        else:
            yield Recording(MARKS, named["pair"], source.file, times, {"mark": values["open"]})


def _json(source: Source) -> tuple[Ints, dict[str, Floats]]:
    rows = rows_of(json_of(source), len(_COLUMNS), source)
    return times_of_numbers(rows[:, 0], ["ms"]), dict(zip(BAR_VALUES, rows[:, 1:].T, strict=True))


def _table(source: Source) -> tuple[Ints, dict[str, Floats]]:
    is_feather = source.path.suffix == ".feather"
    try:
        content = io.BytesIO(source.content)
        table = pyarrow.feather.read_table(content) if is_feather else pq.read_table(content)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        what = "feather" if is_feather else "parquet"
        raise DataError(f"is not {what} as expected: {cut(str(error), LONGEST_REASON)}", file=source.file) from None
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise DataError(f"column {', '.join(missing)} is missing", file=source.file)
    if not table.num_rows:
        raise DataError("has no rows", file=source.file)
    times = milliseconds_of(table, "date", source.path, text=False, empty_allowed=True)
    values = {name: floats_of(table, name, source.path) for name in BAR_VALUES}
    return times, {name: np.where(np.isfinite(each), each, np.nan) for name, each in values.items()}
