"""The scenarios of a stress test: which settings and which market each of them changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.configuration.settings import ArbSettings, parse_request
from adapters.research.stress.settings import StressSettings
from engine.accounting.records import Records
from engine.accounting.tape import Tape
from engine.market.data import MarketData
from engine.market.outages import Outage, scattered_outages
from engine.windows import Window, time_of
from engine.worlds import dearer, later

COSTS, SPREADS, EXECUTION, LATE, LEG_FAILURE, OUTAGE = "costs", "spreads", "execution", "late", "leg failure", "outage"
CAPITAL, LEVERAGE = "capital", "leverage"
AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Scenario:
    """One changed world. ``value`` is what the group varies: a multiple, hours, a probability, USD.

    Scenarios of one group and label differ by ``seed`` alone and are reported together.
    """

    group: str
    label: str
    value: float | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()
    seed: int | None = None

    def settings(self, base: ArbSettings) -> ArbSettings:
        """The settings of a run under this scenario. Raises ``SettingsError`` for what cannot be set."""
        # Parsed anew, since a plain copy with changes would check none of them.
        return parse_request({**dict(base), **self.changes}, origin=self.label)


BASE = Scenario("base", AS_IT_IS)


def scenarios_of(
    stress: StressSettings, settings: ArbSettings, market: MarketData, window: Window, seed: int
) -> list[Scenario]:
    """Every scenario that does not depend on what a strategy did, in the order of the report."""
    return [
        *(costs(multiple, settings) for multiple in stress.costs.multiples),
        *_spreads(stress, settings),
        *_execution(stress, settings, market),
        *_late(stress, settings),
        *_leg_failures(stress),
        *_outages(stress, market, window, seed),
        *_capital(stress, settings),
        *_leverage(stress),
    ]


def costs(multiple: float, settings: ArbSettings) -> Scenario:
    """Fees, spreads and slippage times ``multiple``, on top of what the settings say already."""
    changes = {"cost_multiple": dearer(settings, multiple).cost_multiple}
    return Scenario(COSTS, f"costs x{multiple:g}", multiple, changes)


def _spreads(stress: StressSettings, settings: ArbSettings) -> Iterator[Scenario]:
    for model in stress.spreads.models:
        if model != settings.spread_model:
            label = "spreads by 24 h volume" if model == "volume" else "fixed spreads"
            yield Scenario(SPREADS, label, changes={"spread_model": model})


def _execution(stress: StressSettings, settings: ArbSettings, market: MarketData) -> Iterator[Scenario]:
    for execution in stress.execution.ways:
        # Of bars without high and low nobody can say which resting orders were filled.
        known = execution == "taker" or (market.high is not None and market.low is not None)
        if known and execution != settings.execution:
            label = "takers alone" if execution == "taker" else "one leg rests"
            yield Scenario(EXECUTION, label, changes={"execution": execution})


def _late(stress: StressSettings, settings: ArbSettings) -> Iterator[Scenario]:
    for hours in stress.late.hours:
        changes = {"latency_hours": later(settings, hours).latency_hours}
        yield Scenario(LATE, f"filled {hours} h late", hours, changes)


def _leg_failures(stress: StressSettings) -> Iterator[Scenario]:
    for probability in stress.leg_failure.probabilities:
        for seed in range(stress.leg_failure.seeds):
            changes = {"leg_failure_probability": probability, "leg_failure_seed": seed}
            yield Scenario(LEG_FAILURE, f"legs fail {100 * probability:g} %", probability, changes, seed=seed)


def _outages(stress: StressSettings, market: MarketData, window: Window, seed: int) -> Iterator[Scenario]:
    hours, count = stress.outages.hours, stress.outages.count
    for exchange, name in enumerate(market.exchanges):
        if not count:
            return
        # A stream for each exchange, so that the outages of one do not depend on how many others there are.
        rng = np.random.default_rng([seed, exchange])
        outages = scattered_outages(rng, exchange, window.first, window.last, hours=hours, count=count)
        if outages:
            yield Scenario(OUTAGE, f"{name} out {len(outages)} x {hours} h", hours, outages=outages)


def worst_outages(stress: StressSettings, tape: Tape, window: Window, base: Records) -> list[Scenario]:
    """For each exchange a silence from the hour after the largest position there was opened.

    An exchange on which the strategy held nothing has none.
    """
    scenarios = []
    for exchange, name in enumerate(tape.market.exchanges):
        opened = _largest_opened(tape, base, exchange)
        if not stress.outages.worst or opened is None:
            continue
        # In a silent hour it could not have been opened; one hour later it can no longer be left.
        first = opened + 1
        outage = Outage(exchange, first, min(first + stress.outages.hours, window.last + 1))
        label = f"{name} out {time_of(int(tape.market.hours[first])):%m-%dT%HZ}"
        scenarios.append(Scenario(OUTAGE, label, stress.outages.hours, outages=(outage,)))
    return scenarios


def _largest_opened(tape: Tape, records: Records, exchange: int) -> int | None:
    """Row at which the largest position with a leg on an exchange was opened, the earliest of equals."""
    pairs, trades, legs = tape.pairs, records.trades, tape.market.leg_exchange
    there = (legs[pairs.long_leg[trades["pair"]]] == exchange) | (legs[pairs.short_leg[trades["pair"]]] == exchange)
    held = trades[there]
    if not len(held):
        return None
    largest = held[held["notional"] == held["notional"].max()]
    return int(largest["opened"].min())


def _capital(stress: StressSettings, settings: ArbSettings) -> Iterator[Scenario]:
    for usd in stress.capital.usd:
        changes: dict[str, Any] = {
            "initial_capital_usd": usd,
            "impact_coefficient": stress.capital.impact_coefficient,
        }
        if settings.position_size_usd is not None:
            # A size fixed in USD grows along; otherwise more capital would only lie idle.
            changes["position_size_usd"] = settings.position_size_usd * usd / settings.initial_capital_usd
        yield Scenario(CAPITAL, f"capital {_short_usd(usd)} USD", usd, changes)


def _leverage(stress: StressSettings) -> Iterator[Scenario]:
    for leverage in stress.leverage.values:
        changes = {"leverage": leverage, "account": "by_exchange"}
        yield Scenario(LEVERAGE, f"by exchange, leverage {leverage:g}", leverage, changes)


def _short_usd(usd: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if usd >= size:
            return f"{usd / size:g}{unit}"
    return f"{usd:g}"
