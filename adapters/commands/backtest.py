"""``arb backtest``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adapters.commands.hours import hour
from adapters.commands.progress import progress_bar
from adapters.commands.seeds import SEED
from adapters.commands.strategy_names import strategy_names

DATA = "Data set or folder of older files. [default: data/sample]"


@click.command(name="backtest")
@click.option("--strategy", "names", default="ppo", show_default=True, help="Names, comma-separated, or module:Class.")
@click.option("--data", type=click.Path(path_type=Path), help=DATA)
@click.option("--opportunities", type=click.Path(path_type=Path), help="Older opportunities file (CSV or parquet).")
@click.option("--price-history", type=click.Path(path_type=Path), help="Folder of older price files.")
@click.option("--from", "start", type=hour, help="First hour, like 2025-02-03T00:00Z; default: of the data.")
@click.option("--to", "end", type=hour, help="Last hour, inclusive; default: of the data.")
@click.option("--window", help="A named window of the data set (train, validation, test) instead of --from and --to.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings as YAML over the shipped ones.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="Bundle or zip; repeatable.")
@click.option("--allow-other-costs", is_flag=True, help="Run a model under other fees than it was trained with.")
@click.option("--late", is_flag=True, help="Also fill everything one hour later, to see whether the P&L lasts.")
@click.option("--phases", is_flag=True, help="Also play rules with a clock at each of its phases.")
@click.option("--report/--no-report", default=True, show_default=True, help="Write report.html and what it needs.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of strategies that draw random numbers.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for results; default: runs/backtest-TIME.")
def command(names: str, **options: Any) -> None:
    """Replay a data set through strategies, print one table, and write what happened.

    The folder gets metrics.json, trades.csv, ledger.parquet, equity.parquet, manifest.json, significance.json (how
    much may be luck) and notes.csv (orders that were refused), one folder a strategy when there are several.
    report.html shows all of it beside the rules, both hindsight optima and dearer costs, which are played for it
    (references.parquet, references.json, cost_stress.json, entries.csv); with several strategies another one
    compares them.

    \b
    Examples:
      arb backtest --strategy carry --data data/sample
      arb backtest --strategy ppo,carry,hold --data data/sample --window test --set slippage_bps=5
      arb backtest --strategy carry,hindsight --data data/sample --late
      arb backtest --strategy my_rules:MyRule --data data/sample --out runs/mine
    """
    from adapters.reporting.backtest_console import print_backtest
    from adapters.reporting.page.write import write_reports
    from adapters.research.backtest_run import BacktestRequest, backtest

    asked = BacktestRequest(names=strategy_names(names), **options)
    with progress_bar() as bar:
        done = backtest(asked, write_reports, bar=bar, note=lambda line: click.echo(f"note: {line}", err=True))
    print_backtest(done)
    pages = [f"report: {done.folder / 'report.html'}"] if asked.report else []
    click.echo("\n".join([*pages, f"written to {done.folder}"]))
