"""Window options that ``arb data build`` and ``arb data split`` share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click

from adapters.commands.hours import hour
from adapters.datasets.layout import DatasetInfo
from adapters.datasets.windows import WindowEdges

_HELP = {
    "train_from": "First hour of the training window; default: the first of the data.",
    "train_to": "Last hour of the training window.",
    "validate_from": "First hour of the validation window.",
    "validate_to": "Last hour of the validation window.",
    "test_from": "First hour of the test window.",
    "test_to": "Last hour of the test window; default: the last of the data.",
}
EDGES = tuple(_HELP)
Command = Callable[..., None]


def window_options(command: Command) -> Command:
    """Add the six options; the command takes them as ``**edges`` for ``edges_of``."""
    # Decorators are applied from the last to the first, and the help lists them in the order of time.
    for name, text in reversed(_HELP.items()):
        command = click.option(f"--{name.replace('_', '-')}", type=hour, help=text)(command)
    return command


def edges_of(options: dict[str, datetime | None]) -> WindowEdges | None:
    """The stated edges, or None when nothing is stated."""
    edges = WindowEdges(**options)
    return None if edges == WindowEdges() else edges


def tell_windows(info: DatasetInfo, warnings: list[str]) -> None:
    """Print the windows, and warnings on stderr."""
    if not info.windows:
        click.echo("windows    none (the data is too short for a default split; see `arb data split`)")
    for name, window in info.windows.items():
        hours = int((window.end - window.start).total_seconds() // 3600) + 1
        click.echo(f"{name:<10} {window.start:%Y-%m-%dT%H:%MZ} to {window.end:%Y-%m-%dT%H:%MZ}  {hours:>6} h")
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
