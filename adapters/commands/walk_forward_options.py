"""The options of ``arb walk-forward``; all but ``--workers`` and ``--resume`` are of new runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from adapters.commands.hours import hour
from adapters.commands.phases import PHASES
from adapters.commands.seeds import SEED
from adapters.datasets.windows import EMBARGO_HOURS

DAYS = click.IntRange(min=1)
Command = Callable[..., None]
OPTIONS = (
    click.option("--strategy", help="Names, comma-separated, or module:Class."),
    click.option("--data", type=click.Path(path_type=Path), help="Data set."),
    click.option("--train-days", type=DAYS, help="Length of training windows; rules do not use them."),
    click.option("--validate-days", type=DAYS, help="Length of validation windows, on which everything is chosen."),
    click.option("--test-days", type=DAYS, help="Length of test windows; they follow each other without gap."),
    click.option(
        "--embargo-hours",
        type=click.IntRange(min=0),
        default=EMBARGO_HOURS,
        show_default=True,
        help="Hours between training and validation, and between validation and test.",
    ),
    click.option("--anchored", is_flag=True, help="Training windows all begin at the start and grow."),
    click.option("--from", "start", type=hour, help="First hour, like 2025-02-03T00:00Z; default: of the data."),
    click.option("--to", "end", type=hour, help="Last hour, inclusive; default: before the data set's test window."),
    click.option("--timesteps", type=click.IntRange(min=1), help="Steps of each agent; default: training.timesteps."),
    click.option("--population", type=click.IntRange(min=1), help="Agents a fold; default 1, more: population based."),
    click.option("--grid", "grid_file", type=click.Path(path_type=Path), help="Grids; default: configs/tuning.yaml."),
    click.option("--points", type=click.IntRange(min=1), help="Try only that many points a fold, drawn with --seed."),
    click.option("--late/--no-late", default=True, show_default=True, help="Judge points by late fills as well."),
    PHASES,
    click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones."),
    click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated."),
    click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one a core, at most 8."),
    click.option("--report/--no-report", default=True, show_default=True, help="Write report.html and what it needs."),
    click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of everything random."),
    click.option("--out", type=click.Path(path_type=Path), help="New folder; default: runs/walk-forward-TIME."),
    click.option(
        "--resume", type=click.Path(path_type=Path), help="Go on with the run that was to become this folder."
    ),
)


def walk_forward_options(command: Command) -> Command:
    """Add them in this order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
