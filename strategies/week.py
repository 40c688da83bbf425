"""Holds what a week of funding promises for the next one, less a part of how much it varies; decides every 8 hours.

docs/design.md section 9 has the rule, and what a switch is where fills are late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from strategies.costs import round_trip_bps
from strategies.plugin import ClockParameters, Context, Enter, Exit, Floats, Order, Settings, View
from strategies.ranking import best_pairs

Share = Annotated[float, Field(ge=0, le=1)]
RoundTrips = Annotated[float, Field(ge=-10, le=100)]


class WeekParameters(ClockParameters):
    """What a pair is worth, how many round trips that must pay, and when it decides."""

    recent_weight: Share = Field(
        0.25, description="weight of the last 24 hours of funding against the last 168, 0 to 1"
    )
    caution: float = Field(0.5, ge=0, le=10, description="deviations of the last seven daily nets that are taken off")
    spread_weight: Share = Field(0.5, description="share of the spread (8 h against 72 h mean) it expects to revert")
    horizon_days: float = Field(7, gt=0, le=365, description="days ahead over which it expects to be paid")
    enter_margin: RoundTrips = Field(1.5, description="enter when that is worth this many round trips")
    leave_margin: RoundTrips = Field(0.1, description="leave when funding alone pays fewer round trips than this")
    switch_margin: float | None = Field(
        5.0, ge=0, le=1000, description="leave the worst for a pair worth so many round trips more; null: never"
    )
    least_distance: Share = Field(
        0.0, description="leave when a leg's price may move by less than this share until it is liquidated; 0: never"
    )

    @model_validator(mode="after")
    def _leaves_below_entry(self) -> Self:
        if self.leave_margin >= self.enter_margin:
            raise ValueError("leave_margin must lie below enter_margin, or it would leave at once")
        return self


class Values(NamedTuple):
    """Of every pair ``[pairs]``, basis points of the notional of one leg."""

    funding: Floats  # over the horizon if it goes on as it was
    worth: Floats  # that less caution, with what the spread gives back: a lower bound rather than a forecast
    cost: Floats  # of a round trip


def week_values(view: View, parameters: WeekParameters) -> Values:
    """What every pair is worth at an hour; unknown (nan) where a part of it is."""
    p = parameters
    recent, week = view.feature("net_funding_24h_bps"), view.feature("net_funding_168h_bps")
    funding = p.horizon_days * (p.recent_weight * recent + (1 - p.recent_weight) * week)
    # Eight hours' mean, since one last trade may be a bounce.
    excess = 1e4 * (view.feature("spread8hAvg") - view.feature("priceSpread3dAvg"))
    doubt = p.caution * p.horizon_days * view.feature("net_funding_7d_daily_sd_bps")
    return Values(funding, funding - doubt + p.spread_weight * excess, round_trip_bps(view))


class Week:
    """Enters the best lower bound on a week's funding, leaves when the funding is gone, switches for much more."""

    Parameters: ClassVar[type[Settings]] = WeekParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: WeekParameters, context: Context) -> None:  # noqa: ARG002  # draws nothing
        self._parameters, self.decision_clock = parameters, parameters.clock

    def decide(self, view: View) -> Sequence[Order]:
        p = self._parameters
        values = week_values(view, p)
        poor = values.funding < p.leave_margin * values.cost
        leaving = [
            one.slot
            for one in view.positions
            if (poor[one.pair] or one.liquidation_distance < p.least_distance) and not one.leaving
        ]
        # With late fills the slots that are left now are free at the next decision.
        free = view.free_slots + (len(leaving) if view.fills_at_once else 0)
        enough = values.worth > p.enter_margin * values.cost
        best = best_pairs(
            values.worth, view.offered & enough & (values.funding > p.leave_margin * values.cost), free + 1
        )
        entered, next_best = best[:free], best[free:]
        if next_best:
            worst = self._switched(view, values, leaving, next_best[0])
            leaving += worst
            entered += next_best if worst and view.fills_at_once else []
        return [*map(Exit, leaving), *map(Enter, entered)]

    def _switched(self, view: View, values: Values, leaving: Sequence[int], best: int) -> list[int]:
        """The slot that is to be left for the pair that found none, if it is worth so much more than the worst held."""
        margin = self._parameters.switch_margin
        held = [one for one in view.positions if not one.leaving and one.slot not in leaving]
        held = [one for one in held if not np.isnan(values.worth[one.pair])]
        if margin is None or not held:
            return []
        worst = min(held, key=lambda one: float(values.worth[one.pair]))
        gain = values.worth[best] - values.worth[worst.pair]
        return [worst.slot] if gain > margin * values.cost[best] else []
