"""The part of a model card on luck: intervals, and Sharpe ratios that know of everything that was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.reporting.figures import between, cell, cells, columns
from adapters.research.card_facts import Judged
from adapters.research.policy.judging import AT_ONCE, LATE
from engine.analysis.significance import Significance

SCENARIOS = (AT_ONCE, LATE)
WITH_INTERVAL = columns("pnl_pct_per_7d", "pnl_pct", "sharpe")
ALONE = columns("probabilistic_sharpe", "trials", "luck_sharpe", "deflated_sharpe", "pbo", "loss_probability")
HEADS = ("who", "fills", *(column.one_line for column in (*WITH_INTERVAL, *ALONE)))


def luck_section(judged: Judged) -> str:
    """Markdown with a row for each contestant and way to fill."""
    first = next(iter(judged.values()))[SCENARIOS[0]]
    missing = [
        f"- {name}: no deflated Sharpe ratio, {reason}."
        for name, scenarios in judged.items()
        if (reason := scenarios[SCENARIOS[0]].deflated_sharpe_reason)
    ]
    return (
        "## How much may be luck\n\n"
        f"Estimates on validation with {100 * first.confidence:g} % intervals of the stationary bootstrap "
        f"({first.samples} samples, seed {first.seed}). Chance > 0: probabilistic Sharpe ratio. Chance > luck: "
        "deflated Sharpe ratio, the probability that the true one is above the best that so many worthless trials had "
        "shown. PBO: probability of backtest overfitting over those trials; loses: how often the best of one half of "
        "the hours lost money in the other. Trials were chosen by fills at once; the late rows use the same record.\n\n"
        + "\n".join([*luck_table(judged), "", *missing, CAVEAT])
        + "\n"
    )


def luck_table(judged: Judged, shown: Sequence[str] = SCENARIOS) -> list[str]:
    """The lines of the table, with a row for each of the scenarios that are to be ``shown``."""
    rows = [
        f"| {' | '.join((name, scenario, *luck_cells(scenarios[scenario])))} |"
        for name, scenarios in judged.items()
        for scenario in shown
    ]
    return [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS), *rows]


CAVEAT = (
    "- Both chances assume that one hour's return says nothing about the next one's. Marks at last trades jump between "
    "bid and ask and back, so here they are rather too low. The intervals allow for that, but not for how many were "
    "tried. A few trades decide everything."
)


def luck_cells(one: Significance) -> list[str]:
    """From P&L to losses; a dash is not defined."""
    values = one.model_dump()
    return [*(_with_interval(column.key, values) for column in WITH_INTERVAL), *cells(ALONE, values)]


def _with_interval(key: str, values: Mapping[str, Any]) -> str:
    value, bounds = cell(key, values[key], signed=True), values[f"{key}_interval"]
    return value if values[key] is None or bounds is None else f"{value} ({between(key, bounds)})"
