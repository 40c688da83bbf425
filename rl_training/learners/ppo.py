"""PPO agents of stable-baselines3's kind as learners: what ours and the plain one have in common."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, ClassVar

from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from engine.errors import SettingsError
from rl_training.environments.vec_env import PortfolioVecEnv
from rl_training.learners.callbacks import RolloutProgress
from rl_training.learners.extraction import layers_of
from rl_training.learners.protocol import Layers
from rl_training.learners.without_compiler import leave_out_compiler
from rl_training.settings import TrainingSettings
from strategies.policy import PolicyKind

LEARNED = ("weights/", "adam", "num_timesteps", "n_updates", "progress_remaining")
"""What of an agent's state a copy takes over: weights, optimiser and counters."""


class PPOLearner:
    """Trains ``agent``, a PPO of the ``kind``; a learner is this with ``state`` and ``restore``."""

    kind: ClassVar[type[PPO]]
    learned: tuple[str, ...] = LEARNED
    network_kind: PolicyKind = "flat"

    def __init__(self, environment: PortfolioVecEnv, settings: TrainingSettings, *, seed: int) -> None:
        """Raises ``SettingsError`` when rollouts cannot be split evenly."""
        ppo, count = settings.ppo, settings.n_envs
        if ppo.n_steps % count:
            raise SettingsError(f"training.ppo.n_steps = {ppo.n_steps} must be a multiple of training.n_envs = {count}")
        # A smaller last minibatch would give its rows more weight than all others.
        if ppo.n_steps % ppo.batch_size:
            raise SettingsError(
                f"training.ppo.batch_size = {ppo.batch_size} must divide training.ppo.n_steps = {ppo.n_steps}"
            )
        leave_out_compiler()
        policy, more = self.network(environment, settings)
        self.agent = self.kind(
            policy,
            environment,
            # stable-baselines3 counts per environment, arb over all of them.
            n_steps=ppo.n_steps // count,
            seed=seed,
            device="cpu",
            verbose=0,
            **ppo.model_dump(exclude={"net_arch", "n_steps"}),
            **more,
        )
        # Without a logger, learning would leave a folder of its own among the machine's temporary ones.
        self.log_to(Logger(None, []))

    def network(self, environment: PortfolioVecEnv, settings: TrainingSettings) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002  # others ask the environment
        """The policy class, and what else the agent is made with."""
        return "MlpPolicy", {"policy_kwargs": {"net_arch": list(settings.ppo.net_arch)}}

    @property
    def steps_done(self) -> int:
        return int(self.agent.num_timesteps)

    def train(self, steps: int, progress: Callable[[int], None]) -> None:
        # Otherwise every leg would reset counters and environments, and the episodes under way would be lost.
        self.agent.learn(steps, callback=RolloutProgress(progress), reset_num_timesteps=False)

    def log_to(self, logger: Logger) -> None:
        self.agent.set_logger(logger)

    def policy(self) -> Layers:
        return layers_of(self.agent)

    def model_file(self) -> bytes:
        """A file that ``stable_baselines3.PPO.load`` opens."""
        content = BytesIO()
        self.agent.save(content)
        return content.getvalue()
