"""The story of a report in short, for the terminal: one row a run, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from adapters.reporting.page.attribution import FEES, PAID, RECEIVED, totals
from adapters.reporting.page.extras import HINDSIGHT, PERSISTENT, Extras
from adapters.storage.saved_run import SavedRun

HEADS = (
    *("funding\nin USD", "funding\nout USD", "price\nUSD", "fees\nUSD", "other\nUSD"),
    *("of hind-\nsight %", "of per-\nsist. %", "costs\nx1.5 %", "costs\nx2 %", "costs\nx3 %", "1h late\nP&L %"),
)


@dataclass(frozen=True)
class Story:
    """The cells of a run, in the order of ``HEADS``."""

    name: str
    cells: tuple[str, ...]


def story_of(run: SavedRun, extras: Extras) -> Story:
    """Where the P&L came from, how much of the optima it is, and dearer costs."""
    parts, metrics = totals(run), run.metrics
    pnl, price = metrics["pnl_usd"], metrics["price_pnl_usd"]
    # The rest, not a list of kinds: the row adds up whatever kinds the ledger has.
    other = None if pnl is None or price is None else pnl - parts[RECEIVED] - parts[PAID] - parts[FEES] - price
    shares = (extras.share_of(optimum, pnl) for optimum in (HINDSIGHT, PERSISTENT))
    stress = extras.stress or {"costs": [], "one_hour_late": None}
    dearer = {row["multiple"]: row["pnl_pct"] for row in stress["costs"]}
    late = stress["one_hour_late"]
    money = (parts[RECEIVED], parts[PAID], price, parts[FEES], other)
    cells = (
        *(_cell(value, "+.0f") for value in money),
        *(_cell(None if share is None else 100 * share, ".0f") for share in shares),
        *(_cell(dearer.get(multiple), "+.2f") for multiple in (1.5, 2.0, 3.0)),
        _cell(None if late is None else late["pnl_pct"], "+.2f"),
    )
    return Story(run.name, cells)


def _cell(value: float | int | None, form: str) -> str:
    if value is None:
        return "-"
    text = f"{value:{form}}"
    # +0 or -0 says that there was something, and there was not.
    return text if _says_something(text) else text.lstrip("+-")


def print_stories(stories: Iterable[Story], *, console: Console) -> None:
    """The table; a column in which every cell is zero or a dash is left out."""
    rows = list(stories)
    columns = [k for k in range(len(HEADS)) if any(_says_something(row.cells[k]) for row in rows)]
    if not columns:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True, header_style="bold")
    table.add_column("strategy", overflow="fold", min_width=min(10, max(len(row.name) for row in rows)))
    for k in columns:
        table.add_column(HEADS[k], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(row.name, *(row.cells[k] for k in columns))
    console.print(table)


def _says_something(cell: str) -> bool:
    return any(character in "123456789" for character in cell)
