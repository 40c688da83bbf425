"""Small vector environments and agents for the tests of the PPO learner."""

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv


class RandomWalkEnv(VecEnv):
    """Random observations and rewards; every episode ends after `length` steps, every other one by its time limit."""

    def __init__(self, num_envs: int, width: int = 6, actions: int = 3, length: int = 5) -> None:
        super().__init__(num_envs, spaces.Box(-np.inf, np.inf, (width,), np.float32), spaces.Discrete(actions))
        self.width, self.length = width, length
        self.actions_seen: list[np.ndarray] = []
        self.reset()

    def reset(self) -> Any:
        self.random, self.step_count = np.random.default_rng(7), 0
        return self._draw()

    def _draw(self) -> np.ndarray:
        return self.random.standard_normal((self.num_envs, self.width)).astype(np.float32)

    def step_async(self, actions: np.ndarray) -> None:
        self.actions_seen.append(actions)

    def step_wait(self) -> Any:
        self.step_count += 1
        done = self.step_count % self.length == 0
        cut = self.step_count % (2 * self.length) == 0
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done:
            infos = [{"terminal_observation": row, "TimeLimit.truncated": cut} for row in self._draw()]
        rewards = self.random.standard_normal(self.num_envs).astype(np.float32)
        return self._draw(), rewards, np.full(self.num_envs, done), infos

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ARG002  # the interface asks for it
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:  # noqa: ARG002  # the interface asks for it
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002  # the interface asks for it
        return [False] * self.num_envs


class BanditEnv(RandomWalkEnv):
    """One-step episodes: the reward is 1 for the action that the observation names, else 0."""

    def step_wait(self) -> Any:
        rewards = (self.actions_seen[-1] == self.shown.argmax(axis=1)).astype(np.float32)
        return self._draw(), rewards, np.ones(self.num_envs, bool), [{} for _ in range(self.num_envs)]

    def _draw(self) -> np.ndarray:
        self.shown = np.eye(self.width, dtype=np.float32)[self.random.integers(3, size=self.num_envs)]
        return self.shown


def agent_of(learner: type[PPO], env: VecEnv, **changes: Any) -> Any:
    """An agent with a small network and a rollout of 128 steps over all environments."""
    settings = {
        "n_steps": 128 // env.num_envs, "batch_size": 32, "n_epochs": 3, "ent_coef": 0.02, "seed": 3, "device": "cpu",
        "policy_kwargs": {"net_arch": [16, 12]},
    }  # fmt: skip
    return learner("MlpPolicy", env, **(settings | changes))


def collect(agent: PPO) -> PPO:
    """The agent with its rollout buffer filled, as `learn` leaves it before `train`."""
    _, callback = agent._setup_learn(10**6)
    assert agent.env is not None
    assert agent.collect_rollouts(agent.env, callback, agent.rollout_buffer, agent.n_steps)
    return agent


def weights_of(agent: PPO) -> np.ndarray:
    """All parameters in one vector, copied."""
    return np.concatenate([p.detach().numpy().ravel() for p in agent.policy.parameters()])
