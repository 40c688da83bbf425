"""FlatPPO against plain stable-baselines3, and both against the processor's matrix-product limit, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_flat_ppo.py [--cycles 7]

All contenders take one PPO update (rollout of 2048 steps, 10 epochs) per cycle in turn on the same free environment,
so that a busy machine slows all of them alike; the matrix-product rate is measured in every cycle too. Ratios are
taken within a cycle and their medians are printed.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from threadpoolctl import threadpool_limits

from rl_training.learners.flat_ppo import FlatPPO

WIDTH, ACTIONS, STEPS, EPOCHS = 124, 9, 2048, 10
NET_ARCH = [256, 256, 128]
# The weight matrices of actor and critic; each epoch runs them forward, backward to weights, backward to inputs.
_WEIGHTS = [a * b for end in (ACTIONS, 1) for a, b in zip([WIDTH, *NET_ARCH], [*NET_ARCH, end], strict=True)]
FLOP_PER_STEP = 2 * sum(_WEIGHTS) + EPOCHS * (6 * sum(_WEIGHTS) - 2 * 2 * WIDTH * NET_ARCH[0])


class FreeEnv(VecEnv):
    """Observations and rewards drawn beforehand, so that stepping costs next to nothing."""

    def __init__(self, num_envs: int) -> None:
        box = spaces.Box(-np.inf, np.inf, (WIDTH,), np.float32)
        super().__init__(num_envs, box, spaces.Discrete(ACTIONS))
        random = np.random.default_rng(0)
        self._observations = random.standard_normal((64, num_envs, WIDTH), np.float32)
        self._rewards = random.standard_normal((64, num_envs), np.float32)
        self._dones = random.random((64, num_envs)) < 0.01
        self._infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]
        self._hour = 0

    def reset(self) -> Any:
        return self._observations[self._hour]

    def step_async(self, actions: np.ndarray) -> None:  # noqa: ARG002  # the environment does not listen
        self._hour = (self._hour + 1) % 64

    def step_wait(self) -> Any:
        return self._observations[self._hour], self._rewards[self._hour].copy(), self._dones[self._hour], self._infos

    def close(self) -> None: ...

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ARG002  # the interface's
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:  # noqa: ARG002  # the interface's
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002  # the interface's
        return [False] * self.num_envs


@dataclass
class Contender:
    """One learner and the seconds that its rollouts and updates took."""

    name: str
    agent: PPO
    callback: BaseCallback
    rollout: list[float] = field(default_factory=list)
    update: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, learner: type[PPO], num_envs: int) -> "Contender":
        agent = learner(
            "MlpPolicy", FreeEnv(num_envs), n_steps=STEPS // num_envs, batch_size=256, n_epochs=EPOCHS,
            ent_coef=0.01, seed=1, device="cpu", policy_kwargs={"net_arch": NET_ARCH},
        )  # fmt: skip
        return cls(name, agent, agent._setup_learn(STEPS)[1])

    def cycle(self) -> None:
        agent = self.agent
        assert agent.env is not None
        self.rollout.append(
            _seconds(lambda: agent.collect_rollouts(agent.env, self.callback, agent.rollout_buffer, agent.n_steps))
        )
        self.update.append(_seconds(agent.train))

    def per_step(self) -> np.ndarray:
        """Seconds per environment step, by cycle; the first cycle compiles and is left out."""
        return (np.array(self.rollout[1:]) + np.array(self.update[1:])) / STEPS


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def sgemm_rate() -> float:
    """FLOP/s of the fastest single-thread float32 matrix product at hand (numpy's or torch's BLAS, 1024^3)."""
    a, b, out = (np.ones((1024, 1024), np.float32) for _ in range(3))
    tensors = [torch.from_numpy(array) for array in (a, b, out)]
    ways: list[Callable[[], object]] = [
        lambda: np.dot(a, b, out=out),
        lambda: torch.mm(tensors[0], tensors[1], out=tensors[2]),
    ]
    return max(2 * 1024**3 / min(_seconds(way) for _ in range(5)) for way in ways)


def report(contenders: list[Contender], rates: list[float]) -> None:
    plain, limit = contenders[0].per_step(), FLOP_PER_STEP / np.array(rates[1:])
    print(f"sgemm {np.median(rates) / 1e9:.0f} GFLOP/s, {FLOP_PER_STEP / 1e6:.1f} MFLOP per step")
    print(f"{'':24}{'us/step':>9}{'rollout':>9}{'update':>9}{'x plain':>9}{'% sgemm':>9}")
    for contender in contenders:
        mine = contender.per_step()
        figures = [1e6 * np.median(part[1:]) / STEPS for part in (contender.rollout, contender.update)]
        figures += [np.median(plain / mine), 100 * np.median(limit / mine)]
        print(f"{contender.name:24}{1e6 * np.median(mine):9.1f}" + "".join(f"{f:9.2f}" for f in figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=7)
    cycles = parser.parse_args().cycles
    torch.set_num_threads(1)
    contenders = [
        Contender.of("SB3, 1 environment", PPO, 1),
        Contender.of("SB3, 16 environments", PPO, 16),
        Contender.of("FlatPPO, 1 environment", FlatPPO, 1),
        Contender.of("FlatPPO, 16 environments", FlatPPO, 16),
    ]
    rates = []
    with threadpool_limits(1):
        for _ in range(cycles + 1):
            rates.append(sgemm_rate())
            for contender in contenders:
                contender.cycle()
    report(contenders, rates)


if __name__ == "__main__":
    main()
