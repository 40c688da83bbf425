"""What the card of a made policy is written from: who did what under which conditions, and what it hangs on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from adapters.configuration.settings import ArbSettings
from adapters.datasets.layout import DatasetInfo
from adapters.naming.names import stem_of_text
from adapters.research.phases import PNL, ByPhase, over_phases, shared_returns
from adapters.research.players import Player, make_player, policy_player
from adapters.research.playing import play, signs_of
from adapters.research.policy.judging import (
    AT_ONCE,
    AT_REST,
    BY_VOLUME,
    DOUBLED,
    LATE,
    STALE,
    WALLETS,
    WALLETS_LATE,
    WALLETS_TWICE,
    Judged,
    judge,
    scenarios,
)
from adapters.research.policy.member import TEACHER, teacher_parameters
from adapters.research.policy.plan import PolicyPlan, data_of, windows_of
from adapters.research.policy.run import Making, read_results
from adapters.storage.trials import TrialRecord, summarise
from engine.accounting.records import trade_pnl
from engine.analysis.significance import Significance, Trials, significance
from engine.errors import SettingsError, UserError
from engine.windows import time_of
from engine.worlds import World
from rl_training.recipe.selection import Choice
from rl_training.recipe.settings import Fold, RecipeSettings
from strategies.policy import Policy

SCENARIOS = (AT_ONCE, LATE, DOUBLED, BY_VOLUME, AT_REST, WALLETS, WALLETS_LATE, WALLETS_TWICE, STALE)
POLICY = "policy"
CHECKS = ("wf",)
"""Folds that are shown beside the one that is shipped, where the recipe has them."""
LATER = "later"
"""Hours after those of the recipe, at which the shipped policy is looked once."""


@dataclass(frozen=True, eq=False)
class PolicyFacts:
    """Of the shipped policy of a run."""

    name: str
    plan: PolicyPlan
    dataset: DatasetInfo
    policy: Policy
    choice: Choice
    results: Mapping[str, Any]
    folds: Sequence[Fold]
    """Those that are shown."""
    judged: Mapping[str, Judged]
    """By fold: its own policies beside the rules."""
    left_out: Sequence[str]
    """Scenarios that the data does not allow."""
    hindsight: Mapping[str, float | None]
    """% per 7 days of the persistent plan, by fold."""
    months: Mapping[str, float]
    coins: Mapping[str, float]
    """% of capital, mean over phases."""
    flat_share: float
    significance: Significance
    trials: Trials | None
    signs: Sequence[str]
    rules: Mapping[str, Mapping[str, Any]]
    """Parameters by name in the tables."""

    @property
    def shipped(self) -> ByPhase:
        """The policy at once, by phase."""
        return self.judged[self.plan.recipe.ships][POLICY][AT_ONCE]


def later_fold(recipe: RecipeSettings, start: datetime, end: datetime) -> Fold:
    """Hours to look at once. Raises ``UserError`` unless they come after all hours that the recipe names."""
    last = max(fold.judge_to for fold in recipe.folds)
    if not last < start < end:
        raise UserError(f"hours to look at once come after those of the recipe, which end at {last:%Y-%m-%dT%H:%MZ}")
    return Fold(name=LATER, train_to=recipe.fold(recipe.ships).train_to, judge_from=start, judge_to=end)


def facts_of(run: Making, rules: ArbSettings, record: TrialRecord | None, later: Fold | None = None) -> PolicyFacts:
    """Play everybody again. ``rules`` has parameters that were tuned on the past, ``record`` all that was tried."""
    recipe, results = run.plan.recipe, read_results(run.folder)
    choice: Choice = results["selection"]["choice"]
    dataset, world = data_of(run.folder)
    worlds = scenarios(world, SCENARIOS)
    rivals, parameters = _rules(run.plan.settings, rules)
    folds = [fold for fold in recipe.folds if fold.name in (*CHECKS, recipe.ships)]
    folds += [] if later is None else [later]
    judged = {
        fold.name: judge(
            [*_policies(run, recipe.ships if fold is later else fold.name, choice), *rivals], worlds,
            windows_of(dataset, fold)[1],
        )
        for fold in folds
    }  # fmt: skip
    shipped = judged[recipe.ships][POLICY]
    trials = None if record is None else summarise(record, "all recorded runs of the recipe", run.plan.fingerprint)
    returns = shared_returns(shipped[AT_ONCE].values())
    return PolicyFacts(
        name=stem_of_text(run.folder.name), plan=run.plan, dataset=dataset.info,
        policy=run.committee(recipe.ships, choice), choice=choice, results=results, folds=folds, judged=judged,
        left_out=[name for name in SCENARIOS if name not in worlds],
        hindsight={fold.name: _persistent(world, windows_of(dataset, fold)[1]) for fold in folds},
        months=by_month(shipped[AT_ONCE]), coins=by_coin(shipped[AT_ONCE]), flat_share=_flat_share(shipped[AT_ONCE]),
        significance=significance(returns, run.plan.settings.significance, trials), trials=trials,
        signs=_signs(shipped), rules=parameters,
    )  # fmt: skip


def _policies(run: Making, fold: str, choice: Choice) -> list[Player]:
    other: Choice = "imitation" if choice == "tuned" else "tuned"
    return [
        policy_player(run.committee(fold, choice), name=POLICY),
        policy_player(run.committee(fold, other), name=f"its {other}" if other == "imitation" else other),
    ]


def _rules(settings: ArbSettings, tuned: ArbSettings) -> tuple[list[Player], dict[str, Mapping[str, Any]]]:
    """Players and their parameters by the name that they have in the tables."""
    shipped = {name: dict(tuned.strategies.get(name, {})) for name in ("greedy", "basis", "hold")}
    named: dict[str, tuple[str, Mapping[str, Any]]] = {
        "teacher": (TEACHER, teacher_parameters(settings)),
        TEACHER: (TEACHER, {}),
        "carry": ("carry", {}),
        "carry, tuned": ("carry", dict(tuned.strategies.get("carry", {}))),
        **{name: (name, values) for name, values in shipped.items()},
    }
    players = [replace(make_player(name, values), name=shown) for shown, (name, values) in named.items()]
    return players, {shown: values for shown, (_, values) in named.items()}


def _persistent(world: World[ArbSettings], window: Any) -> float | None:
    """The persistent plan's P&L; None under rules that it cannot be made for."""
    try:
        player = make_player("hindsight", {"persistent": True}, may_know_future=True)
        found = play(player, world, window).metrics[PNL]
    except SettingsError:
        return None
    return None if found is None else float(found)


