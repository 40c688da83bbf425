"""The table of a search: the best points, and what to know before believing the best one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from adapters.configuration.tuning_grids import Grid
from adapters.reporting.figures import LATE, cell
from adapters.research.phases import WORST
from adapters.research.significance import after_all
from adapters.research.tuning import Trial, mean_over, ranked
from adapters.research.tuning_run import Search
from adapters.storage.trials import FILE as TRIALS
from engine.analysis.assumed_funding import assumed_words
from engine.analysis.significance import SignificanceSettings, Trials, significance
from engine.analysis.suspicion import suspicious_signs
from engine.windows import Window

SHOWN = 10
WIDTH = 99

HEADS = {
    "pnl_pct_per_7d": "% per_7d",
    f"{LATE}pnl_pct_per_7d": "late_7d",
    f"{WORST}pnl_pct_per_7d": "worst_phase",
    f"{LATE}{WORST}pnl_pct_per_7d": "late_worst",
    "sharpe": "Sharpe",
    f"{LATE}sharpe": "late_Sharpe",
    "trades": "trades",
    "win_rate_pct": "win %",
    "avg_trade_hours": "avg_hours",
    "max_drawdown_pct": "max_DD %",
}
"""Narrow heads, broken at underscores: the parameters that were varied need the room."""


def search_lines(found: Search) -> Iterator[str]:
    """A finished search, line by line."""
    job, trials = found.job, found.trials
    window = Window.between(job.start, job.end)
    yield f"{job.strategy} on {job.dataset}, {window} ({window.hours} h): {len(trials)} points"
    yield from table(trials, found.grid)
    yield f"fitness: {mean_over(job)}"
    yield from cautions(found.best, len(trials))
    yield from after_all_points(found.best, job.settings.significance, found.tried)
    yield f"{found.folder}: tuning.csv, {TRIALS}, best.yaml, manifest.json"


def table(trials: Sequence[Trial], grid: Grid) -> list[str]:
    """The best points as lines: fitness, metrics at once and one hour late, then what the grid varied."""
    measured = [key for key in HEADS if key in trials[0].metrics]
    varied = [name for name, values in grid.items() if len(values) > 1]
    headings = ["fitness", *(HEADS[key] for key in measured), *varied]
    rows = [
        [
            cell("fitness", trial.fitness, signed=False),
            *(cell(key, trial.metrics[key], signed=False) for key in measured),
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
