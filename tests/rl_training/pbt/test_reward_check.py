"""Whether reward and P&L rank alike: Spearman against scipy, and where a training run shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from adapters.reporting.pbt_figure import reward_points
from engine.analysis.rank_correlation import ranks, spearman
from rl_training.pbt.results import AgentResult, Iteration
from rl_training.pbt.reward_check import RewardCheck, check_in_words, reward_check


@pytest.mark.parametrize("seed", range(5))
def test_spearman_is_that_of_scipy_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 6, 40).astype(float)
    second = first + rng.integers(0, 8, 40)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_what_never_varies_ranks_nothing() -> None:
    rising = np.arange(4.0)
    assert spearman(np.ones(4), rising) is None
    assert spearman(rising, np.ones(4)) is None
    assert spearman(rising[:2], rising[:2]) is None
    assert spearman(rising, -rising) == pytest.approx(-1)
    assert ranks(np.array([3.0, 1.0, 3.0])).tolist() == [1.5, 0.0, 1.5]


def result(agent: int, iteration: int, reward: float | None, pnl: float | None, failure: Any = None) -> AgentResult:
    return AgentResult(
        agent=agent, iteration=iteration, source=None, hyperparameters={}, steps=1, fitness=pnl, reward=reward,
        metrics={"pnl_pct": pnl}, failure=failure, log=(),
    )  # fmt: skip


def iteration(number: int, *scores: tuple[float | None, float | None]) -> Iteration:
    results = {k: result(k, number, *score) for k, score in enumerate(scores)}
    return Iteration(number, [one.assignment for one in results.values()], results)


ALIKE = [iteration(1, (1.0, 0.1), (2.0, 0.2), (3.0, 0.3)), iteration(2, (4.0, 0.4), (5.0, 0.5), (7.0, 0.6))]


def test_the_check_goes_over_agents_and_iterations() -> None:
    assert reward_check(ALIKE) == RewardCheck(pytest.approx(1.0), 6, (pytest.approx(1.0), pytest.approx(1.0)))
    turned = [ALIKE[0], iteration(2, (4.0, -0.4), (5.0, -0.5), (7.0, None))]
    check = reward_check(turned)
    assert check.results == 5
    assert check.rank_correlation == pytest.approx(spearmanr([1, 2, 3, 4, 5], [0.1, 0.2, 0.3, -0.4, -0.5]).statistic)
    assert check.by_iteration == (pytest.approx(1.0), None)


def test_failed_agents_do_not_count() -> None:
    failed = Iteration(1, [], {**ALIKE[0].results, 9: result(9, 1, 9.0, -9.0, "it broke")})
    assert reward_check([failed]) == RewardCheck(pytest.approx(1.0), 3, (pytest.approx(1.0),))


def test_the_words_warn_when_the_reward_leads_elsewhere() -> None:
    assert "over 6 scores: +1.000; they rank alike" in check_in_words(reward_check(ALIKE))
    assert "+0.500; the reward ranks agents otherwise" in check_in_words(RewardCheck(0.5, 8, ()))
    assert "not defined over 0 scores" in check_in_words(reward_check([iteration(1, (None, None))]))


def test_the_figure_has_a_dot_for_every_score() -> None:
    assert reward_points(ALIKE)[0] == [1, 1.0, 0.1]
    assert len(reward_points(ALIKE)) == 6
    assert reward_points([iteration(1, (None, None))]) == []
