"""Playing scenarios: the same data under changed settings or a changed market, each strategy made anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.configuration.settings import ArbSettings
from adapters.configuration.strategy_registry import build_strategy
from adapters.research.stress.scenarios import Scenario
from engine.accounting.books import Reason
from engine.accounting.records import Records
from engine.accounting.tape import Tape, prepare
from engine.analysis.metrics import Metrics, compute_metrics
from engine.backtest import run_backtest
from engine.market.outages import silenced
from engine.observation.features import Tables, build_tables
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Strategy
from engine.windows import Window
from strategies.plugin import Context
from strategies.policy import Policy


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
    """A prepared market and the strategies that are played on it."""

    builder: OpportunityBuilder
    settings: ArbSettings
    window: Window
    names: tuple[str, ...]
    policies: tuple[Policy, ...]
    seed: int

    def strategy(self, name: str) -> Strategy:
        """A strategy as if it had never played, with the random numbers of every other scenario."""
        rng = np.random.default_rng([self.seed, self.names.index(name)])
        return build_strategy(name, self.settings.strategies.get(name, {}), Context(rng, self.policies))

    def world(self, scenario: Scenario) -> OpportunityBuilder:
        """The market of a scenario under its settings."""
        settings = scenario.settings(self.settings)
        if scenario.outages:
            tape = prepare(silenced(self.builder.tape.market, scenario.outages), settings)
            return OpportunityBuilder(tape, _protected(build_tables(tape, since=self.window.first), self.builder))
        return restated(self.builder, settings)

    def play(self, name: str, world: OpportunityBuilder, progress: Callable[[int], None] = lambda _: None) -> Records:
        """Records of one strategy over the window."""
        return run_backtest(world, self.strategy(name), self.window.first, self.window.last, progress=progress)


def restated(builder: OpportunityBuilder, settings: ArbSettings) -> OpportunityBuilder:
    """The same market under other settings; of the features only the cost of a position depends on them.

    Raises ``ValueError`` for other filters, and for another ``max_stale_hours``, which reaches more features.
    """
    old = builder.tape.settings
    if (settings.max_stale_hours, settings.filters) != (old.max_stale_hours, old.filters):
        raise ValueError("these settings need features of their own")
    tape = prepare(builder.tape.market, settings, before=builder.tape.before, pairs=builder.tape.pairs)
    fee_rate = np.ascontiguousarray(tape.arrays.quotes["fee_rate"].T)
    return OpportunityBuilder(tape, _protected(builder.tables._replace(fee_rate=fee_rate), builder))


def _protected(tables: Tables, like: OpportunityBuilder) -> Tables:
    """Tables as writeable as others: compiled code is made once, not once for each kind."""
    for mine, other in zip(tables, like.tables, strict=True):
        if mine is not other:
            mine.flags.writeable = other.flags.writeable
    return tables


def outcome(name: str, scenario: Scenario, records: Records, tape: Tape, real: Tape) -> Outcome:
    """The figures of a finished run; ``real`` is the tape without the outages of the scenario."""
    metrics = compute_metrics(records, tape.settings.initial_capital_usd)
    phantom = _phantom_usd(records, tape, real) if scenario.outages else 0.0
    exits, refused = _by_reason(records.trades), _by_reason(records.notes)
    return Outcome(name, scenario, metrics, exits, refused, phantom, _naked_usd(records.trades, tape))


def _naked_usd(trades: NDArray[Any], tape: Tape) -> float:
    total = 0.0
    for sign, name, other, legs in (
        (1, "long", "short", tape.pairs.long_leg),
        (-1, "short", "long", tape.pairs.short_leg),
    ):
        alone = trades[trades[f"{other}_closed"] < trades[f"{name}_closed"]]
        since = alone[f"{other}_closed"]
        marked = tape.arrays.quotes["price"][legs[alone["pair"]], since]
        start = np.where(since == alone["opened"], alone[f"{name}_entry"], marked)
        total += float((sign * alone["quantity"] * (alone[f"{name}_exit"] - start)).sum())
    return total


def _phantom_usd(records: Records, tape: Tape, real: Tape) -> float:
    left = records.trades[records.trades["reason"] == int(Reason.DATA_OUTAGE)]
    total = 0.0
    for side, leg_of in ((1, tape.pairs.long_leg), (-1, tape.pairs.short_leg)):
        legs, hours = leg_of[left["pair"]], left["closed"]
        ours, theirs = (one.arrays.quotes[legs, hours] for one in (tape, real))
        silent = (ours["stale"] > 0) & (theirs["stale"] == 0)
        total += float((side * left["quantity"] * (ours["price"] - theirs["price"]))[silent].sum())
    return total


def _by_reason(rows: NDArray[Any]) -> dict[str, int]:
    return {Reason(value).name.lower(): n for value, n in sorted(Counter(rows["reason"].tolist()).items())}
