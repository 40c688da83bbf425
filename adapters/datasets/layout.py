"""What a data set looks like on disk (docs/design.md section 5): names of files and columns, and ``dataset.yaml``."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, model_validator

from adapters.configuration.yaml_text import NotYamlError, read_yaml_file
from adapters.naming.exchanges import canonical_exchange, checked_exchange
from adapters.naming.names import name_of_stem, problem_of, shown
from adapters.naming.symbols import LONGEST_SYMBOL
from adapters.storage.atomic import replacing_file
from engine.errors import DataError, SettingsError
from engine.market.data import BAR_EXTREMES, PER_LEG_FLOATS
from engine.settings import Settings, parse_settings

INFO_FILE = "dataset.yaml"
PRICE_FOLDER = "price_history"
OPPORTUNITIES = "opportunities"
INSTRUMENTS_FILE = "instruments.parquet"
BOOKS_FILE = "order_books.parquet"
SYNTHETIC = "SYNTHETIC"
"""How the source of a data set begins that was recorded from no exchange."""
SUFFIXES = (".parquet", ".csv")

KINDS = (*PER_LEG_FLOATS, *BAR_EXTREMES)
"""Kinds of per-exchange columns; the column of a kind is ``<exchange>_<kind>``."""
REQUIRED_KINDS = ("price", "funding_rate")

OPPORTUNITY_KEYS = ("entry_time", "symbol", "long_exchange", "short_exchange")
OPPORTUNITY_FEATURES = (
    "long_funding_rate",
    "short_funding_rate",
    "long_funding_interval_hours",
    "short_funding_interval_hours",
    "fund_profit_8h",
    "fundProfit8h24hProj",
    "fundProfit8h3dProj",
    "fund_apr",
    "fundApr24hProj",
    "fundApr3dProj",
    "spread30SampleAvg",
    "priceSpread24hAvg",
    "priceSpread3dAvg",
    "spread_volatility_stddev",
    "volume_24h",
    "bidAskSpreadPercent",
    "orderbookDepthUsd",
    "estimatedProfitPercentage",
    "positionCostPercent",
)
"""Recorded opportunity columns that are features. Recorded entry prices and next funding times are not used."""


def split_column(column: str) -> tuple[str, str] | None:
    """(exchange, kind) of a price history column, or None if it is not one.

    Raises ``UserError`` when it is one of an exchange whose name breaks the rule for names.
    """
    # Longest first: ``x_fill_price`` also ends with ``_price``, of an exchange ``x_fill`` that is none.
    for kind in sorted(KINDS, key=len, reverse=True):
        if column.endswith("_" + kind) and len(column) > len(kind) + 1:
            return checked_exchange(column[: -len(kind) - 1]), kind
    return None


def coin_of_file(path: Path) -> str:
    """The symbol that a price history file is of. Raises ``DataError`` when its name breaks the rule for names."""
    symbol = name_of_stem(path.stem)
    problem = problem_of(symbol, longest=LONGEST_SYMBOL)
    if problem is not None:
        raise DataError(f"is named after the coin {shown(symbol)}, which {problem}", file=str(path))
    return symbol


def coin_paths(folder: Path) -> list[Path]:
    """The price history files of a folder, by coin. Raises ``DataError`` for none, or two of one coin."""
    if not folder.is_dir():
        raise DataError("is missing; a price history is a folder with one file per coin", file=str(folder))
    paths = [path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith(".")]
    # By coin and not by file name: two files of one coin must come side by side to be found below.
    paths.sort(key=lambda path: name_of_stem(path.stem))
    if not paths:
        raise DataError("holds no parquet or CSV file", file=str(folder))
    for path, following in pairwise(paths):
        if name_of_stem(path.stem) == name_of_stem(following.stem):
            raise DataError(f"{path.name} and {following.name} are the same coin; keep one", file=str(folder))
    return paths


def opportunities_path(dataset: Path) -> Path | None:
    """The opportunities file of a data set, if it has one. Raises ``DataError`` for two."""
    found = [path for suffix in SUFFIXES if (path := dataset / f"{OPPORTUNITIES}{suffix}").exists()]
    if len(found) > 1:
        raise DataError(f"holds {found[0].name} and {found[1].name}; keep one", file=str(dataset))
    return found[0] if found else None


def _whole_hour(time: datetime) -> datetime:
    time = time.astimezone(UTC)
    if time.minute or time.second or time.microsecond:
        raise ValueError("must be a whole hour")
    return time


Hour = Annotated[AwareDatetime, AfterValidator(_whole_hour)]


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds line breaks or control characters")
    return text


OneLine = Annotated[str, AfterValidator(_one_line)]
ExchangeName = Annotated[str, AfterValidator(canonical_exchange)]
WindowName = Literal["train", "validation", "test"]


class NamedWindow(Settings):
    """The edges of a window as a data set's file names them, both included; ``engine.windows`` has the span itself."""

    model_config = ConfigDict(populate_by_name=True)

    start: Hour = Field(alias="from")
    end: Hour = Field(alias="to")

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> Self:
        if self.start >= self.end:
            raise ValueError("a window must start before it ends")
        return self


class Delisting(Settings):
    """A dated notice: trading of a symbol on an exchange ends at ``time``; published at ``known_at``."""

    exchange: ExchangeName
    symbol: str
    time: Hour
    known_at: Hour


class DatasetInfo(Settings):
    """Content of ``dataset.yaml``."""

    name: OneLine
    source: str
    exchanges: tuple[ExchangeName, ...]
    first_hour: Hour
    last_hour: Hour
    how_made: str
    windows: dict[WindowName, NamedWindow] = Field(default_factory=dict)
    delistings: tuple[Delisting, ...] = ()
    raw_sha256: str = ""
    """Of all raw tables that it was made from; empty where none were."""
    frozen_bars_left_out: bool = False
    """Whether the bars that it was made from were searched for frozen ones; else loading judges by hourly prices."""

    @property
    def is_synthetic(self) -> bool:
        """Whether its source says that a generator made it and no exchange."""
        return self.source.startswith(SYNTHETIC)

    @model_validator(mode="after")
    def _spans_time(self) -> Self:
        if self.first_hour > self.last_hour:
            raise ValueError("first_hour is after last_hour")
        if len(set(self.exchanges)) != len(self.exchanges):
            raise ValueError("an exchange is listed twice")
        return self


def read_info(dataset: Path) -> DatasetInfo:
    """Parse ``dataset.yaml``. Raises ``DataError`` when it is missing or wrong."""
    path = dataset / INFO_FILE
    try:
        values: Any = read_yaml_file(path)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except NotYamlError as error:
        raise DataError(f"is not YAML: {error}", file=str(path)) from None
    if not isinstance(values, dict):
        raise DataError("must be a mapping with name, source, exchanges, first_hour, last_hour", file=str(path))
    try:
        return parse_settings(DatasetInfo, values, origin=str(path))
    except SettingsError as error:
        raise DataError(str(error)) from None


def write_info(dataset: Path, info: DatasetInfo) -> None:
    """Write ``dataset.yaml``, whole or not at all."""
    values = info.model_dump(mode="json", by_alias=True)
    for name in ("delistings", "raw_sha256", "frozen_bars_left_out"):
        if not values[name]:
            del values[name]
    with replacing_file(dataset / INFO_FILE) as aside:
        aside.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
