"""``arb tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.phases import PHASES
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED


@click.command(name="tune")
@click.option("--strategy", "name", required=True, help="Rule to search: a name of `arb strategies` or module:Class.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--from", "start", type=hour, help="First hour; default: of the validation window.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the validation window.")
@click.option(
    "--grid", "grid_file", type=click.Path(path_type=Path), help="Grids as YAML; default: configs/tuning.yaml."
)
@click.option("--points", "most", type=click.IntRange(min=1), help="Try only that many points, drawn with --seed.")
@click.option("--late/--no-late", default=True, show_default=True, help="Judge points by late fills as well.")
@PHASES
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; default: one a core, at most 8.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the draw of points and of the strategy.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for results; default: runs/tune-NAME-TIME.")
def command(**options: Any) -> None:
    """Search the parameters of a rule on the validation window and record every point tried.

    Points are ranked by P&L in % minus half of the maximum drawdown in %: the mean of fills at once and one hour late,
    of a rule with a clock over its phases too. However many runs that takes, a point is one trial. The folder gets
    tuning.csv (every point), trials.parquet (their hourly returns), best.yaml (for --config) and manifest.json.

    \b
    Examples:
      arb tune --strategy carry --data data/sample
      arb tune --strategy carry --data data/sample --set max_positions=1 --points 50 --seed 7
      arb backtest --strategy carry --data data/sample --config runs/tune-carry/best.yaml
    """
    from adapters.reporting.tuning_table import search_lines
    from adapters.research.tuning_run import TuningRequest, tune

    asked = TuningRequest(**options)
    with progress_bar() as bar:
        found = tune(asked, lambda done, total: bar(asked.name, done, total) if bar else None)
    for line in search_lines(found):
        click.echo(line)
