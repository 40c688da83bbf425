"""Environments of observation version 2: the bits of a backtest, and steps that span the hours between decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from market_strategies import EXCHANGES, random_market, random_settings, with_margin, with_shocks
from support_environment import FIRST, LAST, builder, random_policy

from engine.accounting.books import Reason
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import UserError
from engine.observation.encoding import ObservationSpec, Scaler, encoding_of
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Order, View
from engine.settings import FilterSettings
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.rewards import episode_reward
from rl_training.environments.scoring import play
from rl_training.environments.vec_env import FundingVecEnv
from rl_training.settings import EpisodeSettings, RewardSettings
from strategies.plugin import Context, NoParameters
from strategies.policy import best_action
from strategies.ppo import Ppo, orders_of

HOURS = 220
NO_SCALER = Scaler(mean=(), deviation=())


class PlaysActions:
    """Answers with fixed actions at the hours of its clock and keeps what it was shown."""

    def __init__(self, case: Case) -> None:
        self._actions, self._spec = iter(case.actions.tolist()), case.spec
        self._encoding, self.decision_clock = encoding_of(case.spec, NO_SCALER), case.spec.clock
        self.seen: list[bytes] = []

    def decide(self, view: View) -> Sequence[Order]:
        observation, visible = view.observe(self._encoding, self._spec)
        self.seen.append(observation.tobytes())
        return orders_of(next(self._actions), visible)


class Case:
    """A random market and window, seen through version 2, with actions for every decision."""

    def __init__(self, seed: int, *, every: int = 8, margin: bool = False) -> None:
        rng = np.random.default_rng(seed)
        settings = random_settings(rng).model_copy(update={"filters": FilterSettings(), "min_history_hours": 4})
        market = random_market(rng, coins=3, exchanges=4, hours=HOURS)
        if margin:
            market = with_shocks(rng, market)
            settings = with_margin(rng, settings, market, always=True).model_copy(update={"min_history_hours": 4})
        self.builder = OpportunityBuilder(prepare(market, settings))
        self.spec = ObservationSpec(
            version=2, positions=settings.max_positions, opportunities=4, exchanges=EXCHANGES[:3], wallets=margin,
            decide_every_hours=every, phase=int(rng.integers(every)),
        )  # fmt: skip
        self.market = TrainingMarket.over(self.builder, self.spec, NO_SCALER, 0, HOURS - 1)
        self.first, self.last = int(rng.integers(5, 25)), HOURS - 1
        self.actions = rng.integers(0, self.spec.actions, HOURS)

    @property
    def episode(self) -> EpisodeSettings:
        return EpisodeSettings(length_hours=self.last - self.first, close_at_end=True)

    @property
    def window(self) -> dict[str, int]:
        return {"first": self.first, "last": self.last}


Played = tuple[Records, list[bytes]]


def backtest(case: Case) -> Played:
    strategy = PlaysActions(case)
    return run_backtest(case.builder, strategy, case.first, case.last), strategy.seen


def gym_episode(case: Case) -> Played:
    env = FundingArbitrageEnv(case.market, episode=case.episode, recording_hours=16)
    observation, _ = env.reset(seed=0, options=case.window)
    seen, over = [], False
    for action in case.actions:
        seen.append(observation.tobytes())
        observation, _, over, _, _ = env.step(action)
        if over:
            break
    assert over
    return env.records(), seen


def vec_episode(case: Case, portfolios: int, watched: int) -> Played:
    env = FundingVecEnv(case.market, portfolios, np.random.default_rng(5), episode=case.episode, recording_hours=16)
    env.set_options([case.window] * portfolios)
    observations = env.reset()
    others = np.random.default_rng(6).integers(0, case.spec.actions, (len(case.actions), portfolios))
    others[:, watched] = case.actions
    seen = []
    for row in others:
        seen.append(observations[watched].tobytes())
        observations, _, dones, _ = env.step(row)
        if dones[watched]:
            break
    return env.records(watched), seen


def assert_bit_for_bit(one: Played, two: Played) -> None:
    assert one[1] == two[1], "observations differ"
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(one[0], name).tobytes() == getattr(two[0], name).tobytes(), name


@pytest.mark.parametrize(("seed", "every", "margin"), [
    (0, 8, False), (1, 8, False), (2, 1, False), (3, 5, False), (100, 8, True), (101, 3, True), (102, 1, True),
])  # fmt: skip
def test_backtest_and_environments_show_and_book_the_same(seed: int, every: int, margin: bool) -> None:
    case = Case(seed, every=every, margin=margin)
    expected = backtest(case)
    assert len(expected[0].hours) == case.last - case.first + 1
    assert len(expected[1]) in range((case.last - case.first) // every, (case.last - case.first) // every + 2)
    assert_bit_for_bit(expected, gym_episode(case))
    assert_bit_for_bit(expected, vec_episode(case, portfolios=7, watched=3))


def test_the_cases_trade() -> None:
    ledgers = [backtest(Case(seed))[0].ledger for seed in range(4)]
    assert sum(len(ledger) for ledger in ledgers) > 100


def environment(seed: int, **options: Any) -> tuple[FundingVecEnv, TrainingMarket]:
    case = Case(seed)
    return FundingVecEnv(case.market, 5, np.random.default_rng(1), **options), case.market


def test_a_step_goes_to_the_next_decision_and_pays_all_that_came_of_it() -> None:
    env, market = environment(0, episode=EpisodeSettings(length_hours=80))
    capital = market.tape.settings.initial_capital_usd
    observations = env.reset()
    rng, loop = np.random.default_rng(0), env.episodes.loop
    protected = loop.books.portfolios["equity_protected"]
    for _ in range(60):
        rows, before = loop.rows.copy(), protected.copy()
        assert np.all((rows - market.clock_offset) % 8 == 0)
        masks = env.action_masks()
        np.testing.assert_array_equal(observations[:, -market.spec.actions :], masks.astype(np.float32))
        observations, rewards, dones, infos = env.step((rng.random(masks.shape) * masks).argmax(axis=1))
        running = ~dones
        assert np.all(loop.rows[running] == rows[running] + 8)
        gained = 100 * 3.0 * (loop.books.portfolios["equity"] - before) / capital
        assert rewards[running] == pytest.approx(gained[running], rel=1e-5, abs=1e-5)
        for b in np.flatnonzero(dones):
            assert infos[b]["TimeLimit.truncated"]
            assert infos[b]["episode"]["l"] == 80


def test_the_last_observation_of_a_cut_episode_shows_candidates_wherever_it_ends() -> None:
    """It is bootstrapped: also where the episode's length is no multiple of the hours between decisions."""
    env, market = environment(0, episode=EpisodeSettings(length_hours=29))
    env.reset()
    place, shown = market.spec.first_opportunity, 0
    for _ in range(40):
        _, _, dones, infos = env.step(np.zeros(5, np.int64))
        shown += sum(bool(infos[b]["terminal_observation"][place:-9].any()) for b in np.flatnonzero(dones))
    assert shown > 10


