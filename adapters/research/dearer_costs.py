"""A run played again: under dearer costs, the other model of spreads, with takers, and every fill an hour later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np

from adapters.research.players import Player
from adapters.research.playing import Play, Played
from adapters.storage.run_files import write_json
from engine.analysis.metrics import Metrics
from engine.settings import EngineSettings, SpreadModel
from engine.windows import Window
from engine.worlds import AnyWorld, World

Settings = TypeVar("Settings", bound=EngineSettings)
FILE = "cost_stress.json"
SPREAD_MODELS: tuple[SpreadModel, ...] = get_args(SpreadModel)
MULTIPLES = (1.5, 2.0, 3.0)
TAKERS = "takers"
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


def other_spread(settings: EngineSettings) -> SpreadModel:
    """The model of spreads that a run was not played under."""
    return next(model for model in SPREAD_MODELS if model != settings.spread_model)


def under_other_spread(played: Played, world: AnyWorld, window: Window, play: Play) -> Metrics:
    """The same player in ``world``, whose spreads are by the other model; where fills cross the same it is the run."""
    # Where every spread is quoted the two are one market, and playing it twice would only take time.
    crossed, others = (one.arrays.quotes["half_spread"] for one in (played.world.tape, world.tape))
    if played.world.tape.market is world.tape.market and np.array_equal(crossed, others):
        return played.metrics
    player = played.player
    return play(f"{player.name}, {world.settings.spread_model} spreads", player, world, window).metrics


def with_other_spread(played: Played, world: AnyWorld, window: Window, play: Play) -> tuple[Metrics, Metrics]:
    """Metrics of a run as ``metrics.json`` has them, with its P&L under the other spreads, and those of that run."""
    crossed = under_other_spread(played, world, window, play)
    return {**played.metrics, spread_metric(world.settings.spread_model): crossed["pnl_pct_per_7d"]}, crossed


def under_other_spreads(world: World[Settings]) -> World[Settings]:
    """The market in which every run is played once more."""
    return world.spread_by(other_spread(world.settings))


def spread_metric(model: SpreadModel) -> str:
    """Where ``metrics.json`` has the P&L under a model of spreads that the run was not played under."""
    return f"{model}_spread_pnl_pct_per_7d"


def with_takers(player: Player, world: AnyWorld, window: Window, play: Play) -> Metrics:
    """The same player in ``world``, where nothing rests."""
    return play(f"{player.name}, takers", player, world, window).metrics


def write_stress(
    folder: Path,
    stress: dict[str, Any],
    late: Metrics | None,
    spreads: Mapping[str, Metrics],
    takers: Metrics | None,
) -> None:
    """``cost_stress.json``; ``late`` is None for what knows the future, whose plan would be another one.

    ``spreads`` are metrics by the model of spreads that they were played under; ``takers`` are None for a run in which
    nothing rested.
    """
    other = {model: _kept(metrics) for model, metrics in spreads.items()}
    taken = {} if takers is None else {TAKERS: _kept(takers)}
    write_json(folder / FILE, {**stress, "one_hour_late": late and _kept(late), "spread_model": other, **taken})


def _kept(metrics: Metrics) -> dict[str, Any]:
    return {key: metrics[key] for key in KEPT}


def _row(multiple: float, metrics: Metrics) -> dict[str, Any]:
    return {"multiple": multiple, **{key: metrics[key] for key in KEPT}}
