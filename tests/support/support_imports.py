"""Files of other programs, made out of raw tables, so that what is imported of them can be compared with the tables."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from support_cli import arb
from support_datasets import bars, settlements, write_raw

HOURS = 60
LEVELS = {"BTC": 30_000.0, "PEPE": 0.00001234}
SCALED = {("binanceusdm", "PEPE"): 1000, ("bybit", "PEPE"): 1000}
NOW = "2024-06-01T00:00Z"
HOUR = 3_600_000
IDENTITY = ["exchange", "symbol", "base", "multiplier"]
Tables = tuple[list[pd.DataFrame], list[pd.DataFrame]]
"""Prices and funding, a table for each coin."""


def raw_tables(exchange: str, *, hours: int = HOURS, every: int = 8) -> Tables:
    """Two coins of an exchange; each number has few enough digits to be written down."""
    prices, funding = [], []
    for number, (base, level) in enumerate(LEVELS.items()):
        rng = np.random.default_rng([number, len(exchange)])
        unit = SCALED.get((exchange, base), 1)
        close = np.array([float(f"{x:.6g}") for x in level * unit * np.exp(np.cumsum(rng.normal(0, 0.003, hours)))])
        table = bars(exchange, base, close, multiplier=unit, volume=60.0 * rng.integers(1, 9, hours))
        # Not the close of the bar before, so that a trade after the hour can be told from one before it.
        table["open"] = [float(f"{x * 1.0007:.6g}") for x in table["open"]]
        top, bottom = np.maximum(table["open"], table["close"]), np.minimum(table["open"], table["close"])
        table["high"], table["low"] = top * 1.01, bottom * 0.99
        prices.append(table)
        rates = {hour: float(f"{rng.normal(0, 1e-4):.3g}") for hour in range(0, hours, every)}
        funding.append(settlements(exchange, base, rates, interval=float(every), multiplier=unit))
    return prices, funding


def ms(times: pd.Series) -> list[int]:
    """Milliseconds since 1970."""
    return [int(each.timestamp() * 1000) for each in times]


def candles(table: pd.DataFrame) -> list[list[float]]:
    """``[ms, open, high, low, close, volume]``."""
    columns = (table[name].tolist() for name in ("open", "high", "low", "close", "volume"))
    return [list(row) for row in zip(ms(table["timestamp"]), *columns, strict=True)]


def rates_of(table: pd.DataFrame, *, jitter: int = 0) -> list[tuple[int, float]]:
    """``(ms, rate)``, each ``jitter`` ms late."""
    return [(t + jitter, r) for t, r in zip(ms(table["settlement_time"]), table["funding_rate"].tolist(), strict=True)]


def marks_at_opens(prices: pd.DataFrame, every: int = 1) -> pd.DataFrame:
    """Mark prices of a table of bars, at the times at which they open."""
    marks = [float(f"{x * 1.0002:.8g}") for x in prices["open"]]
    return prices[IDENTITY].assign(timestamp=prices["timestamp"], mark_price=marks)[::every].reset_index(drop=True)


def marks_at_closes(prices: pd.DataFrame) -> pd.DataFrame:
    """The close of each bar as the mark of the hour at which it ends."""
    times = prices["timestamp"] + pd.Timedelta(hours=1)
    return prices[IDENTITY].assign(timestamp=times, mark_price=prices["close"])


def text(rows: Iterable[Iterable[Any]], head: Iterable[str] | None = None, end: str = "\n") -> bytes:
    """CSV; numbers in all their digits."""
    lines = [] if head is None else [",".join(head)]
    lines += [",".join(cell if isinstance(cell, str) else repr(cell) for cell in row) for row in rows]
    return (end.join(lines) + end).encode()


def zipped(name: str, content: bytes) -> bytes:
    """A zip with one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def write(path: Path, content: bytes) -> None:
    """A file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def minutes_of(row: list[float]) -> Iterator[list[float]]:
    """Sixty bars of a minute that make up one of an hour."""
    time, first, high, low, last, volume = row
    prices = [first, high, low, *[last] * 57]
    for i, price in enumerate(prices):
        before = prices[max(i - 1, 0)]
        yield [time + 60_000 * i, before, max(before, price), min(before, price), price, volume / 60]


# --- a folder of each format ---


def freqtrade_feather(folder: Path, tables: Tables) -> None:
    for prices in tables[0]:
        frame = prices.rename(columns={"timestamp": "date"})[["date", "open", "high", "low", "close", "volume"]]
        frame.to_feather(folder / f"{_pair(prices)}-1h-futures.feather")
    for funding in tables[1]:
        frame = pd.DataFrame({"date": funding["settlement_time"], "open": funding["funding_rate"]})
        for name in ("high", "low", "close", "volume"):
            frame[name] = 0.0
        frame.to_feather(folder / f"{_pair(funding)}-8h-funding_rate.feather")
    for prices in tables[0]:
        marks = marks_at_opens(prices, 8)
        frame = pd.DataFrame({"date": marks["timestamp"], "open": marks["mark_price"]})
        for name in ("high", "low", "close", "volume"):
            frame[name] = 1.0
        frame.to_feather(folder / f"{_pair(prices)}-8h-mark.feather")


def freqtrade_json(folder: Path, tables: Tables) -> None:
    for prices in tables[0]:
        write(folder / f"{_pair(prices)}-1h-futures.json", json.dumps(candles(prices)).encode())
    for funding in tables[1]:
        rows = [[time, rate, 0.0, 0.0, 0.0, 0.0] for time, rate in rates_of(funding, jitter=7)]
        write(folder / f"{_pair(funding)}-8h-funding_rate.json.gz", gzip.compress(json.dumps(rows).encode()))


KLINES = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip


def klines(table: pd.DataFrame, unit: int = 1) -> list[list[Any]]:
    """Rows of a kline file; times in 1 / ``unit`` ms."""
    return [
        [int(t) * unit, o, h, low, c, v, (int(t) + HOUR) * unit - 1, v * c, 12, v / 2, v * c / 2, 0]
        for t, o, h, low, c, v in candles(table)
    ]


def binance_archive(folder: Path, tables: Tables) -> None:
    """The first month with a head and in ms, the rest without and in us; mark prices beside them."""
    for prices in tables[0]:
        name, half = _id(prices), len(prices) // 2
        for month, part, head, unit in (("01", prices[:half], KLINES, 1), ("02", prices[half - 3 :], None, 1000)):
            file = f"{name}-1h-2024-{month}"
            content = zipped(f"{file}.csv", text(klines(part, unit), head))
            write(folder / "klines" / name / "1h" / f"{file}.zip", content)
        values = marks_at_opens(prices)["mark_price"].tolist()
        rows = zip(klines(prices), values, strict=True)
        marks = [[row[0], mark, *row[2:5], 0, *row[6:]] for row, mark in rows]
        write(folder / "markPriceKlines" / name / "1h" / f"{name}-1h-2024-01.zip", zipped("x.csv", text(marks, KLINES)))
    for funding in tables[1]:
        file = f"{_id(funding)}-fundingRate-2024-01"
        hours = funding["interval_hours"].astype(int).tolist()
        rows = [[time, each, rate] for (time, rate), each in zip(rates_of(funding, jitter=11), hours, strict=True)]
        head = ("calc_time", "funding_interval_hours", "last_funding_rate")
        write(folder / "fundingRate" / f"{file}.zip", zipped(f"{file}.csv", text(rows, head)))


def bybit_archive(folder: Path, tables: Tables) -> None:
    """Klines for MetaTrader in UTC+3, and kept answers of v5."""
    for prices in tables[0]:
        rows = [
            [f"{pd.Timestamp(int(row[0]) + 3 * HOUR, unit='ms'):%Y.%m.%d %H:%M}", *row[1:]] for row in candles(prices)
        ]
        path = folder / "kline_for_metatrader4" / f"{_id(prices)}_60_2024-05-01_2024-05-31.csv.gz"
        write(path, gzip.compress(text(rows)))
    _v5_rates(folder, tables)


def bybit_trades(folder: Path, tables: Tables) -> None:
    """Trades of each day, the newest first as in older files."""
    head = ("timestamp", "symbol", "side", "size", "price", "tickDirection", "trdMatchID")
    for prices in tables[0]:
        trades: dict[str, list[list[Any]]] = {}
        for time, *prices_of, volume in candles(prices):
            for i, price in enumerate(prices_of):
                at = int(time) / 1000 + 600 * i + 0.125
                day = f"{pd.Timestamp(at, unit='s'):%Y-%m-%d}"
                trades.setdefault(day, []).append([at, _id(prices), "Buy", volume / 4, price, "PlusTick", f"{at}"])
        for day, rows in trades.items():
            write(folder / f"{_id(prices)}{day}.csv.gz", gzip.compress(text(rows[::-1], head)))
    _v5_rates(folder, tables)


def _v5_rates(folder: Path, tables: Tables) -> None:
    for funding in tables[1]:
        rows = [[_id(funding), rate, time] for time, rate in rates_of(funding)]
        write(folder / f"{_id(funding)}-funding.csv", text(rows, ("symbol", "fundingRate", "fundingRateTimestamp")))


def okx_archive(folder: Path, tables: Tables) -> None:
    """Candles of a minute, and files of the settlements of all swaps, the older one with a Chinese head."""
    head = ("instrument_name", "open", "high", "low", "close", "vol", "vol_ccy", "vol_quote", "open_time", "confirm")
    for prices in tables[0]:
        name = f"{prices['base'][0]}-USDT-SWAP"
        rows = [
            [name, o, h, low, c, v * 100, v, v * c, int(t), 1]
            for row in candles(prices)
            for t, o, h, low, c, v in minutes_of(row)
        ]
        file = f"{name}-candlesticks-2024-05"
        write(folder / f"{file}.zip", zipped(f"{file}.csv", text(rows, head, end="\r\n")))
    every = [(f"{each['base'][0]}-USDT-SWAP", *row) for each in tables[1] for row in rates_of(each)]
    every += [("BTC-USD-SWAP", time, 0.5) for _, time, _ in every[:3]]
    older = [[name, "swap", rate * 2, rate, time] for name, time, rate in every[::2]]
    chinese = "合约/instrument_name,类型/contract_type,资金费率/funding_rate,实际/real_funding_rate,时间/funding_time\n"
    content = chinese.encode("gb18030") + text(older)
    write(folder / "allswaprate-swaprate-2024-05-01.zip", zipped("a.csv", content))
    newer = text(
        [[name, rate, time] for name, time, rate in every[1::2]], ("instrument_name", "funding_rate", "funding_time")
    )
    write(folder / "allswap-fundingrates-2024-05-01.zip", zipped("b.csv", newer))


def ccxt_dump(folder: Path, tables: Tables) -> None:
    """Candles in a file for each contract, one more of which is still running; rates in one file."""
    for prices in tables[0]:
        rows = candles(prices)
        rows.append([rows[-1][0] + HOUR, *rows[-1][1:]])
        write(folder / f"ohlcv_{_pair(prices)}_1h.json", json.dumps(rows).encode())
    every = {
        each["symbol"][0]: [
            {"info": {}, "symbol": each["symbol"][0], "fundingRate": rate, "timestamp": time, "datetime": "x"}
            for time, rate in rates_of(each)
        ]
        for each in tables[1]
    }
    write(folder / "funding_rate_history.json", json.dumps(every).encode())


TARDIS = (
    "exchange", "symbol", "timestamp", "local_timestamp", "funding_timestamp", "funding_rate",
    "predicted_funding_rate", "open_interest", "last_price", "index_price", "mark_price",
)  # fmt: skip


def tardis(folder: Path, tables: Tables) -> None:
    """A day a file: the price carried into an hour, its open, a wick, its close; rates run until they settle."""
    for prices, funding in zip(*tables, strict=True):
        due = sorted(rates_of(funding))
        days: dict[str, list[str]] = {}
        carried = float(prices["open"][0]) * 1.0001
        for time, first, high, _, last, _ in candles(prices):
            for second, price in ((1, carried), (40, first), (1800, high), (3590, last)):
                at = int(time) + 1000 * second
                nearest = next(((t, r) for t, r in due if t > at), None)
                running = ("", "") if nearest is None else (f"{nearest[0]}000", repr(_running(nearest, at)))
                row = [
                    "binance-futures",
                    _id(prices),
                    f"{at}000",
                    f"{at}900",
                    *running,
                    "",
                    "1",
                    repr(price),
                    "",
                    repr(price),
                ]
                days.setdefault(f"{pd.Timestamp(at, unit='ms'):%Y-%m-%d}", []).append(",".join(row))
            carried = last
        before = ["binance-futures", _id(prices), f"{due[0][0] - 5000}000", "0", f"{due[0][0]}000", repr(due[0][1])]
        days["2024-04-30"] = [",".join([*before, "", "1", "", "", ""])]
        for day, lines in days.items():
            content = "\n".join([",".join(TARDIS), *lines, ""]).encode()
            write(folder / f"binance-futures_derivative_ticker_{day}_{_id(prices)}.csv.gz", gzip.compress(content))


def _running(due: tuple[int, float], at: int) -> float:
    """An estimate before the last hour, then the rate."""
    return due[1] if due[0] - at <= 20_000 else due[1] / 3


DESCRIPTIONS = {
    "bars": """
