"""Conditions of drawn worlds: shares, determinism, and that what is left can always be traded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import SEEDS, random_market
from small_market import LegSketch, plain_settings, small_market
from support_environment import settings as engine_settings

from engine.errors import SettingsError
from engine.market.data import MarketData
from engine.settings import EngineSettings, parse_settings
from rl_training.worlds.conditions import Conditions, draw_conditions, world_under
from rl_training.worlds.drawing import drawn_worlds
from rl_training.worlds.settings import AugmentationSettings, ConditionSettings, WorldsSettings

NAMES = [(coin, exchange) for coin in ("AAA", "BBB", "CCC", "DDD") for exchange in ("alpha", "beta", "gamma")]
BARS = {"high": 101.0, "low": 99.0}
TAKERS = ConditionSettings(maker_share=0)


def market(names: Any = NAMES, **facts: Any) -> MarketData:
    return small_market({name: LegSketch(**(BARS | facts)) for name in names}, 12)


def drawn(asked: ConditionSettings, count: int = 2000, seed: int = 0) -> list[Conditions]:
    rng, there = np.random.default_rng(seed), market()
    return [draw_conditions(rng, asked, there) for _ in range(count)]


def test_shares_are_those_asked_for() -> None:
    asked = ConditionSettings(
        late_share=0.4, volume_spread_share=0.3, maker_share=0.2, by_exchange_share=0.6, cost_multiples=(1, 4)
    )
    found = drawn(asked)
    shares = {
        0.4: [one.late_hours == 1 for one in found],
        0.3: [one.spread_model == "volume" for one in found],
        0.2: [one.execution == "maker_then_hedge" for one in found],
        0.6: [one.has_wallets for one in found],
        0.5: [one.cost_multiple < 2 for one in found],
        # Of four coins; where all would be absent one stays.
        0.7: [name in one.symbols for one in found for name in ("AAA", "DDD")],
    }
    for share, flags in shares.items():
        assert np.mean(flags) == pytest.approx(share, abs=0.04), share
    assert {one.late_hours for one in found} == {0, 1}
    assert all(1 <= one.cost_multiple <= 4 for one in found)


def test_conditions_are_drawn_independently_of_each_other() -> None:
    found = drawn(ConditionSettings())
    columns = np.array(
        [
            [c.late_hours, c.spread_model == "volume", c.execution == "taker", c.has_wallets, c.cost_multiple]
            for c in found
        ],
        float,
    )
    others = np.corrcoef(columns.T)[~np.eye(5, dtype=bool)]
    assert np.abs(others).max() < 0.1


def test_equal_generators_draw_equal_conditions_and_a_share_changes_its_own_alone() -> None:
    assert drawn(ConditionSettings(), 20) == drawn(ConditionSettings(), 20)
    assert drawn(ConditionSettings(), 20) != drawn(ConditionSettings(), 20, seed=1)
    for one, two in zip(drawn(ConditionSettings(), 20), drawn(ConditionSettings(late_share=0), 20), strict=True):
        assert two.late_hours == 0
        assert (one.symbols, one.exchanges, one.execution, one.cost_multiple) == (
            two.symbols, two.exchanges, two.execution, two.cost_multiple,
        )  # fmt: skip


def test_without_any_chance_nothing_is_absent_and_at_a_chance_of_one_a_pair_is_left() -> None:
    (whole,) = drawn(ConditionSettings(coin_dropout=0, exchange_dropout=0), 1)
    assert (whole.symbols, whole.exchanges) == (market().symbols, market().exchanges)
    found = drawn(ConditionSettings(coin_dropout=1, exchange_dropout=1), 200)
    assert {(len(one.symbols), len(one.exchanges)) for one in found} == {(1, 2)}
    # Which ones stay is drawn, too.
    assert {name for one in found for name in one.symbols} == set(market().symbols)
    assert {name for one in found for name in one.exchanges} == set(market().exchanges)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, coins=st.floats(0, 1), exchanges=st.floats(0, 1))
def test_every_coin_that_is_left_is_on_two_exchanges_that_are_left(seed: int, coins: float, exchanges: float) -> None:
    there = random_market(np.random.default_rng(seed), coins=3, exchanges=4, hours=20)
    asked = ConditionSettings(maker_share=0, coin_dropout=coins, exchange_dropout=exchanges)
    one = draw_conditions(np.random.default_rng(seed), asked, there)
    assert len(one.exchanges) >= 2
    assert one.symbols
    for symbol in one.symbols:
        legs = [there.leg_name(leg) for leg in range(there.legs)]
        assert sum(name == symbol and exchange in one.exchanges for name, exchange in legs) >= 2


def test_exchanges_without_a_coin_in_common_do_not_stay_alone() -> None:
    """A is on alpha and beta, B on gamma and delta: of six pairs of exchanges four have nothing to trade."""
    there = market([("A", "alpha"), ("A", "beta"), ("B", "delta"), ("B", "gamma")])
    asked = ConditionSettings(exchange_dropout=1, coin_dropout=0)
    found = [draw_conditions(np.random.default_rng(seed), asked, there) for seed in range(60)]
    kept = {one.exchanges for one in found}
    assert kept == {("alpha", "beta"), ("delta", "gamma"), ("alpha", "beta", "delta", "gamma")}


def test_a_market_without_any_pair_is_refused() -> None:
    with pytest.raises(SettingsError, match="no coin of this market is on two exchanges"):
        draw_conditions(np.random.default_rng(0), TAKERS, market([("A", "alpha"), ("B", "beta")]))


def test_orders_that_rest_are_refused_where_high_and_low_are_not_known() -> None:
    there = market(high=np.nan, low=np.nan)
    with pytest.raises(SettingsError, match="maker_share is above 0"):
        draw_conditions(np.random.default_rng(0), ConditionSettings(), there)
    assert draw_conditions(np.random.default_rng(0), TAKERS, there).execution == "taker"


def test_latency_and_costs_come_on_top_of_the_runs_own_and_the_others_replace_them() -> None:
    own = plain_settings(latency_hours=2, cost_multiple=3, account="by_exchange", leverage=3)
    conditions = Conditions(1, "volume", "maker_then_hedge", False, 1.5, ("AAA",), ("alpha", "beta"))
    there = conditions.of(own)
    assert (there.latency_hours, there.cost_multiple) == (3, 4.5)
    assert (there.spread_model, there.execution) == ("volume", "maker_then_hedge")
    assert (there.account, there.leverage, there.fit_to_free_margin) == ("pooled", 1, False)
    assert (there.filters.symbols, there.filters.exchanges) == (("AAA",), ("alpha", "beta"))
    wallets = Conditions(0, "fixed", "taker", True, 1, ("AAA",), ("alpha", "beta")).of(own)
    assert (wallets.account, wallets.leverage, wallets.fit_to_free_margin) == ("by_exchange", 3, True)
    # Changed without being validated: whatever comes of it must be settings that can be.
    for made in (there, wallets):
        assert EngineSettings.model_validate(made.model_dump()) == made


def test_a_world_has_what_is_left_and_wallets_at_these_exchanges_only() -> None:
    conditions = Conditions(1, "fixed", "taker", True, 2, ("AAA", "CCC"), ("alpha", "gamma"))
    world = world_under(market(), plain_settings(), conditions)
    assert (world.tape.market.symbols, world.tape.market.exchanges) == (("AAA", "CCC"), ("alpha", "gamma"))
    assert len(world.tape.pairs) == 4
    assert world.tape.wallet_shares.tolist() == [0.5, 0.5]
    assert world.tape.settings == world.settings == conditions.of(plain_settings())


def test_drawn_worlds_are_recorded_ones_first_and_repeat_by_seed() -> None:
    there = random_market(np.random.default_rng(2), coins=3, exchanges=3, hours=120)
    asked = WorldsSettings(
        count=5, recorded_share=0.4, conditions=ConditionSettings(maker_share=0, coin_dropout=0, exchange_dropout=0,
        volume_spread_share=0), augmentation=AugmentationSettings(segment_days=(1, 2)),
    )  # fmt: skip

    def rates(seed: int) -> list[Any]:
        made = drawn_worlds(there, engine_settings(), asked, np.random.default_rng(seed), lambda _: 0.04)
        return [world.tape.market.funding_rate for world in made]

    found, again, other = rates(1), rates(1), rates(2)
    assert [np.array_equal(each, there.funding_rate, equal_nan=True) for each in found] == [True] * 2 + [False] * 3
    assert all(np.array_equal(one, two, equal_nan=True) for one, two in zip(found, again, strict=True))
    assert not np.array_equal(found[2], other[2], equal_nan=True)
    assert not np.array_equal(found[2], found[3], equal_nan=True)


def test_costs_that_fall_are_refused() -> None:
    with pytest.raises(SettingsError, match="cost_multiples: the lowest, 2, is above the highest, 1"):
        parse_settings(ConditionSettings, {"cost_multiples": (2, 1)})
