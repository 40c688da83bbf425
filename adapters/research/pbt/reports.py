"""Files about a whole run: ``training_summary.json``, ``lineage.json``, ``agent_N_hyperparams.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.research.pbt.job import PBTJob
from adapters.storage.atomic import replacing_file
from adapters.storage.pbt_names import SUMMARY
from adapters.storage.sealed import write_sealed
from rl_training.pbt.hyperparameters import settings_at
from rl_training.pbt.lineage import ancestry, copies
from rl_training.pbt.results import AgentResult, Iteration
from rl_training.pbt.reward_check import as_json, reward_check


def write_reports(folder: Path, job: PBTJob, iterations: Sequence[Iteration]) -> None:
    """Summary and lineage of the iterations so far. They hold no times: equal runs write equal files."""
    write_sealed(folder / SUMMARY, summary(job, iterations))
    write_whole(folder / "lineage.json", lineage(iterations))


def summary(job: PBTJob, iterations: Sequence[Iteration]) -> dict[str, Any]:
    """Every agent x iteration: score, metrics, hyperparameters, parent."""
    last = iterations[-1]
    return {
        "finished": last.number == job.schedule.iterations,
        "iterations": job.schedule.iterations,
        "population": job.settings.pbt.population,
        "steps_asked": job.schedule.timesteps,
        "steps_made": job.schedule.steps_until(last.number),
        "fitness": f"pnl_pct - {job.settings.pbt.drawdown_weight:g} * max_drawdown_pct on {_judged_by(job)}",
        "ranking": last.ranking,
        "winner": last.ranking[0],
        "reward_check": as_json(reward_check(iterations)),
        "results": [_entry(result) for iteration in iterations for result in iteration.results.values()],
    }


def _judged_by(job: PBTJob) -> str:
    """What the fitness is the mean over, in words."""
    judge = job.settings.pbt.judge
    over = ["phases"] * judge.phases + ["fills at once and one hour late"] * judge.late
    mean = f", mean over {' and '.join(over)}" if over else ""
    if not judge.held_back_worlds:
        return f"validation{mean}"
    late = ", mean over fills at once and one hour late" if judge.late else ""
    return f"validation{mean}; half of it, and half of that in {judge.held_back_worlds} held-back worlds{late}"


def _entry(result: AgentResult) -> dict[str, Any]:
    checksums = {"checkpoint_sha256", "returns_sha256", "model_sha256"}
    # The checksums stand in the sealed results themselves; the log of every rollout would bury the scores.
    entry = result.model_dump(mode="json", exclude={"log", "source", *checksums})
    return {**entry, "parent": result.agent if result.source is None else result.source}


def lineage(iterations: Sequence[Iteration]) -> dict[str, Any]:
    """Copies in order, and whose weights each agent carried in each iteration."""
    history = [iteration.assignments for iteration in iterations]
    return {
        "copies": copies(history),
        "ancestry": {str(agent): ancestry(history, agent) for agent in iterations[-1].results},
    }


def write_hyperparameters(folder: Path, job: PBTJob, last: Iteration) -> None:
    """``agent_N_hyperparams.json``: what each agent was trained with at the end, tuned and fixed, and how it did."""
    for rank, agent in enumerate(last.ranking, start=1):
        result = last.results[agent]
        training = settings_at(job.settings.training, result.hyperparameters)
        values = {
            "agent": agent,
            "rank": rank,
            "tuned": result.hyperparameters,
            "ppo": training.ppo.model_dump(mode="json"),
            "n_envs": job.settings.training.n_envs,
            "steps": result.steps,
            "fitness": result.fitness,
            "metrics": result.metrics,
        }
        if job.draws_worlds:
            values |= {part: getattr(training, part).model_dump(mode="json") for part in ("anchor", "reward")}
        write_whole(folder / f"agent_{agent}_hyperparams.json", values)


def write_whole(path: Path, values: Mapping[str, Any]) -> None:
    """JSON that appears whole or not at all; a number that is not finite is an error."""
    with replacing_file(path) as aside:
        aside.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
