"""``arb stress``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED
from adapters.commands.strategy_names import strategy_names


@click.command(name="stress")
@click.option("--strategy", "names", required=True, help="Names, comma-separated, or module:Class.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Data set.")
@click.option("--from", "start", type=hour, help="First hour, like 2025-02-03T00:00Z; default: of the data.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the data.")
@click.option("--window", help="A named window of the data set (train, validation, test) instead of --from and --to.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--scenarios", type=click.Path(path_type=Path), help="Scenarios as YAML over configs/stress.yaml.")
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="Bundle or zip; repeatable.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of strategies and of the hours of outages.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results; default: runs/stress-TIME.")
def command(names: str, **options: Any) -> None:
    """Find out what a strategy survives: dearer costs, late fills, failing legs, outages, size and leverage.

    Every scenario is a backtest of its own with the strategy made anew. The folder gets stress.csv (one row a run),
    stress.json (the same with break-even, capacity and every setting), stress.html (for a browser) and manifest.json.
    A trained model is played as it is, whatever the costs.

    \b
    Examples:
      arb stress --strategy carry --data data/sample
      arb stress --strategy ppo,carry --data data/sample --window validation --out runs/stress
    """
    from adapters.reporting.stress_console import page_of, print_stress_test
    from adapters.research.stress.run import StressRequest, stress_test

    asked = StressRequest(names=strategy_names(names), **options)
    with progress_bar() as bar:
        found = stress_test(asked, page_of, lambda done, total: bar(names, done, total) if bar else None)
    print_stress_test(found)
    click.echo(f"written to {found.folder}")
