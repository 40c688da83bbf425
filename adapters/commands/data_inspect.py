"""``arb data inspect``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="inspect")
@click.argument("dataset", type=click.Path(path_type=Path))
def command(dataset: Path) -> None:
    """Show what DATASET holds: hours, coins, windows, and per exchange its legs, gaps and settlements.

    \b
    Example:
      arb data inspect data/sample
    """
    from adapters.datasets.inspect import inspect_dataset

    for line in inspect_dataset(dataset):
        click.echo(line)
