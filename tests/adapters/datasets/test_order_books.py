"""``order_books.parquet``: what is written comes back, what cannot be is refused, and where it is carried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_datasets import FIRST, assert_same_market, info_of, raw_pair, small_market, stamp

from adapters.datasets.build import build_dataset
from adapters.datasets.inspect import inspect_dataset
from adapters.datasets.load import load_dataset
from adapters.datasets.order_books import read_order_books, with_order_books, write_order_books
from adapters.datasets.validate import validate
from adapters.datasets.write import write_dataset
from adapters.gate.limits import GateSettings
from adapters.gate.order_books import gate_order_books
from engine.errors import DataError
from engine.market.data import MarketData, with_legs
from engine.market.order_books import ORDER_BOOK_ARRAYS, OrderBooks, SeenBook
from engine.market.outages import Outage, silenced

Levels = list[tuple[str, float, float]]
BOOK: Levels = [("bid", 99.9, 3.0), ("bid", 99.8, 4.0), ("ask", 100.1, 1.0), ("ask", 100.2, 2.0), ("ask", 100.4, 9.0)]
LEG = {"exchange": "bybit", "symbol": "BTCUSDT"}


def rows(levels: Levels = BOOK, hour: int = 3, **changes: Any) -> list[dict[str, Any]]:
    given = LEG | {"timestamp": stamp(hour)} | changes
    return [{**given, "side": side, "price": price, "quantity": quantity} for side, price, quantity in levels]


def table(folder: Path, *books: list[dict[str, Any]]) -> Path:
    path = folder / "order_books.parquet"
    pd.DataFrame([row for book in books for row in book]).to_parquet(path, index=False)
    return path


def with_books(folder: Path, *books: list[dict[str, Any]], market: MarketData | None = None) -> MarketData:
    return with_order_books(market or small_market(), [table(folder, *books)])[0]


def same_books(one: OrderBooks | None, two: OrderBooks | None) -> bool:
    assert one is not None
    assert two is not None
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ORDER_BOOK_ARRAYS)


def test_books_are_sorted_by_leg_and_hour_whatever_lies_between_their_levels(tmp_path: Path) -> None:
    mixed = [*rows(hour=5), *rows(exchange="binance", symbol="btc"), *rows()]
    order = [*range(0, len(mixed), 2), *range(1, len(mixed), 2)]
    # The levels of one side stay in the order of the file, all else may be anywhere.
    order.sort(key=lambda i: (mixed[i]["side"], i % 7))
    stable = sorted(order, key=lambda i: (mixed[i]["side"] == "bid", i))
    legs, books = read_order_books(table(tmp_path, [mixed[i] for i in stable]), ("BTCUSDT",))
    assert legs == [("BTCUSDT", "binanceusdm"), ("BTCUSDT", "bybit")]
    assert (books.leg.tolist(), books.hour.tolist()) == ([0, 1, 1], [FIRST + 3, FIRST + 3, FIRST + 5])
    assert books.offsets.tolist() == [0, 2, 5, 7, 10, 12, 15]
    assert books.price[5:10].tolist() == [99.9, 99.8, 100.1, 100.2, 100.4]
    assert books.quantity[:5].tolist() == [3.0, 4.0, 1.0, 2.0, 9.0]
    np.testing.assert_allclose(books.mid, 100.0)
    np.testing.assert_allclose(books.distance[:5], [0.001, 0.002, 0.001, 0.002, 0.004])


def test_what_is_written_comes_back_bit_for_bit(tmp_path: Path) -> None:
    market = with_books(tmp_path, rows(), rows(hour=7), rows(exchange="binance", symbol="ETHUSDT"))
    write_order_books(tmp_path / "again.parquet", market)
    again, notes = with_order_books(small_market(), [tmp_path / "again.parquet"])
    assert same_books(market.order_books, again.order_books)
    assert notes == ()


ONE_SIDE: Levels = [("bid", 99.0, 1.0)]


@pytest.mark.parametrize(
    ("book", "message"),
    [
        (rows([("bid", 100.1, 1.0), ("ask", 100.1, 1.0)]), "its best bid 100.1 is not below its best ask 100.1"),
        (rows([("bid", 100.2, 1.0), ("ask", 100.1, 1.0)]), "its best bid 100.2 is not below its best ask 100.1"),
        (rows([*ONE_SIDE, ("bid", 99.5, 1.0), ("ask", 101.0, 1.0)]), "its bids are not sorted from the best outwards"),
        (rows([*ONE_SIDE, ("ask", 101.0, 1.0), ("ask", 100.5, 1.0)]), "its asks are not sorted from the best outwards"),
        (rows([*ONE_SIDE, ("ask", 101.0, 1.0), ("ask", 101.0, 1.0)]), "one level a price"),
        (rows() + rows(), "one level a price"),
        (rows(ONE_SIDE), "it has no asks"),
        (rows([("ask", 99.0, 1.0)]), "it has no bids"),
        (rows([("bid", 0.0, 1.0), ("ask", 101.0, 1.0)]), "a price is 0, not a positive number"),
        (rows([("bid", 99.0, -2.0), ("ask", 101.0, 1.0)]), "a quantity is -2, not a positive number"),
        (rows([("bid", 99.0, 1.0), ("ask", float("inf"), 1.0)]), "a price is inf"),
        (rows([("bid", 99.0, float("nan")), ("ask", 101.0, 1.0)]), "a quantity is nan"),
    ],
)
def test_a_book_that_cannot_be_is_refused_with_file_coin_and_hour(
    tmp_path: Path, book: list[dict[str, Any]], message: str
) -> None:
    fine = rows(hour=2)
    with pytest.raises(DataError) as refused:
        read_order_books(table(tmp_path, fine, book))
    assert message in str(refused.value)
    for place in ("order_books.parquet", "BTCUSDT on bybit", f"{stamp(3):%Y-%m-%dT%H}"):
        assert place in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamp": stamp(3) + pd.Timedelta(seconds=1)}, "BTCUSDT on bybit: timestamp is no whole hour"),
        ({"timestamp": pd.Timestamp("1970-01-20T00:00Z")}, "timestamp lies in the year 1970"),
        ({"timestamp": pd.Timestamp("2024-05-01")}, "timestamp has no time zone"),
        ({"exchange": "a/b"}, "BTCUSDT"),
    ],
)
def test_rows_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_order_books(table(tmp_path, rows(**changes)))


def test_other_sides_and_missing_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="side is 'buy'; write bid or ask"):
        read_order_books(table(tmp_path, rows([("buy", 99.0, 1.0)])))
    path = tmp_path / "order_books.parquet"
    pd.DataFrame(rows()).drop(columns="quantity").to_parquet(path)
    with pytest.raises(DataError, match="column quantity is missing"):
        read_order_books(path)


@pytest.mark.parametrize("cache", [False, True])
def test_a_data_set_keeps_them_and_its_fingerprint_changes_with_them(
    tmp_path: Path, cache: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain, known = small_market(), with_books(tmp_path, rows(), rows(hour=6))
    write_dataset(plain, tmp_path / "plain", info_of(plain))
    write_dataset(known, tmp_path / "known", info_of(known))
    loaded = [load_dataset(tmp_path / "known", cache=cache) for _ in range(2)]
    assert all(same_books(one.market.order_books, known.order_books) for one in loaded)
    assert not loaded[1].market.order_books.price.flags.writeable  # type: ignore[union-attr]
    without = load_dataset(tmp_path / "plain", cache=cache)
    assert without.market.order_books is None
    assert without.fingerprint != loaded[0].fingerprint == loaded[1].fingerprint
    (tmp_path / "known" / "order_books.parquet").unlink()
    assert load_dataset(tmp_path / "known", cache=cache).fingerprint == without.fingerprint
    assert_same_market(loaded[1].market, without.market)


def test_books_of_legs_and_hours_that_are_not_here_are_told_of(tmp_path: Path) -> None:
    market = small_market()
    write_dataset(market, tmp_path / "set", info_of(market))
    table(tmp_path / "set", rows(), rows(symbol="DOGEUSDT"), rows(hour=-1), rows(hour=12))
    loaded = load_dataset(tmp_path / "set", cache=False)
    assert loaded.notes == (
        "order_books.parquet: not used, since no price of it is here: DOGEUSDT on bybit",
        "order_books.parquet: 2 books are not used, since their hours are not in the data",
    )
    assert loaded.market.order_books is not None
    assert loaded.market.order_books.hour.tolist() == [FIRST + 3]
    told = [finding.message for finding in validate(tmp_path / "set")]
    assert any("DOGEUSDT" in message for message in told)
    assert any("2 books" in message for message in told)


def test_a_book_far_from_the_price_of_its_hour_is_not_believed(tmp_path: Path) -> None:
    scaled = rows([(side, price * 1000, quantity) for side, price, quantity in BOOK], hour=4)
    wide = rows([("bid", 90.0, 1.0), ("ask", 110.0, 1.0)], hour=5)
    market = with_books(tmp_path, rows(), scaled, wide)
    gated, refusals = gate_order_books(market, GateSettings())
    assert gated.order_books is not None
    assert gated.order_books.hour.tolist() == [FIRST + 3]
    assert [(one.hour, one.symbol, one.exchange) for one in refusals] == [
        (FIRST + 4, "BTCUSDT", "bybit"),
        (FIRST + 5, "BTCUSDT", "bybit"),
    ]
    assert "mid is more than 20% from the price" in str(refusals[0])
    assert "ask and bid are more than 10% apart" in str(refusals[1])
    write_dataset(market, tmp_path / "set", info_of(market))
    loaded = load_dataset(tmp_path / "set", cache=False)
    assert same_books(loaded.market.order_books, gated.order_books)
    assert "2 values are not believed" in loaded.notes[0]
    findings = [finding for finding in validate(tmp_path / "set") if finding.kind == "order book not believed"]
    assert [finding.file for finding in findings] == [str(tmp_path / "set" / "order_books.parquet")] * 2
    # What cannot be compared is not doubted.
    unknown = replace(market, price=np.full(market.price.shape, np.nan))
    assert len(gate_order_books(unknown, GateSettings()).refusals) == 1


def test_inspect_tells_of_them(tmp_path: Path) -> None:
    market = with_books(tmp_path, rows(), rows(exchange="binance", hour=4), rows(hour=6))
    write_dataset(market, tmp_path / "set", info_of(market))
    line = "order books  3 of 2 legs, 12.5 % of their hours: 2.5 levels and 699 USD on the thinner side (medians)"
    assert line in inspect_dataset(tmp_path / "set")


def test_a_book_that_cannot_be_stops_loading_and_is_found_by_validate(tmp_path: Path) -> None:
    market = small_market()
    write_dataset(market, tmp_path / "set", info_of(market))
    table(tmp_path / "set", rows([("bid", 101.0, 1.0), ("ask", 100.0, 1.0)]))
    with pytest.raises(DataError, match="is not below its best ask"):
        load_dataset(tmp_path / "set", cache=False)
    assert any("best ask" in finding.message for finding in validate(tmp_path / "set") if finding.severity == "error")


def test_build_carries_them_from_the_raw_folders(tmp_path: Path) -> None:
    raw = raw_pair(tmp_path / "raw")
    build_dataset(raw, tmp_path / "plain", name="plain", source="a test")
    base = load_dataset(tmp_path / "plain", cache=False)
    table(raw, rows(), rows(symbol="DOGEUSDT"))
    info, _ = build_dataset(raw, tmp_path / "set", name="plain", source="a test")
    built = load_dataset(tmp_path / "set", cache=False)
    assert built.market.order_books is not None
    assert built.market.order_books.hour.tolist() == [FIRST + 3]
    assert_same_market(replace(built.market, order_books=None), base.market)
    assert info.raw_sha256 != base.info.raw_sha256
    # What the command made may give way to what it makes.
    build_dataset(raw, tmp_path / "set", name="plain", source="a test", replace=True)
    table(raw, rows(ONE_SIDE))
    with pytest.raises(DataError, match="it has no asks"):
        build_dataset(raw, tmp_path / "other", name="plain", source="a test")


def test_several_files_add_up_and_must_not_contradict_each_other(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    paths = [table(folders[0], rows(), rows(symbol="ETHUSDT")), table(folders[1], rows(exchange="binance"), rows())]
    together = with_order_books(small_market(), [*paths, tmp_path / "absent.parquet"])[0]
    whole = with_books(tmp_path, rows(exchange="binance"), rows(), rows(symbol="ETHUSDT"))
    assert same_books(together.order_books, whole.order_books)
    table(folders[1], rows([("bid", 99.0, 1.0), ("ask", 101.0, 1.0)]))
    with pytest.raises(DataError, match=r"BTCUSDT on bybit.*two different order books"):
        with_order_books(small_market(), paths)


# --- what must go with a market ---


def test_they_stay_with_their_legs(tmp_path: Path) -> None:
    market = with_books(tmp_path, rows(), rows(symbol="ETHUSDT", hour=5), rows(exchange="binance"))
    one = with_legs(market, np.array([False, True, False, True])).order_books
    assert one is not None
    assert (one.leg.tolist(), one.hour.tolist()) == ([0, 1], [FIRST + 3, FIRST + 5])
    assert with_legs(market, np.array([False, False, True, False])).order_books is None
    with pytest.raises(DataError, match="legs that the market does not have"):
        replace(with_legs(market, np.array([True, False, False, False])), order_books=market.order_books)


def test_a_silent_exchange_shows_no_book(tmp_path: Path) -> None:
    market = with_books(tmp_path, rows(), rows(hour=5), rows(exchange="binance", hour=5))
    left = silenced(market, [Outage(market.exchanges.index("bybit"), 4, 6)]).order_books
    assert left is not None
    assert [(market.leg_name(leg)[1], hour - FIRST) for leg, hour in zip(left.leg, left.hour, strict=True)] == [
        ("binanceusdm", 5),
        ("bybit", 3),
    ]


def test_books_by_hand_are_sorted_and_checked() -> None:
    later, first = SeenBook(1, 7, [(9.0, 1.0)], [(11.0, 1.0)]), SeenBook(0, 9, [(9.0, 1.0)], [(11.0, 1.0), (12.0, 2.0)])
    books = OrderBooks.of([later, first])
    assert books is not None
    assert (books.leg.tolist(), books.hour.tolist(), books.offsets.tolist()) == ([0, 1], [9, 7], [0, 1, 3, 4, 5])
    assert OrderBooks.of([]) is None
    with pytest.raises(DataError, match="leg 1 at hour 7: it has no asks"):
        OrderBooks.of([first, later._replace(asks=[])])
    with pytest.raises(DataError, match="one book each"):
        OrderBooks.of([first, first])
    with pytest.raises(DataError, match="as their offsets say"):
        replace(books, quantity=books.quantity[:-1])
