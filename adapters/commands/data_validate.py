"""``arb data validate``."""

from __future__ import annotations

from pathlib import Path

import click

from adapters.commands.progress import progress_bar


@click.command(name="validate")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(min=0), help="Lines of each kind; 0 shows all."
)
@click.pass_context
def command(ctx: click.Context, dataset: Path, limit: int) -> None:
    """List what is wrong in DATASET, one line a place: file, exchange, hour and what was found there.

    Errors are data that is never loaded, or prices that another exchange contradicts; warnings are for you to
    judge. Exit code 1 with errors, 0 without.

    \b
    Examples:
      arb data validate data/sample
      arb data validate runs/market --limit 0
    """
    from adapters.datasets.validate import validate
    from adapters.reporting.findings_list import findings_list

    with progress_bar() as progress:
        findings = validate(dataset, progress=progress)
    for line in findings_list(findings, dataset, limit):
        click.echo(line)
    if any(finding.severity == "error" for finding in findings):
        ctx.exit(1)
