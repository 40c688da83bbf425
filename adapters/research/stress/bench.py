"""Playing scenarios: the same data under changed settings or a changed market, each player made ready anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.configuration.settings import ArbSettings
from adapters.research.players import Player
from adapters.research.playing import Played, play
from adapters.research.stress.scenarios import Scenario
from engine.accounting.books import NoteKind, Reason
from engine.accounting.records import Records
from engine.accounting.tape import Tape
from engine.analysis.metrics import Metrics
from engine.windows import Window
from engine.worlds import World


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a strategy made of a scenario; ``exits`` and ``refused`` count closed trades and notes by reason.

    ``phantom_usd`` is the part of the P&L that closing legs at the last price before their outage yielded over closing
    them at the prices that were really traded in that hour: nobody could have had it, or have been spared it.
    ``naked_usd`` is the price P&L of legs in the time in which their other leg was gone (failed, or liquidated): luck.
    """

    strategy: str
    scenario: Scenario
    metrics: Metrics
    exits: Mapping[str, int]
    refused: Mapping[str, int]
    phantom_usd: float = 0.0
    naked_usd: float = 0.0


@dataclass(frozen=True, eq=False)
class Bench:
    """A prepared world, the players that are played on it, and rows ``window``; ``seed`` is that of the outages."""

    base: World[ArbSettings]
    window: Window
    players: tuple[Player, ...]
    seed: int

    def world(self, scenario: Scenario) -> World[ArbSettings]:
        """The world of a scenario."""
        changed = self.base.under(scenario.settings(self.base.settings))
        return changed.silenced(scenario.outages, since=self.window.first) if scenario.outages else changed

    def play(self, player: Player, world: World[ArbSettings]) -> Played:
        """One player over the window."""
        return play(player, world, self.window)


def outcome(played: Played, scenario: Scenario, real: Tape) -> Outcome:
    """The figures of a finished run; ``real`` is the tape without the outages of the scenario."""
    records, tape = played.records, played.world.tape
    phantom = _phantom_usd(records, tape, real) if scenario.outages else 0.0
    missed = records.notes[records.notes["kind"] != int(NoteKind.RESTED)]
    exits, refused = _by_reason(records.trades), _by_reason(missed)
    naked = _naked_usd(records.trades, tape)
    return Outcome(played.player.name, scenario, played.metrics, exits, refused, phantom, naked)


def _naked_usd(trades: NDArray[Any], tape: Tape) -> float:
    total = 0.0
    for sign, name, other, legs in (
        (1, "long", "short", tape.pairs.long_leg),
        (-1, "short", "long", tape.pairs.short_leg),
    ):
        alone = trades[trades[f"{other}_closed"] < trades[f"{name}_closed"]]
        since = alone[f"{other}_closed"]
        marked = tape.arrays.quotes["price"][legs[alone["pair"]], since]
        # A leg whose other one never opened was alone from its own fill on, not from the hour's mark.
        start = np.where(since == alone["opened"], alone[f"{name}_entry"], marked)
        total += float((sign * alone["quantity"] * (alone[f"{name}_exit"] - start)).sum())
    return total


def _phantom_usd(records: Records, tape: Tape, real: Tape) -> float:
    left = records.trades[records.trades["reason"] == int(Reason.DATA_OUTAGE)]
    total = 0.0
    for side, leg_of in ((1, tape.pairs.long_leg), (-1, tape.pairs.short_leg)):
        legs, hours = leg_of[left["pair"]], left["closed"]
        ours, theirs = (one.arrays.quotes[legs, hours] for one in (tape, real))
        # Only where the scenario silenced the price: a gap of the data itself is in both runs.
        silent = (ours["stale"] > 0) & (theirs["stale"] == 0)
        total += float((side * left["quantity"] * (ours["price"] - theirs["price"]))[silent].sum())
    return total


def _by_reason(rows: NDArray[Any]) -> dict[str, int]:
    return {Reason(value).name.lower(): n for value, n in sorted(Counter(rows["reason"].tolist()).items())}
