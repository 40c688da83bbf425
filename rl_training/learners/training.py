"""Training one agent, in legs that end where a checkpoint can be taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.logger import Logger

from engine.errors import SettingsError, UserError
from engine.observation.encoding import Scaler
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.grouped_vec_env import GroupedVecEnv
from rl_training.environments.vec_env import FundingVecEnv, PortfolioVecEnv
from rl_training.learners.protocol import OF_ENVIRONMENTS, Imitator, State
from rl_training.learners.registry import maker_of
from rl_training.settings import TrainingSettings
from strategies.policy import Policy

ENVIRONMENT = "environment/"


class Training:
    """One agent on one market or several, reproducible by its seed.

    ``learner`` is a name of ``rl_training.learners.registry``; ``groups`` are (market, environments) where there are
    more markets than one. Torch is set to one thread, so that results do not depend on the machine's cores.
    """

    def __init__(
        self,
        market: TrainingMarket,
        settings: TrainingSettings,
        *,
        seed: int,
        learner: str = "flat",
        groups: Sequence[tuple[TrainingMarket, int]] = (),
    ) -> None:
        torch.set_num_threads(1)
        self.market, self.settings = market, settings
        rng = np.random.default_rng(seed)
        rules: dict[str, Any] = {"episode": settings.episode, "reward": settings.reward}
        self.environment: PortfolioVecEnv = (
            GroupedVecEnv(groups, rng, **rules) if groups else FundingVecEnv(market, settings.n_envs, rng, **rules)
        )
        self.learner = maker_of(learner)(self.environment, settings, seed=seed)

    def begin_at(self, start: Mapping[str, NDArray[Any]]) -> None:
        """Begin at the weights of an imitation. Raises ``SettingsError`` for a learner that does not."""
        if not isinstance(self.learner, Imitator):
            raise SettingsError("only the learner 'anchored' begins at an imitation")
        self.learner.begin_at(start)

    @property
    def steps_done(self) -> int:
        """Environment steps so far, over all environments."""
        return self.learner.steps_done

    def run(
        self,
        timesteps: int,
        *,
        progress: Callable[[int], None] = lambda _: None,
        checkpoint: Callable[[], None] = lambda: None,
        checkpoint_every: int = 20,
    ) -> int:
        """Train until at least ``timesteps`` steps are done, in whole rollouts; returns how many were.

        ``progress`` hears the steps done after every rollout; ``checkpoint`` is called after every
        ``checkpoint_every`` rollouts and at the end, when ``state()`` holds all that going on needs.
        Raises ``DivergenceError``.
        """
        # Counted in rollouts, since only between two of them the state is all that going on needs.
        leg = checkpoint_every * self.settings.ppo.n_steps
        while self.steps_done < timesteps:
            self.learner.train(min(leg, timesteps - self.steps_done), progress)
            checkpoint()
        return self.steps_done

    def log_to(self, logger: Logger) -> None:
        """Send the training scalars there instead of nowhere."""
        self.learner.log_to(logger)

    def policy(self, name: str, scaler: Scaler, cost_table_hash: str) -> Policy:
        """A copy of what acts, with what is needed to run it."""
        layers, kind = self.learner.policy(), self.learner.network_kind
        return Policy(name, self.market.spec, scaler, *layers, cost_table_hash, kind)

    def state(self) -> State:
        """Agent and environments as plain arrays and numbers."""
        environment = {ENVIRONMENT + name: array for name, array in self.environment.state().items()}
        return {**self.learner.state(), **environment}

    def restore(self, state: State) -> None:
        """Go on where ``state()`` was taken, bit for bit. Raises ``UserError`` when it is of another training."""
        cut = len(ENVIRONMENT)
        environment = {key[cut:]: np.asarray(value) for key, value in state.items() if key.startswith(ENVIRONMENT)}
        # The environment checks all of its arrays before it takes any, so what does not fit is refused here first.
        self._restore(lambda: self.environment.restore(environment), state)

    def restore_agent(self, state: State, *, seed: int) -> None:
        """Go on with the agent of ``state()`` in environments of other markets, whose episodes begin by ``seed``.

        Raises ``UserError`` when it is of another training.
        """
        self._restore(lambda: self.environment.seed(seed), state, without=OF_ENVIRONMENTS)

    def _restore(self, environment: Callable[[], Any], state: State, *, without: Sequence[str] = ()) -> None:
        agent = {key: state[key] for key in state if not key.startswith(ENVIRONMENT) and key not in without}
        try:
            environment()
            self.learner.restore(agent)
        except KeyError as error:
            raise UserError(f"the checkpoint is of another training: {error} is missing") from None
