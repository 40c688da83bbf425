"""A rule with a clock at every phase of it: the mean over phases, the worst of them beside it.

One phase is one draw of several. Searches, walk-forwards, evaluations and backtests all take the mean from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import (
    EVERY_HOURS,
    PHASE,
    has_clock,
    hours_between_decisions,
    load_strategy_class,
    parse_parameters,
)
from adapters.configuration.tuning_grids import Grid
from adapters.research.players import Player
from adapters.research.playing import Play, Played
from adapters.storage.csv_files import write_rows
from engine.analysis.metrics import Metrics
from engine.analysis.phases import NO_CLOCK, PNL, WORST, mean_over_phases, returns_of_parts
from engine.errors import UserError
from engine.market.data import Floats
from engine.windows import Window
from engine.worlds import AnyWorld

__all__ = [
    "FILE", "NO_CLOCK", "PNL", "WORST", "ByPhase", "PhasesPlayed", "at_phases", "check_phases", "mean_over_phases",
    "over_phases", "phase_lines", "play_phases", "require_clock", "shared_returns", "write_phases",
]  # fmt: skip

FILE = "phases.csv"
ByPhase = Mapping[int, Played]
PhasesPlayed = Mapping[str, Mapping[int, ByPhase]]
"""By name of the player, then hours late."""


def at_phases(player: Player, chosen: Collection[int] | None = None) -> dict[int, Player]:
    """The player at each phase, or at the ``chosen`` ones; a player without a clock alone, under ``NO_CLOCK``.

    Raises ``UserError`` for a phase that its clock does not have.
    """
    if not player.phases:
        return {NO_CLOCK: player}
    missing = sorted(set(chosen or ()) - set(player.phases))
    if missing:
        raise UserError(f"{player.name} has the phases 0 to {len(player.phases) - 1}; {missing[0]} is none of them")
    return {phase: one for phase, one in player.phases.items() if chosen is None or phase in chosen}


def check_phases(
    names: Sequence[str], settings: ArbSettings, grids: Mapping[str, Grid], chosen: Collection[int] | None
) -> None:
    """Raises ``UserError`` for a grid that varies phases, and for chosen phases that a clock does not have."""
    clocked = {name: load_strategy_class(name) for name in names if has_clock(load_strategy_class(name))}
    for name, strategy_class in clocked.items():
        if PHASE in grids.get(name, {}):
            raise UserError(f"{name}.{PHASE} stands in the grid; points are judged over phases, so take it out there")
        every = grids.get(name, {}).get(EVERY_HOURS, ())
        asked = parse_parameters(name, strategy_class, settings.strategies.get(name, {}))
        fewest = min(map(int, every), default=hours_between_decisions(asked))
        if chosen and max(chosen) >= fewest:
            raise UserError(f"{name} has the phases 0 to {fewest - 1}; {max(chosen)} is none of them")
    if chosen is not None and not clocked:
        raise UserError("--phases is given, but none of the strategies has a clock")


def over_phases(played: ByPhase) -> Metrics:
    """Means of the metrics over phases, and the worst P&L; without a clock the metrics as they are.

    A metric that some phases do not define is the mean over those that do.
    """
    return mean_over_phases({phase: one.metrics for phase, one in played.items()})


def require_clock(players: Iterable[Player]) -> None:
    """Raises ``UserError`` when phases are asked for and none of the players has a clock."""
    if not any(player.phases for player in players):
        raise UserError("--phases is given, but nobody who plays has a clock")


def play_phases(players: Iterable[Player], worlds: Mapping[int, AnyWorld], window: Window, play: Play) -> PhasesPlayed:
    """Every phase of the players that have a clock in each world (by hours late)."""
    return {
        player.name: {
            late: {
                phase: play(f"{player.name}, phase {phase}", one, world, window) for phase, one in player.phases.items()
            }
            for late, world in worlds.items()
        }
        for player in players
        if player.phases
    }


def shared_returns(played: Iterable[Played]) -> Floats:
    """Hourly returns of an account that began with equal parts in each of some runs of one window."""
    runs = list(played)
    if len(runs) == 1:
        return runs[0].returns
    return returns_of_parts([run.records.hours["equity"] / run.world.settings.initial_capital_usd for run in runs])


def write_phases(path: Path, played: PhasesPlayed) -> None:
    """Every phase as a row, by name and hours late."""
    rows = [
        [name, late, phase, *one.metrics.values()]
        for name, by_latency in played.items()
        for late, by_phase in by_latency.items()
        for phase, one in by_phase.items()
    ]
    some: Any = next(one for by_late in played.values() for phases in by_late.values() for one in phases.values())
    write_rows(path, ["strategy", "hours_late", "phase", *some.metrics], rows)


def phase_lines(played: PhasesPlayed) -> Iterator[str]:
    """The mean over phases and the worst one of each strategy, for people."""
    for name, by_latency in played.items():
        told = []
        for late, by_phase in by_latency.items():
            found = over_phases(by_phase)
            told.append(f"{'at once' if late == 0 else f'{late} h late'} {found[PNL]:+.3f} ({found[WORST + PNL]:+.3f})")
        count = len(next(iter(by_latency.values())))
        yield f"{name}, mean over {count} phases (worst): P&L {', '.join(told)} %/7d"
