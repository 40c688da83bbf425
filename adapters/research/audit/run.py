"""``arb audit`` from what was asked to what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapters.configuration.settings import ArbSettings, load_settings
from adapters.configuration.strategy_registry import build_strategy, check_names, load_strategy_class
from adapters.datasets.load import load_dataset
from adapters.research.audit.audit import BEFORE, AuditResult, audit
from adapters.research.audit.file_watch import FileWatch
from adapters.research.markets import filtered
from adapters.research.players import fitting
from adapters.storage.array_store import cache_root
from adapters.storage.bundles import deployed_models
from engine.observation.view import Strategy
from strategies.plugin import Context


@dataclass(frozen=True)
class AuditRequest:
    """The options of ``arb audit``; what is None was not given."""

    name: str
    data: Path
    cuts: int
    hours: int
    config: Path | None
    overrides: Sequence[str]
    models: Sequence[Path]
    allow_other_costs: bool
    seed: int


def audited(asked: AuditRequest, progress: Callable[[int], None]) -> tuple[AuditResult, bool]:
    """What was tried and found, and whether files that compiled code opens could be seen, too."""
    settings = load_settings(asked.config, asked.overrides)
    with FileWatch([asked.data, cache_root()]) as watch:
        result = _audited(asked, settings, watch, progress)
    return result, watch.sees_compiled_code


def _audited(
    asked: AuditRequest, settings: ArbSettings, watch: FileWatch, progress: Callable[[int], None]
) -> AuditResult:
    name = asked.name
    check_names([name, *settings.strategies])
    watch.at(BEFORE)
    strategy_class = load_strategy_class(name)
    watch.pause()
    paths = (asked.models or deployed_models()) if strategy_class.policies else ()
    settings, policies, _ = fitting(paths, settings, allow_other_costs=asked.allow_other_costs)

    def make() -> Strategy:
        context = Context(np.random.default_rng(asked.seed), policies)
        return build_strategy(name, settings.strategies.get(name, {}), context)

    watch.at(BEFORE)
    make()  # a mistake in the name or the parameters is told before anything is loaded
    watch.pause()
    market = filtered(load_dataset(asked.data, settings.gate).market, settings.filters)
    return audit(
        market, settings, make, policies[0].spec if policies else None, np.random.default_rng(asked.seed),
        cuts=asked.cuts, hours=asked.hours, watch=watch, progress=progress,
    )  # fmt: skip
