"""The work of ``arb data sample``, and what to tell of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from adapters.datasets.load import load_dataset
from adapters.sample.calibration import compare, markdown_tables, read_real_figures, text_table
from adapters.sample.dataset import sample_settings, write_sample
from adapters.sample.statistics import statistics


def generated(
    out: Path, seed: int | None, days: int | None, coins: int | None, replace: bool,
    progress: Callable[[str, int, int], None] | None,
) -> list[str]:  # fmt: skip
    """Write a data set; lines with its size and its windows."""
    settings = sample_settings(seed=seed, days=days, coins=coins)
    info = write_sample(settings, out, replace=replace, progress=progress)
    megabytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    size = f"{len(settings.coins)} coins, {settings.days} days, {megabytes:.1f} MB"
    windows = (
        f"{name:<10} {window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}"
        for name, window in info.windows.items()
    )
    return [f"{out}: {size}, synthetic (seed {settings.seed})", *windows]


def statistics_of(dataset: Path | None, markdown: bool) -> Sequence[str]:
    """A data set beside real markets, as lines of text or of Markdown."""
    if dataset is None:
        return []
    comparisons = compare(statistics(load_dataset(dataset).market), read_real_figures())
    return markdown_tables(comparisons) if markdown else text_table(comparisons)
