"""The test windows, played one after the other as one account.

Each fold begins flat with what the fold before it ended with, and closes at its end with costs. So the equity of the
whole is what somebody would have had who followed the choices, and drawdown, Sharpe ratio and conservation of cash
mean what they mean in a backtest. (With the same capital in every fold, the equity would jump between folds.)
Wallets at exchanges, where there are any, are filled anew at the beginning of a fold, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import PHASE
from adapters.research.players import make_player
from adapters.research.playing import play
from adapters.research.tuning import Trial
from adapters.research.walk_forward.choices import Choice, Show
from engine.accounting.books import HOUR
from engine.accounting.records import NO_RECORDS, Records
from engine.analysis.joined_runs import chain
from engine.analysis.metrics import Metrics, compute_metrics
from engine.windows import Window
from engine.worlds import World


@dataclass(frozen=True, eq=False)
class Tested:
    """A choice on its test window; ``metrics`` are relative to the capital that the fold began with."""

    choice: Choice
    records: Records
    metrics: Metrics


@dataclass(frozen=True, eq=False)
class Account:
    """A strategy over all test windows; ``phases`` are metrics of what it would have made at each phase of its clock,
    with the same choices, none where it has no clock."""

    strategy: str
    folds: Sequence[Tested]
    records: Records
    metrics: Metrics
    phases: Mapping[int, Metrics]

    @property
    def trials(self) -> list[Trial]:
        """Everything that was scored on validation windows, over all folds."""
        return [trial for tested in self.folds for trial in tested.choice.trials]

    @property
    def was_chosen(self) -> bool:
        """Whether any fold had more than one thing to choose from."""
        return len(self.trials) > len(self.folds)


def play_account(
    world: World[ArbSettings], choices: Sequence[Choice], settings: ArbSettings, seed: int, show: Show
) -> Account:
    """Play the choices of one strategy, in the order of their folds, each on its test window once (and once more at
    each other phase of its clock)."""
    folds = _play(world, choices, settings, seed, show)
    records, metrics = _joined(folds, settings)
    phases = {
        phase: _joined(_play(world, moved, settings, seed, show), settings)[1]
        for phase, moved in _at_phases(choices).items()
    }
    return Account(choices[0].strategy, folds, records, metrics, phases)


def _at_phases(choices: Sequence[Choice]) -> dict[int, list[Choice]]:
    """The choices with each phase that the clocks of all folds have."""
    players = [make_player(one.strategy, one.parameters) for one in choices if one.policy is None]
    shared = min((len(player.phases) for player in players), default=0)
    return {
        phase: [replace(one, parameters={**one.parameters, PHASE: phase}) for one in choices] for phase in range(shared)
    }


def _joined(folds: Sequence[Tested], settings: ArbSettings) -> tuple[Records, Metrics]:
    records = chain([tested.records for tested in folds])
    return records, compute_metrics(records, settings.initial_capital_usd)


def _play(
    world: World[ArbSettings], choices: Sequence[Choice], settings: ArbSettings, seed: int, show: Show
) -> list[Tested]:
    capital, folds = settings.initial_capital_usd, list[Tested]()
    for done, choice in enumerate(choices, start=1):
        folds.append(_tested(world, choice, capital, seed))
        capital = float(folds[-1].records.hours["equity"][-1])
        show(f"testing {choice.strategy}", done, len(choices))
    return folds


def _tested(world: World[ArbSettings], choice: Choice, capital: float, seed: int) -> Tested:
    window = choice.fold.test.rows_in(world.tape.market.hours)
    if capital <= 0:
        records = _nothing_left(window, capital)
        return Tested(choice, records, compute_metrics(records, capital))
    own = world.settings.model_copy(update={"initial_capital_usd": capital})
    policies = () if choice.policy is None else (choice.policy,)
    # A stream for each fold, so that adding one leaves what the others decide as it is.
    player = make_player(choice.strategy, choice.parameters, seed=[seed, choice.fold.number], policies=policies)
    played = play(player, world.under(own), window)
    return Tested(choice, played.records, played.metrics)


def _nothing_left(window: Window, capital: float) -> Records:
    """An account that was lost stays what it is."""
    hours = np.zeros(window.hours, HOUR)
    hours["hour"] = np.arange(window.first, window.last + 1)
    hours["equity"] = hours["cash"] = capital
    return replace(NO_RECORDS, hours=hours)
