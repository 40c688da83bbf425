"""``order_books.parquet`` of a data set or a raw folder: order books as seen at whole hours, level by level."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.datasets.findings import hour_text
from adapters.datasets.layout import BOOKS_FILE
from adapters.naming.exchanges import checked_exchange
from adapters.naming.names import shown
from adapters.naming.symbols import symbol_among
from adapters.storage.atomic import replacing_file
from adapters.storage.stamps import HOUR_MS, is_plausible, why_implausible
from adapters.storage.table_files import floats_of, names_of, read_table
from adapters.storage.time_columns import milliseconds_of
from engine.errors import DataError, UserError
from engine.market.data import Ints, MarketData
from engine.market.order_books import SIDES, OrderBooks, SeenBook, problem_in

COLUMNS = ("exchange", "symbol", "timestamp", "side", "price", "quantity")


class RecordedBooks(NamedTuple):
    """The books of a file; the index of a leg is that of its (symbol, exchange) among ``legs``, which are sorted."""

    legs: list[tuple[str, str]]
    books: OrderBooks


def read_order_books(path: Path, symbols: Collection[str] = ()) -> RecordedBooks:
    """The books of a file, whose levels stand from the best outwards; ``symbols`` may be written in another way.

    Raises ``DataError`` for a file that cannot be read, and with coin and hour for a book that cannot be.
    """
    table = read_table(path, text=("exchange", "symbol", "side"))
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise DataError(f"column {missing[0]} is missing; it has {', '.join(table.column_names)}", file=str(path))
    legs, leg = _legs(table, path, symbols)
    side, hour = _sides(table, path), _hours(table, path, [_name(one) for one in legs], leg)
    price, quantity = floats_of(table, "price", path), floats_of(table, "quantity", path)
    # Stable: within a side the levels stay as they stand in the file.
    order = np.lexsort((side, hour, leg))
    leg, hour, side = leg[order], hour[order], side[order]
    begins = np.concatenate([[True], (np.diff(leg) != 0) | (np.diff(hour) != 0)])
    book = np.cumsum(begins) - 1
    counts = np.bincount(2 * book + side, minlength=2 * (int(book[-1]) + 1))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    leg, hour, price, quantity = leg[begins], hour[begins], price[order], quantity[order]
    problem = problem_in(offsets, price, quantity)
    if problem is not None:
        at, what = problem
        when = hour_text(int(hour[at]) * HOUR_MS)
        raise DataError(f"the order book cannot be: {what}", file=str(path), coin=_name(legs[leg[at]]), hour=when)
    return RecordedBooks(legs, OrderBooks(leg, hour, offsets, price, quantity))


def _legs(table: pa.Table, path: Path, symbols: Collection[str]) -> tuple[list[tuple[str, str]], Ints]:
    """The legs of a file, sorted, and for each row the index of its own."""
    (names, coin), (places, place) = (names_of(table, column, path) for column in ("symbol", "exchange"))
    codes, rows = np.unique(coin * len(places) + place, return_inverse=True)
    found = []
    for code in codes.tolist():
        name = names[code // len(places)]
        try:
            found.append((symbol_among(name, symbols), checked_exchange(places[code % len(places)])))
        except UserError as error:
            raise DataError(str(error), file=str(path), coin=shown(name)) from None
    legs = sorted(set(found))
    numbers = np.array([legs.index(one) for one in found], np.int64)
    return legs, numbers[rows]


def _sides(table: pa.Table, path: Path) -> Ints:
    names, side = names_of(table, "side", path)
    for name in names:
        if name not in SIDES:
            raise DataError(f"side is {shown(name)}; write {' or '.join(SIDES)}", file=str(path))
    return np.array([SIDES.index(name) for name in names], np.int64)[side]


def _hours(table: pa.Table, path: Path, names: Sequence[str], leg: Ints) -> Ints:
    """Hour numbers; a book that was seen within an hour would be known too early at its beginning."""
    times = milliseconds_of(table, "timestamp", path, text=False)
    possible, whole = is_plausible(times), times % HOUR_MS == 0
    for fine, why in ((possible, why_implausible), (whole, lambda time: f"is no whole hour ({_exact(time)})")):
        if not fine.all():
            row = int(np.argmin(fine))
            raise DataError(f"timestamp {why(int(times[row]))}", file=str(path), coin=names[leg[row]])
    return np.asarray(times // HOUR_MS, np.int64)


def _exact(milliseconds: int) -> str:
    return f"{np.datetime64(milliseconds, 'ms')}Z"


def _name(leg: tuple[str, str]) -> str:
    return f"{leg[0]} on {leg[1]}"


def with_order_books(market: MarketData, paths: Sequence[Path]) -> tuple[MarketData, tuple[str, ...]]:
    """The market with the books in those of the files that are there, and notes on books of legs or hours it lacks.

    Raises ``DataError`` like ``read_order_books``, and for two files with different books of one leg and hour.
    """
    present = [path for path in paths if path.exists()]
    if not present:
        return market, ()
    legs, books = _together([read_order_books(path, market.symbols) for path in present], present)
    index = {market.leg_name(leg): leg for leg in range(market.legs)}
    notes = []
    if others := [_name(leg) for leg in legs if leg not in index]:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        notes.append(f"{BOOKS_FILE}: not used, since no price of it is here: {others[0]}{more}")
    known: OrderBooks | None = books.of_legs(np.array([leg in index for leg in legs], np.bool_))
    if known is not None:
        # Both are sorted by symbol and exchange, so the order of the books stays.
        numbers = np.array([index[leg] for leg in legs if leg in index], np.int64)
        here = replace(known, leg=numbers[known.leg]).between(int(market.hours[0]), int(market.hours[-1]))
        if outside := len(known) - (0 if here is None else len(here)):
            notes.append(f"{BOOKS_FILE}: {outside} books are not used, since their hours are not in the data")
        known = here
    return replace(market, order_books=known), tuple(notes)


def _together(recorded: Sequence[RecordedBooks], paths: Sequence[Path]) -> RecordedBooks:
    """The books of several files; what two of them say alike is taken once."""
    if len(recorded) == 1:
        return recorded[0]
    legs = sorted({leg for one in recorded for leg in one.legs})
    found: dict[tuple[int, int], SeenBook] = {}
    for one, path in zip(recorded, paths, strict=True):
        for seen in one.books.seen():
            name = one.legs[seen.leg]
            book = seen._replace(leg=legs.index(name))
            if found.setdefault(book[:2], book) != book:
                when = hour_text(book.hour * HOUR_MS)
                raise DataError("two different order books; keep one", file=str(path), coin=_name(name), hour=when)
    books = OrderBooks.of(found.values())
    assert books is not None  # a file without rows is refused
    return RecordedBooks(legs, books)


def write_order_books(path: Path, market: MarketData) -> None:
    """Write the books of a market, whole or not at all; it must have some."""
    books = market.order_books
    assert books is not None
    book, side = np.divmod(books.sides, 2)
    leg = books.leg[book]
    columns = {
        "exchange": _coded(market.leg_exchange[leg], market.exchanges),
        "symbol": _coded(market.leg_symbol[leg], market.symbols),
        "timestamp": pa.array(books.hour[book] * HOUR_MS, pa.timestamp("ms", tz="UTC")),
        "side": _coded(side, SIDES),
        "price": pa.array(books.price),
        "quantity": pa.array(books.quantity),
    }
    with replacing_file(path) as aside:
        pq.write_table(pa.table(columns), aside, compression="zstd")


def _coded(values: Any, names: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(values.astype(np.int32)), pa.array(list(names)))
