"""Strategies as a user would write them in a module of his own, for ``--strategy plugin_strategies:Name``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from engine.observation.view import Enter, Exit, Order, View
from engine.settings import Settings
from strategies.plugin import Context, NoParameters


class Churn:
    """Enters every pair on offer and leaves after five hours; sends orders that are refused too."""

    Parameters: ClassVar[type[Settings]] = NoParameters
    policies: ClassVar[int] = 0

    def __init__(self, parameters: Settings, context: Context) -> None:
        """Draws nothing and needs nothing."""

    def decide(self, view: View) -> Sequence[Order]:
        leave = [Exit(position.slot) for position in view.positions if position.hours_held >= 5]
        return [*leave, *(Enter(pair) for pair in range(view.pairs)), Exit(99)]


class Broken(Churn):
    """Fails after some trades, by a programming error."""

    def decide(self, view: View) -> Sequence[Order]:
        if view.time.day == 3:
            raise ZeroDivisionError("a defect of the strategy")
        return super().decide(view)


class Interrupted(Churn):
    """Ctrl-C after some trades."""

    def decide(self, view: View) -> Sequence[Order]:
        if view.time.day == 3:
            raise KeyboardInterrupt
        return super().decide(view)


class HoldOne(Churn):
    """Enters one pair as soon as it is offered, and holds it."""

    class Parameters(Settings):
        pair: int = 0

    def __init__(self, parameters: Settings, context: Context) -> None:
        super().__init__(parameters, context)
        self._pair = int(parameters.model_dump()["pair"])

    def decide(self, view: View) -> Sequence[Order]:
        return [Enter(self._pair)] if not view.positions and view.offered[self._pair] else []
