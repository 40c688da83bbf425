"""okx's historical data: zips of one-minute candles and of settled funding rates, each row with its instrument."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adapters.importing.recordings import BARS, SETTLEMENTS, NotUsedError, Recording
from adapters.importing.source_files import Source
from adapters.importing.text_tables import TextTable, read_text_table, times_of_numbers
from adapters.importing.timeframes import usual_minutes

CANDLES = (
    "instrument_name", "open", "high", "low", "close", "vol", "vol_ccy", "vol_quote", "open_time", "confirm",
)  # fmt: skip
RATES = ("instrument_name", "funding_rate", "funding_time")
OLDER_RATES = ("instrument_name", "contract_type", "funding_rate", "real_funding_rate", "funding_time")
NAME = re.compile(r".*(?:candlesticks|fundingrates?|swaprate).*\.(?:csv|csv\.gz|zip)")
LINEAR = ("-USDT-SWAP", "-USDC-SWAP")
"""Ends of the names of linear perpetuals; a file of all swaps holds inverse ones too, which are not wanted."""


class OkxArchive:
    """The columns of a file tell what it holds, and its rows of which instrument."""

    name, exchange = "okx-archive", "okx"
    files = (
        "BTC-USDT-SWAP-candlesticks-2024-01.zip, allswap-fundingrates-2024-01-02.zip and the like, or the CSV in them"
    )

    def wants(self, path: Path) -> bool:
        """Whether its name says candles or funding rates."""
        return NAME.fullmatch(path.name) is not None

    def read(self, source: Source) -> Iterator[Recording]:
        """See ``Format``."""
        table = _usual_names(read_text_table(source, [CANDLES, OLDER_RATES, RATES]))
        if "funding_time" in table.columns:
            kind, time = SETTLEMENTS, "funding_time"
            # Of the older files the first rate is the one that was announced, the second the one that was paid.
            values = {"funding_rate": table.numbers("real_funding_rate", "funding_rate")}
        elif {"instrument_name", "open_time", "close"} <= set(table.columns):
            kind, time = BARS, "open_time"
            values = {name: table.numbers(name) for name in ("open", "high", "low", "close")}
            # Coins; ``vol`` counts contracts.
            values["volume"] = table.numbers("vol_ccy")
        else:
            raise NotUsedError("a table of something else than candles and funding rates")
        times, instruments = times_of_numbers(table.numbers(time), ["ms"]), table.text("instrument_name")
        confirmed = table.numbers_if_any("confirm") if kind == BARS else None
        kept = np.ones(len(times), np.bool_) if confirmed is None else confirmed != 0
        perpetuals = sorted(name for name in set(instruments) if str(name).upper().endswith(LINEAR))
        if not perpetuals:
            raise NotUsedError("no linear perpetual (their names end with -USDT-SWAP)")
        for name in perpetuals:
            mine = (instruments == name) & kept
            minutes = usual_minutes(times[mine]) if kind == BARS else 60
            own = {column: each[mine] for column, each in values.items()}
            yield Recording(kind, str(name), source.file, times[mine], own, minutes=minutes, remarks=table.remarks)


def _usual_names(table: TextTable) -> TextTable:
    """Heads of older files are Chinese with the English word behind a stroke, or are not readable at all."""
    names = [name.split("/")[-1].replace("instid", "instrument_name") for name in table.columns]
    if "funding_time" not in names and "open_time" not in names and len(names) == len(OLDER_RATES):
        names = list(OLDER_RATES)
    return TextTable(table.file, dict(zip(names, table.columns.values(), strict=True)), table.has_head, table.remarks)
