"""A learned policy as a strategy: observe, take the best action, turn it into an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from engine.accounting.books import ORDER, OrderKind
from engine.market.data import Ints
from engine.observation.actions import decode_action
from strategies.plugin import Context, Enter, Exit, NoParameters, Order, Settings, View
from strategies.policy import best_action


class Ppo:
    """Plays one trained model (--model PATH; default: the shipped one)."""

    Parameters: ClassVar[type[Settings]] = NoParameters
    policies: ClassVar[int] = 1

    def __init__(self, parameters: Settings, context: Context) -> None:  # noqa: ARG002  # has no parameters
        self._policy = context.policies[0]
        self._encoding = self._policy.encoding
        self.decision_clock = self._policy.spec.clock

    def decide(self, view: View) -> Sequence[Order]:
        observation, visible = view.observe(self._encoding, self._policy.spec)
        return orders_of(best_action(self._policy, observation), visible)


def orders_of(action: int, visible: Ints) -> list[Order]:
    """The order of an action; one on an empty slot goes out too, to be refused and recorded as in training."""
    record: Any = np.zeros(1, ORDER)
    decode_action(action, visible, record[0])
    kind, target = int(record["kind"][0]), int(record["target"][0])
    if kind == int(OrderKind.NONE):
        return []
    return [Enter(target) if kind == int(OrderKind.ENTER) else Exit(target)]
