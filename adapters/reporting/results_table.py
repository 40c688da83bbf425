"""One table of results for people: strategies as rows, units in the heads, the targets beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from engine.analysis.assumed_funding import assumed_line
from engine.analysis.metrics import Metrics

TABLE_WIDTH = 100

COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("P&L\n%/7d", "pnl_pct_per_7d", "{:+.3f}"),
    ("P&L\n%", "pnl_pct", "{:+.2f}"),
    ("Sharpe", "sharpe", "{:.2f}"),
    ("max DD\n%", "max_drawdown_pct", "{:.2f}"),
    ("trades", "trades", "{:.0f}"),
    ("win\n%", "win_rate_pct", "{:.0f}"),
    ("profit\nfactor", "profit_factor", "{:.2f}"),
    ("avg\nhours", "avg_trade_hours", "{:.0f}"),
    ("funding\nUSD", "funding_usd", "{:+.0f}"),
    ("price\nUSD", "price_pnl_usd", "{:+.0f}"),
    ("fees\nUSD", "fees_usd", "{:.0f}"),
    ("costs x\nto zero", "break_even_cost_multiple", "{:.1f}"),
)
TARGETS = {
    "pnl_pct_per_7d": ">0.5",
    "sharpe": ">1",
    "win_rate_pct": ">50",
    "profit_factor": ">2",
    "avg_trade_hours": "<12",
}


def print_results(results: Mapping[str, Metrics], *, title: str, console: Console | None = None) -> None:
    """Print the table and the share of assumed funding; a metric that is not defined shows as a dash."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("strategy", overflow="fold", min_width=min(14, max(map(len, results), default=8)))
    for head, _, _ in COLUMNS:
        table.add_column(head, justify="right", no_wrap=True)
    for name, metrics in results.items():
        table.add_row(name, *cells(metrics))
    table.add_row("target", *[TARGETS.get(key, "") for _, key, _ in COLUMNS], style="dim")
    out = console or output_console()
    out.print(table)
    out.print(assumed_line(results), soft_wrap=True, markup=False)


def cells(metrics: Metrics) -> Sequence[str]:
    """The row of one strategy; a dash where a metric is not defined, or not known to the version that wrote it."""
    values = [(metrics.get(key), form) for _, key, form in COLUMNS]
    return ["-" if value is None else form.format(value) for value, form in values]


def output_console() -> Console:
    """Standard output, at most 100 columns wide; in a pipe the full width, without colours."""
    console = Console(highlight=False)
    if not console.is_terminal or console.width > TABLE_WIDTH:
        console.width = TABLE_WIDTH
    return console
