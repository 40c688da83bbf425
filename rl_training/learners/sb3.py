"""Plain stable-baselines3 PPO as a learner: all that it needs to go on as if it had never stopped, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from torch import nn

from rl_training.learners.ppo import PPOLearner
from rl_training.learners.protocol import DivergenceError, State

WEIGHTS = "weights/"


class PlainLearner(PPOLearner):
    """``stable_baselines3.PPO``. The global generators of torch and numpy, which it draws from, are in its state."""

    kind: ClassVar[type[PPO]] = PPO

    def train(self, steps: int, progress: Callable[[int], None]) -> None:
        try:
            super().train(steps, progress)
        except ValueError as problem:
            # What torch's distributions raise for logits that are not finite.
            raise DivergenceError(str(problem).splitlines()[0]) from problem

    def state(self) -> State:
        """Weights, optimiser, generators, counters and the last observations between two rollouts."""
        agent = self.agent
        return {**weights_of(agent.policy), **_optimiser(agent), **_generators(), **_counters(agent)}

    def restore(self, state: State) -> None:
        agent = self.agent
        agent.policy.load_state_dict(weights_from(state, agent.policy))
        # Before its first update Adam has no moments at all.
        moments = {
            k: {"step": _tensor(state[f"adam/{k}/step"])}
            | {key: _tensor(state[f"adam/{k}/{key}"]) for key in ("exp_avg", "exp_avg_sq")}
            for k in range(len(list(agent.policy.parameters())))
            if f"adam/{k}/step" in state
        }
        # Only the moments are taken over; the groups hold this agent's own learning rate.
        agent.policy.optimizer.load_state_dict({**agent.policy.optimizer.state_dict(), "state": moments})
        torch.set_rng_state(_tensor(state["torch_generator"]))
        keys, rest = np.asarray(state["numpy_generator"]), np.asarray(state["numpy_generator_rest"])
        # Plain stable-baselines3 shuffles minibatches with numpy's global generator.
        np.random.set_state(("MT19937", keys, int(rest[0]), int(rest[1]), float(rest[2])))  # noqa: NPY002  # what stable-baselines3 draws from
        agent.num_timesteps, agent._n_updates = int(state["num_timesteps"]), int(state["n_updates"])
        if "last_observations" in state:
            agent._last_obs = np.array(state["last_observations"])
            agent._last_episode_starts = np.array(state["episode_starts"])


def weights_of(network: nn.Module, begin: str = WEIGHTS) -> dict[str, NDArray[Any]]:
    """Copies of what a network has learned, by names that begin so."""
    return {f"{begin}{name}": tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def weights_from(state: State, network: nn.Module, begin: str = WEIGHTS) -> dict[str, torch.Tensor]:
    """``weights_of`` as what the network loads. Raises ``KeyError`` when one is missing."""
    return {name: _tensor(state[f"{begin}{name}"]) for name in network.state_dict()}


def _optimiser(agent: PPO) -> dict[str, NDArray[Any]]:
    moments = agent.policy.optimizer.state_dict()["state"]
    return {f"adam/{k}/{key}": tensor.numpy().copy() for k, of in moments.items() for key, tensor in of.items()}


def _generators() -> dict[str, NDArray[Any]]:
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  # see restore
    return {
        "torch_generator": torch.get_rng_state().numpy().copy(),
        "numpy_generator": np.array(keys),
        "numpy_generator_rest": np.array([position, has_gauss, gauss], np.float64),
    }


def _counters(agent: PPO) -> dict[str, NDArray[Any] | int | float]:
    counters: dict[str, NDArray[Any] | int | float] = {
        "num_timesteps": agent.num_timesteps,
        "n_updates": agent._n_updates,
    }
    if agent._last_obs is not None and agent._last_episode_starts is not None:
        counters["last_observations"] = np.array(agent._last_obs)
        counters["episode_starts"] = np.array(agent._last_episode_starts)
    return counters


def _tensor(value: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(value))
