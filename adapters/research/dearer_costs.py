"""A run played again under dearer costs, and with every fill an hour later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.research.players import MakeEntrant
from adapters.research.references import Play
from adapters.research.stress.bench import restated
from adapters.storage.run_files import write_json
from engine.analysis.metrics import Metrics, compute_metrics
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import Window

FILE = "cost_stress.json"
MULTIPLES = (1.5, 2.0, 3.0)
KEPT = (
    *("pnl_usd", "pnl_pct", "pnl_pct_per_7d", "sharpe", "max_drawdown_pct", "trades"),
    *("funding_usd", "price_pnl_usd", "fees_usd", "slippage_usd"),
)


Worlds = Mapping[float, OpportunityBuilder]
"""The market under dearer costs, by multiple; made once for all strategies of a command."""


def stress_worlds(builder: OpportunityBuilder, settings: ArbSettings) -> Worlds:
    """Costs are fees, spreads and slippage, and what a strategy is told about them."""
    costs = {multiple: {"cost_multiple": settings.cost_multiple * multiple} for multiple in MULTIPLES}
    return {key: restated(builder, settings.model_copy(update=change)) for key, change in costs.items()}


def cost_stress(
    name: str, fresh: Callable[[], MakeEntrant], worlds: Worlds, window: Window, play: Play, base: Metrics
) -> dict[str, Any]:
    """The run at x1 (``base``) and, played anew, under the dearer costs; a run without a trade is not played again.

    ``fresh`` makes a strategy that has not played yet. ``break_even_multiple`` is of the trades made at x1.
    """
    rows = [_row(1.0, base)]
    for multiple, world in worlds.items() if base["trades"] else ():
        entrant = fresh()(world, window)
        records = play(f"{name}, costs x{multiple:g}", entrant)
        rows.append(_row(multiple, compute_metrics(records, entrant.settings.initial_capital_usd)))
    return {"costs": rows, "break_even_multiple": base["break_even_cost_multiple"]}


def an_hour_later(
    name: str, fresh: Callable[[], MakeEntrant], late: OpportunityBuilder, window: Window, play: Play
) -> Metrics:
    """The same strategy with every fill one hour later."""
    entrant = fresh()(late, window)
    return compute_metrics(play(f"{name}, an hour late", entrant), entrant.settings.initial_capital_usd)


def write_stress(folder: Path, stress: dict[str, Any], late: Metrics | None) -> None:
    """``cost_stress.json``; ``late`` is None for what knows the future, whose plan would be another one."""
    kept = None if late is None else {key: late[key] for key in KEPT}
    write_json(folder / FILE, {**stress, "one_hour_late": kept})


def _row(multiple: float, metrics: Metrics) -> dict[str, Any]:
    return {"multiple": multiple, **{key: metrics[key] for key in KEPT}}
