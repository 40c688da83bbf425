"""Random orders: what trading without any knowledge costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from strategies.plugin import Context, Enter, Exit, Order, Settings, View

Probability = Annotated[float, Field(ge=0, le=1)]


class RandomActionsParameters(Settings):
    """How often something happens."""

    enter_probability: Probability = Field(0.05, description="chance an hour to enter a random pair, per free slot")
    exit_probability: Probability = Field(0.02, description="chance an hour to leave, per open position")


class RandomActions:
    """Enters and leaves at random, reproducibly by the seed of the run."""

    Parameters: ClassVar[type[Settings]] = RandomActionsParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: RandomActionsParameters, context: Context) -> None:
        self._parameters, self._rng = parameters, context.rng

    def decide(self, view: View) -> Sequence[Order]:
        p, rng = self._parameters, self._rng
        leaving = [s for s in view.positions if not s.leaving and rng.random() < p.exit_probability]
        entries = int(np.count_nonzero(rng.random(view.free_slots) < p.enter_probability))
        offered = np.flatnonzero(view.offered)
        # Without repeats: a pair drawn twice would be refused, and fewer entries made than the chance says.
        chosen = rng.choice(offered, min(entries, len(offered)), replace=False)
        return [*(Exit(position.slot) for position in leaving), *(Enter(int(pair)) for pair in chosen)]
