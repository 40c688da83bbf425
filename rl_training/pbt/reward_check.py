"""Whether the reward that agents learn from ranks them as their P&L does, over all agents and iterations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.analysis.rank_correlation import spearman
from rl_training.pbt.results import AgentResult, Iteration

ALIKE = 0.9
"""Below this the reward leads elsewhere than the P&L."""


@dataclass(frozen=True)
class RewardCheck:
    """Spearman's rank correlation of validation reward and P&L, over ``results`` scores and by iteration."""

    rank_correlation: float | None
    results: int
    by_iteration: tuple[float | None, ...]


def reward_check(iterations: Sequence[Iteration]) -> RewardCheck:
    """The check over the iterations so far; failed agents are left out."""
    by_iteration = tuple(_correlation(iteration.results.values())[0] for iteration in iterations)
    every = [result for iteration in iterations for result in iteration.results.values()]
    return RewardCheck(*_correlation(every), by_iteration)


def pairs_of(results: Iterable[AgentResult]) -> list[tuple[float, float]]:
    """Reward and P&L % of the agents that have both."""
    # Failed agents have no scores; taken as zero they would look like a middling result.
    found = ((result.reward, result.metrics.get("pnl_pct")) for result in results if result.failure is None)
    return [(reward, float(pnl)) for reward, pnl in found if reward is not None and pnl is not None]


def _correlation(results: Iterable[AgentResult]) -> tuple[float | None, int]:
    pairs = np.array(pairs_of(results), np.float64).reshape(-1, 2)
    return spearman(pairs[:, 0], pairs[:, 1]), len(pairs)


def as_json(check: RewardCheck) -> dict[str, Any]:
    """For ``training_summary.json``."""
    return asdict(check)


def check_in_words(check: RewardCheck) -> str:
    """One line for people."""
    found = check.rank_correlation
    if found is None:
        return f"rank correlation of reward and P&L: not defined over {check.results} scores that hardly differ"
    verdict = "they rank alike" if found >= ALIKE else "the reward ranks agents otherwise than P&L: look at its terms"
    return f"rank correlation of reward and P&L over {check.results} scores: {found:+.3f}; {verdict}"
