"""What a person sees of a run, on the terminal and in its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from adapters.reporting.figures import cell
from rl_training.pbt.population import Assignment
from rl_training.pbt.ports import Interval, WorkerDied
from rl_training.pbt.results import AgentResult, Iteration
from rl_training.pbt.schedule import Schedule

HEADS = ("ID", "Reward", "P&L%", "WinRate", "Trades", "MaxDD%", "Fitness", "Steps")
ShowProgress = Callable[[str, int, int], None]


class Narrator:
    """Tells a run as plain lines, to standard output and with times to a log file; draws progress where it can."""

    def __init__(self, log: Path, schedule: Schedule, population: int, show: ShowProgress | None) -> None:
        self._log, self._schedule, self._population, self._show = log, schedule, population, show
        self._steps: dict[int, int] = {}
        self._replayed = 0
        self.deaths = 0

    def say(self, line: str = "") -> None:
        """One line for both."""
        click.echo(line)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}".rstrip() + "\n")

    def began(self, number: int, missing: int) -> None:
        """An iteration begins; ``missing`` of its agents still have to be trained."""
        self._steps = dict.fromkeys(range(self._population), self._schedule.steps_until(number - 1))
        if not missing:
            self._replayed += 1
            return
        self._say_replayed()
        self.say()
        self.say(f"ITERATION {number}/{self._schedule.iterations}")
        carried = min(number * self._schedule.interval, self._schedule.timesteps) - self._schedule.steps_until(number)
        line = f"{self._schedule.steps(number):,} steps an agent ({self._schedule.rollouts(number)} rollouts"
        self.say(f"{line}; {self._schedule.steps_until(number):,} in all, {carried:,} carried over)")
        if missing < self._population:
            self.say(f"{self._population - missing} agents had finished it before; {missing} are trained")

    def _say_replayed(self) -> None:
        if self._replayed:
            self.say(f"resumed: {self._replayed} iterations were finished already")
            self._replayed = 0

    def progressed(self, agent: int, steps: int) -> None:
        """An agent has made so many steps."""
        self._steps[agent] = steps
        if self._show:
            total = self._schedule.steps_until(self._schedule.iterations) * self._population
            self._show("training", sum(self._steps.values()), total)

    def worker_died(self, event: WorkerDied[Interval]) -> None:
        """A worker is gone."""
        self.deaths = event.deaths
        at = f"while training agent {event.task.assignment.agent}" if event.task else "between two tasks"
        again = "; its work is done again from the last checkpoint" if event.task else ""
        self.say(f"A worker died {at} ({event.why}){again}. Deaths so far: {event.deaths}")

    def ended(self, iteration: Iteration, following: Sequence[Assignment]) -> None:
        """The table of an iteration and who copies whom; nothing for one that was only replayed."""
        # Nothing follows the last iteration: its table is shown even when it was finished
        # before, since it names the winner.
        if self._replayed and following:
            return
        self._say_replayed()
        for line in table(iteration):
            self.say(line)
        for result in iteration.results.values():
            if result.failure:
                self.say(f"Agent {result.agent} has failed: {result.failure}")
        for assignment in following:
            if assignment.source is not None:
                values = in_words(assignment.hyperparameters)
                self.say(f"Agent {assignment.agent} copies agent {assignment.source}: {values}")


def table(iteration: Iteration) -> list[str]:
    """The agents of an iteration as lines, best first."""
    rows = [HEADS, *(_row(iteration.results[agent]) for agent in iteration.ranking)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADS))]
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]


def _row(result: AgentResult) -> tuple[str, ...]:
    metrics = result.metrics
    win = metrics.get("win_rate_pct")
    return (
        str(result.agent),
        cell("reward", result.reward),
        cell("pnl_pct", metrics.get("pnl_pct"), exact=True),
        cell("win_rate_pct", win) + ("" if win is None else "%"),
        cell("trades", metrics.get("trades")),
        cell("max_drawdown_pct", metrics.get("max_drawdown_pct"), exact=True),
        cell("fitness", result.fitness) if result.fitness is not None else "failed",
        f"{result.steps:,}",
    )


SHORT = {"learning_rate": "lr"}


def in_words(hyperparameters: Mapping[str, float]) -> str:
    """``lr=0.00031, gamma=0.99, ...``"""
    return ", ".join(f"{SHORT.get(name, name)}={value:.4g}" for name, value in hyperparameters.items())
