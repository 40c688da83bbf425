"""Our PPO as a learner."""

from __future__ import annotations

from typing import ClassVar

from stable_baselines3 import PPO

from rl_training.learners.flat_ppo import FlatPPO
from rl_training.learners.ppo import PPOLearner
from rl_training.learners.protocol import State


class FlatLearner(PPOLearner):
    """``FlatPPO``, which keeps and restores itself."""

    kind: ClassVar[type[PPO]] = FlatPPO
    agent: FlatPPO

    def state(self) -> State:
        return self.agent.checkpoint()

    def restore(self, state: State) -> None:
        self.agent.restore(state)
