"""Several learned policies that vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from strategies.plugin import Context, NoParameters, Order, Settings, UserError, View
from strategies.policy import best_action
from strategies.ppo import orders_of


class Ensemble:
    """Plays the action most of several trained models vote for; a tie goes to the lowest action."""

    Parameters: ClassVar[type[Settings]] = NoParameters
    policies: ClassVar[int] = 2

    def __init__(self, parameters: Settings, context: Context) -> None:  # noqa: ARG002  # has no parameters
        specs = {policy.spec.hash() for policy in context.policies}
        if len(specs) > 1:
            raise UserError(
                "the models of an ensemble must share one observation spec, or their votes differ in meaning"
            )
        self._policies = [(policy, policy.encoding) for policy in context.policies]
        self.decision_clock = context.policies[0].spec.clock

    def decide(self, view: View) -> Sequence[Order]:
        votes: list[int] = []
        for policy, encoding in self._policies:
            # The pairs shown depend on the spec, which all share; the scalers may differ.
            observation, visible = view.observe(encoding, policy.spec)
            votes.append(best_action(policy, observation))
        return orders_of(majority(votes), visible)


def majority(votes: Sequence[int]) -> int:
    """The action with most votes, the lowest of several."""
    return int(np.bincount(votes).argmax())
