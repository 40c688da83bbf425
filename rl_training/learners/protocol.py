"""What an algorithm has to offer to be trained by `arb train` and by a population.

A second algorithm is one file with a class that has these methods, and one line in ``rl_training.learners.registry``.
It learns in rollouts of ``training.ppo.n_steps`` steps and reads its hyperparameters from ``training.ppo``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from engine.errors import ArbError
from rl_training.settings import TrainingSettings
from strategies.policy import PolicyKind

if TYPE_CHECKING:
    from stable_baselines3.common.logger import Logger

    from rl_training.environments.vec_env import PortfolioVecEnv

State = Mapping[str, NDArray[Any] | int | float]
Layers = tuple[tuple[Any, ...], tuple[Any, ...]]
"""Weights ``[inputs, outputs]`` and biases ``[outputs]`` of a tanh network, as ``Policy`` has them."""


OF_ENVIRONMENTS = ("last_observations", "episode_starts")
"""What a learner's state says of its environments, by name; without these it begins with a reset."""


class DivergenceError(ArbError):
    """Weights, losses or observations are no longer finite; the weights are those before the failing step."""


class Learner(Protocol):
    """An agent in its environments. Equal seeds, settings and states learn alike, bit for bit."""

    learned: tuple[str, ...]
    """How names in ``state()`` begin that a copy takes over: weights, optimiser, counters; no generators."""

    network_kind: PolicyKind
    """Which network ``policy`` gives."""

    @property
    def steps_done(self) -> int:
        """Environment steps so far, over all environments."""
        ...

    def train(self, steps: int, progress: Callable[[int], None]) -> None:
        """At least so many steps more, in whole rollouts; ``progress`` hears the steps done after each.

        Raises ``DivergenceError``.
        """
        ...

    def log_to(self, logger: Logger) -> None:
        """Send the training scalars there instead of nowhere."""
        ...

    def state(self) -> State:
        """All that going on needs besides the environments, as arrays and numbers."""
        ...

    def restore(self, state: State) -> None:
        """Go on where ``state()`` was taken. Raises ``KeyError`` when something is missing."""
        ...

    def policy(self) -> Layers:
        """Copies of what acts: the network from observation to one logit an action."""
        ...

    def model_file(self) -> bytes:
        """A zip of stable-baselines3's form, in which ``rl_training.learners.extraction`` finds the same layers."""
        ...


@runtime_checkable
class Imitator(Protocol):
    """A learner that can begin at the weights of an imitation."""

    def begin_at(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Take over the weights of a policy, and hold on to them."""
        ...


class Make(Protocol):
    """How a learner begins: usually its class. Raises ``SettingsError`` for settings that do not fit each other."""

    network_kind: PolicyKind

    def __call__(self, environment: PortfolioVecEnv, settings: TrainingSettings, *, seed: int) -> Learner: ...
