"""A run played again under dearer costs, and with every fill an hour later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.research.players import Player
from adapters.research.playing import Play, Played
from adapters.storage.run_files import write_json
from engine.analysis.metrics import Metrics
from engine.windows import Window
from engine.worlds import AnyWorld

FILE = "cost_stress.json"
MULTIPLES = (1.5, 2.0, 3.0)
KEPT = (
    *("pnl_usd", "pnl_pct", "pnl_pct_per_7d", "sharpe", "max_drawdown_pct", "trades"),
    *("funding_usd", "price_pnl_usd", "fees_usd", "slippage_usd"),
)


Worlds = Mapping[float, AnyWorld]
"""The market under dearer costs, by multiple; made once for all strategies of a command."""


def dearer_worlds(world: AnyWorld) -> Worlds:
    """Costs are fees, spreads and slippage, and what a strategy is told about them."""
    return {multiple: world.dearer(multiple) for multiple in MULTIPLES}


def cost_stress(player: Player, worlds: Worlds, window: Window, play: Play, base: Metrics) -> dict[str, Any]:
    """The run at x1 (``base``) and, played anew, under the dearer costs; a run without a trade is not played again.

    ``break_even_multiple`` is of the trades made at x1.
    """
    rows = [_row(1.0, base)]
    # A strategy is told of the dearer costs and decides anew, so each multiple is a run of its own.
    for multiple, world in worlds.items() if base["trades"] else ():
        rows.append(_row(multiple, play(f"{player.name}, costs x{multiple:g}", player, world, window).metrics))
    return {"costs": rows, "break_even_multiple": base["break_even_cost_multiple"]}


def an_hour_later(player: Player, world: AnyWorld, window: Window, play: Play) -> Played:
    """The same player with every fill one hour later than in ``world``."""
    return play(f"{player.name}, an hour late", player, world.late(), window)


def write_stress(folder: Path, stress: dict[str, Any], late: Metrics | None) -> None:
    """``cost_stress.json``; ``late`` is None for what knows the future, whose plan would be another one."""
    kept = None if late is None else {key: late[key] for key in KEPT}
    write_json(folder / FILE, {**stress, "one_hour_late": kept})


def _row(multiple: float, metrics: Metrics) -> dict[str, Any]:
    return {"multiple": multiple, **{key: metrics[key] for key in KEPT}}
