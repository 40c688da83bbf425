"""One table of results for people: strategies as rows, units in the heads, the targets beneath."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from adapters.reporting.figures import Column, cells, columns
from adapters.research.dearer_costs import SPREAD_MODELS, spread_metric
from engine.analysis.assumed_funding import assumed_line
from engine.analysis.metrics import Metrics

TABLE_WIDTH = 100

COLUMNS = columns(
    "pnl_pct_per_7d", "pnl_pct", "sharpe", "max_drawdown_pct", "trades", "win_rate_pct", "profit_factor",
    "avg_trade_hours", "funding_usd", "price_pnl_usd", "fees_usd", "break_even_cost_multiple",
)  # fmt: skip
OTHER_SPREADS = columns(*map(spread_metric, SPREAD_MODELS))
"""Beside the P&L of what was played under another model of spreads too."""


def print_results(results: Mapping[str, Metrics], *, title: str, console: Console | None = None) -> None:
    """Print the table and the share of assumed funding; a metric that is not defined shows as a dash."""
    beside = [column for column in OTHER_SPREADS if any(column.key in metrics for metrics in results.values())]
    shown = [COLUMNS[0], *beside, *COLUMNS[1:]]
    table = Table(
        title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold",
        collapse_padding=bool(beside),  # one column more has no room otherwise
    )  # fmt: skip
    table.add_column(
        "strategy", overflow="fold", min_width=min(10 if beside else 14, max(map(len, results), default=8))
    )
    for column in shown:
        table.add_column(column.lines, justify="right", no_wrap=True)
    for name, metrics in results.items():
        table.add_row(name, *cells(shown, metrics))
    table.add_row("target", *(_target(column) for column in shown), style="dim")
    out = console or output_console()
    out.print(table)
    out.print(assumed_line(results), soft_wrap=True, markup=False)


def _target(column: Column) -> str:
    return f"{column.target.sign}{column.target.value:g}" if column.target else ""


def output_console() -> Console:
    """Standard output, at most 100 columns wide; in a pipe the full width, without colours."""
    console = Console(highlight=False)
    if not console.is_terminal or console.width > TABLE_WIDTH:
        console.width = TABLE_WIDTH
    return console
