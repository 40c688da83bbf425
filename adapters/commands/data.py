"""``arb data``: everything that makes, checks or shows data sets."""

from __future__ import annotations

import click

from adapters.commands.lazy_group import LazyGroup

COMMANDS = {
    "build": ("adapters.commands.data_build", "Make a data set from raw candles and settlements."),
    "fetch": ("adapters.commands.data_fetch", "Download raw candles and settlements from exchanges."),
    "fit-scaler": ("adapters.commands.data_fit_scaler", "Fit a feature scaler on the training window."),
    "fit-spreads": ("adapters.commands.data_fit_spreads", "Fit the table of spreads by volume on recorded quotes."),
    "import": ("adapters.commands.data_import", "Bring data that another program recorded into raw tables."),
    "inspect": ("adapters.commands.data_inspect", "Show what a data set holds."),
    "sample": ("adapters.commands.data_sample", "Generate the synthetic sample data set."),
    "split": ("adapters.commands.data_split", "Set the train, validation and test windows."),
    "validate": ("adapters.commands.data_validate", "List everything that looks wrong in a data set."),
}


@click.group(name="data", cls=LazyGroup, lazy=COMMANDS)
def command() -> None:
    """Build, check, split and show data sets.

    \b
    Examples:
      arb data build raw --out runs/market --train-to 2025-01-31T23:00Z
      arb data validate data/sample
      arb data inspect data/sample
    """
