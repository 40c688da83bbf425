"""Scoring a policy on a window: the deterministic policy, row by row, through the environments of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.accounting.loop import DRAIN_EVERY_HOURS
from engine.accounting.records import Records
from engine.errors import ArbError
from engine.worlds import later, ruled
from rl_training.environments.episodes import Episodes, TrainingMarket
from rl_training.settings import EpisodeSettings, RewardSettings
from strategies.policy import Policy, best_action


def play(
    policy: Policy, market: TrainingMarket, reward: RewardSettings, rows: tuple[int, int] | None = None
) -> tuple[Records, float]:
    """Records and summed reward of a policy over a training market, closed at its last row like a backtest.

    ``rows``: over these rows of it, both included, instead of all.
    The records are those of a backtest of the same policy, bit for bit. Raises ``ArbError`` for a policy of another
    observation, and ``NotFiniteError`` when the policy has no finite answer.
    """
    # Layouts of equal size would run without an error, on numbers that mean something else.
    if policy.spec.hash() != market.spec.hash():
        raise ArbError(f"policy {policy.name} is of another observation than the market")
    # Closed at the end: an open position would be scored at marks, without the costs of leaving it.
    first, last = rows or (market.first, market.last)
    episode = EpisodeSettings(length_hours=last - first, close_at_end=True)
    episodes = Episodes(market, 1, episode, reward, recording_hours=DRAIN_EVERY_HOURS)
    observation = np.empty((1, market.spec.size), np.float32)
    gained, done, action = np.empty(1, np.float32), np.zeros(1, np.bool_), np.zeros(1, np.int64)
    episodes.start(np.array([first]), np.array([last]), np.zeros(1, np.int64), observation)
    while not done[0]:
        action[0] = best_action(policy, observation[0])
        episodes.step(action, observation, gained, done)
    return episodes.records(0), float(episodes.buffers.returns[0])


def late(market: TrainingMarket, hours: int) -> TrainingMarket:
    """The same market with every fill so many hours later than its own fills are, as in ``World.late``."""
    tape = market.tape
    return replace(market, tape=ruled(tape, later(tape.settings, hours))) if hours else market
