"""The columns of every table: which metric, under which head, in which unit, with which digits, against which target.

A table names the metrics that it shows; what is said of one is said here, for terminal, model card and page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.research.dearer_costs import SPREAD_MODELS, spread_metric
from adapters.research.phases import WORST
from engine.analysis.assumed_funding import METRIC

LATE = "late_"
"""Before the name of a metric: the same with every fill one hour later."""
COSTS = "costs_usd"
"""No metric of a run: all that it paid, for the stress test."""


@dataclass(frozen=True)
class Target:
    """What a good result is above (or below), in the metric's own unit."""

    value: float
    unit: str = ""
    below: bool = False

    @property
    def sign(self) -> str:
        return "<" if self.below else ">"

    def is_met(self, value: float) -> bool:
        """Whether a value reaches it; the target itself does not."""
        return value < self.value if self.below else value > self.value


@dataclass(frozen=True)
class Column:
    """One metric as people read it; forms are those of ``format``."""

    key: str
    head: str
    """Over a column of the terminal, broken into lines; the unit stands beneath."""
    unit: str = ""
    form: str = ".2f"
    exact: str = ""
    """Where one more digit is shown: model cards, and the log of a population."""
    line: str = ""
    """The head in one line; left out it is head and unit."""
    page: tuple[str, str] = ("", "")
    """Head and unit on a page."""
    target: Target | None = None
    signed_on_pages: bool = False

    @property
    def lines(self) -> str:
        """The head for a terminal."""
        return f"{self.head}\n{self.unit}" if self.unit else self.head

    @property
    def one_line(self) -> str:
        """The head for a card."""
        return self.line or " ".join(self.lines.split("\n"))

    @property
    def signed(self) -> bool:
        """Whether a page shows a plus."""
        return self.signed_on_pages or self.form.startswith("+")

    @property
    def digits(self) -> int:
        """After the point."""
        return int(self.form.rpartition(".")[2].rstrip("f"))


COLUMNS: Mapping[str, Column] = {
    column.key: column
    for column in (
        Column("pnl_pct_per_7d", "P&L", "%/7d", "+.3f", line="P&L % / 7 d", page=("P&L", "%/7d"),
               target=Target(0.5, "%")),
        Column("pnl_pct", "P&L", "%", "+.2f", "+.3f", page=("P&L", "%")),
        *(Column(spread_metric(model), f"{model}\nspread", "%/7d", "+.3f", line=f"P&L % / 7 d, {model} spreads")
          for model in SPREAD_MODELS),
        Column("pnl_usd", "P&L", "USD", "+,.0f", page=("P&L", "USD")),
        Column("sharpe", "Sharpe", page=("Sharpe", ""), target=Target(1), signed_on_pages=True),
        Column("max_drawdown_pct", "max DD", "%", ".2f", ".3f", page=("Max DD", "%")),
        Column("trades", "trades", "", ".0f", page=("Trades", "")),
        Column("win_rate_pct", "win", "%", ".0f", page=("Win", "%"), target=Target(50, "%")),
        Column("profit_factor", "profit\nfactor", page=("Profit factor", ""), target=Target(2)),
        Column("avg_trade_hours", "avg\nhours", "", ".0f", page=("Avg trade", "h"),
               target=Target(12, "h", below=True)),
        Column("funding_usd", "funding", "USD", "+.0f", page=("Funding", "USD")),
        Column(METRIC, "assumed", "%", ".0f", page=("Assumed", "%")),
        Column("price_pnl_usd", "price", "USD", "+.0f", page=("Price", "USD")),
        Column("fees_usd", "fees", "USD", ".0f", page=("Fees", "USD")),
        Column("break_even_cost_multiple", "costs x\nto zero", "", ".1f", page=("Break-even", "x costs")),
        Column(COSTS, "costs", "USD", ",.0f", page=("Costs", "USD")),
        # Of episodes and agents.
        Column("reward", "reward", "", "+.2f"),
        Column("fitness", "fitness", "", "+.3f"),
        Column(f"{LATE}pnl_pct_per_7d", "1 h late", "%/7d", "+.3f"),
        Column(WORST + "pnl_pct_per_7d", "worst\nphase", "%/7d", "+.3f"),
        Column("steps", "steps", "", ".0f"),
        Column("avg_win_usd", "avg win", "USD"),
        Column("avg_loss_usd", "avg loss", "USD"),
        Column("profit_per_trade_usd", "per trade", "USD", "+.2f"),
        Column("look", "look", "", ".0f"),
        # How much may be luck.
        Column("probabilistic_sharpe", "chance\n> 0"),
        Column("trials", "of\ntrials", "", "d", line="trials"),
        Column("luck_sharpe", "luck's\nSharpe"),
        Column("deflated_sharpe", "chance\n> luck"),
        Column("pbo", "over-\nfitting", line="PBO"),
        Column("loss_probability", "loses"),
    )
}  # fmt: skip


def column(key: str) -> Column:
    """The column of a metric; one filled late reads like the metric itself where nothing else is said."""
    return COLUMNS.get(key) or COLUMNS[key.removeprefix(LATE)]


def columns(*keys: str) -> tuple[Column, ...]:
    """Columns in the order of their keys."""
    return tuple(map(column, keys))


def cell(key: str, value: float | int | None, *, exact: bool = False, signed: bool | None = None) -> str:
    """A value with its digits, a dash where it is not defined; ``signed`` overrules whether a plus is shown."""
    about = column(key)
    form = about.exact if exact and about.exact else about.form
    if signed is not None:
        form = ("+" if signed else "") + form.removeprefix("+")
    return "-" if value is None else f"{value:{form}}"


def cells(shown: Iterable[Column], values: Mapping[str, Any], *, exact: bool = False) -> list[str]:
    """A row; a dash also where the version that wrote the values did not know a metric."""
    return [cell(about.key, values.get(about.key), exact=exact) for about in shown]


def between(key: str, bounds: tuple[float, float] | None) -> str:
    """An interval with the digits of its metric, always signed."""
    return "-" if bounds is None else f"{cell(key, bounds[0], signed=True)} to {cell(key, bounds[1], signed=True)}"
