"""Raw tables as exchanges publish them: candles and settlements, checked and brought to one contract unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from adapters.datasets.layout import canonical_exchange
from adapters.gate.limits import MAX_INTERVAL_HOURS, MAX_RATE
from engine.errors import DataError

PRICES_FILE = "prices_1h.parquet"
FUNDING_FILE = "funding.parquet"
PRICE_COLUMNS = ("exchange", "symbol", "base", "multiplier", "timestamp", "open", "high", "low", "close", "volume")
FUNDING_COLUMNS = ("exchange", "symbol", "base", "multiplier", "settlement_time", "funding_rate", "interval_hours")

LEG = ["coin", "exchange"]


def read_bars(path: Path) -> pd.DataFrame:
    """One row per finished hourly bar: coin, exchange, contract, opened_hour, open, close, volume_usd.

    ``opened_hour`` is the hour number of the bar's open; prices are per coin, divided by the multiplier.
    Sorted by leg and hour, unique. Raises ``DataError`` on anything else.
    """
    raw = _read(path, PRICE_COLUMNS)
    times = _utc(raw["timestamp"], path, raw)
    nanoseconds = times.to_numpy("datetime64[ns]").astype(np.int64)
    _refuse(nanoseconds % 3_600_000_000_000 != 0, "the bar does not open at a whole hour", path, raw, times)
    for name in ("open", "high", "low", "close"):
        values = _numbers(raw[name], path)
        _refuse(~(np.isfinite(values) & (values > 0)), f"{name} is not a positive price", path, raw, times)
    volume, close = _numbers(raw["volume"], path), _numbers(raw["close"], path)
    _refuse(~(np.isfinite(volume) & (volume >= 0)), "volume is negative or not a number", path, raw, times)
    multiplier = _multipliers(raw, path, times)
    bars = pd.DataFrame(
        {
            **_identity(raw),
            "opened_hour": nanoseconds // 3_600_000_000_000,
            "open": _numbers(raw["open"], path) / multiplier,
            "close": close / multiplier,
            # The multiplier cancels: contracts times the price of a contract.
            "volume_usd": volume * close,
        }
    )
    bars = _one_contract(bars, ["opened_hour"], ["open", "close"], path)
    return _unique(bars, ["opened_hour"], "two different bars", path)


def read_settlements(path: Path) -> pd.DataFrame:
    """One row per settlement: coin, exchange, contract, row_hour, minute, funding_rate, interval_hours.

    Times are rounded to the nearest minute; ``row_hour`` is the first whole hour at or after that. At most one
    settlement lies in an hour of a leg. Raises ``DataError`` on anything else.
    """
    raw = _read(path, FUNDING_COLUMNS)
    times = _utc(raw["settlement_time"], path, raw)
    rate, interval = _numbers(raw["funding_rate"], path), _numbers(raw["interval_hours"], path)
    _refuse(~(np.abs(rate) <= MAX_RATE), f"funding_rate is not within +-{MAX_RATE}", path, raw, times)
    whole = (interval >= 1) & (interval <= MAX_INTERVAL_HOURS) & (interval == np.floor(interval))
    limits = f"interval_hours is not a whole number from 1 to {MAX_INTERVAL_HOURS}"
    _refuse(~(np.isnan(interval) | whole), limits, path, raw, times)
    _multipliers(raw, path, times)
    minute = times.dt.round("min").to_numpy("datetime64[m]").astype(np.int64)
    settlements = pd.DataFrame(
        {
            **_identity(raw),
            "row_hour": -(-minute // 60),
            "minute": minute,
            "funding_rate": rate,
            "interval_hours": interval,
        }
    )
    settlements = _one_contract(settlements, ["minute"], ["funding_rate"], path)
    settlements = _unique(settlements, ["minute"], "two different settlements", path)
    return _unique(settlements, ["row_hour"], "two settlements within one hour", path)


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.is_file():
        raise DataError("is missing; a raw folder holds prices_1h.parquet and funding.parquet", file=str(path))
    try:
        raw = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"is not a parquet file: {str(error).splitlines()[0]}", file=str(path)) from None
    missing = [name for name in columns if name not in raw.columns]
    if missing:
        raise DataError(
            f"column {', '.join(missing)} is missing; it has {', '.join(map(str, raw.columns))}", file=str(path)
        )
    if raw.empty:
        raise DataError("has no rows", file=str(path))
    if raw[["exchange", "symbol", "base"]].isna().any(axis=None):
        raise DataError("a row has no exchange, symbol or base", file=str(path))
    return raw.reset_index(drop=True)


def _identity(raw: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        "coin": raw["base"].astype(str) + "USDT",
        "exchange": raw["exchange"].astype(str).map(canonical_exchange),
        "contract": raw["symbol"].astype(str),
    }


def _utc(times: pd.Series, path: Path, raw: pd.DataFrame) -> pd.Series:
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        raise DataError(
            f"{times.name} is not a time with a time zone (it is {times.dtype}); store it as UTC", file=str(path)
        )
    if times.isna().any():
        raise DataError(f"{times.name} is empty", file=str(path), coin=str(raw["base"][times.isna()].iloc[0]))
    utc: pd.Series = times.dt.tz_convert("UTC")
    return utc


def _numbers(column: pd.Series, path: Path) -> np.ndarray:
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(f"column {column.name} is not a number", file=str(path)) from None


def _multipliers(raw: pd.DataFrame, path: Path, times: pd.Series) -> np.ndarray:
    values = _numbers(raw["multiplier"], path)
    _refuse(~(np.isfinite(values) & (values > 0)), "multiplier is not positive", path, raw, times)
    return values


def _refuse(bad: np.ndarray, problem: str, path: Path, raw: pd.DataFrame, times: pd.Series) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        place = f"{raw['symbol'].iloc[row]} on {raw['exchange'].iloc[row]}"
        raise DataError(problem, file=str(path), coin=place, hour=f"{times.iloc[row]:%Y-%m-%dT%H:%MZ}")


def _one_contract(table: pd.DataFrame, key: list[str], values: list[str], path: Path) -> pd.DataFrame:
    """Refuse a coin under two contracts of one exchange, unless they say the same throughout."""
    counts = table.groupby(LEG)["contract"].nunique()
    for coin, exchange in counts.index[counts > 1]:
        leg = table[(table["coin"] == coin) & (table["exchange"] == exchange)]
        parts = {str(name): part.sort_values(key) for name, part in leg.groupby("contract")}
        (first_name, first), *others = parts.items()
        for name, part in others:
            same = len(part) == len(first) and (part[key].to_numpy() == first[key].to_numpy()).all()
            if not same or not np.allclose(part[values].to_numpy(), first[values].to_numpy(), rtol=1e-9, atol=0):
                raise DataError(
                    f"{exchange} lists it as {first_name} and as {name} with different data; keep one of them",
                    file=str(path),
                    coin=str(coin),
                )
            table = table.drop(part.index)
    return table


def _unique(table: pd.DataFrame, key: list[str], problem: str, path: Path) -> pd.DataFrame:
    """Drop exact repetitions; refuse rows of one leg and time that differ."""
    table = table.drop_duplicates(ignore_index=True).sort_values([*LEG, *key], ignore_index=True)
    twice = table.duplicated([*LEG, *key])
    if twice.any():
        row = table[twice].iloc[0]
        hours = int(row[key[0]]) // (60 if key[0] == "minute" else 1)
        hour = pd.Timestamp(hours * 3600, unit="s")
        raise DataError(
            f"{problem} on {row['exchange']}", file=str(path), coin=str(row["coin"]), hour=f"{hour:%Y-%m-%dT%H:%MZ}"
        )
    return table
