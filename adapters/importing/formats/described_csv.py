"""Any CSV file, with a YAML file of the user's that says what its columns mean, in which units and which zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from adapters.configuration.settings import read_yaml
from adapters.importing.recordings import BAR_VALUES, BARS, RATE_VALUES, SETTLEMENTS, Recording, VolumeUnit
from adapters.importing.source_files import Source
from adapters.importing.text_tables import (
    STATED_ZONE,
    TextTable,
    read_text_table,
    times_of_numbers,
    times_of_text,
)
from adapters.naming.symbols import contract_in
from adapters.storage.stamps import MINUTE_MS
from adapters.storage.time_columns import EMPTY
from engine.errors import DataError
from engine.market.data import Ints
from engine.settings import Settings, parse_settings

Column = Annotated[str, Field(min_length=1, max_length=200)]
SHIFTS = {"fraction": 0, "percent": -2, "basis_points": -4}
"""By how many digits a rate in that unit is a fraction."""


class Columns(Settings):
    """The heads of the columns that are used; ``symbol`` and ``exchange`` where rows say whose they are."""

    time: Column
    symbol: Column | None = None
    exchange: Column | None = None
    open: Column | None = None
    high: Column | None = None
    low: Column | None = None
    close: Column | None = None
    volume: Column | None = None
    funding_rate: Column | None = None
    interval_hours: Column | None = None


class Times(Settings):
    """How times are written. ``format``: numbers since 1970, or text (``iso`` or as of strptime) in ``zone``."""

    format: str = "iso"
    zone: str | None = None
    stamp: Literal["open", "close"] = "open"
    """Of bars: whether the time is that of their beginning or of their end."""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.zone is not None and self.zone not in available_timezones():
            raise ValueError(f"{self.zone!r} is no time zone; write UTC, Etc/GMT-3 (which is UTC+3) or Europe/Berlin")
        if self.is_number and self.zone not in (None, "UTC"):
            raise ValueError("numbers since 1970 are UTC; leave zone out")
        if not self.is_number and self.format != "iso" and "%" not in self.format:
            raise ValueError(f"{self.format!r} is none of s, ms, us, ns, iso and no pattern such as '%d.%m.%Y %H:%M'")
        if "%" in self.format:
            times_of_text(pa.array(["x"]), self.format, "UTC")
        return self

    @property
    def is_number(self) -> bool:
        """Whether times are numbers since 1970."""
        return self.format in ("s", "ms", "us", "ns")


class Description(Settings):
    """What the file says: bars or settlements, their columns, units and times."""

    kind: Literal["bars", "settlements"]
    columns: Columns
    time: Times
    symbol: str | None = None
    """Of all rows; by default the column, else the name of each file."""
    minutes: Annotated[int, Field(ge=1, le=60)] = 60
    volume: VolumeUnit = "listed"
    rate: Literal["fraction", "percent", "basis_points"] = "fraction"
    interval_hours: Annotated[int, Field(ge=1, le=24)] | None = None
    multiplier: Annotated[int, Field(ge=1, le=10**9)] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        needed = ("open", "close") if self.kind == BARS else ("funding_rate",)
        for name in needed:
            if getattr(self.columns, name) is None:
                raise ValueError(f"{self.kind} need columns.{name}")
        if 60 % self.minutes:
            raise ValueError("minutes must be a part of an hour: 1, 5, 15, 30, 60")
        return self


@dataclass(frozen=True)
class DescribedCsv:
    """CSV as one description says; candles and funding rates are two files, and two imports."""

    description: Description
    origin: str
    name = "csv"
    exchange = None
    files = "CSV files (*.csv, *.csv.gz, *.txt), or zips of them"

    @classmethod
    def of(cls, path: Path) -> DescribedCsv:
        """The format that a YAML file describes. Raises ``SettingsError`` for one that is wrong."""
        return cls(parse_settings(Description, read_yaml(path), origin=str(path)), str(path))

    def wants(self, path: Path) -> bool:
        """Whether its name is that of a CSV file, or of a zip."""
        return path.name.removesuffix(".gz").endswith((".csv", ".txt", ".tsv", ".zip"))

    def read(self, source: Source) -> Iterator[Recording]:
        """See ``Format``."""
        said = self.description
        table = read_text_table(source, delimiter=said.delimiter, has_head=True)
        times, remarks = self._times(table)
        names = BAR_VALUES if said.kind == BARS else RATE_VALUES
        stated = {name: getattr(said.columns, name) for name in names}
        shifts = {"funding_rate": SHIFTS[said.rate]}
        values = {
            name: table.numbers(head.lower(), shift=shifts.get(name, 0))
            for name, head in stated.items()
            if head is not None
        }
        if said.kind == SETTLEMENTS and said.interval_hours is not None:
            values.setdefault("interval_hours", np.full(len(times), float(said.interval_hours)))
        for exchange, symbol, mine in self._owners(table, source):
            own = {name: each[mine] for name, each in values.items()}
            yield Recording(
                said.kind, symbol, source.file, times[mine], own,
                minutes=said.minutes, volume_unit=said.volume, exchange=exchange, multiplier=said.multiplier,
                remarks=(*table.remarks, *remarks),
            )  # fmt: skip

    def _times(self, table: TextTable) -> tuple[Ints, tuple[str, ...]]:
        said, column = self.description.time, self.description.columns.time.lower()
        if said.is_number:
            times, unclear = times_of_numbers(table.numbers(column), [said.format]), 0
        else:
            if column not in table.columns:
                table.text(column)
            if said.zone is None and _is_naive(table, column):
                problem = f"times have no zone ({table.columns[column][0]}); say time.zone in {self.origin}"
                raise DataError(problem, file=table.file)
            pattern = "ISO8601" if said.format == "iso" else said.format
            times, unclear = times_of_text(table.columns[column], pattern, said.zone or "UTC")
        if self.description.kind == BARS and said.stamp == "close":
            times = np.where(times == EMPTY, EMPTY, times - self.description.minutes * MINUTE_MS)
        told = f"{unclear} times lie where clocks of {said.zone} are changed and are left out"
        return times, (told,) if unclear else ()

    def _owners(self, table: TextTable, source: Source) -> Iterator[tuple[str, str, np.ndarray]]:
        """Exchange (empty: not said), symbol, and their rows."""
        columns, rows = self.description.columns, len(next(iter(table.columns.values())))
        symbols = self._symbols(table, source, rows)
        exchanges = np.full(rows, "", object) if columns.exchange is None else table.text(columns.exchange.lower())
        for exchange, symbol in sorted(set(zip(exchanges.tolist(), symbols.tolist(), strict=True))):
            yield exchange, symbol, (exchanges == exchange) & (symbols == symbol)

    def _symbols(self, table: TextTable, source: Source, rows: int) -> np.ndarray:
        if self.description.columns.symbol is not None:
            return table.text(self.description.columns.symbol.lower())
        symbol = self.description.symbol or contract_in(Path(source.name).stem)
        if symbol is None:
            problem = f"does not say of which contract it is; say symbol or columns.symbol in {self.origin}"
            raise DataError(problem, file=source.file)
        return np.full(rows, symbol, object)


def _is_naive(table: TextTable, column: str) -> bool:
    """Whether a time of the column states no zone."""
    return not table.columns[column].to_pandas().str.contains(STATED_ZONE, regex=True).all()
