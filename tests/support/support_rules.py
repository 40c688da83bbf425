"""Small markets on which the trades of a rule can be worked out by hand, and a run of a rule on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from small_market import LegSketch, plain_settings, small_market

from adapters.configuration.strategy_registry import build_strategy
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.observation.opportunities import OpportunityBuilder
from strategies.plugin import Context

HOURS = 120
ROUND_TRIP_BPS = 22.0
"""Four fills between alpha (5 bps) and beta (6 bps)."""


def every_8_hours(rate: float, until: int = HOURS, then: float = 0.0) -> dict[int, float]:
    """Settlements at rows 0, 8, 16, ...: ``rate`` before row ``until``, ``then`` from it on."""
    return {t: rate if t < until else then for t in range(0, HOURS, 8)}


def paying(rate: float, until: int = HOURS, then: float = 0.0, symbol: str = "AAAUSDT", **short: Any) -> Any:
    """One coin, flat prices: long on alpha costs nothing, short on beta earns ``rate`` every eight hours."""
    return {
        (symbol, "alpha"): LegSketch(rates=every_8_hours(0.0), interval=8),
        (symbol, "beta"): LegSketch(rates=every_8_hours(rate, until, then), interval=8, **short),
    }


def play(
    name: str, parameters: Mapping[str, Any], legs: Any, *, seed: int = 0, hours: int = HOURS, **changes: Any
) -> Records:
    """Records of one rule over the whole market; coins are offered from row 23 on unless ``changes`` say otherwise."""
    settings = plain_settings(**({"min_history_hours": 24} | changes))
    builder = OpportunityBuilder(prepare(small_market(legs, hours), settings))
    strategy = build_strategy(name, parameters, Context(np.random.default_rng(seed)))
    return run_backtest(builder, strategy, 0, hours - 1)


def spans(records: Records) -> list[tuple[int, int]]:
    """(row of entry, row of exit) of every trade, by entry."""
    return sorted((int(t["opened"]), int(t["closed"])) for t in records.trades)
