"""What a fill crosses: the quoted spread, else what the spread model says at the last known volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hand_runs import ALPHA, BETA, ENTER, near, play
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import SEEDS, random_market, random_settings
from reference_records import Exit
from small_market import NAN, LegSketch, plain_settings, small_market

from engine.accounting.spreads import half_spreads
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import SettingsError
from engine.market.data import Floats
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Order, View
from engine.settings import EngineSettings, SpreadBin, SpreadRow

few = settings(max_examples=30, deadline=None, database=None)


def row(since: str, *bins: tuple[float, float]) -> SpreadRow:
    return SpreadRow(since=date.fromisoformat(since), half_spread=tuple(SpreadBin(from_usd=u, bps=b) for u, b in bins))


TABLE = {"elsewhere": (row("2020-01-01", (0, 20), (1e6, 8), (1e7, 3)),)}
BY_VOLUME: dict[str, Any] = {"spread_model": "volume", "spreads": TABLE}


def crossed(leg: LegSketch, hours: int = 3, **changes: Any) -> list[float]:
    """Half-spread in bps that a leg on alpha is charged on top of slippage, by row."""
    market = small_market({ALPHA: leg, BETA: LegSketch()}, hours)
    return (1e4 * prepare(market, plain_settings(**changes)).arrays.quotes["half_spread"][0]).tolist()


def test_fixed_charges_half_the_quoted_spread_and_nothing_where_there_is_none() -> None:
    leg = LegSketch(spread=[0.001, NAN, 0.0], volume=10)
    assert crossed(leg) == [5.0, 0.0, 0.0]
    assert crossed(leg, spreads=TABLE) == [5.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("volume", "bps"), [(0, 20), (1, 20), (999_999, 20), (1e6, 8), (9.9e6, 8), (1e7, 3), (1e12, 3), (NAN, 20)]
)
def test_the_table_is_read_at_the_volume_and_an_unknown_one_is_the_widest(volume: float, bps: float) -> None:
    assert crossed(LegSketch(volume=volume), **BY_VOLUME) == near([bps] * 3)


def test_a_quoted_spread_wins_even_one_of_nothing() -> None:
    assert crossed(LegSketch(spread=[0.001, 0.0, NAN], volume=10), **BY_VOLUME) == near([5, 0, 20])


def test_the_last_known_volume_is_carried_and_a_later_one_is_not_known() -> None:
    assert crossed(LegSketch(volume=[NAN, 2e7, NAN, 0, NAN]), 5, **BY_VOLUME) == near([20, 3, 3, 20, 20])


@pytest.mark.parametrize(("slippage", "bps"), [(0, 8), (2, 6), (8, 0), (9, 0)])
def test_with_slippage_a_fill_pays_the_larger_of_the_two(slippage: float, bps: float) -> None:
    charged = crossed(LegSketch(volume=1e6), slippage_bps=slippage, **BY_VOLUME)
    assert charged == pytest.approx([bps] * 3, abs=1e-9)
    assert charged[0] + slippage == near(max(8, slippage))


def test_a_quoted_spread_is_charged_on_top_of_slippage_under_both_models() -> None:
    assert crossed(LegSketch(spread=0.001), slippage_bps=7, **BY_VOLUME) == near([5] * 3)


def test_the_row_in_force_is_the_latest_at_or_before_the_day_else_the_earliest() -> None:
    table = {"alpha": (row("2024-01-03", (0, 4)), row("2024-01-02", (0, 9)), row("2025-01-01", (0, 1)))}
    by_row = crossed(LegSketch(), 73, spread_model="volume", spreads={**table, **TABLE})
    assert [by_row[t] for t in (0, 23, 24, 47, 48, 72)] == near([9, 9, 9, 9, 4, 4])


def test_an_exchange_has_its_own_rows_or_those_of_elsewhere_or_is_refused() -> None:
    tables = {"alpha": (row("2020-01-01", (0, 1)),), **TABLE}
    market = small_market({ALPHA: LegSketch(volume=1e6), BETA: LegSketch(volume=1e6)}, 2)
    quotes = prepare(market, plain_settings(spread_model="volume", spreads=tables)).arrays.quotes
    assert (1e4 * quotes["half_spread"][:, 0]).tolist() == near([1, 8])
    del tables["elsewhere"]
    with pytest.raises(SettingsError, match=r"no spreads for exchange beta and none for elsewhere.*known: alpha"):
        prepare(market, plain_settings(spread_model="volume", spreads=tables))


def test_a_fill_pays_what_the_model_says() -> None:
    legs = {ALPHA: LegSketch(volume=1e6), BETA: LegSketch(volume=1e7)}
    trade = play(legs, 3, {0: [ENTER], 1: [Exit(0)]}, slippage_bps=5, **BY_VOLUME).records.trades[0]
    assert trade["long_entry"] == near(100 * (1 + 8e-4))
    assert trade["short_entry"] == near(100 * (1 - 5e-4))
    assert trade["long_exit"] == near(100 * (1 - 8e-4))
    assert trade["short_exit"] == near(100 * (1 + 5e-4))


def test_costs_are_multiplied_with_the_spread_in_them() -> None:
    legs = {ALPHA: LegSketch(volume=1e6), BETA: LegSketch(volume=1e7)}
    trade = play(legs, 3, {0: [ENTER]}, slippage_bps=5, cost_multiple=3, **BY_VOLUME).records.trades[0]
    assert trade["long_entry"] == near(100 * (1 + 24e-4))


class Asks:
    """Keeps what the view says that the model assumes."""

    def __init__(self) -> None:
        self.told: list[Floats] = []

    def decide(self, view: View) -> Sequence[Order]:
        self.told.append(1e4 * view.assumed_half_spread)
        return []


@pytest.mark.parametrize(
    ("changes", "told"), [({}, [0, 0, 0]), (BY_VOLUME, [6, 1, 0]), ({**BY_VOLUME, "cost_multiple": 2}, [12, 2, 0])]
)
def test_a_strategy_is_told_the_wider_leg_where_none_is_quoted(changes: dict[str, Any], told: list[float]) -> None:
    alpha, beta = LegSketch(volume=[1e6, 1e6, 1e6, 1e6], spread=[NAN, 0.01, 0.01, NAN]), LegSketch(volume=1e7)
    beta = replace(beta, spread=[NAN, NAN, 0.01, NAN])
    market, asks = small_market({ALPHA: alpha, BETA: beta}, 4), Asks()
    run_backtest(OpportunityBuilder(prepare(market, plain_settings(slippage_bps=2, **changes))), asks, 0, 3)
    assert [pairs.tolist() for pairs in asks.told] == [near([value, value]) for value in told]


def made(seed: int) -> tuple[Any, EngineSettings]:
    rng = np.random.default_rng(seed)
    market = random_market(rng, coins=2, exchanges=3, hours=60)
    while (settings := random_settings(rng)).spread_model == "fixed":
        pass
    return market, settings


def none_before(market: Any) -> Floats:
    return np.full(market.legs, NAN)


@few
@given(SEEDS)
def test_no_fill_is_cheaper_than_under_fixed(seed: int) -> None:
    market, settings = made(seed)
    fixed = half_spreads(market, settings.model_copy(update={"spread_model": "fixed"}), none_before(market))
    assert (half_spreads(market, settings, none_before(market)) >= fixed).all()


@few
@given(SEEDS, st.integers(0, 59))
def test_nothing_after_an_hour_changes_what_is_charged_up_to_it(seed: int, cut: int) -> None:
    market, settings = made(seed)
    later = market.volume_24h_usd.copy()
    later[:, cut + 1 :] = np.random.default_rng(seed).uniform(0, 1e8, later[:, cut + 1 :].shape)
    changed = half_spreads(replace(market, volume_24h_usd=later), settings, none_before(market))
    assert np.array_equal(changed[:, : cut + 1], half_spreads(market, settings, none_before(market))[:, : cut + 1])


@few
@given(SEEDS, st.floats(1, 1e3))
def test_less_volume_is_never_charged_less(seed: int, factor: float) -> None:
    market, settings = made(seed)
    thinner = replace(market, volume_24h_usd=market.volume_24h_usd / factor)
    assert (
        half_spreads(thinner, settings, none_before(market)) >= half_spreads(market, settings, none_before(market))
    ).all()


def test_what_came_before_a_window_counts() -> None:
    market = small_market({ALPHA: LegSketch(volume=[NAN, 1e7]), BETA: LegSketch()}, 2)
    assert (1e4 * half_spreads(market, plain_settings(**BY_VOLUME), np.array([1e6, NAN]))).tolist() == [
        near([8, 3]), near([20, 20])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bins", "why"),
    [
        ((), "at least 1"),
        (((5, 1),), "begin at 0"),
        (((0, 3), (10, 2), (10, 1)), "rise from bin to bin"),
        (((0, 3), (10, 4)), "must not be wider"),
        (((0, -1),), "greater than or equal to 0"),
        (((0, 1e9),), "less than or equal to"),
    ],
)
def test_tables_that_make_no_sense_are_refused(bins: tuple[tuple[float, float], ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        row("2020-01-01", *bins)
