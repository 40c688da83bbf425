"""The fitness of a policy with a clock: the mean over phases, latencies and held-back worlds, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_environment import FIRST, builder
from support_structured import COSTS, NO_SCALER, SPEC, structured_policy

from engine.analysis.metrics import compute_metrics, fitness
from engine.analysis.significance import returns_of
from engine.backtest import run_backtest
from rl_training.environments.demonstrations import at_phase
from rl_training.environments.episodes import TrainingMarket
from rl_training.pbt.context import TrainingContext
from rl_training.pbt.judging import judged, pieces
from rl_training.pbt.settings import JudgeSettings
from rl_training.settings import TrainingSettings
from strategies.plugin import Context, NoParameters
from strategies.policy import Policy
from strategies.ppo import Ppo

END, WEIGHT, CAPITAL = 120, 0.25, 10_000.0
HELD_BACK = ((121, 299, 1, 1.0), (100, 220, 3, 2.0))
"""Rows, phase and multiple of the costs of two worlds."""
PIECES = ((121, 209, 1, 1.0), (210, 299, 1, 1.0), (100, 220, 3, 2.0))
"""What is played of them: 179 hours are two times those of validation, 81, and 121 are one time."""
POLICY = structured_policy(3)


@cache
def market(first: int = FIRST, last: int = END, phase: int = 0, multiple: float = 1.0) -> TrainingMarket:
    made = builder(max_positions=SPEC.positions, cost_multiple=multiple)
    return at_phase(TrainingMarket.over(made, SPEC, NO_SCALER, first, last), phase)


def context(judge: JudgeSettings, held_back: int = 0, **changes: Any) -> TrainingContext:
    return TrainingContext(
        train=market(), validation=market(**changes), training=TrainingSettings(), scaler=NO_SCALER,
        cost_table_hash=COSTS, learner="anchored", seed=0, drawdown_weight=WEIGHT, judge=judge,
        held_back=tuple(market(*world) for world in HELD_BACK[:held_back]),
    )  # fmt: skip


@cache
def by_hand(phase: int, late: int, first: int = FIRST, last: int = END, multiple: float = 1.0) -> Any:
    """A backtest of the policy at a phase of its clock."""
    made = builder(max_positions=SPEC.positions, cost_multiple=multiple, latency_hours=late)
    policy: Policy = POLICY.at_phase(phase)
    return run_backtest(made, Ppo(NoParameters(), Context(np.random.default_rng(0), (policy,))), first, last)


def worth(records: Any) -> float:
    return fitness(compute_metrics(records, CAPITAL), WEIGHT)


def test_by_default_it_is_one_run_at_the_phase_of_the_run() -> None:
    found, expected = judged(POLICY.at_phase(2), context(JudgeSettings(), phase=2)), by_hand(2, 0)
    assert found.fitness == worth(expected)
    assert found.metrics == compute_metrics(expected, CAPITAL)
    np.testing.assert_array_equal(found.returns, returns_of(expected, CAPITAL))
    assert found.fitness != worth(by_hand(0, 0))


def test_over_phases_and_latencies_it_is_the_mean_of_all_runs() -> None:
    runs = {late: [by_hand(phase, late) for phase in range(4)] for late in (0, 1)}
    values = {late: [worth(one) for one in of] for late, of in runs.items()}
    assert len({*values[0], *values[1]}) == 8
    once = judged(POLICY, context(JudgeSettings(phases=True)))
    both = judged(POLICY, context(JudgeSettings(phases=True, late=True)))
    assert once.fitness == pytest.approx(sum(values[0]) / 4, rel=1e-12)
    assert both.fitness == pytest.approx((sum(values[0]) + sum(values[1])) / 8, rel=1e-12)
    assert judged(POLICY, context(JudgeSettings(late=True))).fitness == pytest.approx(
        (values[0][0] + values[1][0]) / 2, rel=1e-12
    )


def test_metrics_reward_and_returns_stay_those_of_validation_at_once() -> None:
    found = judged(POLICY, context(JudgeSettings(phases=True, late=True, held_back_worlds=2), 2))
    runs = [by_hand(phase, 0) for phase in range(4)]
    pnl = [float(compute_metrics(one, CAPITAL)["pnl_pct"] or 0.0) for one in runs]
    assert found.metrics["pnl_pct"] == pytest.approx(np.mean(pnl), rel=1e-12)
    assert found.reward == pytest.approx(3.0 * np.mean(pnl), rel=1e-6)
    assert found.returns is not None
    assert 100 * (np.prod(1 + found.returns) - 1) == pytest.approx(np.mean(pnl), abs=1e-9)


@pytest.mark.parametrize("late", [False, True])
def test_held_back_worlds_weigh_as_much_as_validation_however_many_runs_it_is(late: bool) -> None:
    latencies = (0, 1) if late else (0,)
    validation = [worth(by_hand(phase, hours)) for phase in range(4) for hours in latencies]
    for count, played in ((1, PIECES[:2]), (2, PIECES)):
        held_back = [
            worth(by_hand(phase, hours, first, last, multiple))
            for first, last, phase, multiple in played
            for hours in latencies
        ]
        judge = JudgeSettings(phases=True, late=late, held_back_worlds=count)
        expected = (np.mean(validation) + np.mean(held_back)) / 2
        assert judged(POLICY, context(judge, count)).fitness == pytest.approx(expected, rel=1e-12)


@given(first=st.integers(0, 50), hours=st.integers(2, 900), wanted=st.integers(2, 300))
def test_pieces_are_all_of_a_market_and_of_one_length(first: int, hours: int, wanted: int) -> None:
    cut: Any = SimpleNamespace(first=first, last=first + hours - 1)
    like: Any = SimpleNamespace(first=5, last=4 + wanted)
    found = pieces(cut, like)
    rows = [row for start, last in found for row in range(start, last + 1)]
    lengths = {last + 1 - start for start, last in found}
    assert rows == list(range(first, first + hours))
    assert max(lengths) - min(lengths) <= 1
    assert len(found) == 1 or 2 * wanted / 3 <= min(lengths) + 1
    assert max(lengths) <= 1.5 * wanted + 1


def test_a_policy_without_a_finite_answer_has_no_fitness() -> None:
    broken = replace(POLICY, weights=tuple(np.full_like(one, np.nan) for one in POLICY.weights))
    assert np.isnan(judged(broken, context(JudgeSettings(phases=True))).fitness)
