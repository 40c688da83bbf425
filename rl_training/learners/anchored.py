"""The structured policy trained by ``AnchoredPPO``, as a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO

from rl_training.environments.vec_env import PortfolioVecEnv
from rl_training.learners.anchored_ppo import AnchoredPPO
from rl_training.learners.ppo import LEARNED
from rl_training.learners.protocol import State
from rl_training.learners.sb3 import PlainLearner, weights_from, weights_of
from rl_training.learners.structured import StructuredPolicy, structured_kwargs
from rl_training.random_state import pack_generator, unpack_generator
from rl_training.settings import TrainingSettings
from strategies.policy import PolicyKind

ANCHOR = "anchor/"
SHUFFLES = "shuffles"


class AnchoredLearner(PlainLearner):
    """``AnchoredPPO`` on observations of version 2, from scratch or from the weights of an imitation (``begin_at``)."""

    kind: ClassVar[type[PPO]] = AnchoredPPO
    network_kind: PolicyKind = "structured"
    learned: tuple[str, ...] = (*LEARNED, ANCHOR)
    agent: AnchoredPPO

    def network(self, environment: PortfolioVecEnv, settings: TrainingSettings) -> tuple[Any, dict[str, Any]]:
        """Raises ``SettingsError`` for observations of version 1."""
        anchor = settings.anchor
        return StructuredPolicy, {
            "policy_kwargs": structured_kwargs(environment.spec),
            "anchor_coef": anchor.kl_coef,
            "value_updates": anchor.value_updates,
            "target_kl": anchor.target_kl,
        }

    def begin_at(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take over the weights of a policy, and hold on to them."""
        self.agent.policy.load_state_dict(weights_from(weights, self.agent.policy))
        self.agent.anchor_here()

    def state(self) -> State:
        anchor = self.agent.anchor
        held = {} if anchor is None else weights_of(anchor, ANCHOR)
        return {**super().state(), **held, SHUFFLES: pack_generator(self.agent.shuffles)}

    def restore(self, state: State) -> None:
        super().restore(state)
        self.agent.anchor = None
        if any(name.startswith(ANCHOR) for name in state):
            self.agent.anchor_here()
            assert self.agent.anchor is not None
            self.agent.anchor.load_state_dict(weights_from(state, self.agent.anchor, ANCHOR))
        self.agent.shuffles = unpack_generator(np.asarray(state[SHUFFLES]))
