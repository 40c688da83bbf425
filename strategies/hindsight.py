"""Plays the best plan of ``engine.analysis.hindsight``: what was possible at most. It knows the future and says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from engine.analysis.hindsight import best_plan, fixed_size, with_planned_fills
from engine.windows import hour_of
from strategies.plugin import Context, Enter, Exit, Order, Settings, UserError, View


class HindsightParameters(Settings):
    """The size of a position, and how hard the fills are."""

    size_usd: float | None = Field(None, gt=0, description="notional per leg; null: the shipped share of the capital")
    persistent: bool = Field(False, description="every fill gets the worse spread of its hour and the next")


class Hindsight:
    """Knows the future: the best orders that were possible, as a measure for the others."""

    Parameters: ClassVar[type[Settings]] = HindsightParameters
    policies: ClassVar[int] = 0
    needs_future: ClassVar[bool] = True

    def __init__(self, parameters: HindsightParameters, context: Context) -> None:
        if context.future is None:
            raise UserError("hindsight knows the future; only a backtest can play it")
        future = context.future
        tape = fixed_size(future.tape, parameters.size_usd)
        self.plan = best_plan(tape, future.first, future.last, persistent=parameters.persistent)
        self.tape = with_planned_fills(tape, self.plan)
        """What the plan must be run on: fixed size, no stop-loss, and the fills of a persistent plan."""
        self._enter: dict[int, list[int]] = defaultdict(list)
        self._leave: dict[int, list[int]] = defaultdict(list)
        late, start = tape.settings.hours_to_fill, int(tape.market.hours[0])
        for trade in self.plan.trades:
            self._enter[start + int(trade["opened"]) - late].append(int(trade["pair"]))
            if not trade["forced"]:
                self._leave[start + int(trade["closed"]) - late].append(int(trade["pair"]))

    def decide(self, view: View) -> Sequence[Order]:
        hour = hour_of(view.time)
        slots = {position.pair: position.slot for position in view.positions}
        if view.max_positions == 1:
            # An exit may be ordered in the hour in which a late entry is filled, before it is seen open.
            leaving = [Exit(0) for _ in self._leave.get(hour, ())]
        else:
            # An entry that was refused for margin leaves nothing to exit.
            leaving = [Exit(slots[pair]) for pair in self._leave.get(hour, ()) if pair in slots]
        return [*leaving, *(Enter(pair) for pair in self._enter.get(hour, ()))]
