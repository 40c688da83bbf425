"""What a search leaves behind: every point in a table, the best one as settings, a manifest, and a table to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from adapters.configuration.tuning_grids import Grid
from adapters.research.tuning import Trial, TuningJob, mean_over, ranked
from adapters.storage.csv_files import write_rows
from adapters.storage.trials import TrialRecord, record_of, summarise
from engine.analysis.significance import Trials


def write_trials(folder: Path, trials: Sequence[Trial]) -> None:
    """``tuning.csv``: one row per point in the order tried, at full precision; empty where a metric is not defined."""
    rows = [[one.number, *one.parameters.values(), one.fitness, *one.metrics.values()] for one in trials]
    write_rows(folder / "tuning.csv", ["trial", *trials[0].parameters, "fitness", *trials[0].metrics], rows)


def record_of_points(job: TuningJob, trials: Sequence[Trial]) -> TrialRecord:
    """Hourly returns of every point: columns ``trial_1``, ``trial_2``, ... numbered as in ``tuning.csv``."""
    returns = {f"trial_{trial.number}": trial.returns for trial in trials if trial.returns is not None}
    return record_of(returns, job.start, mean_over(job))


def summary_of_points(job: TuningJob, record: TrialRecord) -> Trials:
    """What the chosen point carries along of all the others."""
    source = f"{len(record.names)} points of `arb tune --strategy {job.strategy}`, seed {job.seed}"
    return summarise(record, source, job.fingerprint)


def write_best(folder: Path, job: TuningJob, best: Trial, tried: Trials) -> None:
    """``best.yaml``: the chosen parameters, ready for ``--config``, and what they were chosen from."""
    text = (
        f"# Chosen by `arb tune --strategy {job.strategy}` as the best of {tried.count} points "
        f"from {_hour(job.start)} to {_hour(job.end)}.\n"
    )
    kept = {"parameters": dict(best.parameters), "trials": tried.model_dump(mode="json")}
    values = {"strategies": {job.strategy: best.parameters}, "tuned": {job.strategy: kept}}
    (folder / "best.yaml").write_text(text + yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def write_manifest(
    folder: Path, job: TuningJob, trials: Sequence[Trial], grid: Grid, tried: Trials, *, command: str, started: datetime
) -> None:
    """``manifest.json``: what was searched, on what, under which settings, and what came out on top."""
    best = ranked(trials)[0]
    manifest: dict[str, Any] = {
        "written_by": "arb tune",
        **job.model_dump(mode="json", exclude={"settings"}),
        "settings": job.settings.model_dump(mode="json"),
        "cost_table_hash": job.settings.cost_table_hash(),
        "grid": grid,
        "trials": len(trials),
        "tried": tried.model_dump(mode="json"),
        "fitness": f"pnl_pct - 0.5 * max_drawdown_pct, {mean_over(job)}",
        "best": {"trial": best.number, "fitness": best.fitness, "parameters": best.parameters, "metrics": best.metrics},
        "code_version": version("arb"),
        "command": command,
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _hour(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%MZ}"
