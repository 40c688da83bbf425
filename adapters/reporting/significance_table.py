"""How much may be luck, as a table for people: intervals, and the probability of a true edge after all the trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from adapters.reporting.results_table import output_console
from engine.analysis.significance import Significance

Bounds = tuple[float, float] | None


def print_significance(judged: Mapping[str, Significance], *, console: Console | None = None) -> None:
    """Print a row each and, beneath, why numbers are missing; ``judged`` must not be empty."""
    level = f"{100 * next(iter(judged.values())).confidence:g} %"
    table = Table(title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("how much may be luck", overflow="fold", min_width=min(14, max(map(len, judged))))
    heads = (f"P&L %\n{level} interval", f"Sharpe\n{level} interval", "chance\n> 0", "of\ntrials", "luck's\nSharpe",
             "chance\n> luck", "over-\nfitting")  # fmt: skip
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for name, one in judged.items():
        table.add_row(name, *cells(one))
    shown = console or output_console()
    shown.print(table)
    for line in notes(judged):
        shown.print(line, soft_wrap=True, markup=False)


def cells(one: Significance) -> list[str]:
    """The row of one result; a dash is not defined."""
    return [
        _between(one.pnl_pct_interval),
        _between(one.sharpe_interval),
        _number(one.probabilistic_sharpe),
        "-" if one.trials is None else str(one.trials),
        _number(one.luck_sharpe),
        _number(one.deflated_sharpe),
        _number(one.pbo),
    ]


def notes(judged: Mapping[str, Significance]) -> Iterator[str]:
    """What is missing and why, one line a reason, then warnings about where trials were made."""
    for field in ("deflated_sharpe_reason", "trials_reason"):
        reasons: dict[str, list[str]] = {}
        for name, one in judged.items():
            reason = getattr(one, field)
            if reason is not None:
                reasons.setdefault(reason, []).append(name)
        yield from (f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def _between(bounds: Bounds) -> str:
    return "-" if bounds is None else f"{bounds[0]:+.2f} to {bounds[1]:+.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
