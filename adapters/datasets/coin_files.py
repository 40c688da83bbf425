"""One price history file in memory, and the checks that every loaded file must pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.datasets.findings import Finding, hour_text
from adapters.datasets.layout import REQUIRED_KINDS, coin_of_file, split_column
from adapters.gate.limits import MAX_INTERVAL_HOURS, MAX_RATE
from adapters.naming.names import shown
from adapters.storage.stamps import HOUR_MS, is_plausible, why_implausible
from adapters.storage.table_files import floats_of, read_table
from adapters.storage.time_columns import milliseconds_of
from engine.errors import DataError, UserError
from engine.market.data import BAR_EXTREMES, Floats, Ints


@dataclass(frozen=True, eq=False)
class CoinFile:
    """Columns of one coin: ``legs[exchange][kind]`` is ``[rows]``, times are UTC milliseconds."""

    path: Path
    coin: str
    milliseconds: Ints
    legs: dict[str, dict[str, Floats]]
    ignored: tuple[str, ...] = ()
    """Columns of an older file that mean nothing here."""
    left_out: tuple[str, ...] = ()
    """Exchanges of an older file that are no leg, and why."""

    @property
    def hours(self) -> Ints:
        """Hour number of each row."""
        return self.milliseconds // HOUR_MS

    def finding(self, kind: str, message: str, *, row: int | None = None, exchange: str = "") -> Finding:
        """An error at a row of this file."""
        hour = "" if row is None else hour_text(int(self.milliseconds[row]))
        return Finding("error", kind, message, str(self.path), self.coin, exchange, hour)


def read_coin_file(path: Path, *, older: bool) -> CoinFile:
    """Read a price history file without judging its rows.

    ``older`` files have no ``dataset.yaml`` beside them: a 0.0 funding rate there means that nothing settled, foreign
    columns are ignored, and an exchange that lacks a column, or of which all are empty, is not a leg. Raises
    ``DataError`` when the file is unreadable, its times are naive, or its columns are not those of docs/design.md
    section 5.
    """
    table = read_table(path, text=("timestamp",))
    if "timestamp" not in table.column_names:
        raise DataError(f"column timestamp is missing; it has {', '.join(table.column_names)}", file=str(path))
    legs: dict[str, dict[str, Floats]] = {}
    ignored = []
    for column in table.column_names:
        try:
            place = split_column(column)
        except UserError as error:
            raise DataError(f"column {shown(column)}: {error}", file=str(path)) from None
        if place is not None:
            exchange, kind = place
            if kind in legs.setdefault(exchange, {}):
                raise DataError(f"two columns hold {kind} of {exchange} under two of its names", file=str(path))
            legs[exchange][kind] = floats_of(table, column, path)
        elif column != "timestamp":
            ignored.append(column)
    if ignored and not older:
        raise DataError(f"column {ignored[0]} is none of <exchange>_price, _funding_rate, ...", file=str(path))
    left_out: list[str] = []
    if older:
        # Before empty legs are looked for: in these files a column of zeros is one without any settlement.
        settled = {name: _without_zero_rates(leg) for name, leg in legs.items()}
        legs = {name: leg for name, leg in settled.items() if not _is_empty(leg)}
        lacking = {name: kind for name, leg in legs.items() for kind in REQUIRED_KINDS if kind not in leg}
        # When every exchange lacks a column the file is of another kind, and is refused below by name.
        if len(lacking) < len(legs):
            left_out = [f"{name} has no column {name}_{kind}" for name, kind in sorted(lacking.items())]
            legs = {name: leg for name, leg in legs.items() if name not in lacking}
    _has_required_columns(legs, path)
    coin, times = coin_of_file(path), milliseconds_of(table, "timestamp", path)
    return CoinFile(path, coin, times, legs, tuple(ignored), tuple(left_out))


def _is_empty(leg: dict[str, Floats]) -> bool:
    return all(bool(np.isnan(values).all()) for kind, values in leg.items() if kind in REQUIRED_KINDS)


def _without_zero_rates(leg: dict[str, Floats]) -> dict[str, Floats]:
    if "funding_rate" not in leg:
        return leg
    rates = leg["funding_rate"]
    return {**leg, "funding_rate": np.where(rates == 0.0, np.nan, rates)}


def _has_required_columns(legs: dict[str, dict[str, Floats]], path: Path) -> None:
    if not legs:
        raise DataError("has no price of any exchange (column <exchange>_price)", file=str(path))
    for exchange, leg in legs.items():
        for kind in REQUIRED_KINDS:
            if kind not in leg:
                raise DataError(f"column {exchange}_{kind} is missing", file=str(path))


def row_errors(file: CoinFile) -> Iterator[Finding]:
    """Every row that must not be loaded: wrong times first, then impossible values."""
    yield from _time_errors(file)
    for exchange, leg in file.legs.items():
        if np.isnan(leg["price"]).all():
            yield file.finding("no price", "every price is empty", exchange=exchange)
        for kind, values in leg.items():
            for row in np.flatnonzero(~_possible(kind, values)):
                message = f"{kind} is {values[row]:g}, {_EXPECTED[kind]}"
                yield file.finding(f"impossible {kind}", message, row=int(row), exchange=exchange)


def _time_errors(file: CoinFile) -> Iterator[Finding]:
    for row in np.flatnonzero(~is_plausible(file.milliseconds)):
        why = why_implausible(int(file.milliseconds[row]))
        yield file.finding("implausible time", f"timestamp {why}", row=int(row))
    for row in np.flatnonzero(file.milliseconds % HOUR_MS):
        yield file.finding("not a whole hour", "timestamp is not a whole hour", row=int(row))
    steps = np.diff(file.milliseconds)
    for row in np.flatnonzero(steps < 0) + 1:
        before = hour_text(int(file.milliseconds[row - 1]))
        yield file.finding("out of order", f"timestamp is out of order (after {before})", row=int(row))
    for row in np.flatnonzero(steps == 0) + 1:
        yield file.finding("duplicate hour", "timestamp is there twice", row=int(row))


_EXPECTED = {
    "price": "not a positive price",
    "fill_price": "not a positive price",
    "mark_price": "not a positive price",
    "funding_rate": f"beyond +-{MAX_RATE} per settlement; rates are decimal fractions",
    "funding_interval_hours": f"not a whole number of hours from 1 to {MAX_INTERVAL_HOURS}",
    "volume_24h_usd": "not a volume",
    "bid_ask_spread": "not a fraction of the price",
    "depth_usd": "not a depth",
    "high": "not a positive price",
    "low": "not a positive price",
}


def _possible(kind: str, values: Floats) -> NDArray[np.bool_]:
    """Which values can be true; nan is unknown, which is always possible."""
    if kind in ("price", "fill_price", "mark_price", *BAR_EXTREMES):
        good = (values > 0) & np.isfinite(values)
    elif kind == "funding_rate":
        good = np.abs(values) <= MAX_RATE
    elif kind == "funding_interval_hours":
        good = (values >= 1) & (values <= MAX_INTERVAL_HOURS) & (values == np.floor(values))
    elif kind == "bid_ask_spread":
        good = (values >= 0) & (values < 1)
    else:
        good = (values >= 0) & np.isfinite(values)
    return np.asarray(good | np.isnan(values))
