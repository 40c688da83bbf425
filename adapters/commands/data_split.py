"""``arb data split``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from adapters.commands.data_windows import tell_windows, window_options
from adapters.datasets.split import split_dataset
from adapters.datasets.windows import WindowEdges


@click.command(name="split")
@click.argument("dataset", type=click.Path(path_type=Path))
@window_options
def command(dataset: Path, **edges: datetime | None) -> None:
    """Set the named windows of DATASET; an edge that is not given stays as it is.

    Windows that overlap are refused; less than 24 h between two windows is warned about.

    \b
    Example:
      arb data split data/mine --train-to 2025-01-31T23:00Z \\
        --validate-from 2025-02-03T00:00Z --validate-to 2025-03-31T23:00Z --test-from 2025-04-03T00:00Z
    """
    info, warnings = split_dataset(dataset, WindowEdges(**edges))
    tell_windows(info, warnings)
