"""The gymnasium environment: its contract, its windows, what an action does and what a step pays."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check
from support_environment import FIRST, LAST, builder, course, random_valid

from engine.accounting.books import NoteKind, Status
from engine.errors import UserError
from engine.observation.encoding import ObservationSpec, encoding_of, fit_scaler
from engine.observation.view import View
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.registration import ENVIRONMENT_ID
from rl_training.settings import EpisodeSettings, RewardSettings

HOLD = 0


def environment(**options: Any) -> FundingArbitrageEnv:
    return FundingArbitrageEnv(course(), **options)


def play(env: FundingArbitrageEnv, seed: int = 0, options: dict[str, Any] | None = None) -> tuple[list[float], Any]:
    """Rewards of one episode of random allowed actions, and the last info."""
    rng = np.random.default_rng(seed)
    env.reset(seed=seed, options=options)
    rewards: list[float] = []
    over, info = False, {}
    while not over:
        _, reward, terminated, truncated, info = env.step(int(random_valid(env.action_masks(), rng)))
        rewards.append(reward)
        over = terminated or truncated
    return rewards, info


def test_passes_both_checkers_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make(ENVIRONMENT_ID, market=course())
        gymnasium_check(made.unwrapped)
        sb3_check(made.unwrapped)


def test_other_numbers_of_positions_and_opportunities_pass_too() -> None:
    spec = ObservationSpec(positions=2, opportunities=7)
    env = FundingArbitrageEnv(course(spec, max_positions=2))
    sb3_check(env)
    assert env.observation_space.shape == (5 + 3 * 2 + 22 * 7,)
    assert env.action_space.n == 1 + 7 + 2


def test_a_spec_of_other_positions_than_the_run_is_refused() -> None:
    with pytest.raises(UserError, match=r"observation\.positions=2"):
        course(ObservationSpec(), max_positions=2)


def test_default_observation_has_124_values_and_nine_actions() -> None:
    env = environment()
    observation, _ = env.reset(seed=1)
    assert observation.shape == (124,)
    assert observation.dtype == np.float32
    assert env.action_space.n == 9


def test_reset_takes_the_window_from_options() -> None:
    env = environment(episode=EpisodeSettings(length_hours=10))
    _, info = env.reset(options={"first": 50, "last": 55})
    assert (info["first"], info["last"]) == (50, 55)
    steps = [env.step(HOLD) for _ in range(5)]
    assert [step[3] for step in steps] == [False] * 4 + [True]
    assert not any(step[2] for step in steps)


@pytest.mark.parametrize(
    "options", [{"first": FIRST - 1, "last": 60}, {"first": 60, "last": LAST + 1}, {"first": 60, "last": 60}]
)
def test_a_window_outside_the_course_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match="no window within"):
        environment().reset(options=options)


def test_options_that_are_unknown_are_refused() -> None:
    with pytest.raises(UserError, match="reset options"):
        environment().reset(options={"start": 60})


def test_windows_are_drawn_from_the_seed() -> None:
    env = environment(episode=EpisodeSettings(length_hours=24))
    drawn = [env.reset(seed=seed)[1]["first"] for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    more = [env.reset()[1] for _ in range(200)]
    assert all(info["last"] - info["first"] == 24 for info in more)
    assert min(info["first"] for info in more) >= FIRST
    assert max(info["last"] for info in more) <= LAST


def test_an_episode_longer_than_the_data_is_refused() -> None:
    with pytest.raises(UserError, match=r"training\.episode\.length_hours"):
        environment(episode=EpisodeSettings(length_hours=LAST - FIRST + 1)).reset(seed=0)


def test_an_episode_as_long_as_the_data_fits() -> None:
    _, info = environment(episode=EpisodeSettings(length_hours=LAST - FIRST)).reset(seed=0)
    assert (info["first"], info["last"]) == (FIRST, LAST)


@pytest.mark.parametrize("action", [9, -1, 100])
def test_an_action_that_does_not_exist_is_an_error_and_changes_nothing(action: int) -> None:
    env = environment()
    env.reset(seed=0)
    before = env.episodes.state()
    with pytest.raises(UserError, match=r"outside 0\.\.8"):
        env.step(action)
    assert all(np.array_equal(before[name], array) for name, array in env.episodes.state().items())


def test_a_step_after_the_end_is_an_error() -> None:
    env = environment(episode=EpisodeSettings(length_hours=2))
    env.reset(seed=0)
    env.step(HOLD)
    env.step(HOLD)
    with pytest.raises(UserError, match="call reset"):
        env.step(HOLD)


def test_a_step_before_the_first_reset_is_an_error() -> None:
    with pytest.raises(UserError, match="call reset"):
        environment().step(HOLD)


def test_close_at_end_terminates_with_everything_sold() -> None:
    env = environment(episode=EpisodeSettings(length_hours=48, close_at_end=True), recording_hours=64)
    rng = np.random.default_rng(3)
    env.reset(seed=3)
    over = False
    while not over:
        _, _, over, truncated, _ = env.step(int(random_valid(env.action_masks(), rng)))
        assert not truncated
    assert not np.any(env.episodes.loop.books.slots["status"] == int(Status.OPEN))
    assert len(env.records().trades) > 0


def test_an_invalid_action_does_nothing_and_is_recorded() -> None:
    env = environment(recording_hours=64)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(7)
    assert info["invalid_actions"] == 1
    assert reward == 0.0
    notes = env.records().notes
    assert notes["kind"].tolist() == [int(NoteKind.REFUSED)]
    assert len(env.records().ledger) == 0


def test_masks_allow_exactly_what_is_not_refused_for_want_of_a_slot_or_pair() -> None:
    env = environment(episode=EpisodeSettings(length_hours=60))
    rng = np.random.default_rng(0)
    refused = 0
    for episode in range(4):
        env.reset(seed=episode)
        over = False
        while not over:
            mask = env.action_masks()
            assert mask[HOLD]
            action = int(rng.integers(9))
            _, _, _, over, info = env.step(action)
            if not mask[action]:
                assert info["invalid_actions"] == refused + 1
            refused = info["invalid_actions"]
        refused = 0


def test_observation_is_the_view_that_a_backtest_has() -> None:
    made = builder()
    spec = ObservationSpec()
    scaler = fit_scaler(made, spec, FIRST, LAST)
    env = FundingArbitrageEnv(
        TrainingMarket.over(made, spec, scaler, FIRST, LAST), episode=EpisodeSettings(length_hours=100)
    )
    rng = np.random.default_rng(2)
    observation, _ = env.reset(seed=4)
    encoding = encoding_of(spec, scaler)
    for _ in range(99):
        seen, visible = View(env.episodes.loop, made).observe(encoding, spec)
        np.testing.assert_array_equal(seen, observation)
        np.testing.assert_array_equal(visible, env.episodes.buffers.visible[0])
        observation = env.step(int(random_valid(env.action_masks(), rng)))[0]


@pytest.mark.trap(3)
@pytest.mark.parametrize("close_at_end", [False, True])
def test_trap_03_reward_is_the_change_of_equity_that_the_ledger_books(close_at_end: bool) -> None:
    scale = 3.0
    env = environment(
        episode=EpisodeSettings(length_hours=120, close_at_end=close_at_end),
        reward=RewardSettings(pnl_reward_scale=scale),
        recording_hours=256,
    )
    rewards, info = play(env, seed=6)
    capital = env.episodes.market.tape.settings.initial_capital_usd
    assert sum(rewards) == pytest.approx(100 * scale * (info["equity"] / capital - 1), rel=1e-5)
    ledger, books = env.records().ledger, env.episodes.loop.books
    assert len(ledger) > 20
    assert books.portfolios["cash"][0] == pytest.approx(capital + ledger["amount"].sum(), rel=1e-12)
    if close_at_end:
        assert info["equity"] == pytest.approx(capital + ledger["amount"].sum(), rel=1e-12)


@pytest.mark.trap(16)
def test_trap_16_rewards_pay_pnl_once_whatever_the_actions() -> None:
    env = environment(episode=EpisodeSettings(length_hours=72, close_at_end=True), recording_hours=128)
    capital = env.episodes.market.tape.settings.initial_capital_usd
    sums, pnl = [], []
    for seed in range(12):
        rewards, _ = play(env, seed=seed)
        sums.append(sum(rewards))
        pnl.append(env.records().ledger["amount"].sum())
    np.testing.assert_allclose(sums, 300 * np.array(pnl) / capital, rtol=1e-4, atol=1e-6)
    assert np.std(pnl) > 0


def test_rewards_of_every_step_follow_equity() -> None:
    env = environment(episode=EpisodeSettings(length_hours=80), recording_hours=128)
    rewards, _ = play(env, seed=9)
    capital = env.episodes.market.tape.settings.initial_capital_usd
    # A reward spans from one observation to the next: this hour's fills and the next hour's settlements.
    rng = np.random.default_rng(9)
    env.reset(seed=9)
    for reward in rewards:
        before = env.episodes.loop.books.portfolios["equity_protected"][0]
        env.step(int(random_valid(env.action_masks(), rng)))
        after = env.episodes.loop.books.portfolios["equity"][0]
        assert reward == np.float32(300 * (after - before) / capital)


def test_shaping_is_off_by_default_and_adds_up_when_it_is_on() -> None:
    length = EpisodeSettings(length_hours=100)
    plain = environment(episode=length)
    shaped = environment(
        episode=length,
        reward=RewardSettings(invalid_action_penalty=0.5, quality_entry_bonus=0.25, quality_entry_penalty=0.125),
    )
    rng = np.random.default_rng(0)
    plain.reset(seed=1)
    shaped.reset(seed=1)
    seen = set()
    for _ in range(100):
        action = int(rng.integers(9))
        visible, row = plain.episodes.buffers.visible[0].copy(), int(plain.episodes.loop.rows[0])
        refused = plain.episodes.loop.books.portfolios["refused"][0]
        difference = -plain.step(action)[1] + shaped.step(action)[1]
        expected = 0.0
        if plain.episodes.loop.books.portfolios["refused"][0] > refused:
            expected = -0.5
        elif 1 <= action <= 5:
            table = plain.episodes.market.candidates
            at = table.ranked.pairs[row].tolist().index(visible[action - 1])
            expected = 0.25 if table.quality[row, at] else -0.125
        seen.add(expected)
        assert difference == pytest.approx(expected, abs=1e-6)
    assert seen == {0.0, -0.5, 0.25, -0.125}


def test_recording_needs_to_be_asked_for() -> None:
    env = environment()
    env.reset(seed=0)
    with pytest.raises(UserError, match="recording_hours"):
        env.records()
