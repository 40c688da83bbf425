"""A comparison for people, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import shorten

from rich.console import Console
from rich.table import Table

from adapters.reporting.results_table import TABLE_WIDTH, output_console
from adapters.research.comparison.causes import CAUSES, Matched
from adapters.research.comparison.compare import Comparison, Side, decision_hour
from adapters.research.comparison.held import Held
from engine.analysis.assumed_funding import assumed_words
from engine.windows import time_of

MOST_POSITIONS, MOST_SETTINGS = 10, 8


def print_comparison(found: Comparison, console: Console | None = None) -> None:
    """Both runs, the difference by cause, and the positions that make most of it."""
    out = console or output_console()
    span = found.hours["time"]
    out.print(
        f"{len(span)} hours in both, {span.iloc[0]:%Y-%m-%dT%H:%MZ} to {span.iloc[-1]:%Y-%m-%dT%H:%MZ}", markup=False
    )
    for name, side in (("first ", found.first), ("second", found.second)):
        assumed = assumed_words(side.run.metrics)
        line = f"{name}  {side.pnl_usd:+,.2f} USD  {side.pnl_pct:+.4f} %  {side.run.name} in {side.run.folder}"
        line += f" ({assumed})" if assumed else ""
        # Names and folders may hold brackets, which rich takes for styles; unbroken, a path can be copied.
        out.print(line, markup=False, soft_wrap=True)
    for line in _remarks(found):
        out.print(line, markup=False)
    out.print(_causes(found))
    table = _positions(found)
    if table is not None:
        out.print(table)


def _remarks(found: Comparison) -> Iterator[str]:
    for name, side in (("first", found.first), ("second", found.second)):
        if len(side.hours_alone):
            yield f"not comparable: {_hours_alone(side)} only in the {name}"
    for key, (ours, theirs) in list(found.settings.items())[:MOST_SETTINGS]:
        yield shorten(f"differs: {key} {ours} and {theirs}", TABLE_WIDTH, placeholder=" ...")
    if len(found.settings) > MOST_SETTINGS:
        yield f"differs: {len(found.settings) - MOST_SETTINGS} more settings (compare.json)"
    parted = found.parted
    yield "the same at every hour" if parted is None else f"the same until {parted:%Y-%m-%dT%H:%MZ}"


def _hours_alone(side: Side) -> str:
    hours = side.hours_alone
    return f"{len(hours)} hours ({time_of(hours[0]):%Y-%m-%dT%H:%MZ} to {time_of(hours[-1]):%Y-%m-%dT%H:%MZ})"


def _causes(found: Comparison) -> Table:
    table = _table("difference, first less second, by cause")
    table.add_column("cause", min_width=max(map(len, CAUSES.values())))
    table.add_column("USD", justify="right")
    table.add_column("% of capital", justify="right")
    capital = found.first.run.initial_capital_usd
    for cause, words in CAUSES.items():
        usd = found.attribution.causes[cause]
        # Less would be shown as 0.00.
        if abs(usd) >= 0.005:
            table.add_row(words, f"{usd:+,.2f}", f"{100 * usd / capital:+.4f}")
    total = found.attribution.difference_usd
    table.add_row("all", f"{total:+,.2f}", f"{100 * total / capital:+.4f}", style="bold")
    return table


def _positions(found: Comparison) -> Table | None:
    """Those with the largest differences; None when there are none."""
    ranked = sorted(found.attribution.positions, key=lambda one: -abs(one.difference_usd))
    shown = [one for one in ranked if abs(one.difference_usd) >= 0.005][:MOST_POSITIONS]
    if not shown:
        return None
    table = _table(f"the {len(shown)} positions that differ most")
    for head in ("decided", "position", "first", "second", "USD", "mostly"):
        table.add_column(head, justify="right" if head == "USD" else "left")
    for one in shown:
        table.add_row(*_row(one, found))
    return table


def _row(one: Matched, found: Comparison) -> tuple[str, ...]:
    held = one.first or one.second
    assert held is not None
    side = found.first if one.first is not None else found.second
    largest = max(one.amounts, key=lambda cause: abs(one.amounts[cause]))
    pair = f"{held.symbol} {held.exchanges.get('long', '-')}/{held.exchanges.get('short', '-')}"
    decided = f"{time_of(decision_hour(held, side)):%m-%dT%HZ}"
    mostly = {"only_in_first": "", "only_in_second": ""}.get(largest, largest.replace("_", " "))
    usd = f"{one.difference_usd:+,.2f}" + ("" if one.complete else " *")
    return decided, pair, _left(one.first), _left(one.second), usd, mostly


def _left(held: Held | None) -> str:
    if held is None:
        return "-"
    return "open" if held.closed is None else f"{time_of(held.closed):%m-%dT%HZ} {held.reason}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
