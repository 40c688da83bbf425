"""Trades the price spread between two exchanges back to its mean, with funding counted in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from strategies.costs import round_trip_bps
from strategies.plugin import Context, Enter, Exit, Floats, Order, Settings, View
from strategies.ranking import best_pairs

Deviations = Annotated[float, Field(ge=-20, le=20)]

LEVEL = {1: "spread", 8: "spread8hAvg"}


class BasisParameters(Settings):
    """How far a spread must be stretched, and what it must earn with funding."""

    spread_hours: Literal[1, 8] = Field(1, description="hours whose mean counts as the spread now")
    enter_z: Deviations = Field(3.0, description="enter above this many deviations from the 72 h mean")
    leave_z: Deviations = Field(-1.0, description="the spread has reverted below this many deviations")
    horizon_hours: float = Field(72, gt=0, le=8760, description="hours ahead whose funding counts")
    enter_margin: float = Field(2.0, ge=-10, le=100, description="reversion and funding must pay this many round trips")
    keep_margin: float = Field(0.2, ge=-10, le=100, description="stay though reverted while funding pays this many")

    @model_validator(mode="after")
    def _leaves_below_entry(self) -> Self:
        if self.leave_z >= self.enter_z:
            raise ValueError("leave_z must lie below enter_z, or it would leave at once")
        return self


class Basis:
    """Enters a stretched spread when its reversion and the funding pay the costs; leaves when it has reverted."""

    Parameters: ClassVar[type[Settings]] = BasisParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: BasisParameters, context: Context) -> None:  # noqa: ARG002  # draws nothing
        self._parameters = parameters

    def decide(self, view: View) -> Sequence[Order]:
        p, cost = self._parameters, round_trip_bps(view)
        excess = view.feature(LEVEL[p.spread_hours]) - view.feature("priceSpread3dAvg")
        z = _deviations(excess, view.feature("spread_volatility_stddev"))
        funding = view.feature("net_funding_24h_bps") * (p.horizon_hours / 24)
        gain = 1e4 * excess + funding
        # Reverted is not enough: while funding pays the position goes on earning, and leaving would cost two fills.
        done = (z < p.leave_z) & (funding < p.keep_margin * cost)
        wanted = view.offered & (z > p.enter_z) & (gain > p.enter_margin * cost)
        return [
            *(Exit(position.slot) for position in view.positions if done[position.pair] and not position.leaving),
            *(Enter(pair) for pair in best_pairs(gain - cost, wanted, view.free_slots)),
        ]


def _deviations(excess: Floats, deviation: Floats) -> Floats:
    """Excess in deviations; a spread that never moved has none (nan)."""
    return np.divide(excess, deviation, out=np.full_like(excess, np.nan), where=deviation > 0)
