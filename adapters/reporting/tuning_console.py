"""What ``arb tune`` prints: the best points, what to know before believing them, and where the search lies."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.research.tuning_files import after_all_points, cautions, table
from adapters.research.tuning_run import Search
from adapters.storage.trials import FILE as TRIALS
from engine.windows import Window


def search_lines(found: Search) -> Iterator[str]:
    """A finished search, line by line."""
    job, trials = found.job, found.trials
    window = Window.between(job.start, job.end)
    yield f"{job.strategy} on {job.dataset}, {window} ({window.hours} h): {len(trials)} points"
    yield from table(trials, found.grid)
    yield from cautions(found.best, len(trials))
    yield from after_all_points(found.best, job.settings.significance, found.tried)
    yield f"{found.folder}: tuning.csv, {TRIALS}, best.yaml, manifest.json"
