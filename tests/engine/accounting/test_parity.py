"""The heart of the product: the same actions give the same ledger, bit for bit, whoever steps the portfolio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from market_strategies import (
    random_market,
    random_settings,
    resting,
    with_bars,
    with_books,
    with_instruments,
    with_margin,
    with_shocks,
)
from numpy.typing import NDArray

from engine.accounting.books import ORDER, Kind, OrderKind, Reason
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.observation.actions import decode_action
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of, fit_scaler
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, Order, View
from engine.settings import FilterSettings, MakerSettings
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.vec_env import FundingVecEnv
from rl_training.settings import EpisodeSettings

HOURS = 150


class PlaysActions:
    """A backtest strategy that decodes a fixed list of actions from what it sees, as a policy would."""

    def __init__(self, actions: NDArray[np.int64], spec: ObservationSpec, scaler: Scaler) -> None:
        self._actions, self._spec, self._encoding = iter(actions), spec, encoding_of(spec, scaler)
        self.observations: list[bytes] = []

    def decide(self, view: View) -> Sequence[Order]:
        observation, visible = view.observe(self._encoding, self._spec)
        self.observations.append(observation.tobytes())
        order = np.zeros(1, ORDER)[0]
        decode_action(int(next(self._actions)), visible, order)
        if order["kind"] == int(OrderKind.ENTER):
            return [Enter(int(order["target"]))]
        return [Exit(int(order["target"]))] if order["kind"] == int(OrderKind.EXIT) else []


class Case:
    """A random market with everything that can befall it, seen through a spec of its own size."""

    def __init__(
        self, seed: int, *, margin: bool = False, rests: bool = False, lots: bool = False, books: bool = False
    ) -> None:
        rng = np.random.default_rng(seed)
        settings = random_settings(rng).model_copy(update={"filters": FilterSettings(), "min_history_hours": 4})
        market = replace(random_market(rng, coins=3, exchanges=4, hours=HOURS))
        if margin:
            market = with_shocks(rng, market)
            settings = with_margin(rng, settings, market, always=True).model_copy(update={"min_history_hours": 4})
        if rests:
            market, settings = with_bars(rng, market), resting(settings, MakerSettings(volume_share=0.1))
        if lots:
            market = with_instruments(rng, market, near_usd=settings.initial_capital_usd / 10)
        if books:
            market = with_books(rng, market, near_usd=settings.initial_capital_usd / 10)
        self.builder = OpportunityBuilder(prepare(market, settings))
        self.spec = ObservationSpec(positions=settings.max_positions, opportunities=4, liquidation_distance=margin)
        self.scaler = fit_scaler(self.builder, self.spec, 0, HOURS - 1)
        self.market = TrainingMarket.over(self.builder, self.spec, self.scaler, 0, HOURS - 1)
        self.first, self.last = 10, HOURS - 1
        self.actions = rng.integers(0, self.spec.actions, self.last - self.first)

    @property
    def episode(self) -> EpisodeSettings:
        return EpisodeSettings(length_hours=self.last - self.first, close_at_end=True)

    @property
    def window(self) -> dict[str, int]:
        return {"first": self.first, "last": self.last}


def backtest(case: Case) -> tuple[Records, list[bytes]]:
    strategy = PlaysActions(case.actions, case.spec, case.scaler)
    return run_backtest(case.builder, strategy, case.first, case.last), strategy.observations


def gym_episode(case: Case) -> tuple[Records, list[bytes]]:
    env = FundingArbitrageEnv(case.market, episode=case.episode, recording_hours=16)
    observation, _ = env.reset(seed=0, options=case.window)
    seen = []
    for action in case.actions:
        seen.append(observation.tobytes())
        observation, _, terminated, truncated, _ = env.step(action)
    assert terminated
    assert not truncated
    return env.records(), seen


def vec_episode(case: Case, portfolios: int, watched: int) -> tuple[Records, list[bytes]]:
    """The watched portfolio plays the actions; the others play other ones in the same window."""
    env = FundingVecEnv(case.market, portfolios, np.random.default_rng(5), episode=case.episode, recording_hours=16)
    env.set_options([case.window] * portfolios)
    observations = env.reset()
    others = np.random.default_rng(6).integers(0, case.spec.actions, (len(case.actions), portfolios))
    others[:, watched] = case.actions
    seen = []
    for row in others:
        seen.append(observations[watched].tobytes())
        observations, _, dones, _ = env.step(row)
    assert dones[watched]
    return env.records(watched), seen


def assert_bit_for_bit(one: tuple[Records, list[bytes]], two: tuple[Records, list[bytes]]) -> None:
    assert one[1] == two[1], "observations differ"
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(one[0], name).tobytes() == getattr(two[0], name).tobytes(), name
    for name in ("missing_settlements", "fills_at_last_trade", "stale_hours"):
        assert getattr(one[0], name) == getattr(two[0], name)


@pytest.mark.parametrize("seed", range(6))
def test_backtest_gym_and_vectorised_environments_write_one_ledger(seed: int) -> None:
    case = Case(seed)
    expected = backtest(case)
    assert len(expected[0].hours) == case.last - case.first + 1
    assert_bit_for_bit(expected, gym_episode(case))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=1, watched=0))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=64, watched=37))


@pytest.mark.parametrize("seed", range(100, 106))
def test_with_margin_by_exchange_too(seed: int) -> None:
    case = Case(seed, margin=True)
    expected = backtest(case)
    assert len(expected[0].ledger)
    assert_bit_for_bit(expected, gym_episode(case))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=1, watched=0))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=64, watched=37))


@pytest.mark.parametrize("seed", [100, 101, 102, 105])
def test_with_orders_that_rest_too(seed: int) -> None:
    case = Case(seed, margin=seed % 2 == 0, rests=True)
    expected = backtest(case)
    assert {int(Reason.WHOLLY_FILLED), int(Reason.NOT_FILLED)} <= set(expected[0].notes["reason"].tolist())
    assert_bit_for_bit(expected, gym_episode(case))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=1, watched=0))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=64, watched=37))


@pytest.mark.parametrize("seed", [100, 101, 102, 103])
def test_with_lots_and_minima_too(seed: int) -> None:
    case = Case(seed, margin=seed % 2 == 0, rests=seed < 102, lots=True)
    expected = backtest(case)
    plain = backtest(Case(seed, margin=seed % 2 == 0, rests=seed < 102))
    assert expected[0].ledger.tobytes() != plain[0].ledger.tobytes()
    assert_bit_for_bit(expected, gym_episode(case))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=1, watched=0))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=64, watched=37))


@pytest.mark.parametrize("seed", [100, 101, 102, 103])
def test_with_recorded_order_books_too(seed: int) -> None:
    others = {"margin": seed % 2 == 0, "rests": seed < 102, "lots": seed == 103}
    case = Case(seed, **others, books=True)
    expected = backtest(case)
    assert expected[0].ledger.tobytes() != backtest(Case(seed, **others))[0].ledger.tobytes()
    assert_bit_for_bit(expected, gym_episode(case))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=1, watched=0))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=64, watched=37))


def test_the_cases_with_margin_liquidate_and_transfer() -> None:
    kinds = np.concatenate([backtest(Case(seed, margin=True))[0].ledger["kind"] for seed in range(100, 106)])
    assert {int(Kind.LIQUIDATION_FEE), int(Kind.TRANSFER), int(Kind.TRANSFER_FEE)} <= set(kinds.tolist())


def test_an_environment_that_begins_anew_has_fresh_wallets() -> None:
    case = Case(101, margin=True)
    env = FundingVecEnv(case.market, 2, np.random.default_rng(5), episode=EpisodeSettings(length_hours=40))
    rng, blank = np.random.default_rng(1), env.episodes.loop.books.wallets["balance"].copy()
    env.reset()
    moved = False
    for _ in range(80):
        _, _, dones, _ = env.step(rng.integers(0, case.spec.actions, 2))
        balances = env.episodes.loop.books.wallets["balance"]
        moved = moved or not np.array_equal(balances, blank)
        if dones.all():
            np.testing.assert_array_equal(balances, blank)
    assert moved


def test_the_cases_have_both_models_of_spreads_and_assume_some() -> None:
    tapes = [Case(seed).builder.tape for seed in range(6)]
    assert {tape.settings.spread_model for tape in tapes} == {"fixed", "volume"}
    for tape in tapes:
        assumed = np.where(np.isnan(tape.market.bid_ask_spread), tape.arrays.quotes["half_spread"], 0.0)
        assert assumed.any() == (tape.settings.spread_model == "volume")


def test_the_cases_trade() -> None:
    ledgers = [backtest(Case(seed))[0].ledger for seed in range(6)]
    assert sum(len(ledger) for ledger in ledgers) > 500
