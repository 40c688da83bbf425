"""A stress test as one page: the tables, and P&L over costs and over capital."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.reporting.page.pack import embedded
from adapters.reporting.page.page import render
from adapters.reporting.stress_table import COLUMNS, conclusions, rows, what_happened, with_costs
from adapters.research.stress.scenarios import CAPITAL, COSTS
from adapters.research.stress.settings import StressSettings
from adapters.research.stress.study import Study


def stress_page(
    studies: Sequence[Study], stress: StressSettings, *, title: str, under: str, models: Sequence[str], walks: bool
) -> str:
    """The whole document; it needs nothing beside it. ``walks``: takers walked order books where there were some."""
    curves = {group: [_curve(study, group) for study in studies] for group in (COSTS, CAPITAL)}
    return render(
        "stress.html.j2",
        title=title,
        under=under,
        data=embedded({"costs": curves[COSTS], "capacity": curves[CAPITAL]}),
        columns_shown=COLUMNS,
        studies=[_study(study) for study in studies],
        impact=f"{stress.capital.impact_coefficient:g}",
        walks=walks,
        outage_hours=stress.outages.hours,
        models=list(models),
    )


def _study(study: Study) -> Mapping[str, Any]:
    shown = [
        {"label": label, "metrics": with_costs(one.metrics), "happened": what_happened(one)}
        for label, one in rows(study)
    ]
    return {"name": study.strategy, "conclusions": conclusions(study), "rows": shown}


def _curve(study: Study, group: str) -> dict[str, Any]:
    points = sorted(
        (float(one.scenario.value or 0), float(one.metrics["pnl_pct_per_7d"] or 0))
        for one in study.outcomes
        if one.scenario.group == group
    )
    return {"name": study.strategy, "x": [x for x, _ in points], "y": [y for _, y in points]}
