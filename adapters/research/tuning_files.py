"""What a search leaves behind: every point in a table, the best one as settings, a manifest, and a table to read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from adapters.configuration.tuning_grids import Grid
from adapters.research.significance import after_all
from adapters.research.tuning import LATE, Trial, TuningJob, ranked
from adapters.storage.csv_files import write_rows
from adapters.storage.trials import TrialRecord, record_of, summarise
from engine.analysis.assumed_funding import assumed_words
from engine.analysis.significance import SignificanceSettings, Trials, significance
from engine.analysis.suspicion import suspicious_signs

SHOWN = 10
WIDTH = 99

_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("% per_7d", "pnl_pct_per_7d", 3),
    ("late_7d", f"{LATE}pnl_pct_per_7d", 3),
    ("Sharpe", "sharpe", 2),
    ("late_Sharpe", f"{LATE}sharpe", 2),
    ("trades", "trades", 0),
    ("win %", "win_rate_pct", 0),
    ("avg_hours", "avg_trade_hours", 0),
    ("max_DD %", "max_drawdown_pct", 2),
)
"""Heading (broken at underscores), metric and digits."""


def write_trials(folder: Path, trials: Sequence[Trial]) -> None:
    """``tuning.csv``: one row per point in the order tried, at full precision; empty where a metric is not defined."""
    rows = [[one.number, *one.parameters.values(), one.fitness, *one.metrics.values()] for one in trials]
    write_rows(folder / "tuning.csv", ["trial", *trials[0].parameters, "fitness", *trials[0].metrics], rows)


def record_of_points(job: TuningJob, trials: Sequence[Trial]) -> TrialRecord:
    """Hourly returns of every point: columns ``trial_1``, ``trial_2``, ... numbered as in ``tuning.csv``."""
    returns = {f"trial_{trial.number}": trial.returns for trial in trials if trial.returns is not None}
    return record_of(returns, job.start)


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
        "fitness": "pnl_pct - 0.5 * max_drawdown_pct",
        "best": {"trial": best.number, "fitness": best.fitness, "parameters": best.parameters, "metrics": best.metrics},
        "code_version": version("arb"),
        "command": command,
        "started": started.isoformat(),
        "finished": datetime.now(UTC).isoformat(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def table(trials: Sequence[Trial], grid: Grid) -> list[str]:
    """The best points as lines: fitness, metrics at once and one hour late, then what the grid varied."""
    columns = [column for column in _COLUMNS if column[1] in trials[0].metrics]
    varied = [name for name, values in grid.items() if len(values) > 1]
    headings = ["fitness", *(heading for heading, _, _ in columns), *varied]
    rows = [
        [
            _number(trial.fitness, 3),
            *(_number(trial.metrics[metric], digits) for _, metric, digits in columns),
            *(str(trial.parameters[name]) for name in varied),
        ]
        for trial in ranked(trials)[:SHOWN]
    ]
    return _aligned(headings, rows)


def cautions(best: Trial, tried: int) -> list[str]:
    """What a reader should know before believing the best point."""
    notes = [f"The best of {tried} points looks better than it is; the test window will tell by how much."]
    if not best.metrics["trades"]:
        notes.append("It does not trade: no point of the grid earned its costs.")
    late = {name.removeprefix(LATE): value for name, value in best.metrics.items() if name.startswith(LATE)}
    signs = suspicious_signs(best.metrics, best.holds, late or None)
    if signs:
        notes += textwrap.wrap(f"It looks like last-trade bounce: {'; '.join(signs)}.", WIDTH)
    if words := assumed_words(best.metrics):
        notes.append(f"Its P&L has {words}: settlements are missing from the data.")
    return notes


def after_all_points(best: Trial, settings: SignificanceSettings, tried: Trials) -> list[str]:
    """What the best point's Sharpe ratio is worth after all the others, as lines."""
    if best.returns is None:
        return []
    text = after_all(significance(best.returns, settings, tried), "settings")
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)


def _aligned(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Right-aligned columns; headings stand on several lines, broken at underscores."""
    parts = [heading.split("_") for heading in headings]
    deep = max(len(part) for part in parts)
    head = [[part[k - deep + len(part)] if k >= deep - len(part) else "" for part in parts] for k in range(deep)]
    lines = [*head, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(headings))]
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines]


def _number(value: float | int | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _hour(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%MZ}"
