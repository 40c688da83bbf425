"""A market under one set of rules, and the same market under others: later fills, dearer costs, silent exchanges.

Whatever is played again to see whether its result holds is played in a world made here, so that "an hour late" and
"twice as dear" mean one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np

from engine.accounting.tape import Tape, prepare, rules_record
from engine.market.data import MarketData
from engine.market.outages import Outage, silenced
from engine.observation.features import Tables, build_tables
from engine.observation.opportunities import OpportunityBuilder
from engine.settings import EngineSettings, Execution, SpreadModel

SomeSettings = TypeVar("SomeSettings", bound=EngineSettings)
ONLY_RULES = frozenset({"initial_capital_usd", "position_size_usd", "max_position_loss_pct", "latency_hours"})
"""Settings that nothing of a tape knows but its rules; the rest of it is large, and shared when only these change."""


class World(OpportunityBuilder, Generic[SomeSettings]):
    """A tape, what can be seen on it, and the settings that both were made under."""

    def __init__(self, tape: Tape, settings: SomeSettings, tables: Tables | None = None) -> None:
        super().__init__(tape, tables)
        self.settings = settings

    @classmethod
    def of(cls, market: MarketData, settings: SomeSettings) -> World[SomeSettings]:
        """The world of a market. Raises ``SettingsError`` like ``prepare``."""
        return cls(prepare(market, settings), settings)

    def under(self, settings: SomeSettings) -> World[SomeSettings]:
        """The same market under other settings; of the features only the cost of a position depends on them.

        Raises ``ValueError`` for other filters, and for another ``max_stale_hours``, which reaches more features.
        """
        changed = _changed(self.tape.settings, settings)
        if changed <= ONLY_RULES:
            return World(ruled(self.tape, settings), settings, self.tables)
        if changed & {"max_stale_hours", "filters"}:
            raise ValueError("these settings need features of their own")
        tape = prepare(self.tape.market, settings, before=self.tape.before, pairs=self.tape.pairs)
        # A cost multiple changes what a strategy is told a round trip costs, not only what it pays.
        fee_rate = np.ascontiguousarray(tape.arrays.quotes["fee_rate"].T)
        return World(tape, settings, self._as_writeable(self.tables._replace(fee_rate=fee_rate)))

    def late(self, hours: int = 1) -> World[SomeSettings]:
        """Every fill ``hours`` later than the run's own fills are.

        Later than a run that is late itself, too: a second run with the latency of the first would test nothing.
        """
        return self.under(later(self.settings, hours))

    def dearer(self, multiple: float) -> World[SomeSettings]:
        """Fees, spreads and slippage times ``multiple``, on top of the run's own, and what is told about them."""
        return self.under(dearer(self.settings, multiple))

    def spread_by(self, model: SpreadModel) -> World[SomeSettings]:
        """Where no spread is quoted fills cross what this model says."""
        return self.under(self.settings.model_copy(update={"spread_model": model}))

    def executed_by(self, execution: Execution) -> World[SomeSettings]:
        """Orders are filled in this way. Raises ``SettingsError`` where the market does not know what that needs."""
        return self.under(self.settings.model_copy(update={"execution": execution}))

    def silenced(self, outages: Sequence[Outage], *, since: int = 0) -> World[SomeSettings]:
        """The same rules on a market in which exchanges fall silent; features are made from row ``since`` on."""
        tape = prepare(silenced(self.tape.market, outages), self.settings)
        return World(tape, self.settings, self._as_writeable(build_tables(tape, since=since)))

    def _as_writeable(self, tables: Tables) -> Tables:
        """Tables as writeable as these: compiled code is made once, not once for each kind."""
        for other, mine in zip(tables, self.tables, strict=True):
            if other is not mine:
                other.flags.writeable = mine.flags.writeable
        return tables


AnyWorld = World[Any]
"""A world whose settings may hold more than the engine reads."""


def later(settings: SomeSettings, hours: int = 1) -> SomeSettings:
    """The settings of ``World.late``."""
    return settings.model_copy(update={"latency_hours": settings.latency_hours + hours})


def dearer(settings: SomeSettings, multiple: float) -> SomeSettings:
    """The settings of ``World.dearer``."""
    return settings.model_copy(update={"cost_multiple": settings.cost_multiple * multiple})


def ruled(tape: Tape, settings: EngineSettings) -> Tape:
    """The same tape under settings that differ in ``ONLY_RULES``. Raises ``ValueError`` when they differ in more."""
    if more := _changed(tape.settings, settings) - ONLY_RULES:
        raise ValueError(f"{', '.join(sorted(more))} is no matter of the rules alone")
    return replace(tape, settings=settings, arrays=tape.arrays._replace(rules=rules_record(settings)))


def _changed(old: EngineSettings, new: EngineSettings) -> set[str]:
    return {name for name in EngineSettings.model_fields if getattr(old, name) != getattr(new, name)}
