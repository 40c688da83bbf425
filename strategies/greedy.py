"""Takes the highest funding rate on offer now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from strategies.costs import round_trip_bps
from strategies.plugin import Context, Enter, Exit, Order, Settings, View
from strategies.ranking import best_pairs

HOURS_PER_YEAR = 8760

AprPct = Annotated[float, Field(ge=-1e5, le=1e5)]


class GreedyParameters(Settings):
    """When a rate is worth taking and when it is gone. Rates are % of the notional of one leg per year."""

    holding_hours: float = Field(168, gt=0, le=8760, description="hours over which a round trip is paid off")
    enter_apr_pct: AprPct = Field(20, description="enter above this APR in % after costs")
    leave_apr_pct: AprPct = Field(-20, description="leave when the APR in % is below this, costs not counted")


class Greedy:
    """Enters the best APR of the last settled rates that beats its costs, and leaves when it is gone."""

    Parameters: ClassVar[type[Settings]] = GreedyParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: GreedyParameters, context: Context) -> None:  # noqa: ARG002  # draws nothing
        self._parameters = parameters

    def decide(self, view: View) -> Sequence[Order]:
        p, apr = self._parameters, view.feature("fund_apr")
        cost_apr = round_trip_bps(view) / 100 * HOURS_PER_YEAR / p.holding_hours
        # Without costs: those of the entry are paid, and those of the exit come sooner or later.
        gone = [s for s in view.positions if not s.leaving and apr[s.pair] < p.leave_apr_pct]
        wanted = view.offered & (apr - cost_apr > p.enter_apr_pct)
        return [
            *(Exit(position.slot) for position in gone),
            *(Enter(pair) for pair in best_pairs(apr - cost_apr, wanted, view.free_slots)),
        ]
