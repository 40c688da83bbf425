"""The test windows, played one after the other as one account.

Each fold begins flat with what the fold before it ended with, and closes at its end with costs. So the equity of the
whole is what somebody would have had who followed the choices, and drawdown, Sharpe ratio and conservation of cash
mean what they mean in a backtest. (With the same capital in every fold, the equity would jump between folds.)
Wallets at exchanges, where there are any, are filled anew at the beginning of a fold, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import build_strategy
from adapters.research.tuning import Trial
from adapters.research.walk_forward.choices import Choice, Show
from engine.accounting.books import HOUR
from engine.accounting.records import NO_RECORDS, Records
from engine.accounting.tape import rules_record
from engine.analysis.joined_runs import chain
from engine.analysis.metrics import Metrics, compute_metrics
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder
from engine.windows import Window
from strategies.plugin import Context


@dataclass(frozen=True, eq=False)
class Tested:
    """A choice on its test window; ``metrics`` are relative to the capital that the fold began with."""

    choice: Choice
    records: Records
    metrics: Metrics


@dataclass(frozen=True, eq=False)
class Account:
    """A strategy over all test windows."""

    strategy: str
    folds: Sequence[Tested]
    records: Records
    metrics: Metrics

    @property
    def trials(self) -> list[Trial]:
        """Everything that was scored on validation windows, over all folds."""
        return [trial for tested in self.folds for trial in tested.choice.trials]

    @property
    def was_chosen(self) -> bool:
        """Whether any fold had more than one thing to choose from."""
        return len(self.trials) > len(self.folds)


def play_account(
    builder: OpportunityBuilder, choices: Sequence[Choice], settings: ArbSettings, seed: int, show: Show
) -> Account:
    """Play the choices of one strategy, in the order of their folds, each on its test window once."""
    capital, folds = settings.initial_capital_usd, list[Tested]()
    for done, choice in enumerate(choices, start=1):
        records = _play(builder, choice, settings, capital, seed)
        folds.append(Tested(choice, records, compute_metrics(records, capital)))
        capital = float(records.hours["equity"][-1])
        show(f"testing {choice.strategy}", done, len(choices))
    records = chain([tested.records for tested in folds])
    metrics = compute_metrics(records, settings.initial_capital_usd)
    return Account(choices[0].strategy, folds, records, metrics)


def _play(builder: OpportunityBuilder, choice: Choice, settings: ArbSettings, capital: float, seed: int) -> Records:
    window = choice.fold.test.rows_in(builder.tape.market.hours)
    if capital <= 0:
        return _nothing_left(window, capital)
    own = settings.model_copy(update={"initial_capital_usd": capital})
    tape = replace(builder.tape, settings=own, arrays=builder.tape.arrays._replace(rules=rules_record(own)))
    policies = () if choice.policy is None else (choice.policy,)
    context = Context(np.random.default_rng([seed, choice.fold.number]), policies)
    strategy = build_strategy(choice.strategy, choice.parameters, context)
    return run_backtest(OpportunityBuilder(tape, builder.tables), strategy, window.first, window.last)


def _nothing_left(window: Window, capital: float) -> Records:
    """An account that was lost stays what it is."""
    hours = np.zeros(window.hours, HOUR)
    hours["hour"] = np.arange(window.first, window.last + 1)
    hours["equity"] = hours["cash"] = capital
    return replace(NO_RECORDS, hours=hours)
