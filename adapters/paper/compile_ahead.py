"""Machine code made by a process of its own before the first hour: a compiler keeps its memory as long as it lives.

Measured with an empty cache: a service that compiles itself has 550 MB from then on, one that finds the code 240 MB.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.paper.session import Session
from adapters.paper.settings import PaperSettings
from adapters.paper.setup import LIVE, LIVE_GRACE_HOURS, Player, engine_for, prepare_player, start_state, universe
from engine.live_window import FACTS, HourFacts, Settled
from engine.observation.answers import ask
from engine.observation.view import Enter, Exit, Order, Strategy, View

LEGS = 4
PLAYED_HOURS = 4
FUNDING_EVERY_HOURS = 8


def compile_ahead(paper: PaperSettings, settings: ArbSettings) -> None:
    """Let another process play a few made-up hours: what it compiles, this one will find in the cache on disk.

    Where that fails nothing is lost but memory: this process then compiles on its own, and tells of its own errors.
    """
    # A forked copy of a process with threads may dead-lock; one that starts anew cannot.
    process = get_context("spawn").Process(target=_play_quietly, args=(paper, settings))
    process.start()
    process.join()


def _play_quietly(paper: PaperSettings, settings: ArbSettings) -> None:
    with contextlib.suppress(Exception), TemporaryDirectory() as folder:
        own = engine_for(paper.strategy, settings, paper.models)
        play_made_up_hours(Path(folder), prepare_player(paper.strategy, own, paper.models, paper.seed), own)


def play_made_up_hours(folder: Path, player: Player, settings: ArbSettings) -> Session:
    """A state of four legs in ``folder``: a past as long as the strategy's, an entry, an exit, the player's answers."""
    exchanges = sorted(settings.fees)[:2]
    market = universe([(symbol, name) for symbol in ("AUSDT", "BUSDT") for name in exchanges], LIVE_GRACE_HOURS)
    with start_state(folder, market, player, (), mode=LIVE) as journal:
        strategy = _EnterAndExit(player.strategy)
        session = Session(journal, market, settings, player.name, strategy, player.rng, excuse_errors=True)
        session.remember([_hour(hour) for hour in range(settings.min_history_hours + 1)])
        for hour in range(settings.min_history_hours + 1, settings.min_history_hours + 1 + PLAYED_HOURS):
            session.play(_hour(hour))
    return session


class _EnterAndExit:
    """Asks the player's strategy, but enters what is offered and leaves it again, whatever the answer is."""

    def __init__(self, asked: Strategy) -> None:
        self._asked = asked

    def decide(self, view: View) -> Sequence[Order]:
        with contextlib.suppress(Exception):  # told of when it answers in earnest
            ask(self._asked, view)
        leaving: list[Order] = [Exit(position.slot) for position in view.positions if position.hours_held]
        return leaving or [Enter(int(pair)) for pair in np.flatnonzero(view.offered)[:1]]


def _hour(hour: int) -> HourFacts:
    values = np.full((len(FACTS), LEGS), 0.001)
    values[[FACTS.index("price"), FACTS.index("fill_price"), FACTS.index("mark_price")]] = 100 + 0.01 * np.arange(LEGS)
    values[FACTS.index("funding_interval_hours")] = FUNDING_EVERY_HOURS
    values[[FACTS.index("volume_24h_usd"), FACTS.index("depth_usd")]] = 1e9
    due = hour % FUNDING_EVERY_HOURS == 0
    return HourFacts(hour, values, tuple(Settled(leg, hour, 1e-4 * leg) for leg in range(LEGS)) if due else ())
