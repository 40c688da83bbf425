"""A decision of a policy for people: portfolio, actions, candidates and what was seen of them, in 100 columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from adapters.reporting.results_table import output_console
from adapters.research.explanation import OPEN, Action, Decision, PairWorth, Slot
from engine.observation.readable import BIT, Shown

MOST_COLUMNS = 8
"""Candidates beside each other in one table."""
NO_MASK = "observation version 1 shows no mask: what is not possible may be chosen too, and is refused"
BOUND = "V: a cautious sum of what a week of funding and the spread would pay"


def print_decision(decision: Decision, console: Console | None = None) -> None:
    """All of a decision; values that were not known are dashes."""
    out = console or output_console()
    for line in _head(decision):
        out.print(line, markup=False, soft_wrap=True)
    for table, note in _tables(decision):
        out.print()
        out.print(table)
        if note:
            out.print(note, markup=False)


def _tables(decision: Decision) -> Iterator[tuple[Table, str]]:
    """Tables with what stands beneath them."""
    yield _slots(decision), ""
    yield _actions(decision), NO_MASK if decision.observation_version == 1 else ""
    if decision.candidates:
        yield _worths(decision), BOUND
    yield _values("seen of the portfolio", {"": decision.portfolio}), ""
    held = {f"slot {one.slot}": one.values for one in decision.slots if one.values}
    shown = {f"{one.place}": one.values for one in decision.candidates}
    for what, columns in (("held positions", held), ("candidates", shown)):
        names = list(columns)
        for first in range(0, len(names), MOST_COLUMNS):
            yield _values(f"seen of {what}", {name: columns[name] for name in names[first : first + MOST_COLUMNS]}), ""


def _head(decision: Decision) -> Iterator[str]:
    several = f"{decision.members} networks, mean logits, " if decision.members > 1 else ""
    yield f"{decision.model} ({several}observation version {decision.observation_version}, {decision.clock})"
    yield f"at {decision.at}, played from {decision.played_from}"
    pnl = 100 * (decision.equity_usd / decision.capital_usd - 1)
    free = f"{decision.free_slots} of {len(decision.slots)} slots free"
    yield f"equity {decision.equity_usd:,.2f} USD ({pnl:+.3f} %), {free}"
    chosen = decision.chosen
    yield f"chosen: {chosen.words} (probability {chosen.probability:.3f}){'' if chosen.possible else ', refused'}"


def _slots(decision: Decision) -> Table:
    table = _table("slots; bps of a leg")
    for head in ("slot", "position", "hours", "N USD", "P&L", "funding", "V", _margin(decision)):
        table.add_column(head, justify="left" if head == "position" else "right")
    for one in decision.slots:
        table.add_row(str(one.slot), *_slot(one))
    return table


def _slot(one: Slot) -> Sequence[str]:
    if one.pair is None:
        return [one.state]
    worth = [f"{_bps(one.pair.lower_bound_bps)}", _bps(one.pair.margin_bps)]
    if one.state != OPEN:
        return [f"{one.pair.words} ({one.state})", "", "", "", "", *worth]
    words = one.pair.words + (" (leaving)" if one.leaving else "")
    return [words, f"{one.hours_held}", f"{one.notional_usd:,.0f}", _bps(one.pnl_bps), _bps(one.funding_bps), *worth]


def _actions(decision: Decision) -> Table:
    table = _table("actions")
    for head in ("", "action", "possible", "logit", "probability"):
        table.add_column(head, justify="right" if head in ("logit", "probability") else "left")
    for one in decision.actions:
        table.add_row(*_action(one), style="bold" if one.chosen else None)
    return table


def _action(one: Action) -> tuple[str, ...]:
    probability = f"{one.probability:.4f}" if one.allowed else "-"
    return ">" if one.chosen else "", one.words, "yes" if one.possible else "no", f"{one.logit:+.3f}", probability


def _worths(decision: Decision) -> Table:
    table = _table("what candidates are worth to the rule week; bps of a leg")
    table.add_column("", justify="right")
    table.add_column("pair")
    for head in ("net 24 h\na day", "net 168 h\na day", "round\ntrip", "V", _margin(decision)):
        table.add_column(head, justify="right")
    for one in decision.candidates:
        table.add_row(str(one.place), one.pair.words, *_worth(one.pair))
    return table


def _worth(pair: PairWorth) -> Sequence[str]:
    return [
        _bps(pair.net_funding_24h_bps), _bps(pair.net_funding_168h_bps), f"{pair.round_trip_bps:.1f}",
        _bps(pair.lower_bound_bps), _bps(pair.margin_bps),
    ]  # fmt: skip


def _margin(decision: Decision) -> str:
    return f"V - {decision.enter_margin:g}\ncosts"


def _values(title: str, columns: dict[str, tuple[Shown, ...]]) -> Table:
    table = _table(title)
    table.add_column("value")
    table.add_column("unit")
    for name in columns:
        table.add_column(name, justify="right")
    # What is only true or not stands in the names of the pairs.
    for row in zip(*([one for one in shown if one.unit != BIT] for shown in columns.values()), strict=True):
        table.add_row(row[0].name, row[0].unit, *(number(one.value) for one in row))
    return table


def number(value: float) -> str:
    """Four digits, in at most seven characters; a dash where it is not known."""
    if math.isnan(value):
        return "-"
    size = abs(value)
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e5, "k")):
        if size >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.3g}{letter}"
    places = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4
    return f"{_rounded(value, places):.{places}f}"


def _bps(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{_rounded(value, 1):+.1f}"


def _rounded(value: float, places: int) -> float:
    """What rounds to zero has no minus."""
    return round(value, places) + 0.0


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
