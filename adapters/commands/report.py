"""``arb report``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File of the page that compares several runs.")
def command(runs: tuple[Path, ...], out: Path | None) -> None:
    """Write report.html of a run anew from its files, or one page that shows several runs side by side.

    RUN is a folder that `arb backtest` or `arb paper-export` wrote. The report of one run lies in its folder; a folder
    with several runs gets the reports of all and the comparison. The page needs no network.

    \b
    Examples:
      arb report runs/mine
      arb report runs/mine runs/theirs --out runs/compared.html
    """
    from adapters.reporting.page.terminal import print_stories
    from adapters.reporting.page.write import compare, write_reports
    from adapters.reporting.results_table import output_console
    from adapters.storage.saved_run import REPORT, fitting_together
    from engine.errors import UserError

    if len(runs) == 1 and out is None:
        with fitting_together(runs):
            stories = write_reports(runs[0])
            print_stories(stories, console=output_console())
        click.echo(f"report: {runs[0] / REPORT}")
        return
    target = out or Path(REPORT)
    if target.suffix != ".html":
        raise UserError(f"--out is the file of a page; {target} does not end in .html")
    with fitting_together(runs):
        compare(runs, target)
    click.echo(f"report: {target}")
