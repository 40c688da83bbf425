"""What the population does between two intervals: rank, exploit, explore. Pure functions of results and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from engine.errors import ArbError
from rl_training.pbt.explore import Hyperparameters, draw, explore
from rl_training.pbt.settings import PBTSettings


class PopulationLostError(ArbError):
    """Not one agent has a finite score: there is nothing to copy."""


@dataclass(frozen=True)
class Assignment:
    """What an agent does in an iteration: train with these hyperparameters, on from ``source``'s weights if given.

    ``source`` is another agent, whose weights and optimiser state as of the iteration before are taken over first.
    """

    agent: int
    hyperparameters: Hyperparameters
    source: int | None = None


def first_assignments(settings: PBTSettings, seed: int) -> list[Assignment]:
    """Every agent at a random point of the search space."""
    return [
        Assignment(agent, draw(settings.search, generator(seed, "first", agent)))
        for agent in range(settings.population)
    ]


def next_assignments(
    settings: PBTSettings, seed: int, iteration: int, done: Sequence[Assignment], fitness: Mapping[int, float]
) -> list[Assignment]:
    """What follows ``iteration``: copies explore around the agent they copy, all others go on as they are.

    Raises ``PopulationLostError`` when no agent has a finite fitness.
    """
    rng = generator(seed, "exploit", iteration)
    sources = exploit(fitness, settings.exploit_fraction, rng)
    before = {assignment.agent: assignment.hyperparameters for assignment in done}
    assignments = []
    # In a fixed order, since all copies draw from one generator.
    for agent in sorted(before):
        if agent in sources:
            source = sources[agent]
            assignments.append(Assignment(agent, explore(before[source], settings, rng), source))
        else:
            assignments.append(Assignment(agent, before[agent]))
    return assignments


def ranked(fitness: Mapping[int, float]) -> list[int]:
    """Agents, best first; a tie goes to the lower number, a fitness that is not finite goes last."""
    # A nan compares with nothing: as a key of its own it would leave the order to chance.
    return sorted(fitness, key=lambda agent: (not isfinite(fitness[agent]), -_or_zero(fitness[agent]), agent))


def exploit(fitness: Mapping[int, float], fraction: float, rng: np.random.Generator) -> dict[int, int]:
    """Whom each of the worst copies: one of the best, drawn at random. Agents without a finite fitness all copy.

    Raises ``PopulationLostError`` when no agent has a finite fitness.
    """
    order = ranked(fitness)
    sound = [agent for agent in order if isfinite(fitness[agent])]
    if not sound:
        raise PopulationLostError("every agent's losses or score are no numbers; lower the learning rates")
    # At most half, so that nobody both copies and is copied.
    count = min(max(1, round(fraction * len(order))) if fraction > 0 else 0, len(order) // 2)
    # Even where nobody is to copy, agents that failed need somebody to go on from.
    best = sound[: max(count, 1)]
    # With few sound agents left, one of the best can stand among the last.
    worst = [agent for agent in order[len(order) - count :] if agent not in best]
    lost = order[len(sound) :]
    return {agent: int(rng.choice(best)) for agent in sorted({*worst, *lost})}


def generator(seed: int, purpose: str, number: int) -> np.random.Generator:
    """A generator of its own for each purpose and each agent or iteration."""
    # Keyed rather than drawn from one stream: a resumed run draws the same, whatever was drawn before.
    return np.random.default_rng([seed, *purpose.encode(), number])


def _or_zero(value: float) -> float:
    return value if isfinite(value) else 0.0
