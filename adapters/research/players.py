"""Backtests of what knows the future: built from the window it is played on, on a tape of its own, and marked so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import build_strategy, load_strategy_class, needs_future, parse_parameters
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Strategy
from engine.windows import Window
from strategies.plugin import Context, Future


@dataclass(frozen=True, eq=False)
class Entrant:
    """A strategy with what it is played on. ``marks`` go into the manifest; empty for honest strategies."""

    strategy: Strategy
    builder: OpportunityBuilder
    settings: ArbSettings
    marks: dict[str, Any] = field(default_factory=dict)

    @property
    def knows_future(self) -> bool:
        return bool(self.marks)


MakeEntrant = Callable[[OpportunityBuilder, Window], Entrant]


def entrant_maker(name: str, settings: ArbSettings, context: Context) -> MakeEntrant:
    """How to enter a strategy into a backtest; an honest one is built now, before it could see anything.

    Raises ``UserError`` like ``build_strategy``.
    """
    raw = settings.strategies.get(name, {})
    strategy_class = load_strategy_class(name)
    if not needs_future(strategy_class):
        strategy = build_strategy(name, raw, context)
        return lambda builder, _: Entrant(strategy, builder, settings)
    parse_parameters(name, strategy_class, raw)
    return lambda builder, window: _with_future(name, settings, context, builder, window)


def _with_future(
    name: str, settings: ArbSettings, context: Context, builder: OpportunityBuilder, window: Window
) -> Entrant:
    future = Future(builder.tape, window.first, window.last)
    strategy: Any = build_strategy(name, settings.strategies.get(name, {}), replace(context, future=future))
    played_on = OpportunityBuilder(strategy.tape, builder.tables)
    rules = {key: getattr(strategy.tape.settings, key) for key in ("position_size_usd", "max_position_loss_pct")}
    plan = strategy.plan
    marks = {"knows_future": True, "persistent": plan.persistent, "bound_usd": plan.bound_usd}
    return Entrant(strategy, played_on, settings.model_copy(update=rules), marks)


def caution(name: str, entrant: Entrant) -> str:
    """One line for people about an entrant that knows the future."""
    slots, bound = entrant.settings.max_positions, entrant.marks["bound_usd"]
    fills = "every fill at the worse spread of two hours" if entrant.marks["persistent"] else "every next trade known"
    most = "the exact optimum" if slots == 1 else f"feasible; no plan for {slots} slots exceeds {bound:+,.0f} USD"
    return f"{name} knew the future ({fills}; fixed size, no stop-loss): a measure, not a strategy; {most}"
