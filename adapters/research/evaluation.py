"""Scoring policies: the backtest itself over a whole window or over seeded windows of one length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.records import NO_RECORDS, hold_hours, trade_pnl
from engine.analysis.assumed_funding import METRIC
from engine.analysis.metrics import Metrics, compute_metrics
from engine.analysis.rank_correlation import spearman
from engine.analysis.significance import returns_of
from engine.analysis.suspicion import suspicious_signs
from engine.backtest import run_backtest
from engine.errors import UserError
from engine.market.data import Floats
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Strategy
from engine.windows import Window
from rl_training.environments.rewards import episode_reward
from rl_training.settings import RewardSettings
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy
from strategies.ppo import Ppo


@dataclass(frozen=True, eq=False)
class Episode:
    """One pass of a policy over a window."""

    window: Window
    reward: float
    metrics: Metrics
    trade_pnl_usd: NDArray[np.float64]
    trades: NDArray[Any] = field(default_factory=lambda: NO_RECORDS.trades)
    returns: Floats = field(default_factory=lambda: np.zeros(0))
    """Hourly."""


def play(
    builder: OpportunityBuilder,
    policy: Policy,
    windows: Sequence[Window],
    reward: RewardSettings,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Episode]:
    """Backtest a policy over each window; ``progress`` hears the hours done since the last call."""
    return play_strategy(builder, lambda: alone(policy), windows, reward, progress)


def alone(policy: Policy) -> Strategy:
    """A policy as a strategy."""
    return Ppo(NoParameters(), Context(np.random.default_rng(0), (policy,)))


def play_strategy(
    builder: OpportunityBuilder,
    make: Callable[[], Strategy],
    windows: Sequence[Window],
    reward: RewardSettings,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Episode]:
    """Backtest a strategy, made anew for each window; the reward is what an environment would have given."""
    capital = builder.tape.settings.initial_capital_usd
    episodes = []
    for window in windows:
        records = run_backtest(builder, make(), window.first, window.last, progress=progress)
        metrics = compute_metrics(records, capital)
        earned = episode_reward(records, builder, reward)
        returns = returns_of(records, capital)
        episodes.append(Episode(window, earned, metrics, trade_pnl(records.trades), records.trades, returns))
    return episodes


def draw_windows(within: Window, count: int, length_hours: int, seed: int) -> list[Window]:
    """``count`` random windows of ``length_hours`` decisions. Raises ``UserError`` when none fits."""
    latest = within.last - length_hours
    if latest < within.first:
        raise UserError(f"windows of {length_hours} h do not fit into {within.hours} h; give --episode-hours")
    starts = np.random.default_rng(seed).integers(within.first, latest, size=count, endpoint=True)
    return [Window(int(start), int(start) + length_hours) for start in starts]


def summary(episodes: Sequence[Episode]) -> Metrics:
    """One row over episodes: rewards and P&L are means per episode, trades are those of all episodes together.

    Drawdown and share of assumed funding are those of the worst episode.
    """
    pnl = np.concatenate([episode.trade_pnl_usd for episode in episodes])
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    steps = sum(episode.window.hours - 1 for episode in episodes)
    return {
        "episodes": len(episodes),
        "steps": steps,
        "reward": float(np.mean([episode.reward for episode in episodes])),
        "pnl_pct": _mean_of(episodes, "pnl_pct"),
        "pnl_pct_per_7d": _mean_of(episodes, "pnl_pct_per_7d"),
        "max_drawdown_pct": max(float(episode.metrics["max_drawdown_pct"] or 0) for episode in episodes),
        METRIC: max(float(episode.metrics.get(METRIC) or 0) for episode in episodes),
        "trades": len(pnl),
        "win_rate_pct": 100 * len(wins) / len(pnl) if len(pnl) else None,
        "avg_win_usd": float(wins.mean()) if len(wins) else None,
        "avg_loss_usd": float(losses.mean()) if len(losses) else None,
        "profit_per_trade_usd": float(pnl.mean()) if len(pnl) else None,
    }


def _mean_of(episodes: Sequence[Episode], name: str) -> float:
    return float(np.mean([float(episode.metrics[name] or 0.0) for episode in episodes]))


def rank_correlation(episodes: Sequence[Episode]) -> float | None:
    """Spearman's correlation of reward and P&L over episodes; None where one of them never varies."""
    rewards = np.array([episode.reward for episode in episodes])
    return spearman(rewards, np.array([float(episode.metrics["pnl_usd"] or 0.0) for episode in episodes]))


def signs_of(at_once: Episode, late: Episode | None) -> list[str]:
    """Signs that an episode's profit is bounce or error; ``late`` is the same window with fills one hour later."""
    holds = hold_hours(at_once.trades).tolist()
    return suspicious_signs(at_once.metrics, holds, None if late is None else late.metrics)
