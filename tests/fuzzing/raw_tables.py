"""Mutated raw tables through ``arb data build``: refused, or all legs but the touched one are as they were."""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from support_raw import Tables, assert_same_but_for, clean

from adapters.cli import main
from adapters.datasets.load import load_dataset
from engine.market.data import MarketData

NAME = "raw tables"
HOURS = 96
COIN, EXCHANGE = "ETH", "bybit"
TOUCHED = (f"{COIN}USDT", EXCHANGE)
PRICES = ("open", "high", "low", "close")
ABSURD = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, 1e-320, -1e300)
NAMES = (
    "../x", "/etc/x", "..", ".", "", " ", "a/b", "a\\b", ".x", "CON", "x\0y", "x\ny", "\u202ex", "=1+1", "-rf", "~x",
    "\U0001f680", "\u0301", "x" * 41, "x" * 5_000, "币安人生", "ß", "e\u0301", "ETH.", "ETH ", "$(x)", "%2e%2e",
    "\U0001d401\U0001d413",
)  # fmt: skip

Rng = np.random.Generator
Mutation = Callable[[Rng, Tables, Tables], bool]
"""Changes one leg; answers whether whatever of it is still built must be what it was."""


def case(rng: Rng, folder: Path) -> str:
    """One mutated folder of raw tables, built."""
    prices, funding = (dict(tables) for tables in _clean())
    mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
    is_certain = mutation(rng, prices, funding)
    raw, out = folder / "raw", folder / "out"
    raw.mkdir()
    _write(rng, prices, raw / "prices_1h.parquet")
    _write(rng, funding, raw / "funding.parquet")
    if rng.random() < 0.1:
        _spoil_file(rng, raw)
    before = _listing(folder)
    options = ["--strict"] if rng.random() < 0.1 else []
    code, said, complaint = run(["data", "build", str(raw), "--out", str(out), *options])
    made = _listing(folder) - before
    assert all(path.is_relative_to(out) for path in made), f"{mutation.__name__}: written outside: {made}"
    if code == 2:
        assert complaint.startswith("error: "), (mutation.__name__, complaint)
        assert complaint.count("\n") == 1, (mutation.__name__, complaint)
        assert len(complaint) < 1_000, (mutation.__name__, complaint)
        assert not out.exists(), mutation.__name__
        return "refused"
    assert code == 0, (mutation.__name__, code, complaint)
    assert all(line.startswith("warning: ") for line in complaint.splitlines()), (mutation.__name__, complaint)
    built = load_dataset(out, cache=False).market
    assert_same_but_for(built, _reference(), TOUCHED)
    if is_certain:
        _assert_no_other_value(built, _reference(), f"{mutation.__name__}\n{said}")
    return "accepted"


