"""How policies and rules do in a fold: mean over the phases of the clock, by scenario, and in held-back worlds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.research.phases import PNL, ByPhase, at_phases
from adapters.research.players import Player
from adapters.research.playing import play
from engine.errors import SettingsError
from engine.windows import Window
from engine.worlds import AnyWorld, World
from rl_training.recipe.courses import Course

AT_ONCE, LATE = "at once", "1 h late"
DOUBLED, BY_VOLUME, AT_REST = "costs doubled", "spreads by volume", "maker then hedge"
WALLETS, WALLETS_LATE, WALLETS_TWICE = "wallets", "wallets, 1 h late", "wallets, leverage 2"
STALE = "stale up to 240 h"
MAIN = (AT_ONCE, LATE, DOUBLED, WALLETS, WALLETS_LATE)
"""Scenarios of every fold; of the shipped one there are all."""

Judged = Mapping[str, Mapping[str, ByPhase]]
"""By player, then by scenario: every phase."""


def scenarios(world: World[ArbSettings], names: Iterable[str]) -> dict[str, World[ArbSettings]]:
    """The worlds in which everybody is judged, by name; what the market does not know is left out."""
    made = {}
    for name in names:
        try:
            made[name] = _world(world, name)
        except SettingsError:
            # Orders that rest need high and low of every hour, which not every data set has.
            continue
    return made


def _world(world: World[ArbSettings], name: str) -> World[ArbSettings]:
    if name == AT_ONCE:
        return world
    if name == LATE:
        return world.late()
    if name == DOUBLED:
        return world.dearer(2.0)
    if name == BY_VOLUME:
        return world.spread_by("volume")
    if name == AT_REST:
        return world.executed_by("maker_then_hedge")
    if name == STALE:
        return World.of(world.tape.market, world.settings.model_copy(update={"max_stale_hours": 240}))
    leverage = 2.0 if name == WALLETS_TWICE else 1.0
    wallets = {"account": "by_exchange", "fit_to_free_margin": True, "leverage": leverage}
    split = world.under(world.settings.model_copy(update=wallets))
    return split.late() if name == WALLETS_LATE else split


def judge(players: Sequence[Player], worlds: Mapping[str, AnyWorld], window: Window) -> Judged:
    """Every player in every world at every phase; a player without a clock once."""
    return {
        player.name: {
            name: {phase: play(one, world, window) for phase, one in at_phases(player).items()}
            for name, world in worlds.items()
        }
        for player in players
    }


def in_held_back(player: Player, courses: Sequence[Course], *, late: bool) -> float:
    """Mean % per 7 days over worlds that nothing was trained in, each decided at the phase of its course."""
    found: list[Any] = []
    for course in courses:
        world = course.world.late() if late else course.world
        one = player.phases.get(course.market.spec.phase, player)
        found.append(play(one, world, Window(course.market.first, course.market.last)).metrics[PNL])
    return float(np.mean(found))
