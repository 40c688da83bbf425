"""The table of ``arb evaluate``: models as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.table import Table

from adapters.reporting.figures import LATE, cells, columns
from adapters.reporting.results_table import output_console
from engine.analysis.assumed_funding import assumed_line

COLUMNS = columns(
    "reward", "pnl_pct", "pnl_pct_per_7d", f"{LATE}pnl_pct_per_7d", "max_drawdown_pct", "steps", "trades",
    "win_rate_pct", "avg_win_usd", "avg_loss_usd", "profit_per_trade_usd", "look",
)  # fmt: skip


def print_scores(rows: Mapping[str, Mapping[str, Any]], *, title: str) -> None:
    """Print the table with numbered models; a dash is not defined, what was not measured has no column."""
    measured = [column for column in COLUMNS if any(column.key in row for row in rows.values())]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("")
    for column in measured:
        table.add_column(column.lines, justify="right", no_wrap=True)
    for number, row in enumerate(rows.values(), 1):
        table.add_row(str(number), *cells(measured, row))
    console = output_console()
    console.print(table)
    for number, model in enumerate(rows, 1):
        console.print(f"{number}  {model}", soft_wrap=True)
    line = assumed_line({str(number): row for number, row in enumerate(rows.values(), 1)})
    console.print(line, soft_wrap=True, markup=False)


def print_top_trades(trades: pd.DataFrame, number: int) -> None:
    """Print the best trades of the model that stands under that number."""
    title = f"best trades of {number}" if len(trades) else f"{number} made no trade"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    heads = ("symbol", "long > short", "entry", "hours", "P&L\nUSD", "funding\nUSD", "left by")
    for head in heads:
        table.add_column(head, no_wrap=True, justify="right" if "USD" in head or head == "hours" else "left")
    for trade in trades.to_dict("records"):
        table.add_row(
            trade["symbol"], f"{trade['long_exchange']} > {trade['short_exchange']}",
            f"{trade['entry_time']:%m-%d %H:%M}", f"{trade['duration_hours']:.0f}", f"{trade['pnl_usd']:+.2f}",
            f"{trade['funding_usd']:+.2f}", trade["exit_reason"],
        )  # fmt: skip
    output_console().print(table)
