"""The runs of a folder for people: a table at most 100 columns wide, and what is wrong with some of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adapters.reporting.figures import cells, columns
from adapters.reporting.results_table import output_console
from adapters.research.run_kinds import Result, RunRow

COLUMNS = columns("pnl_pct_per_7d", "max_drawdown_pct", "trades")
STATES = {True: "yes", False: "no", None: "-"}


def print_runs(rows: Sequence[RunRow], console: Console | None = None) -> None:
    """A line for each player of each run, and one for each folder that is broken or no run."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold", collapse_padding=True)
    table.add_column("run", overflow="fold", min_width=8)
    table.add_column("kind", no_wrap=True)
    table.add_column("started\nUTC", no_wrap=True)
    table.add_column("data", overflow="fold")
    table.add_column("strategy", overflow="fold", min_width=8)
    for column in COLUMNS:
        table.add_column(column.lines, justify="right", no_wrap=True)
    table.add_column("done", no_wrap=True)
    table.add_column("report", no_wrap=True)
    for row in rows:
        first, *others = row.results or (Result("-"),)
        started = f"{row.started:%Y-%m-%d %H:%M}" if row.started else "-"
        done = "broken" if row.problem else STATES[row.finished]
        head = (row.id, row.kind, started, row.dataset or "-", first.strategy)
        # As texts: square brackets in a name are no markup.
        table.add_row(*map(Text, (*head, *_numbers(first), done, row.report or "-")))
        for other in others:
            table.add_row("", "", "", "", Text(other.strategy), *_numbers(other), "", "")
    out = console or output_console()
    out.print(table)
    for row in rows:
        if row.problem:
            out.print(Text(f"{row.id}: {row.problem}"), soft_wrap=True)


def as_json(rows: Iterable[RunRow]) -> list[dict[str, Any]]:
    """The same as plain values; times as ISO 8601."""
    return [{**asdict(row), "started": None if row.started is None else row.started.isoformat()} for row in rows]


def _numbers(result: Result) -> list[str]:
    return cells(COLUMNS, asdict(result))
