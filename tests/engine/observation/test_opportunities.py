"""Which pairs are offered, in which order, and how recorded opportunities replace derived features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import random_market, random_settings
from reference_engine import LegHistory
from scripted import pair_indexes
from small_market import NAN, LegSketch, plain_settings, small_market
from support_datasets import FIRST, opportunity, prices_frame, write_frame, write_older

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from engine.accounting.tape import prepare
from engine.market.data import MarketData, RecordedOpportunities
from engine.observation.features import COLUMN, FEATURES
from engine.observation.opportunities import OpportunityBuilder, rank
from engine.settings import EngineSettings, FilterSettings

BTC_ALPHA, BTC_BETA = ("BTCUSDT", "alpha"), ("BTCUSDT", "beta")


def builder_of(market: MarketData, settings: EngineSettings | None = None) -> OpportunityBuilder:
    return OpportunityBuilder(prepare(market, settings or plain_settings()))


# --- offered ---


def may_be_offered(market: MarketData, settings: EngineSettings, leg: int, history: LegHistory, t: int) -> bool:
    """The rule of docs/design.md for one leg, written down a second time."""
    now = int(market.hours[t])
    leaves = now >= market.delisting_hour[leg] - 1 and now >= market.delisting_known_hour[leg]
    volume, spread = history.volume[t], history.spread[t]
    least, widest = settings.filters.min_volume_24h_usd, settings.filters.max_bid_ask_spread
    deepest = settings.filters.min_depth_usd
    return (
        history.stale[t] == 0
        and history.fresh_hours[t] >= settings.min_history_hours
        and not history.silent[t]
        and not leaves
        and (least is None or (volume is not None and volume >= least))
        and (widest is None or spread <= widest)
        and (deepest is None or market.depth_usd[leg, t] >= deepest)
    )


@pytest.mark.parametrize("seed", range(10))
def test_offered_pairs_follow_the_rules_on_random_markets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = random_market(rng, coins=2, exchanges=3, hours=90)
    filters = FilterSettings(min_volume_24h_usd=1e5) if seed % 3 else FilterSettings(max_bid_ask_spread=0.004)
    settings = random_settings(rng).model_copy(update={"filters": filters if seed % 2 else FilterSettings()})
    builder = builder_of(market, settings)
    pairs = builder.tape.pairs
    histories = [LegHistory(market, leg, settings.max_stale_hours) for leg in range(market.legs)]
    for t in range(len(market.hours)):
        legs = [may_be_offered(market, settings, leg, histories[leg], t) for leg in range(market.legs)]
        expected = [legs[pairs.long_leg[p]] and legs[pairs.short_leg[p]] for p in range(len(pairs))]
        assert builder.at(t)[1].tolist() == expected, t


def offered_hours(short_leg: LegSketch, hours: int, **changes: Any) -> list[int]:
    """Hours in which alpha against ``short_leg`` is offered."""
    market = small_market({BTC_ALPHA: LegSketch(), BTC_BETA: short_leg}, hours)
    builder = builder_of(market, plain_settings(**changes))
    return [t for t in range(hours) if builder.at(t)[1].all()]


def test_a_pair_is_offered_after_enough_fresh_hours_and_only_while_fresh() -> None:
    # Fresh hours of beta: rows 1, 2, 4, 5, 6. The third one is row 4.
    assert offered_hours(LegSketch(price=[NAN, 1, 1, NAN, 1, 1, 1, NAN]), 8, min_history_hours=3) == [4, 5, 6]


def test_a_pair_is_not_offered_from_the_last_hour_before_a_known_delisting_on() -> None:
    assert offered_hours(LegSketch(delisting=(6, 2)), 8) == [0, 1, 2, 3, 4]
    # A notice that came late leaves at once; nobody knew before.
    assert offered_hours(LegSketch(delisting=(3, 5)), 8) == [0, 1, 2, 3, 4]


def test_filters_keep_out_what_is_thin_wide_or_unknown() -> None:
    thin = LegSketch(volume=[NAN, 50, 99, 100, NAN, 101])
    filters = FilterSettings(min_volume_24h_usd=100)
    market = small_market({BTC_ALPHA: LegSketch(volume=1e6), BTC_BETA: thin}, 6)
    builder = builder_of(market, plain_settings(filters=filters))
    # The volume of row 3 still counts in row 4.
    assert [t for t in range(6) if builder.at(t)[1].all()] == [3, 4, 5]
    wide = LegSketch(spread=[NAN, 0.0021, 0.002, 0.001])
    market = small_market({BTC_ALPHA: LegSketch(spread=0.0), BTC_BETA: wide}, 4)
    builder = builder_of(market, plain_settings(filters=FilterSettings(max_bid_ask_spread=0.002)))
    assert [t for t in range(4) if builder.at(t)[1].all()] == [2, 3]
    shallow = LegSketch(depth=[NAN, 999, 1000, 2000])
    market = small_market({BTC_ALPHA: LegSketch(depth=5000), BTC_BETA: shallow}, 4)
    builder = builder_of(market, plain_settings(filters=FilterSettings(min_depth_usd=1000)))
    assert [t for t in range(4) if builder.at(t)[1].all()] == [2, 3]


# --- ranking ---

KEYS = st.sampled_from([-1.0, 0.0, -0.0, 0.5, 2.0, NAN, float("inf")])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(KEYS, st.booleans()), max_size=25), st.integers(1, 12))
def test_ranking_is_by_key_descending_then_by_pair(rows: list[tuple[float, bool]], size: int) -> None:
    keys = np.array([key for key, _ in rows], np.float64)
    offered = np.array([is_offered for _, is_offered in rows], bool)
    out = np.full(size, -7, np.int64)
    n = rank(keys, offered, out)
    eligible = [p for p in range(len(rows)) if offered[p] and not np.isnan(keys[p])]
    best = sorted(eligible, key=lambda p: (-keys[p], p))[:size]
    assert out[:n].tolist() == best
    assert (out[n:] == -7).all()


def test_pairs_are_numbered_by_symbol_long_and_short_exchange_so_that_ties_are_too() -> None:
    legs = {(symbol, exchange): LegSketch() for symbol in ("ETHUSDT", "BTCUSDT") for exchange in ("beta", "alpha")}
    legs[("BTCUSDT", "gamma")] = LegSketch()
    market = small_market(legs, 2)
    indexes = pair_indexes(market)
    assert list(indexes) == sorted(indexes)
    assert list(indexes.values()) == list(range(8))
    out = np.empty(8, np.int64)
    assert rank(np.zeros(8), np.ones(8, bool), out) == 8
    assert out.tolist() == list(range(8))


# --- recorded opportunities ---


def recorded_market(rows: dict[int, list[tuple[int, list[float]]]], columns: tuple[str, ...]) -> MarketData:
    """Four rows of alpha, beta with recorded opportunities: by row, (pair, values)."""
    legs = {
        BTC_ALPHA: LegSketch(rates={0: 0.0001, 1: 0.0001}, interval=1, volume=2e6),
        BTC_BETA: LegSketch(price=101, rates={0: 0.0003, 1: 0.0003}, interval=1, volume=1e6),
    }
    flat = [entry for t in range(4) for entry in rows.get(t, [])]
    recorded = RecordedOpportunities(
        offsets=np.cumsum([0, *(len(rows.get(t, [])) for t in range(4))]).astype(np.int64),
        pair=np.array([pair for pair, _ in flat], np.int64),
        features=np.array([values for _, values in flat], np.float64).reshape(-1, len(columns)),
        columns=columns,
    )
    return replace(small_market(legs, 4), recorded=recorded)


def test_only_pairs_with_a_recorded_row_of_the_hour_are_offered() -> None:
    builder = builder_of(recorded_market({1: [(1, [5.0])], 2: [(0, [7.0]), (1, [8.0])]}, ("fund_apr",)))
    assert [builder.at(t)[1].tolist() for t in range(4)] == [[False] * 2, [False, True], [True, True], [False] * 2]


def test_a_recorded_row_does_not_offer_what_the_rules_forbid() -> None:
    market = recorded_market({t: [(0, [1.0])] for t in range(4)}, ("fund_apr",))
    builder = builder_of(market, plain_settings(min_history_hours=3))
    assert [builder.at(t)[1].tolist() for t in range(4)] == [[False] * 2, [False] * 2, [True, False], [True, False]]


def test_recorded_values_replace_derived_ones_and_unknown_ones_do_not() -> None:
    columns = ("long_funding_rate", "fund_apr", "spread30SampleAvg", "volume_24h", "long_funding_interval_hours")
    builder = builder_of(recorded_market({2: [(0, [0.5, 40.0, 0.02, NAN, 4.0])]}, columns))
    plain = builder_of(replace(builder.tape.market, recorded=None))
    features, derived = builder.at(2)[0], plain.at(2)[0]
    now = dict(zip(FEATURES, features[0].tolist(), strict=True))
    before = dict(zip(FEATURES, derived[0].tolist(), strict=True))
    changed = {
        "long_funding_rate": 0.5,
        "fund_apr": 40.0,
        "estimatedProfitPercentage": 40.0,
        "spread30SampleAvg": 0.02,
        "long_interval_8h": 0.5,
        "spread30_minus_24h": 0.02 - before["priceSpread24hAvg"],
        "apr_minus_apr24h": 40.0 - before["fundApr24hProj"],
    }
    assert now == pytest.approx({**before, **changed}, nan_ok=True)
    np.testing.assert_array_equal(features[1], derived[1])
    np.testing.assert_array_equal(builder.at(1)[0], plain.at(1)[0])


def test_recorded_volume_and_depth_enter_as_logarithms_too() -> None:
    columns = ("volume_24h", "orderbookDepthUsd", "estimatedProfitPercentage", "positionCostPercent")
    builder = builder_of(recorded_market({0: [(0, [1e4, 0.0, -3.0, 0.11]), (1, [NAN, 1e3, NAN, NAN])]}, columns))
    first, second = builder.at(0)[0]
    assert [first[COLUMN[name]] for name in columns] == [1e4, 0.0, -3.0, 0.11]
    assert first[COLUMN["log_volume_24h"]] == 4.0
    assert np.isnan(first[COLUMN["log_orderbookDepthUsd"]])
    assert second[COLUMN["log_volume_24h"]] == 6.0
    assert second[COLUMN["log_orderbookDepthUsd"]] == 3.0
    assert second[COLUMN["estimatedProfitPercentage"]] == second[COLUMN["fund_apr"]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_older_files_offer_what_they_list_with_the_features_they_list(tmp_path: Path, suffix: str) -> None:
    """From the files: hours rounded up, the latest of duplicates, recorded APR as ranking key, derived where absent."""
    folder = write_older(tmp_path / "older", {"BTCUSDT": prices_frame(), "ETHUSDT": prices_frame()}, suffix)
    rows = [
        opportunity("2024-05-01T04:20:00Z", fund_apr=11.0, volume_24h=1e5),
        opportunity("2024-05-01T04:40:00Z", fund_apr=12.0, volume_24h=1e6),
        opportunity("2024-05-01T05:00:00Z", symbol="ETHUSDT", long="bybit", short="binance", fund_apr=99.0),
        opportunity("2024-05-01T06:00:00Z", fund_apr=None),
    ]
    write_frame(pd.DataFrame(rows), folder / f"opportunities{suffix}")
    market = load_dataset(folder, cache=False).market
    assert int(market.hours[0]) == FIRST
    pairs = pair_indexes(market)
    btc, eth = pairs["BTCUSDT", "binanceusdm", "bybit"], pairs["ETHUSDT", "bybit", "binanceusdm"]
    builder = builder_of(market, load_settings(None, ["min_history_hours=1"]))
    offered = [np.flatnonzero(builder.at(t)[1]).tolist() for t in range(8)]
    assert offered == [[], [], [], [], [], [btc, eth], [btc], []]
    features = builder.at(5)[0]
    assert [features[btc, COLUMN[name]] for name in ("fund_apr", "log_volume_24h")] == [12.0, 6.0]
    best = np.empty(3, np.int64)
    assert rank(np.ascontiguousarray(features[:, COLUMN["fund_apr"]]), builder.at(5)[1], best) == 2
    assert best[:2].tolist() == [eth, btc]
    # Rates settled every four hours at 1 bp on both legs: the derived APR is zero, recorded rates stand as they are.
    assert builder.at(6)[0][btc, COLUMN["fund_apr"]] == 0.0
    assert builder.at(6)[0][btc, COLUMN["long_funding_rate"]] == 0.01
