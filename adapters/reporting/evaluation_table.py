"""The table of ``arb evaluate``: models as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.table import Table

from adapters.reporting.results_table import output_console
from engine.analysis.assumed_funding import assumed_line

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("reward", "reward", "{:+.2f}"),
    ("P&L\n%", "pnl_pct", "{:+.2f}"),
    ("P&L\n%/7d", "pnl_pct_per_7d", "{:+.3f}"),
    ("1 h late\n%/7d", "late_pnl_pct_per_7d", "{:+.3f}"),
    ("max DD\n%", "max_drawdown_pct", "{:.2f}"),
    ("steps", "steps", "{:.0f}"),
    ("trades", "trades", "{:.0f}"),
    ("win\n%", "win_rate_pct", "{:.0f}"),
    ("avg win\nUSD", "avg_win_usd", "{:.2f}"),
    ("avg loss\nUSD", "avg_loss_usd", "{:.2f}"),
    ("per trade\nUSD", "profit_per_trade_usd", "{:+.2f}"),
    ("look", "look", "{:.0f}"),
)


def print_scores(rows: Mapping[str, Mapping[str, Any]], *, title: str) -> None:
    """Print the table with numbered models; a dash is not defined, what was not measured has no column."""
    columns = [column for column in COLUMNS if any(column[1] in row for row in rows.values())]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("")
    for head, _, _ in columns:
        table.add_column(head, justify="right", no_wrap=True)
    for number, row in enumerate(rows.values(), 1):
        values = [(row[key], form) for _, key, form in columns]
        table.add_row(str(number), *["-" if value is None else form.format(value) for value, form in values])
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