def test_windows_begin_at_a_decision_and_stay_in_the_data() -> None:
    market = Case(0).market
    rng = np.random.default_rng(0)
    first, last = market.draw(rng, 100, 2000)
    assert np.all((first - market.clock_offset) % 8 == 0)
    assert first.min() == market.clock_offset
    assert last.max() <= market.last
    assert last.max() > market.last - 8
    assert len(set(first.tolist())) == (market.last - 100 - market.clock_offset) // 8 + 1


def test_windows_of_hourly_decisions_are_drawn_as_before_there_was_a_clock() -> None:
    made = builder()
    spec = ObservationSpec(features=("fund_apr",))
    market = TrainingMarket.over(made, spec, Scaler(mean=(0,), deviation=(1,)), 7, 60)
    first, last = market.draw(np.random.default_rng(4), 20, 50)
    expected = np.random.default_rng(4).integers(7, 40, size=50, endpoint=True)
    assert first.tolist() == expected.tolist()
    assert np.all(last == first + 20)


def test_a_window_without_a_decision_is_refused() -> None:
    case = Case(0)
    env = FundingArbitrageEnv(case.market)
    first = case.market.clock_offset + 1
    with pytest.raises(UserError, match=r"no hour at which is decided \(every 8 h, phase"):
        env.reset(options={"first": first, "last": first + 7})
    assert env.reset(options={"first": first, "last": first + 8})[1]["first"] == first
    assert env.episodes.loop.rows[0] == first + 7


def test_a_policy_scores_what_its_backtest_books_and_takes_what_the_mask_allows() -> None:
    spec = ObservationSpec(version=2, positions=3, exchanges=EXCHANGES)
    policy = random_policy(3, spec)
    made = builder()
    market = TrainingMarket.over(made, spec, NO_SCALER, FIRST, LAST)
    reward = RewardSettings(quality_entry_bonus=0.3, quality_entry_penalty=0.2, invalid_action_penalty=0.1)
    scored, gained = play(policy, market, reward)
    assert gained == pytest.approx(episode_reward(scored, made, reward), rel=1e-9)
    records = run_backtest(made, Ppo(NoParameters(), Context(np.random.default_rng(0), (policy,))), FIRST, LAST)
    for name in ("ledger", "trades", "notes", "hours"):
        assert getattr(scored, name).tobytes() == getattr(records, name).tobytes(), name
    assert len(records.trades) > 3
    # No order on nothing; the mask knows nothing of margin, which refuses late entries.
    assert set(records.notes["reason"].tolist()) <= {int(Reason.MARGIN)}


def test_the_mask_decides_between_logits() -> None:
    spec = ObservationSpec(version=2, positions=3, exchanges=EXCHANGES)
    policy = random_policy(0, spec)
    observation = np.zeros(spec.size, np.float32)
    free = int(np.argmax([best_action_of(policy, observation, {k}) == k for k in range(spec.actions)]))
    for allowed in ({free}, {0}, {0, 5}, set(range(spec.actions))):
        assert best_action_of(policy, observation, allowed) in allowed


def best_action_of(policy: Any, observation: Any, allowed: set[int]) -> int:
    shown = observation.copy()
    shown[-policy.spec.actions :] = [float(k in allowed) for k in range(policy.spec.actions)]
    return best_action(policy, shown)


def test_positions_are_protected_between_decisions() -> None:
    """Stop-losses and outages act at hours at which nobody decides."""
    left = []
    for seed in range(4):
        case = Case(seed)
        trades = backtest(case)[0].trades
        own = ~np.isin(trades["reason"], (0, 4))
        left += ((trades["closed"][own] - case.market.clock_offset) % 8).tolist()
    assert any(left)
