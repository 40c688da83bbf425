"""The table of a walk-forward: a row for each fold, and one over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from adapters.reporting.figures import cell, cells, column, columns
from adapters.research.walk_forward.account import Account, Tested
from adapters.research.walk_forward.choices import Choice
from adapters.research.walk_forward.plan import WalkForwardPlan
from engine.windows import Window, time_of

PNL = "pnl_pct_per_7d"
TESTED = columns(PNL, "pnl_pct", "trades")


def print_folds(account: Account, plan: WalkForwardPlan, console: Console) -> None:
    """Print the folds of one strategy; what the grid varied stands in one column, its names above the table."""
    varied = _varied(plan, account.strategy)
    table = Table(title=_title(account, varied), title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for head in ("fold", "train\nfrom", "validation\nfrom", "test\nfrom"):
        table.add_column(head, no_wrap=True)
    table.add_column("chosen", overflow="fold")
    heads = (("validation", PNL), ("test", PNL), ("test", "pnl_pct"), ("", "trades"))
    for head in (f"{window}\n{column(key).unit}" if window else column(key).lines for window, key in heads):
        table.add_column(head, justify="right", no_wrap=True)
    for tested in account.folds:
        table.add_row(*_row(tested, varied))
    table.add_row(*_total(account), style="bold")
    console.print(table)


def _title(account: Account, varied: Sequence[str]) -> str:
    chosen = f" ({', '.join(varied)})" if varied else ""
    return f"{account.strategy}{chosen}"


def _row(tested: Tested, varied: Sequence[str]) -> list[str]:
    fold, metrics = tested.choice.fold, tested.metrics
    return [
        str(fold.number), _day(fold.train), _day(fold.validation), _day(fold.test), _chosen(tested.choice, varied),
        cell(PNL, tested.choice.validation[PNL]), *cells(TESTED, metrics),
    ]  # fmt: skip


def _total(account: Account) -> list[str]:
    """Validation is the mean over folds, the test that of the whole account."""
    # Test windows follow each other as one account; those of validation belong to choices of their own.
    validation = [float(tested.choice.validation[PNL] or 0.0) for tested in account.folds]
    return [
        "all", "", "", "", "", cell(PNL, float(np.mean(validation))), *cells(TESTED, account.metrics),
    ]  # fmt: skip


def _varied(plan: WalkForwardPlan, strategy: str) -> list[str]:
    return [name for name, values in plan.grids.get(strategy, {}).items() if len(values) > 1]


def _chosen(choice: Choice, varied: Sequence[str]) -> str:
    if choice.training:
        agent = f", agent {choice.training['agent']}" if "agent" in choice.training else ""
        return f"{choice.training['steps']:,} steps{agent}"
    return ", ".join(_short(choice.parameters[name]) for name in varied) or ("as set" if choice.parameters else "")


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _day(window: Window) -> str:
    return f"{time_of(window.first):%Y-%m-%d}"
