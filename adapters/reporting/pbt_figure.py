"""``pbt.html``: the agents of a population, who copied whom, and the winner beside the rules, in one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from adapters.reporting.figures import cell, columns
from adapters.reporting.page.assets import asset
from adapters.reporting.page.pack import embedded
from adapters.reporting.page.page import render, write_page
from adapters.reporting.pbt_console import in_words
from adapters.research.pbt.job import PBTJob
from engine.analysis.metrics import Metrics
from rl_training.pbt.lineage import ancestry
from rl_training.pbt.results import AgentResult, Iteration
from rl_training.pbt.reward_check import check_in_words, pairs_of, reward_check
from rl_training.pbt.settings import Range

AGENT_COLUMNS = columns("reward", "pnl_pct", "pnl_pct_per_7d", "max_drawdown_pct", "win_rate_pct", "trades")
NO_RULES: Mapping[str, Metrics] = {}


def write_figure(
    path: Path, job: PBTJob, iterations: Sequence[Iteration], rules: Mapping[str, Metrics] = NO_RULES
) -> None:
    """Draw the iterations so far; ``rules`` are their metrics on the validation window, once they were played.

    The file appears whole or not at all. Raises ``UserError`` when something stands there that is no page of ours.
    """
    write_page(path, page(job, iterations, rules))


def page(job: PBTJob, iterations: Sequence[Iteration], rules: Mapping[str, Metrics] = NO_RULES) -> str:
    """The whole document."""
    last = iterations[-1]
    winner = last.results[last.ranking[0]]
    return render(
        "pbt.html.j2",
        title=f"Population on {job.dataset.name}, seed {job.seed}",
        data=embedded(figure_data(job, iterations)),
        more_charts=asset("pbt_charts.js"),
        under=(
            f"{len(last.results)} agents, iteration {last.number} of {job.schedule.iterations}, {winner.steps:,} steps "
            f"each; validation {job.validate_from:%Y-%m-%d} to {job.validate_to:%Y-%m-%d}"
        ),
        winner=f"agent {winner.agent}, fitness {cell('fitness', winner.fitness)}: {in_words(winner.hyperparameters)}",
        compared={f"agent {winner.agent}, the best": winner.metrics, **rules},
        agents=[_row(rank, last.results[agent]) for rank, agent in enumerate(last.ranking, start=1)],
        agent_columns=AGENT_COLUMNS,
        hyperparameters=list(winner.hyperparameters),
        series=[name for name, _, _ in _dimensions(job)],
        check=check_in_words(reward_check(iterations)),
    )


def figure_data(job: PBTJob, iterations: Sequence[Iteration]) -> dict[str, Any]:
    """What the scripts of the page draw: lanes with their copies, a series for each dimension, rewards and P&L."""
    agents = sorted(iterations[0].results)
    return {
        "agents": agents,
        "iterations": [one.number for one in iterations],
        "kin": ancestry([one.assignments for one in iterations], iterations[-1].ranking[0]),
        "links": [
            [before.number, one.agent if one.source is None else one.source, after.number, one.agent]
            for before, after in pairwise(iterations)
            for one in after.assignments
        ],
        "dots": [
            {
                "iteration": result.iteration,
                "agent": result.agent,
                "worse": rank / max(len(agents) - 1, 1),
                "failed": result.failure is not None,
                "hint": hint(result),
            }
            for iteration in iterations
            for rank, result in enumerate(iteration.results[agent] for agent in iteration.ranking)
        ],
        "series": [
            {"name": name, "log": log, "y": [[value(one.results[agent]) for one in iterations] for agent in agents]}
            for name, log, value in _dimensions(job)
        ],
        "rewards": reward_points(iterations),
    }


def reward_points(iterations: Sequence[Iteration]) -> list[list[float]]:
    """Iteration, reward and P&L % of every agent that has both."""
    return [[one.number, *pair] for one in iterations for pair in pairs_of(one.results.values())]


def hint(result: AgentResult) -> str:
    """An agent after an iteration in one line."""
    text = (
        f"agent {result.agent}, iteration {result.iteration}: fitness {cell('fitness', result.fitness)}, "
        f"P&L {cell('pnl_pct', result.metrics.get('pnl_pct'), exact=True)} %, {in_words(result.hyperparameters)}"
    )
    return text if result.failure is None else f"{text}; failed: {result.failure}"


def _dimensions(job: PBTJob) -> list[tuple[str, bool, Callable[[AgentResult], float | None]]]:
    """Name, whether its axis is logarithmic, and how it is read, of whatever is drawn over the iterations."""

    def reader(name: str) -> Callable[[AgentResult], float | None]:
        return lambda result: result.hyperparameters[name]

    found = job.settings.pbt.search.dimensions().items()
    return [
        ("fitness", False, lambda result: result.fitness),
        *((name, isinstance(one, Range) and one.scale == "log", reader(name)) for name, one in found),
    ]


def _row(rank: int, result: AgentResult) -> dict[str, Any]:
    return {
        "rank": rank,
        "agent": result.agent,
        "parent": "" if result.source is None else f"copied agent {result.source}",
        "fitness": result.fitness,
        "values": {**result.metrics, "reward": result.reward},
        "hyperparameters": result.hyperparameters,
        "failure": result.failure or "",
    }
