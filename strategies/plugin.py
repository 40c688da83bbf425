"""All that a strategy imports: a class with typed parameters that answers each hour with orders.

A strategy is built as ``StrategyClass(parameters, context)`` and then asked ``decide(view)`` once an hour. Its
``Parameters`` derive from ``Settings``; it sees what the ``View`` shows and answers ``Enter(pair)`` and ``Exit(slot)``.
One with an attribute ``decision_clock``, a ``DecisionClock``, is asked at the hours of that clock alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from engine.accounting.tape import Tape
from engine.errors import UserError
from engine.market.data import Floats
from engine.observation.clock import DecisionClock
from engine.observation.view import Enter, Exit, Order, Strategy, View
from engine.settings import Settings
from strategies.clock import ClockParameters
from strategies.policy import Policy

__all__ = [
    "ClockParameters", "Context", "DecisionClock", "Enter", "Exit", "Floats", "Future", "NoParameters", "Order",
    "Policy", "Settings", "Strategy", "StrategyPlugin", "UserError", "View",
]  # fmt: skip


class NoParameters(Settings):
    """Parameters of a strategy that has none."""


@dataclass(frozen=True, eq=False)
class Future:
    """All hours of a run, rows ``first`` to ``last`` of a tape, for a strategy that says it needs them."""

    tape: Tape
    first: int
    last: int


@dataclass(frozen=True)
class Context:
    """What a run gives its strategies besides parameters: a seeded generator and the policies that were loaded.

    ``future`` is there only in a backtest and only for a class with ``needs_future = True``. Such a strategy is no
    strategy but a measure: it has a ``tape`` to be played on, and every report says that it knew the future.
    """

    rng: np.random.Generator
    policies: tuple[Policy, ...] = ()
    future: Future | None = None


class StrategyPlugin(Protocol):
    """The plug-in surface: ``Parameters`` is a ``Settings`` model, ``policies`` the least number of models needed."""

    Parameters: ClassVar[type[Settings]]
    policies: ClassVar[int]

    def __init__(self, parameters: Settings, context: Context) -> None: ...

    def decide(self, view: View) -> Sequence[Order]:
        """Orders for this hour: none, one or several."""