kind: bars
columns: {time: Zeit, symbol: Paar, open: O, high: H, low: L, close: C, volume: USD}
time: {format: "%d.%m.%Y %H:%M:%S", zone: Europe/Berlin, stamp: close}
volume: usd
delimiter: ";"
""",
    "rates": """
kind: settlements
columns: {time: t, symbol: s, funding_rate: r}
time: {format: us}
rate: percent
interval_hours: 8
""",
}


def described_csv(folder: Path, tables: Tables) -> None:
    """Bars in one file, stamped at their end in Berlin, in USD; rates in another, in per cent and microseconds."""
    rows = [
        [
            f"{(pd.Timestamp(int(t) + HOUR, unit='ms', tz='UTC')).tz_convert('Europe/Berlin'):%d.%m.%Y %H:%M:%S}",
            _id(each), o, h, low, c, v * c,
        ]
        for each in tables[0]
        for t, o, h, low, c, v in candles(each)
    ]  # fmt: skip
    content = text(rows, ("Zeit", "Paar", "O", "H", "L", "C", "USD")).replace(b",", b";")
    write(folder / "bars" / "all.csv", content)
    rates = [
        [time * 1000, each["symbol"][0], f"{rate * 100:.12g}"] for each in tables[1] for time, rate in rates_of(each)
    ]
    write(folder / "rates" / "all.csv", text(rates, ("t", "s", "r")))
    for name, said in DESCRIPTIONS.items():
        write(folder / f"{name}.yaml", said.encode())


def _pair(table: pd.DataFrame) -> str:
    return str(table["symbol"][0]).replace("/", "_").replace(":", "_")


def _id(table: pd.DataFrame) -> str:
    return str(table["symbol"][0]).split(":")[0].replace("/", "")


@dataclass(frozen=True)
class Made:
    """How the files of a format are made, whose they are, and the imports of them (arguments after the format)."""

    name: str
    source: str
    exchange: str
    make: Callable[[Path, Tables], None]
    parts: tuple[tuple[str, ...], ...] = ((".",),)
    lacks: tuple[str, ...] = ()
    marks: Callable[[pd.DataFrame], pd.DataFrame] | None = None


MADE = (
    Made("freqtrade feather", "freqtrade", "bybit", freqtrade_feather, marks=lambda prices: marks_at_opens(prices, 8)),
    Made("freqtrade JSON", "freqtrade", "okx", freqtrade_json),
    Made("binance", "binance-archive", "binanceusdm", binance_archive, marks=marks_at_opens),
    Made("bybit", "bybit-archive", "bybit", bybit_archive),
    Made("bybit trades", "bybit-archive", "bybit", bybit_trades),
    Made("okx", "okx-archive", "okx", okx_archive),
    Made("ccxt", "ccxt", "hyperliquid", ccxt_dump),
    Made("tardis", "tardis", "binanceusdm", tardis, lacks=("high", "low", "volume"), marks=marks_at_closes),
    Made(
        "described CSV", "csv", "gate", described_csv,
        parts=(("bars", "--describe", "bars.yaml"), ("rates", "--describe", "rates.yaml")),
    ),
)  # fmt: skip
BY_NAME = {each.name: each for each in MADE}


def tables_of(made: Made) -> Tables:
    """The raw tables that the files of a format say, less what they cannot say."""
    prices, funding = raw_tables(made.exchange)
    return [table.assign(**dict.fromkeys(made.lacks, np.nan)) for table in prices], funding


def make(made: Made, folder: Path) -> Path:
    """The files of a format in a folder of their own."""
    folder.mkdir(parents=True)
    made.make(folder, raw_tables(made.exchange))
    return folder


def import_(made: Made, files: Path, out: Path, *options: str) -> list[int]:
    """Exit codes of the imports of a folder of files."""
    codes = []
    for path, *more in made.parts:
        words = [str(files / word) if word.endswith(".yaml") else word for word in more]
        codes.append(
            arb("data", "import", files / path, "--from", made.source, "--exchange", made.exchange, "--out", out,
                "--now", NOW, *words, *options)
        )  # fmt: skip
    return codes


def write_tables(folder: Path, made: Made) -> Path:
    """What the files of a format say, as a raw folder."""
    tables = tables_of(made)
    write_raw(folder, *tables)
    if made.marks is not None:
        marks = pd.concat([made.marks(prices) for prices in raw_tables(made.exchange)[0]], ignore_index=True)
        marks.to_parquet(folder / "marks_1h.parquet")
    return folder
