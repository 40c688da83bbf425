"""``arb explain-decision`` from what was asked to one decision a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.configuration.strategy_registry import parse_parameters
from adapters.datasets.load import load_dataset
from adapters.research.explanation import MINUTES, Decision, explained
from adapters.research.markets import prepare_dataset
from adapters.research.players import models_for
from adapters.research.playing import Bar, hours_shown
from engine.errors import UserError
from engine.market.data import MarketData
from engine.windows import Window, hour_of, time_of
from strategies.policy import Policy
from strategies.week import Week, WeekParameters

DAYS_BEFORE = 30
"""From how long before the hour a policy plays where nothing else is said."""


@dataclass(frozen=True)
class ExplainRequest:
    """The options of ``arb explain-decision``; what is None was not given."""

    data: Path
    at: datetime
    start: datetime | None
    config: Path | None
    overrides: Sequence[str]
    models: Sequence[Path]
    phase: int | None
    allow_other_costs: bool


def explain(asked: ExplainRequest, bar: Bar | None = None) -> list[Decision]:
    """The decision of every model at the hour, each after a run of its own.

    Raises ``UserError`` for an hour outside the data, the last one, at which nothing is decided, and one that is not of
    a policy's clock.
    """
    settings = load_settings(asked.config, asked.overrides)
    settings, policies, _ = models_for(["ppo"], settings, asked.models, allow_other_costs=asked.allow_other_costs)
    if asked.phase is not None:
        policies = tuple(policy.at_phase(asked.phase) for policy in policies)
    for policy in policies:
        check_clock(policy, asked.at)
    dataset = load_dataset(asked.data, settings.gate)
    window = decided_window(dataset.market, asked.start, asked.at)
    world, week = prepare_dataset(dataset, settings), _week(settings)
    return [
        explained(policy, world, window, week, progress=hours_shown(bar, policy.name, window.hours))
        for policy in policies
    ]


def check_clock(policy: Policy, at: datetime) -> None:
    """Raises ``UserError`` that names the nearest hours when a policy decides nothing at this one."""
    clock, hour = policy.spec.clock, hour_of(at)
    if clock.decides_at(hour):
        return
    before = hour - (hour - clock.phase) % clock.every_hours
    nearest = " and ".join(f"{time_of(one):{MINUTES}}" for one in (before, before + clock.every_hours))
    raise UserError(
        f"{policy.name} decides nothing at {at:{MINUTES}} ({clock}); the nearest hours at which it does are {nearest}, "
        f"or shift its clock with --phase {hour % clock.every_hours}"
    )


def decided_window(market: MarketData, start: datetime | None, at: datetime) -> Window:
    """Rows of a market from ``start`` to the hour after ``at``. Raises ``UserError`` for hours outside the data."""
    first, last = (time_of(int(market.hours[k])) for k in (0, -1))
    if not first <= at <= last:
        raise UserError(f"{at:{MINUTES}} lies outside the data, which has {first:{MINUTES}} to {last:{MINUTES}}")
    if at == last:
        raise UserError(
            f"{at:{MINUTES}} is the last hour of the data, at which nothing is decided; give an earlier one"
        )
    begin = max(first, at - timedelta(days=DAYS_BEFORE)) if start is None else start
    if not first <= begin <= at:
        raise UserError(
            f"--from {begin:{MINUTES}} must lie between the beginning of the data, {first:{MINUTES}}, "
            f"and the hour to explain, {at:{MINUTES}}"
        )
    return market.window(begin, at + timedelta(hours=1))


def _week(settings: ArbSettings) -> WeekParameters:
    """The parameters in force of the rule whose lower bound is shown."""
    found = parse_parameters("week", Week, settings.strategies.get("week", {}))
    assert isinstance(found, WeekParameters)
    return found


def as_json(decisions: Sequence[Decision]) -> dict[str, Any]:
    """The decisions as what JSON can say: unknown values are null."""
    found: dict[str, Any] = _plain({"decisions": [asdict(one) for one in decisions]})
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
