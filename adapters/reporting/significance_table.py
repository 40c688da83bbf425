"""How much may be luck, as a table for people: intervals, and the probability of a true edge after all the trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from adapters.reporting.figures import between, cells, columns
from adapters.reporting.results_table import output_console
from engine.analysis.significance import Significance

COLUMNS = columns("probabilistic_sharpe", "trials", "luck_sharpe", "deflated_sharpe", "pbo")


def print_significance(judged: Mapping[str, Significance], *, console: Console | None = None) -> None:
    """Print a row each and, beneath, why numbers are missing; ``judged`` must not be empty."""
    level = f"{100 * next(iter(judged.values())).confidence:g} %"
    table = Table(title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("how much may be luck", overflow="fold", min_width=min(14, max(map(len, judged))))
    for head in (f"P&L %\n{level} interval", f"Sharpe\n{level} interval", *(column.lines for column in COLUMNS)):
        table.add_column(head, justify="right", no_wrap=True)
    for name, one in judged.items():
        table.add_row(name, *luck_cells(one))
    shown = console or output_console()
    shown.print(table)
    for line in notes(judged):
        shown.print(line, soft_wrap=True, markup=False)


def luck_cells(one: Significance) -> list[str]:
    """The row of one result; a dash is not defined."""
    bounds = (between("pnl_pct", one.pnl_pct_interval), between("sharpe", one.sharpe_interval))
    return [*bounds, *cells(COLUMNS, one.model_dump())]


def notes(judged: Mapping[str, Significance]) -> Iterator[str]:
    """What is missing and why, one line a reason, then warnings about where trials were made."""
    for field in ("deflated_sharpe_reason", "trials_reason"):
        reasons: dict[str, list[str]] = {}
        for name, one in judged.items():
            reason = getattr(one, field)
            if reason is not None:
                reasons.setdefault(reason, []).append(name)
        yield from (f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
