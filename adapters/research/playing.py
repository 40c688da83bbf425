"""A player in a world over a window: the one run that backtest, evaluation, search, stress and scores are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.research.players import Player
from engine.accounting.records import Records, hold_hours, trade_pnl
from engine.analysis.metrics import Metrics, compute_metrics
from engine.analysis.significance import returns_of
from engine.analysis.suspicion import suspicious_signs
from engine.backtest import run_backtest
from engine.market.data import Floats
from engine.observation.clock import EVERY_HOUR, clock_of
from engine.observation.view import Strategy
from engine.windows import Window
from engine.worlds import AnyWorld
from rl_training.environments.rewards import episode_reward
from rl_training.settings import RewardSettings

Progress = Callable[[int], None]
"""Hears the hours done since the last call."""
Bar = Callable[[str, int, int], None]
"""(what, hours done, hours in all), for people who wait."""


@dataclass(frozen=True, eq=False)
class Played:
    """What came of a run. ``world`` is what was really played in, for what knows the future its own.

    ``window`` is in rows, ``returns`` are hourly; ``reward`` is what an environment would have given, where asked for.
    ``marks`` are for the manifest: what is not honest about the player, and when it decides.
    """

    player: Player
    world: AnyWorld
    window: Window
    records: Records
    metrics: Metrics
    returns: Floats
    reward: float | None = None
    marks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trades(self) -> NDArray[Any]:
        """Closed trades, in the order in which they were closed."""
        return self.records.trades

    @property
    def trade_pnl_usd(self) -> NDArray[np.float64]:
        return trade_pnl(self.records.trades)

    @property
    def times(self) -> tuple[Any, Any]:
        """First and last hour."""
        return self.window.hours_in(self.world.tape.market.hours).times


def play(
    player: Player,
    world: AnyWorld,
    window: Window,
    *,
    reward: RewardSettings | None = None,
    progress: Progress = lambda _: None,
) -> Played:
    """Make the player ready, and play rows ``window`` of a world."""
    ready = player.make(world, window)
    records = run_backtest(ready.world, ready.strategy, window.first, window.last, progress=progress)
    # Of the world that was played in, which for what knows the future is its own.
    capital = ready.world.settings.initial_capital_usd
    metrics, returns = compute_metrics(records, capital), returns_of(records, capital)
    earned = None if reward is None else episode_reward(records, ready.world, reward)
    marks = {**ready.marks, **_clock_mark(ready.strategy)}
    return Played(player, ready.world, window, records, metrics, returns, earned, marks)


def _clock_mark(strategy: Strategy) -> Mapping[str, Any]:
    """What a manifest says of a strategy that does not decide every hour."""
    clock = clock_of(strategy)
    return {} if clock == EVERY_HOUR else {"decides": str(clock)}


Play = Callable[[str, Player, AnyWorld, Window], Played]
"""``play`` under a label for people who wait."""


def hours_shown(bar: Bar | None, label: str, total: int) -> Progress:
    """Shows on a bar, where there is one, how many of ``total`` hours are done."""
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        if bar:
            bar(label, done, total)

    return progress


def signs_of(at_once: Played, late: Played | None) -> list[str]:
    """Signs that a profit is bounce or error; ``late`` is the same window with fills one hour later."""
    holds = hold_hours(at_once.trades).tolist()
    return suspicious_signs(at_once.metrics, holds, None if late is None else late.metrics)


def caution(played: Played) -> str:
    """One line for people about a run of what knows the future."""
    settings, bound = played.world.settings, played.marks["bound_usd"]
    fills = "every next trade known" if settings.execution == "taker" else "which orders are filled known"
    if played.marks["persistent"]:
        fills = "every fill at the worse spread of two hours"
    most = "the exact optimum"
    if settings.max_positions > 1 or not played.marks.get("is_exact", True):
        slots = f"{settings.max_positions} slot{'s' if settings.max_positions > 1 else ''}"
        most = f"feasible; upper bound: no plan for {slots} exceeds {bound:+,.0f} USD"
    return (
        f"{played.player.name} knew the future ({fills}; fixed size, no stop-loss): a measure, not a strategy; {most}"
    )
