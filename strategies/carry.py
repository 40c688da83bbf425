"""Collects funding that has been paid for days: enters late, holds long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from strategies.costs import round_trip_bps
from strategies.plugin import Context, Enter, Exit, Floats, Order, Settings, View
from strategies.ranking import best_pairs

Share = Annotated[float, Field(ge=0, le=1)]
RoundTrips = Annotated[float, Field(ge=-10, le=100)]


class CarryParameters(Settings):
    """What is expected of a pair, and how many round trips that must pay."""

    window_hours: Literal[24, 72, 168] = Field(168, description="hours of past funding that the forecast looks at")
    recent_weight: Share = Field(0.0, description="weight of the last 24 hours against that window, 0 to 1")
    horizon_hours: float = Field(72, gt=0, le=8760, description="hours ahead over which it expects to be paid")
    spread_weight: Share = Field(1.0, description="share of the spread (8 h against 72 h mean) it expects to revert")
    enter_margin: RoundTrips = Field(3.0, description="enter when that pays this many round trips")
    leave_margin: RoundTrips = Field(0.5, description="leave when funding pays fewer round trips than this")

    @model_validator(mode="after")
    def _leaves_below_entry(self) -> Self:
        if self.leave_margin >= self.enter_margin:
            raise ValueError("leave_margin must lie below enter_margin, or it would leave at once")
        return self


class Carry:
    """Enters when trailing net funding, if it goes on, pays the costs with a margin; leaves below a lower one."""

    Parameters: ClassVar[type[Settings]] = CarryParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: CarryParameters, context: Context) -> None:  # noqa: ARG002  # draws nothing
        self._parameters = parameters

    def decide(self, view: View) -> Sequence[Order]:
        p, funding, cost = self._parameters, self._expected_funding_bps(view), round_trip_bps(view)
        gain = funding + p.spread_weight * _spread_excess_bps(view)
        poor = funding < p.leave_margin * cost
        # Not ``poor``: a pair that is wanted for its spread alone would be left again in the next hour.
        wanted = view.offered & (gain > p.enter_margin * cost) & ~poor
        return [
            *(Exit(position.slot) for position in view.positions if poor[position.pair] and not position.leaving),
            *(Enter(pair) for pair in best_pairs(gain - cost, wanted, view.free_slots)),
        ]

    def _expected_funding_bps(self, view: View) -> Floats:
        """Net funding of every pair over the horizon if it goes on as it was, bps of one leg's notional."""
        p = self._parameters
        recent = view.feature("net_funding_24h_bps")
        trailing = view.feature(f"net_funding_{p.window_hours}h_bps")
        return (p.recent_weight * recent + (1 - p.recent_weight) * trailing) * (p.horizon_hours / 24)


def _spread_excess_bps(view: View) -> Floats:
    """How far the short leg is dearer than usual; eight hours' mean, since one last trade may be a bounce."""
    return 1e4 * (view.feature("spread8hAvg") - view.feature("priceSpread3dAvg"))
