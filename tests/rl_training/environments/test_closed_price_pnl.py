"""Price P&L that counts when it is realised: the same sum once all is closed, only funding and fees before."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import EXCHANGES, random_market, random_settings, with_margin, with_shocks

from engine.accounting.books import Kind
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.observation.encoding import ObservationSpec, Scaler
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import FilterSettings
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.scoring import play
from rl_training.settings import EpisodeSettings, RewardSettings

HOURS, CASES = 160, 8
MARKED, CLOSED = RewardSettings(), RewardSettings(price_pnl="closed")


@cache
def case(seed: int) -> TrainingMarket:
    """A random market under random rules, every other one with wallets, shocks and legs that are liquidated."""
    rng = np.random.default_rng(seed)
    made = random_settings(rng).model_copy(update={"filters": FilterSettings(), "min_history_hours": 4})
    market = random_market(rng, coins=3, exchanges=4, hours=HOURS)
    if seed % 2:
        market = with_shocks(rng, market)
        made = with_margin(rng, made, market, always=True).model_copy(update={"min_history_hours": 4})
    spec = ObservationSpec(
        version=2, positions=made.max_positions, opportunities=4, exchanges=EXCHANGES[:3],
        decide_every_hours=(8, 4, 1)[seed % 3],
    )  # fmt: skip
    builder = OpportunityBuilder(prepare(market, made))
    return TrainingMarket.over(builder, spec, Scaler(mean=(), deviation=()), 0, HOURS - 1)


class Steps:
    """One episode of random actions: rewards, what each step wrote into the ledger, and whether it ended with nothing
    open."""

    def __init__(self, seed: int, actions: int, reward: RewardSettings, *, close_at_end: bool = True) -> None:
        market = case(seed)
        episode = EpisodeSettings(length_hours=HOURS - 21, close_at_end=close_at_end)
        env = FundingArbitrageEnv(market, episode=episode, reward=reward, recording_hours=16)
        env.reset(seed=0, options={"first": 20, "last": HOURS - 1})
        rng, before = np.random.default_rng(actions), 0
        self.rewards: list[float] = []
        self.ledgers = []
        over = False
        while not over:
            masks = env.action_masks()
            _, gained, terminated, truncated, _ = env.step(int((rng.random(masks.shape) * masks).argmax()))
            over = terminated or truncated
            self.records: Records = env.records()
            self.ledgers.append(self.records.ledger[before:])
            before = len(self.records.ledger)
            self.rewards.append(float(gained))
        self.scale = 100 * reward.pnl_reward_scale / market.tape.settings.initial_capital_usd

    @property
    def cash(self) -> list[float]:
        """What moved the account's cash in each step, as a reward."""
        return [float(ledger["amount"].sum()) * self.scale for ledger in self.ledgers]

    def of(self, *kinds: Kind) -> list[float]:
        return [float(one["amount"][np.isin(one["kind"], kinds)].sum()) * self.scale for one in self.ledgers]


ANY = (st.integers(0, CASES - 1), st.integers(0, 10**6))


@settings(deadline=None, max_examples=12)  # the first one compiles
@given(*ANY)
def test_once_everything_is_closed_both_add_up_to_the_same(seed: int, actions: int) -> None:
    marked, closed = (Steps(seed, actions, reward) for reward in (MARKED, CLOSED))
    # The reward changes nothing of what happens.
    assert marked.records.ledger.tobytes() == closed.records.ledger.tobytes()
    assert sum(closed.rewards) == pytest.approx(sum(marked.rewards), rel=1e-5, abs=1e-4)


@settings(deadline=None, max_examples=12)
@given(*ANY, st.booleans())
def test_a_step_pays_what_it_wrote_into_the_ledger(seed: int, actions: int, close_at_end: bool) -> None:
    steps = Steps(seed, actions, CLOSED, close_at_end=close_at_end)
    assert steps.rewards == pytest.approx(steps.cash, rel=1e-5, abs=1e-5)


def test_while_a_position_is_open_only_funding_and_fees_count() -> None:
    compared = differing = realised = 0
    for seed in range(CASES):
        marked, closed = (Steps(seed, 3, reward) for reward in (MARKED, CLOSED))
        rows = zip(
            closed.rewards, marked.rewards, closed.of(Kind.FUNDING, Kind.FEE), closed.of(Kind.PRICE), strict=True
        )
        for own, other, paid, price in rows:
            if price == 0.0:
                assert own == pytest.approx(paid, abs=1e-5)
                compared += 1
                differing += abs(own - other) > 1e-3
            else:
                realised += abs(own - paid) > 1e-3
    assert min(compared, differing, realised) > 20


def test_an_episode_that_is_cut_leaves_out_what_is_still_open() -> None:
    left = []
    for seed in range(CASES):
        marked, closed = (Steps(seed, 3, reward, close_at_end=False) for reward in (MARKED, CLOSED))
        assert sum(closed.rewards) == pytest.approx(sum(closed.cash), rel=1e-5, abs=1e-4)
        left.append(abs(sum(marked.rewards) - sum(closed.rewards)))
    assert max(left) > 0.1


def test_a_score_is_the_same_either_way() -> None:
    """It is of a window that is closed at its end."""
    from support_structured import SPEC, market, structured_policy

    policy = structured_policy(2, SPEC, spread=0.4)
    (records, marked), (_, closed) = (play(policy, market(), reward) for reward in (MARKED, CLOSED))
    assert len(records.trades) > 3
    assert closed == pytest.approx(marked, rel=1e-9)
