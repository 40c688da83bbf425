"""A second algorithm, as small as can be: it moves one bias of a linear policy and moves back when that paid less."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import torch

from rl_training.environments.vec_env import FundingVecEnv
from rl_training.learners.protocol import Layers, State
from rl_training.random_state import pack_generator, unpack_generator
from rl_training.settings import TrainingSettings


class HillClimber:
    """Keeps the weights it began with. What is tried next stands in ``tried``, the best so far in ``biases``."""

    learned: tuple[str, ...] = ("weights/", "best")
    network_kind = "flat"

    def __init__(self, environment: FundingVecEnv, settings: TrainingSettings, *, seed: int) -> None:
        self._environment, self._settings = environment, settings
        self._rng = np.random.default_rng(seed)
        width, actions = environment.observation_space.shape[0], int(environment.action_space.n)
        self.weights = self._rng.normal(0, 0.1, (width, actions)).astype(np.float32)
        self.biases = np.zeros(actions, np.float32)
        self.best, self.steps_done = -np.inf, 0
        self._seen: Any = None
        self._logger: Any = None

    def train(self, steps: int, progress: Callable[[int], None]) -> None:
        until = self.steps_done + steps
        while self.steps_done < until:
            self._rollout()
            progress(self.steps_done)

    def _rollout(self) -> None:
        tried = self.biases.copy()
        tried[self._rng.integers(len(tried))] += np.float32(self._rng.normal())
        seen = self._environment.reset() if self._seen is None else self._seen
        gained = 0.0
        for _ in range(self._settings.ppo.n_steps // self._environment.num_envs):
            seen, rewards, _, _ = self._environment.step((seen @ self.weights + tried).argmax(axis=1))
            gained += float(rewards.sum())
        self._seen = seen
        self.steps_done += self._settings.ppo.n_steps
        if gained >= self.best:
            self.best, self.biases = gained, tried
        if self._logger is not None:
            self._logger.record("rollout/gained", gained)
            self._logger.dump(self.steps_done)

    def log_to(self, logger: Any) -> None:
        self._logger = logger

    def state(self) -> State:
        arrays = {"weights/linear": self.weights.copy(), "weights/biases": self.biases.copy()}
        numbers = {"best": self.best, "steps": self.steps_done, "generator": pack_generator(self._rng)}
        return arrays | numbers | ({} if self._seen is None else {"seen": np.array(self._seen)})

    def restore(self, state: State) -> None:
        self.weights, self.biases = np.array(state["weights/linear"]), np.array(state["weights/biases"])
        self.best, self.steps_done = float(state["best"]), int(state["steps"])
        self._rng = unpack_generator(np.asarray(state["generator"]))
        self._seen = np.array(state["seen"]) if "seen" in state else None

    def policy(self) -> Layers:
        return (self.weights.copy(),), (self.biases.copy(),)

    def model_file(self) -> bytes:
        head = {"weight": self.weights.T, "bias": self.biases}
        tensors = OrderedDict((f"action_net.{name}", torch.from_numpy(one.copy())) for name, one in head.items())
        inner, content = BytesIO(), BytesIO()
        torch.save(tensors, inner)
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("policy.pth", inner.getvalue())
        return content.getvalue()
