"""How good a policy is: a mean over phases of its clock, latencies and held-back worlds, where a run asks for that.

One run on one window is one draw: which phase, whether fills were late and what the window happened to hold weigh more
than what an interval of training changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import nan

import numpy as np

from engine.accounting.records import Records
from engine.analysis.metrics import Metrics, compute_metrics, fitness
from engine.analysis.phases import NO_CLOCK, mean_over_phases, returns_of_parts
from engine.analysis.significance import returns_of
from engine.errors import NotFiniteError
from engine.market.data import Floats
from rl_training.environments.demonstrations import at_phase
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.scoring import late, play
from rl_training.pbt.context import TrainingContext
from strategies.policy import Policy


@dataclass(frozen=True, eq=False)
class Score:
    """How a policy did. ``fitness`` is nan when the policy has no finite answer.

    Reward and metrics are those of the validation window, filled at once, means over the phases that were played.
    """

    fitness: float
    reward: float
    metrics: Metrics
    returns: Floats | None = None
    """Hourly returns over the validation window, of an account with equal parts in each phase."""


FAILED = Score(nan, nan, {})


Rows = tuple[int, int]


class _Run:
    """A policy over a market or these rows of it, closed at the end."""

    def __init__(
        self, policy: Policy, market: TrainingMarket, context: TrainingContext, rows: Rows | None = None
    ) -> None:
        self.capital = market.tape.settings.initial_capital_usd
        self.records, self.reward = play(policy.at_phase(market.spec.phase), market, context.training.reward, rows)
        self.metrics = compute_metrics(self.records, self.capital)
        self.fitness = fitness(self.metrics, context.drawdown_weight)


def judged(policy: Policy, context: TrainingContext) -> Score:
    """What the deterministic policy is worth.

    On the validation window the mean of the fitness over phases (all with ``judge.phases``, else that of the run's
    clock) and latencies (at once, and with ``judge.late`` an hour later too); in held-back worlds, if there are any,
    the mean over worlds, each at its own phase, their pieces (about as long as the validation window, since P&L and
    drawdown grow with the hours) and latencies. The fitness is the mean of these two: validation as a whole weighs as
    much as the held-back worlds as a whole.
    """
    latencies = (0, 1) if context.judge.late else (0,)
    spec = context.validation.spec
    phases = range(spec.decide_every_hours) if context.judge.phases else (spec.phase,)
    try:
        runs = {
            hours: {phase: _Run(policy, late(at_phase(context.validation, phase), hours), context) for phase in phases}
            for hours in latencies
        }
        held_back = [
            _Run(policy, late(market, hours), context, rows).fitness
            for market in context.held_back
            for rows in pieces(market, context.validation)
            for hours in latencies
        ]
    except NotFiniteError:
        return FAILED
    parts = [float(np.mean([one.fitness for by_phase in runs.values() for one in by_phase.values()]))]
    if held_back:
        parts.append(float(np.mean(held_back)))
    return _score(float(np.mean(parts)), runs[0])


def pieces(market: TrainingMarket, like: TrainingMarket) -> list[Rows]:
    """A market cut into pieces of equal length, as near to that of another one as it goes."""
    hours, wanted = (one.last + 1 - one.first for one in (market, like))
    edges = np.linspace(market.first, market.last + 1, max(1, round(hours / wanted)) + 1).astype(int).tolist()
    return [(start, stop - 1) for start, stop in pairwise(edges)]


def _score(found: float, at_once: Mapping[int, _Run]) -> Score:
    first = next(iter(at_once.values()))
    if len(at_once) == 1:
        metrics = mean_over_phases({NO_CLOCK: first.metrics})
        return Score(found, first.reward, metrics, returns_of(first.records, first.capital))
    metrics = mean_over_phases({phase: one.metrics for phase, one in at_once.items()})
    returns = returns_of_parts([_grown(one.records, one.capital) for one in at_once.values()])
    return Score(found, float(np.mean([one.reward for one in at_once.values()])), metrics, returns)


def _grown(records: Records, capital: float) -> Floats:
    grown: Floats = records.hours["equity"] / capital
    return grown