def run(words: list[str]) -> tuple[int, str, str]:
    """Exit code and what the command line said; any other exception is one of the campaign's findings."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


@functools.cache
def _clean() -> tuple[Tables, Tables]:
    return clean(HOURS)


@functools.cache
def _reference() -> MarketData:
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name) / "raw"
        raw.mkdir()
        for tables, file in zip(_clean(), ("prices_1h.parquet", "funding.parquet"), strict=True):
            pd.concat(tables.values(), ignore_index=True).to_parquet(raw / file)
        code, _, complaint = run(["data", "build", str(raw), "--out", str(Path(name) / "out")])
        assert code == 0, complaint
        return load_dataset(Path(name) / "out", cache=False).market


def _listing(folder: Path) -> set[Path]:
    return {*folder.rglob("*"), *folder.parent.glob("*")}


def _assert_no_other_value(built: MarketData, wanted: MarketData, what: str) -> None:
    """Of the touched leg nothing is built that is not in the clean tables: absent, never wrong."""
    if TOUCHED not in {built.leg_name(leg) for leg in range(built.legs)}:
        return
    mine, theirs = built.leg(*TOUCHED), wanted.leg(*TOUCHED)
    begin = int(built.hours[0]) - int(wanted.hours[0])
    for kind in ("price", "fill_price", "funding_rate", "funding_interval_hours"):
        ours, clean_values = getattr(built, kind)[mine], getattr(wanted, kind)[theirs]
        for row in np.flatnonzero(~np.isnan(ours)).tolist():
            assert ours[row] == clean_values[row + begin], f"{kind} of hour {row + begin}: {ours[row]!r}; {what}"


def _write(rng: Rng, tables: Tables, path: Path) -> None:
    """The rows in any order, as parquet."""
    whole = pd.concat(tables.values(), ignore_index=True)
    if rng.random() < 0.3:
        whole = whole.iloc[rng.permutation(len(whole))]
    whole.to_parquet(path)


def _spoil_file(rng: Rng, raw: Path) -> None:
    """A damaged or foreign file."""
    path = raw / ("prices_1h.parquet", "funding.parquet")[int(rng.integers(2))]
    content, kind = path.read_bytes(), int(rng.integers(5))
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(content[: int(rng.integers(len(content)))])
    elif kind == 2:
        path.write_bytes(rng.bytes(int(rng.integers(3_000))))
    elif kind == 3:
        table = pd.read_parquet(path)
        table.drop(columns=table.columns[int(rng.integers(len(table.columns)))]).to_parquet(path)
    else:
        table = pd.read_parquet(path)
        column = "timestamp" if "timestamp" in table else "settlement_time"
        changes: tuple[Callable[[Any], Any], ...] = (
            lambda s: s.dt.tz_localize(None),
            lambda s: s.astype(str),
            lambda s: s.dt.as_unit("ms").astype("int64"),
            lambda s: s.dt.date,
            lambda s: s.dt.as_unit("s").astype("int64").astype(float),
        )
        table[column] = changes[int(rng.integers(len(changes)))](table[column])
        table.to_parquet(path)


# --- mutations of one leg ------------------------------------------------------------------------------------------


def a_name(rng: Rng, prices: Tables, funding: Tables) -> bool:
    column = ("base", "exchange", "symbol")[int(rng.integers(3))]
    name = NAMES[int(rng.integers(len(NAMES)))]
    for tables in (prices, funding) if rng.random() < 0.7 else (prices,):
        tables[COIN, EXCHANGE] = tables[COIN, EXCHANGE].assign(**{column: name})
    return True


def an_empty_name(rng: Rng, prices: Tables, funding: Tables) -> bool:
    tables = prices if rng.random() < 0.5 else funding
    table = tables[COIN, EXCHANGE].copy()
    column = ("base", "exchange", "symbol")[int(rng.integers(3))]
    table.loc[_some(rng, table), column] = None
    tables[COIN, EXCHANGE] = table
    return True


def absurd_values(rng: Rng, prices: Tables, funding: Tables) -> bool:
    is_price = rng.random() < 0.6
    tables = prices if is_price else funding
    columns = (*PRICES, "multiplier") if is_price else ("funding_rate",)
    table = tables[COIN, EXCHANGE].copy()
    column = columns[int(rng.integers(len(columns)))]
    values = ABSURD if is_price else (np.nan, np.inf, -np.inf, 1e300, 0.3, -7.0, 1.0)
    table[column] = table[column].astype(float)
    table.loc[_some(rng, table), column] = values[int(rng.integers(len(values)))]
    tables[COIN, EXCHANGE] = table
    return True


def volumes_and_intervals(rng: Rng, prices: Tables, funding: Tables) -> bool:
    tables, column = ((prices, "volume"), (funding, "interval_hours"))[int(rng.integers(2))]
    table = tables[COIN, EXCHANGE].copy()
    values = (np.nan, np.inf, -1.0, 480.0, 28_800.0, 1e300) if column == "interval_hours" else (np.nan, np.inf, -1.0)
    table.loc[_some(rng, table), column] = values[int(rng.integers(len(values)))]
    tables[COIN, EXCHANGE] = table
    return True


def contradictory_bars(rng: Rng, prices: Tables, _: Tables) -> bool:
    table = prices[COIN, EXCHANGE].copy()
    rows = _some(rng, table)
    column, factor = (("high", 0.5), ("low", 2.0), ("close", 1.5), ("open", 0.6))[int(rng.integers(4))]
    table.loc[rows, column] *= factor
    prices[COIN, EXCHANGE] = table
    return True


def wrong_times(rng: Rng, prices: Tables, funding: Tables) -> bool:
    """Single rows or whole legs far away in time, or off the hour (bars)."""
    tables, column = ((prices, "timestamp"), (funding, "settlement_time"))[int(rng.integers(2))]
    for key, table in tables.items():
        tables[key] = table.assign(**{column: table[column].dt.as_unit("ms")})
    table = tables[COIN, EXCHANGE].copy()
    stamps = table[column].astype("int64").to_numpy().copy()
    rows = np.arange(len(stamps)) if rng.random() < 0.4 else _some(rng, table)
    factors = (1e3, 1e-3, 1e-6, 0.0, -1.0)
    choice = int(rng.integers(len(factors) + (1 if column == "timestamp" else 0)))
    if choice == len(factors):
        stamps[rows] += 30 * 60_000
    else:
        stamps[rows] = (stamps[rows] * factors[choice]).astype("int64")
    table[column] = pd.Series(stamps.astype("datetime64[ms]"), index=table.index).dt.tz_localize("UTC")
    tables[COIN, EXCHANGE] = table
    return True


def late_stamps(rng: Rng, _: Tables, funding: Tables) -> bool:
    table = funding[COIN, EXCHANGE].copy()
    seconds = rng.uniform(-280, 280, len(table))
    table["settlement_time"] = table["settlement_time"] + pd.to_timedelta(seconds, unit="s").as_unit("ms")
    funding[COIN, EXCHANGE] = table
    return True


def nothing_of_it(rng: Rng, prices: Tables, funding: Tables) -> bool:
    kind = int(rng.integers(4))
    if kind == 0:
        del prices[COIN, EXCHANGE]
    elif kind == 1:
        del funding[COIN, EXCHANGE]
    elif kind == 2:
        prices[COIN, EXCHANGE] = prices[COIN, EXCHANGE].iloc[-2:]
        del funding[COIN, EXCHANGE]
    else:
        prices[COIN, EXCHANGE] = prices[COIN, EXCHANGE].iloc[:: int(rng.integers(2, 30))]
        return False  # the 24 h volume has other rows, prices are compared below
    return True


def repeated_rows(rng: Rng, prices: Tables, funding: Tables) -> bool:
    """Copies, some of which say something else."""
    tables, column = ((prices, "close"), (funding, "funding_rate"))[int(rng.integers(2))]
    table = tables[COIN, EXCHANGE]
    again = table.loc[_some(rng, table)].copy()
    if rng.random() < 0.5:
        again[column] *= 1.0001
        if column == "close":
            again["high"] *= 1.01
    tables[COIN, EXCHANGE] = pd.concat([table, again], ignore_index=True)
    return True


def another_level(rng: Rng, prices: Tables, _: Tables) -> bool:
    """Re-denominated from some hour on, or another coin throughout."""
    table = prices[COIN, EXCHANGE].copy()
    begin = 0 if rng.random() < 0.4 else int(rng.integers(10, HOURS - 10))
    power = int(rng.choice([-6, -3, -2, -1, 1, 2, 3, 6]))
    factor = 10.0**power if rng.random() < 0.7 or begin else float(rng.uniform(1.5, 50))
    table.loc[table.index[begin:], list(PRICES)] *= factor
    prices[COIN, EXCHANGE] = table
    return True


def another_contract(rng: Rng, prices: Tables, _: Tables) -> bool:
    """Replaced by a contract of another unit, rightly, with wrong prices, or with both at once for long."""
    at, fits = int(rng.integers(10, HOURS - 10)), rng.random() < 0.5
    overlap = int(rng.choice([0, 5, at]))
    table = prices[COIN, EXCHANGE]
    later = table.iloc[at - overlap :].assign(symbol="1000ETH/USDT:USDT", multiplier=1000)
    if fits:
        for name in PRICES:
            later[name] *= 1000
    prices[COIN, EXCHANGE] = pd.concat([table.iloc[:at], later], ignore_index=True)
    return False  # divided by the multiplier again, the last bit may differ


def rates_in_another_unit(rng: Rng, _: Tables, funding: Tables) -> bool:
    funding[COIN, EXCHANGE] = funding[COIN, EXCHANGE].assign(
        funding_rate=lambda t: t.funding_rate * float(rng.choice([1e4, 1e5]))
    )
    return True


def _some(rng: Rng, table: pd.DataFrame) -> np.ndarray:
    """Index of a few rows, or of many."""
    most = max(1, len(table) // 20) if rng.random() < 0.6 else len(table)
    return rng.choice(table.index.to_numpy(), size=int(rng.integers(1, most + 1)), replace=False)


MUTATIONS: tuple[Mutation, ...] = (
    a_name,
    an_empty_name,
    absurd_values,
    volumes_and_intervals,
    contradictory_bars,
    wrong_times,
    late_stamps,
    nothing_of_it,
    repeated_rows,
    another_level,
    another_contract,
    rates_in_another_unit,
)
