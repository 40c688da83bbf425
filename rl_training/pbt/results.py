"""What an agent brings back from an interval, and what a population has done in an iteration."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from engine.settings import Settings
from rl_training.pbt.population import Assignment, ranked


class AgentResult(Settings):
    """One agent after one iteration. Numbers that are not finite are None."""

    agent: int
    iteration: int
    source: int | None
    hyperparameters: dict[str, float]
    steps: int
    fitness: float | None
    reward: float | None
    metrics: dict[str, float | int | None]
    failure: str | None
    log: tuple[dict[str, float | None], ...]
    checkpoint_sha256: str | None = None
    returns_sha256: str | None = None
    model_sha256: str | None = None
    """Of the agent's zip, at the end. Results of older versions have no checksums."""

    @property
    def score(self) -> float:
        """The fitness, nan where there is none."""
        return nan if self.fitness is None else self.fitness

    @property
    def assignment(self) -> Assignment:
        return Assignment(self.agent, self.hyperparameters, self.source)


@dataclass(frozen=True)
class Iteration:
    """A finished iteration; ``assignments`` are what its agents did, ``results`` what came of it, by agent."""

    number: int
    assignments: list[Assignment]
    results: dict[int, AgentResult]

    @property
    def ranking(self) -> list[int]:
        """Agents, best first."""
        return ranked(self.fitness)

    @property
    def fitness(self) -> dict[int, float]:
        return {agent: result.score for agent, result in self.results.items()}
