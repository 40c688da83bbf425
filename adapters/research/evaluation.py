"""Scoring players: over a whole window, or over seeded windows of one length (episodes)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.research.playing import Played
from engine.analysis.assumed_funding import METRIC
from engine.analysis.metrics import Metrics
from engine.analysis.rank_correlation import spearman
from engine.errors import UserError
from engine.windows import Window


def draw_windows(within: Window, count: int, length_hours: int, seed: int) -> list[Window]:
    """``count`` random windows of ``length_hours`` decisions. Raises ``UserError`` when none fits."""
    latest = within.last - length_hours
    if latest < within.first:
        raise UserError(f"windows of {length_hours} h do not fit into {within.hours} h; give --episode-hours")
    starts = np.random.default_rng(seed).integers(within.first, latest, size=count, endpoint=True)
    return [Window(int(start), int(start) + length_hours) for start in starts]


def summary(episodes: Sequence[Played]) -> Metrics:
    """One row over episodes: rewards and P&L are means per episode, trades are those of all episodes together.

    Drawdown and share of assumed funding are those of the worst episode.
    """
    # Over all trades: a mean of the episodes' means would give trades of quiet episodes more weight.
    pnl = np.concatenate([episode.trade_pnl_usd for episode in episodes])
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    steps = sum(episode.window.hours - 1 for episode in episodes)
    return {
        "episodes": len(episodes),
        "steps": steps,
        "reward": float(np.mean([_reward(episode) for episode in episodes])),
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


def _mean_of(episodes: Sequence[Played], name: str) -> float:
    return float(np.mean([float(episode.metrics[name] or 0.0) for episode in episodes]))


def rank_correlation(episodes: Sequence[Played]) -> float | None:
    """Spearman's correlation of reward and P&L over episodes; None where one of them never varies."""
    rewards = np.array([_reward(episode) for episode in episodes])
    return spearman(rewards, np.array([float(episode.metrics["pnl_usd"] or 0.0) for episode in episodes]))


def _reward(episode: Played) -> float:
    if episode.reward is None:
        raise ValueError("played without asking for the reward")
    return episode.reward
