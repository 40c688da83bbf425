"""Training one PPO agent, in legs that end where a checkpoint can be taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from engine.errors import SettingsError, UserError
from rl_training.environments.episodes import Course
from rl_training.environments.vec_env import FundingVecEnv
from rl_training.learners.agent_state import agent_state, restore_agent
from rl_training.learners.callbacks import RolloutProgress
from rl_training.learners.flat_ppo import FlatPPO
from rl_training.settings import TrainingSettings

Learner = Literal["flat", "sb3"]
State = Mapping[str, NDArray[Any] | int | float]

ENVIRONMENT = "environment/"


class Training:
    """One agent on one course, reproducible by its seed.

    ``learner`` is ``flat`` (our PPO, several times faster) or ``sb3`` (plain stable-baselines3). Torch is set to one
    thread, so that results do not depend on the machine's cores.
    """

    def __init__(self, course: Course, settings: TrainingSettings, *, seed: int, learner: Learner = "flat") -> None:
        torch.set_num_threads(1)
        self.settings = settings
        self.environment = FundingVecEnv(
            course,
            settings.n_envs,
            np.random.default_rng(seed),
            episode=settings.episode,
            reward=settings.reward,
        )
        self.agent = make_agent(self.environment, settings, seed=seed, learner=learner)

    @property
    def steps_done(self) -> int:
        """Environment steps so far, over all environments."""
        return int(self.agent.num_timesteps)

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
        """
        leg = checkpoint_every * self.settings.ppo.n_steps
        while self.steps_done < timesteps:
            self.agent.learn(
                min(leg, timesteps - self.steps_done),
                callback=RolloutProgress(progress),
                reset_num_timesteps=False,
            )
            checkpoint()
        return self.steps_done

    def log_to(self, logger: Logger) -> None:
        """Send the training scalars there instead of nowhere."""
        self.agent.set_logger(logger)

    def state(self) -> dict[str, NDArray[Any] | int | float]:
        """Agent and environments as plain arrays and numbers."""
        environment = {ENVIRONMENT + name: array for name, array in self.environment.state().items()}
        return {**agent_state(self.agent), **environment}

    def restore(self, state: State) -> None:
        """Go on where ``state()`` was taken, bit for bit. Raises ``UserError`` when it is of another training."""
        cut = len(ENVIRONMENT)
        environment = {key[cut:]: np.asarray(value) for key, value in state.items() if key.startswith(ENVIRONMENT)}
        agent = {key: value for key, value in state.items() if not key.startswith(ENVIRONMENT)}
        try:
            self.environment.restore(environment)
            restore_agent(self.agent, agent)
        except KeyError as error:
            raise UserError(f"the checkpoint is of another training: {error} is missing") from None


def make_agent(environment: FundingVecEnv, settings: TrainingSettings, *, seed: int, learner: Learner) -> PPO:
    """A fresh agent. Raises ``SettingsError`` when rollouts cannot be split evenly."""
    ppo, count = settings.ppo, settings.n_envs
    if ppo.n_steps % count:
        raise SettingsError(f"training.ppo.n_steps = {ppo.n_steps} must be a multiple of training.n_envs = {count}")
    if ppo.n_steps % ppo.batch_size:
        raise SettingsError(
            f"training.ppo.batch_size = {ppo.batch_size} must divide training.ppo.n_steps = {ppo.n_steps}"
        )
    values = ppo.model_dump(exclude={"net_arch", "n_steps"})
    kind = FlatPPO if learner == "flat" else PPO
    return kind(
        "MlpPolicy",
        environment,
        n_steps=ppo.n_steps // count,
        policy_kwargs={"net_arch": list(ppo.net_arch)},
        seed=seed,
        device="cpu",
        verbose=0,
        **values,
    )
