"""What walking recorded order books costs, beside half their spread and what fills pay without a book.

Run: python benchmarks/walk_cost.py FILE.parquet, with columns timestamp, exchange, ticker, best_bid, best_ask
and bid_slip_1k, ask_slip_1k, ..._10k, ..._100k: mean distance from the mid in bps for so many USD, of each side.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.accounting.order_books import walked
from engine.accounting.tape import Tape, prepare
from engine.market.data import PER_LEG_FLOATS, MarketData
from engine.market.order_books import OrderBooks, SeenBook
from engine.settings import EngineSettings, FeeRow

SIZES = (1_000, 2_500, 10_000, 50_000)
STATED = (1_000.0, 10_000.0, 100_000.0)
NAMES = ("1k", "10k", "100k")
SIDES = {"bid": -1.0, "ask": 1.0}
SMALLEST = 1e-6
"""USD at the best price: the files do not say how much stands there."""


def quotes_of(path: Path) -> pd.DataFrame:
    """The rows with a two-sided book whose stated costs can be: none below half the spread, none falling with size."""
    table = pd.read_parquet(path)
    table = table[table["best_ask"] > table["best_bid"]].copy()
    table["mid"] = (table["best_bid"] + table["best_ask"]) / 2
    table["half"] = 1e4 * (table["best_ask"] / table["mid"] - 1)
    fine = table["half"] < 500
    for side in SIDES:
        columns = [f"{side}_slip_{name}" for name in NAMES]
        costs = table[columns].to_numpy()
        # Stated to hundredths of a basis point.
        fine &= (costs[:, 0] >= table["half"] - 0.02) & np.all(np.diff(costs, axis=1) >= -0.02, axis=1)
    return table[fine].sort_values(["ticker", "exchange", "timestamp"])


def book_of(quote: Any, leg: int, row: int) -> SeenBook:
    """The steepest book that has these mean costs: between two stated sizes all at one price.

    Real levels rise from the lower of two sizes to the higher, so that sizes between them cost this or less.
    """
    levels = {}
    for side, sign in SIDES.items():
        means = np.maximum.accumulate([max(quote.half, getattr(quote, f"{side}_slip_{name}")) for name in NAMES])
        paid = means * STATED
        prices = np.concatenate([[quote.half], np.diff(paid, prepend=0.0) / np.diff(STATED, prepend=0.0)])
        # One level a price: equal ones are a hair apart.
        prices = np.maximum.accumulate(prices) + 1e-6 * np.arange(len(prices))
        sizes = np.concatenate([[SMALLEST], np.diff(STATED, prepend=0.0)])
        levels[side] = [
            (float(quote.mid * (1 + sign * p / 1e4)), float(size / quote.mid))
            for p, size in zip(prices, sizes, strict=True)
        ]
    return SeenBook(leg, row, levels["bid"], levels["ask"])


def tape_of(quotes: pd.DataFrame) -> Tape:
    """A market whose rows are the stamps of the file, so that the kernel itself walks the books."""
    legs = sorted(set(zip(quotes["ticker"], quotes["exchange"], strict=True)))
    rows = np.sort(quotes["timestamp"].unique())
    symbols, exchanges = sorted({s for s, _ in legs}), sorted({e for _, e in legs})
    where = np.searchsorted(rows, quotes["timestamp"].to_numpy())
    leg = [legs.index(name) for name in zip(quotes["ticker"], quotes["exchange"], strict=True)]
    price = np.full((len(legs), len(rows)), np.nan)
    price[leg, where] = quotes["mid"]
    seen = [book_of(*each) for each in zip(quotes.itertuples(), leg, where.tolist(), strict=True)]
    nothing: dict[str, Any] = {name: np.full(price.shape, np.nan) for name in PER_LEG_FLOATS}
    market = MarketData(
        hours=np.arange(len(rows), dtype=np.int64),
        symbols=tuple(symbols),
        exchanges=tuple(exchanges),
        leg_symbol=np.array([symbols.index(s) for s, _ in legs], np.int64),
        leg_exchange=np.array([exchanges.index(e) for _, e in legs], np.int64),
        order_books=OrderBooks.of(seen),
        **nothing | {"price": price},
    )
    fees = {name: (FeeRow(since="2020-01-01", maker=0.0, taker=0.0),) for name in exchanges}  # type: ignore[arg-type]
    return prepare(market, EngineSettings(fees=fees))


def walks(tape: Tape, leg: int, t: int, mid: float) -> list[float]:
    """Of both sides' mean, bps, by size."""
    return [
        1e4 * sum(float(walked(tape.arrays, leg, t, sign, usd / mid)) for sign in SIDES.values()) / 2 for usd in SIZES
    ]


def measured(quotes: pd.DataFrame) -> pd.DataFrame:
    """Each book with what it costs to walk, bps."""
    tape = tape_of(quotes)
    books = tape.market.order_books
    assert books is not None
    rows = []
    for leg, t, mid, bid in zip(books.leg, books.hour, books.mid, books.price[books.offsets[:-1:2]], strict=True):
        symbol, exchange = tape.market.leg_name(int(leg))
        rows.append((exchange, symbol, 1e4 * (1 - bid / mid), *walks(tape, int(leg), int(t), float(mid))))
    return pd.DataFrame(rows, columns=["exchange", "coin", "half", *SIZES])


def shown(table: pd.DataFrame, by: str) -> str:
    """Medians and 95 % quantiles in bps: half the spread, and what each size walks."""
    lines = [f"| {by} | books | half spread | {' | '.join(f'{usd:,} USD' for usd in SIZES)} |", "|---" * 7 + "|"]
    for name, part in [*table.groupby(by), ("all", table)]:
        cells = [f"{part[c].median():.2f} ({part[c].quantile(0.95):.1f})" for c in ("half", *SIZES)]
        lines.append(f"| {name} | {len(part):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def against(table: pd.DataFrame, slippage: float, most: float) -> str:
    """The fill with a book less the one without, which has a quoted spread or none, bps; and what is cut."""
    alone = f"less {slippage:g} bps alone"
    lines = [f"| USD a leg | with book less quoted spread | {alone} | walks above {most:g} bps |", "|---|---|---|---|"]
    for usd in SIZES:
        beyond, whole = table[usd] - table["half"], table[usd]
        cells = [
            f"{one.mean():+.2f}, median {one.median():+.2f}, 95 % {one.quantile(0.95):+.1f}" for one in (beyond, whole)
        ]
        lines.append(f"| {usd:,} | {' | '.join(cells)} | {100 * (table[usd] > most).mean():.1f} % |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    quotes = quotes_of(parser.parse_args().file)
    defaults = EngineSettings()
    table = measured(quotes)
    print(f"{len(table):,} books, {quotes['timestamp'].min()} to {quotes['timestamp'].max()}; bps, median (95 %)\n")
    print(shown(table, "exchange"), shown(table, "coin"), sep="\n\n")
    print()
    print(against(table, defaults.slippage_bps, defaults.max_walk_bps or np.inf))


if __name__ == "__main__":
    main()
