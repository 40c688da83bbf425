"""``arb runs``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="runs")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@click.option(
    "--sort", type=click.Choice(["started", "run", "kind", "pnl", "drawdown", "trades"]), default="started",
    show_default=True, help="Newest, most P&L, least drawdown or most trades first.",
)  # fmt: skip
def command(folder: Path, as_json: bool, sort: str) -> None:
    """List the folders of runs in FOLDER (default: runs) with their numbers and the names of their reports.

    What is broken, or not from arb, is listed too and says so. P&L and drawdown are those of the player itself: of a
    search the best point, of a population the best agent, of a stress test the runs without stress.

    \b
    Examples:
      arb runs
      arb runs /data/runs --sort pnl
      arb runs --json | jq '.[0].results'
    """
    import json
    from typing import cast

    from adapters.reporting.run_table import as_json as plain
    from adapters.reporting.run_table import print_runs
    from adapters.research.run_list import SortKey, list_runs

    rows = list_runs(folder, cast(SortKey, sort))
    if as_json:
        click.echo(json.dumps(plain(rows), allow_nan=False))
    else:
        print_runs(rows)
