"""Which pair of a coin is told of, in which order, and what is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_market import START, LegSketch, plain_settings, small_market

from adapters.configuration.settings import load_settings
from adapters.scan.rows import SORTS, Choice, PairNow, figures_of, rows_of
from adapters.scan.scene import DATASET, Scene, Source
from adapters.scan.sources import dataset_scene, market_scene
from engine.errors import UserError
from engine.windows import time_of

pytestmark = pytest.mark.usefixtures("cache_folder")

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"
AT = 486848
"""2025-07-16T08:00Z: a coin is stale, another one has only two exchanges left."""

KEYS: dict[str, tuple[Callable[[PairNow], float | None], bool]] = {
    "apr": (lambda row: row.apr_pct, True),
    "8h": (lambda row: row.net_8h_bps, True),
    "day": (lambda row: row.net_day_bps, True),
    "24h": (lambda row: row.net_24h_bps_day, True),
    "168h": (lambda row: row.net_168h_bps_day, True),
    "payback": (lambda row: row.payback_hours, False),
    "cost": (lambda row: row.round_trip_bps, False),
    "spread": (lambda row: row.bid_ask_bps, False),
    "depth": (lambda row: row.depth_usd, True),
    "volume": (lambda row: row.volume_24h_usd, True),
}


@pytest.fixture(scope="module")
def scene(cache_folder: None) -> Scene:  # noqa: ARG001 - the data set is read through it
    return dataset_scene(SAMPLE, time_of(AT), load_settings())


@pytest.mark.parametrize("sort", sorted(KEYS))
def test_rows_are_sorted_with_the_unknown_last(scene: Scene, sort: str) -> None:
    rows = rows_of(scene, Choice(sort))
    assert len({row.symbol for row in rows}) == len(rows) == 20
    key, highest_first = KEYS[sort]
    values = [key(row) for row in rows]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=highest_first)
    assert values[: len(known)] == known


def test_every_way_to_sort_is_tested_and_coins_go_by_name(scene: Scene) -> None:
    assert set(KEYS) | {"coin"} == set(SORTS)
    names = [row.symbol for row in rows_of(scene, Choice("coin"))]
    assert names == sorted(names)


@pytest.mark.parametrize("sort", ["apr", "168h", "volume"])
def test_the_pair_of_a_coin_is_the_best_one_that_is_offered(scene: Scene, sort: str) -> None:
    figure = "net_168h_bps_day" if sort == "168h" else "apr_pct"
    values, offered = figures_of(scene.view)[figure], scene.view.offered
    for row in rows_of(scene, Choice(sort)):
        pairs = [p for p in range(scene.view.pairs) if scene.view.pair_name(p)[0] == row.symbol]
        among = [p for p in pairs if offered[p]] or pairs
        assert getattr(row, figure) == max(values[among])
        assert row.offered == any(offered[p] for p in pairs)


def test_a_pair_that_is_not_offered_gives_way_to_one_that_is() -> None:
    rates = {"alpha": 0.0, "beta": 3e-4, "gamma": 5e-4}
    legs = {
        ("BTCUSDT", name): LegSketch(rates=dict.fromkeys(range(0, 64, 8), rate), interval=8.0)
        for name, rate in rates.items()
    }
    market, at, rules = small_market(legs, 64), time_of(START + 60), plain_settings()

    def told(**held: Any) -> tuple[str, str, float | None, bool]:
        scene = market_scene(market, at, rules, Source(DATASET, "made-up", "for a test", synthetic=True))
        (row,) = rows_of(replace(scene, **held), Choice())
        return row.long.exchange, row.short.exchange, row.net_8h_bps, row.offered

    assert told() == ("alpha", "gamma", pytest.approx(5), True)
    # Pairs stand by exchanges: alpha and gamma are the second one.
    assert told(held=frozenset({1})) == ("alpha", "beta", pytest.approx(3), True)
    market.price[2, 59:] = np.nan
    assert told() == ("alpha", "beta", pytest.approx(3), True)
    market.price[1, 59:] = np.nan
    assert told() == ("alpha", "gamma", pytest.approx(5), False)


@settings(max_examples=30, deadline=None)
@given(
    least=st.one_of(st.none(), st.floats(-20, 60)),
    exchanges=st.sampled_from([(), ("bybit", "hyperliquid"), ("binance", "bybit")]),
    symbols=st.sampled_from([(), ("btc", "ETH/USDT:USDT"), ("KAITOUSDT",)]),
    top=st.one_of(st.none(), st.integers(1, 30)),
    sort=st.sampled_from(sorted(SORTS)),
)
def test_filters_only_leave_out(scene: Scene, **choice: Any) -> None:
    least, top = choice.pop("least"), choice.pop("top")
    everything = rows_of(scene, Choice(**choice))
    rows = rows_of(scene, Choice(**choice, min_apr_pct=least, top=top))
    kept = [row for row in everything if least is None or (row.apr_pct is not None and row.apr_pct >= least)]
    assert rows == kept[:top]
    if choice["exchanges"]:
        named = {name.replace("binance", "binanceusdm") for name in choice["exchanges"]}
        assert all({row.long.exchange, row.short.exchange} == named for row in everything)
    if choice["symbols"]:
        assert {row.symbol for row in everything} <= {"BTCUSDT", "ETHUSDT", "KAITOUSDT"}


def test_days_and_eight_hours_are_one_number(scene: Scene) -> None:
    found = figures_of(scene.view)
    np.testing.assert_array_equal(found["net_day_bps"], 3 * found["net_8h_bps"])
    np.testing.assert_allclose(found["apr_pct"], 365 * found["net_day_bps"] / 100, atol=1e-12)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"symbols": ("BTCUSD",)}, "coin 'BTCUSD' is not looked at here; did you mean 'BTCUSDT'?"),
        ({"exchanges": ("okx", "bybit")}, "exchange 'okx' is not looked at here"),
        ({"exchanges": ("bybit",)}, "a pair has legs on two exchanges; name another one beside bybit"),
    ],
)
def test_what_is_not_there_is_said(scene: Scene, choice: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as told:
        rows_of(scene, Choice(**choice))
    assert words in str(told.value)
