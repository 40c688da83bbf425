"""Rows of candles and settled rates: each judged alone, what cannot be is refused and named."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.exchanges.coins import Listing
from adapters.exchanges.rows import RowReader
from adapters.gate.limits import GateSettings
from adapters.gate.refusals import Refusal
from adapters.storage.stamps import HOUR_MS

NOW = 480_000 * HOUR_MS + 20_000
TIME = 479_990 * HOUR_MS
GOOD = [TIME, 100.0, 110.0, 90.0, 105.0, 7.0]
NAN = float("nan")


def reader() -> RowReader:
    listing = Listing("bybit", "PEPE", "1000PEPE/USDT:USDT", 1000, 0.1, "USDT", None)
    return RowReader(listing, GateSettings(), {}, NOW)


def bars(*rows: Any) -> tuple[list[Any], list[Refusal]]:
    look = reader()
    return look.bars(rows, 0.1), list(look.refused.values())


def rates(*rows: Any) -> tuple[list[Any], list[Refusal]]:
    look = reader()
    return look.rates(rows), list(look.refused.values())


def test_a_good_bar_comes_with_its_volume_in_listed_units() -> None:
    assert bars(GOOD) == ([(TIME, 100.0, 110.0, 90.0, 105.0, pytest.approx(0.7))], [])


@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        "a candle",
        {"open": 1},
        [],
        [TIME, 1.0, 1.0],
        *([*GOOD[:i], bad, *GOOD[i + 1 :]] for i in range(1, 5) for bad in (NAN, 0.0, -1.0, 1e12, "x", [], {}, True)),
        *([*GOOD[:5], bad] for bad in (NAN, -1.0, 1e15, "x", float("inf"))),
        *([bad, *GOOD[1:]] for bad in (NAN, 0, -TIME, TIME * 60, TIME + 1, NOW + 2 * HOUR_MS, "x", 1e30)),
    ],
)
def test_a_bar_that_cannot_be_is_refused_and_the_others_go_on(row: Any) -> None:
    found, refused = bars(row, GOOD)
    assert [bar[0] for bar in found] == [TIME]
    assert [(each.exchange, each.symbol, each.field) for each in refused] == [("bybit", "PEPEUSDT", "candle")]


def test_a_bar_with_a_null_is_no_bar_yet_and_nothing_to_tell() -> None:
    assert bars([TIME, None, 1.0, 1.0, 1.0, 1.0], [None] * 6) == ([], [])


def test_a_rate_comes_at_its_minute() -> None:
    row = {"timestamp": TIME + 11, "fundingRate": "-0.0125"}
    assert rates(row) == ([(TIME, -0.0125)], [])


@pytest.mark.parametrize(
    ("row", "hour"),
    [
        *(({"timestamp": TIME, "fundingRate": bad}, 479_990) for bad in ("NaN", NAN, 3.0, -0.021, "high", [], True)),
        *(({"timestamp": bad, "fundingRate": 1e-4}, 480_001) for bad in ("x", 0, -TIME, TIME * 60, NAN, {})),
        *((bad, 480_001) for bad in (None, 7, "a rate", [TIME, 1e-4])),
    ],
)
def test_a_settlement_that_cannot_be_is_refused_and_the_others_go_on(row: Any, hour: int) -> None:
    found, refused = rates(row, {"timestamp": TIME - HOUR_MS, "fundingRate": 1e-4})
    assert found == [(TIME - HOUR_MS, 1e-4)]
    assert [(each.field, each.hour) for each in refused] == [("funding_rate", hour)]


def test_a_settlement_without_rate_is_not_there_yet() -> None:
    assert rates({"timestamp": TIME, "fundingRate": None}, {"timestamp": None, "fundingRate": 1.0}) == ([], [])


def test_what_is_sent_twice_is_told_of_once() -> None:
    look = reader()
    for _ in range(2):
        look.rates([{"timestamp": TIME, "fundingRate": 3.0}])
    assert [str(each) for each in look.refused.values()] == [
        "PEPEUSDT on bybit, 2024-10-03T14:00Z: funding_rate 3 is not believed (at most 0.02 in one settlement there)"
    ]