def by_month(by_phase: ByPhase) -> dict[str, float]:
    """P&L by month in % of the initial capital, mean over phases."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in by_phase.values():
        capital, equity = one.world.settings.initial_capital_usd, one.records.hours["equity"]
        hours = one.world.tape.market.hours[one.window.first : one.window.first + len(equity)]
        gained = np.diff(np.append(capital, equity))
        months = [f"{time_of(int(hour)):%Y-%m}" for hour in hours]
        for month in dict.fromkeys(months):
            found[month].append(100.0 * float(gained[[name == month for name in months]].sum()) / capital)
    return {month: float(np.mean(values)) for month, values in found.items()}


def by_coin(by_phase: ByPhase) -> dict[str, float]:
    """P&L of closed trades by coin in % of the initial capital, mean over phases; best first."""
    totals: dict[str, float] = defaultdict(float)
    for one in by_phase.values():
        market, capital = one.world.tape.market, one.world.settings.initial_capital_usd
        legs = one.world.tape.arrays.pairs["long"][one.trades["pair"]]
        for leg, pnl in zip(legs.tolist(), trade_pnl(one.trades).tolist(), strict=True):
            totals[market.symbols[market.leg_symbol[leg]]] += 100.0 * pnl / capital / len(by_phase)
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def _flat_share(by_phase: ByPhase) -> float:
    """Share of the hours without an open position, mean over phases."""
    return float(np.mean([np.mean(one.records.hours["open_positions"] == 0) for one in by_phase.values()]))


def _signs(shipped: Mapping[str, ByPhase]) -> list[str]:
    found = [sign for phase, one in shipped[AT_ONCE].items() for sign in signs_of(one, shipped[LATE].get(phase))]
    return sorted(set(found))


def liquidations(by_phase: ByPhase) -> float:
    """Liquidated legs, mean over phases."""
    return float(over_phases(by_phase).get("liquidations") or 0.0)


def joined(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """Records of one window as one. Raises ``SettingsError`` for records of different hours."""
    if not records:
        return None
    first = records[0]
    if any(one.start != first.start or len(one.returns) != len(first.returns) for one in records):
        raise SettingsError("the records of trials are of different hours; only those of one window can be joined")
    names = tuple(f"{k}-{name}" for k, one in enumerate(records) for name in one.names)
    return TrialRecord(names, first.start, np.concatenate([one.returns for one in records], axis=1))
