"""A stress test for people: one table, at most 100 columns wide, and what follows from it in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from adapters.reporting.figures import COSTS as COSTS_USD
from adapters.reporting.figures import cell, columns
from adapters.reporting.results_table import output_console
from adapters.research.stress.bench import Outcome
from adapters.research.stress.break_even import BEYOND, NEVER_EARNS, BreakEven
from adapters.research.stress.scenarios import CAPITAL, COSTS, LEG_FAILURE, LEVERAGE, OUTAGE
from adapters.research.stress.study import Study
from engine.analysis.assumed_funding import assumed_line
from engine.analysis.metrics import Metrics

COLUMNS = columns("pnl_pct_per_7d", "pnl_usd", "sharpe", "max_drawdown_pct", "trades", COSTS_USD)

PHANTOM = (
    "phantom: USD of the P&L that come from closing a silent leg at its last known price, as the rules of the engine "
    "say, and not at the price of the hour: take them off before believing such a row"
)
NAKED = (
    "naked: USD of the P&L of legs that were alone until the next hour after the other had failed or been liquidated: "
    "luck, good or bad"
)


def print_study(study: Study, *, title: str, console: Console | None = None) -> None:
    """The table of one strategy and the lines beneath it."""
    out = console or output_console()
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column(study.strategy, overflow="fold", min_width=25)
    for column in COLUMNS:
        table.add_column(column.lines, justify="right", no_wrap=True)
    table.add_column("what happened")
    group = ""
    for label, one in rows(study):
        if one.scenario.group != group:
            group = one.scenario.group
            table.add_section()
        table.add_row(label, *_cells(one.metrics), what_happened(one))
    out.print(table)
    for line in conclusions(study):
        out.print(line, markup=False)


def rows(study: Study) -> Iterator[tuple[str, Outcome]]:
    """Label and outcome of each row; of runs that differ by seed alone the median (the lower one) and the worst."""
    yield study.base.scenario.label, study.base
    for group in study.alike():
        if (group[0].scenario.group, group[0].scenario.value) == (COSTS, 1):
            continue  # that is the run as it is
        label = group[0].scenario.label
        if len(group) == 1:
            yield label, group[0]
            continue
        yield f"{label}: median", group[(len(group) - 1) // 2]
        yield f"{label}: worst", group[0]


def costs_usd(metrics: Metrics) -> float:
    """Everything that a run paid: fees, slippage, liquidations, transfers."""
    names = ("fees_usd", "slippage_usd", "liquidation_fees_usd", "transfer_costs_usd")
    return sum(float(metrics[name] or 0) for name in names)


def with_costs(metrics: Metrics) -> Metrics:
    """The metrics with everything that the run paid as one more."""
    return {**metrics, COSTS_USD: costs_usd(metrics)}


def _cells(metrics: Metrics) -> Sequence[str]:
    values = with_costs(metrics)
    return [_short(column.key, values[column.key]) for column in COLUMNS]


def _short(key: str, value: float | None) -> str:
    """Hundreds of thousands in thousands, so that the table keeps its width."""
    return cell(key, value) if value is None or abs(value) < 1e5 else f"{cell(key, value / 1e3)}k"


def what_happened(one: Outcome) -> str:
    """The events that a scenario is about, in a few words."""
    group, metrics = one.scenario.group, one.metrics
    if group == OUTAGE:
        phantom = f"; phantom {one.phantom_usd:+,.0f}" if round(one.phantom_usd) else ""
        return _counted(one.exits.get("data_outage", 0), "exit") + phantom
    if group == CAPITAL:
        return ", ".join(filter(None, (_refusals(one, reason) for reason in ("no_volume", "thin_book"))))
    naked = f"; naked {one.naked_usd:+,.0f}" if round(one.naked_usd) else ""
    if group == LEVERAGE:
        liquidated = _counted(int(metrics["liquidations"] or 0), "liquidation")
        return liquidated + naked or _refusals(one, "margin")
    if group == LEG_FAILURE:
        return _counted(int(metrics["leg_failures"] or 0), "failure") + naked
    return ""


def _refusals(one: Outcome, reason: str) -> str:
    return _counted(one.refused.get(reason, 0), f"refusal ({reason})", f"refusals ({reason})")


def _counted(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}" if n else ""


def conclusions(study: Study) -> list[str]:
    """Break-even, capacity, and what the words of the last column mean."""
    lines = [assumed_line({"the run as it is": study.base.metrics})]
    if study.break_even is not None:
        static = study.base.metrics["break_even_cost_multiple"]
        same = "" if static is None else f"; for the very same trades x{static:.2f}"
        lines.append(f"break-even: {_break_even(study.break_even)}{same}")
    if any(one.scenario.group == CAPITAL for one in study.outcomes):
        lines.append(f"capacity: {_capacity(study)}")
    # Shown in whole dollars: less than half of one would be explained and stand nowhere.
    if any(round(one.phantom_usd) for one in study.outcomes):
        lines.append(PHANTOM)
    if any(round(one.naked_usd) for one in study.outcomes):
        lines.append(NAKED)
    return lines


def _break_even(found: BreakEven) -> str:
    adapting = "(run anew at each multiple: decisions change with costs)"
    if found.kind == NEVER_EARNS:
        return f"none, it does not earn even free of costs {adapting}"
    if found.kind == BEYOND:
        return f"still earns at costs x{found.earns_at:g} {adapting}"
    return f"earns up to costs x{found.earns_at:.2f}, then it {found.kind} {adapting}"


def _capacity(study: Study) -> str:
    found = study.capacity
    if found.most_usd_at is None:
        return "none, it does not earn with the least capital once its trades move prices"
    half = "does not halve" if found.half_at is None else f"halves at about {_rounded(found.half_at)} USD"
    zero = "stays above zero" if found.zero_at is None else f"is gone at about {_rounded(found.zero_at)} USD"
    return f"P&L % {half} and {zero} of capital (interpolated); most USD with {found.most_usd_at:,.0f}"


def _rounded(usd: float) -> str:
    """Two digits: the points between which this was interpolated are far apart."""
    return f"{float(f'{usd:.2g}'):,.0f}"
