"""``arb paper-status``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from adapters.commands.hours import instant


@click.command(name="paper-status")
@click.option("--state", type=click.Path(path_type=Path), default=Path("runs/paper"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option("--now", type=instant, help="Treat this time as the current one, for drills.")
def command(state: Path, as_json: bool, now: datetime | None) -> int:
    """Equity, P&L, positions, pending funding, the last hours and health of a paper trading state.

    Exit code: 0 ok, 1 degraded (something that should be there is not), 2 stale (the last hour is missing).

    \b
    Examples:
      arb paper-status --state runs/paper
      arb paper-status --json | jq .health
    """
    import shutil

    from adapters.paper.journal import Journal
    from adapters.paper.status import EXIT_CODES, lines_of, status_json, status_of

    with Journal.open_for_reading(state) as journal:
        status = status_of(journal, now or datetime.now(UTC))
    # In a pipe there is no terminal to ask, and a very narrow one would cut the numbers off.
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    for line in [status_json(status)] if as_json else [f"{line}\n" for line in lines_of(status, width)]:
        click.echo(line, nl=False)
    return EXIT_CODES[status["health"]]
