"""``arb paper-export``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="paper-export")
@click.option("--state", type=click.Path(path_type=Path), default=Path("runs/paper"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder for the files of a run.")
def command(state: Path, out: Path) -> None:
    """Write the files of a backtest and report.html from a paper trading state; it may go on meanwhile.

    \b
    Example:
      arb paper-export --state runs/paper --out runs/paper-until-today
    """
    from adapters.paper.export import export_run
    from adapters.paper.journal import Journal
    from adapters.reporting.results_table import print_results

    with Journal.open_for_reading(state) as journal:
        name = journal.meta["strategy"]["name"]
        metrics = export_run(journal, out)
    print_results({name: metrics}, title=f"{state}: {metrics['hours']} h")
    click.echo(f"report: {out / 'report.html'}")
    click.echo(f"written to {out}")
