"""Training decisions per second of the structured network by three ways, in one run on one thread:

    OMP_NUM_THREADS=1 python benchmarks/bench_structured.py DATASET [--cycles 5] [--train-to HOUR]

- plain stable-baselines3 PPO as its users would: one environment, its own defaults (2048 steps, 10 epochs of 64);
- torch with large batches: 256 portfolios stepped together, 64 decisions each, 3 epochs of 4096;
- the same as `arb make-policy` trains, held near what it began as (one more pass of the actor, and KL);
- the flat network of `arb train` (256, 256, 128) by FlatPPO on the same observations, with the same batches;
- and by FlatPPO with its usual ones (16 portfolios, 2048 steps, 10 epochs of 256).

All take one update a cycle in turn, so that a busy machine slows all alike; medians over cycles after the first,
which compiles. Ratios are taken within a cycle. A decision is 8 hours of one portfolio. Beside it: rollout and update
apart, what the environment alone takes, and which part of the processor's matrix-product rate the update reaches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_flat_ppo import sgemm_rate
from stable_baselines3 import PPO
from threadpoolctl import threadpool_limits

from adapters.commands.hours import hour
from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.research.markets import prepare_dataset, window_of
from engine.observation.encoding import ObservationSpec, fit_scaler
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.vec_env import FundingVecEnv
from rl_training.learners.anchored_ppo import AnchoredPPO
from rl_training.learners.flat_ppo import FlatPPO
from rl_training.learners.structured import StructuredPolicy, structured_kwargs
from rl_training.settings import EpisodeSettings

EPISODE = EpisodeSettings(length_hours=504)
LARGE: dict[str, Any] = {"n_steps": 64, "batch_size": 4096, "n_epochs": 3}
USUAL: dict[str, Any] = {"n_steps": 128, "batch_size": 256, "n_epochs": 10}


@dataclass
class Contender:
    """One learner, and the seconds of its rollouts and updates by cycle."""

    name: str
    agent: PPO
    rollout: list[float] = field(default_factory=list)
    update: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.callback = self.agent._setup_learn(10**9)[1]

    @property
    def decisions(self) -> int:
        return self.agent.n_steps * self.agent.n_envs

    def cycle(self) -> None:
        agent = self.agent
        assert agent.env is not None
        buffer, steps = agent.rollout_buffer, agent.n_steps
        self.rollout.append(seconds(lambda: agent.collect_rollouts(agent.env, self.callback, buffer, steps)))
        self.update.append(seconds(agent.train))

    def per_decision(self, *parts: list[float]) -> np.ndarray:
        """Seconds per decision by cycle, without the first."""
        return np.sum([part[1:] for part in parts], axis=0) / self.decisions


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def market_of(dataset: Path, train_to: str | None) -> TrainingMarket:
    settings = load_settings(None, ["max_positions=2", "position_fraction=0.5"])
    data = load_dataset(dataset, settings.gate)
    world = prepare_dataset(data, settings)
    window = window_of(data, None, hour(train_to)) if train_to else window_of(data, None, None, "train")
    spec = ObservationSpec(version=2, positions=2, exchanges=tuple(data.market.exchanges))
    scaler = fit_scaler(world, spec, window.first, window.last)
    return TrainingMarket.over(world, spec, scaler, window.first, window.last)


def contenders(market: TrainingMarket) -> list[Contender]:
    def portfolios(count: int) -> FundingVecEnv:
        return FundingVecEnv(market, count, np.random.default_rng(0), episode=EPISODE)

    structured = {"policy_kwargs": structured_kwargs(market.spec), "seed": 0, "device": "cpu"}
    flat = {"policy_kwargs": {"net_arch": [256, 256, 128]}, "seed": 0, "device": "cpu"}
    one = FundingArbitrageEnv(market, episode=EPISODE)
    anchored = AnchoredPPO(StructuredPolicy, portfolios(256), **LARGE, **structured, anchor_coef=1.0)
    anchored.anchor_here()
    return [
        Contender("structured, SB3, 1 env", PPO(StructuredPolicy, one, **structured)),
        Contender("structured, 256 envs", PPO(StructuredPolicy, portfolios(256), **LARGE, **structured)),
        Contender("anchored, 256 envs", anchored),
        Contender("flat, FlatPPO, 256 envs", FlatPPO("MlpPolicy", portfolios(256), **LARGE, **flat)),
        Contender("flat, FlatPPO, 16 envs", FlatPPO("MlpPolicy", portfolios(16), **USUAL, **flat)),
    ]


def environment_alone(market: TrainingMarket, count: int = 256, steps: int = 64) -> float:
    """Seconds per decision of random allowed actions."""
    env, rng = FundingVecEnv(market, count, np.random.default_rng(0), episode=EPISODE), np.random.default_rng(1)
    env.reset()

    def play() -> None:
        for _ in range(steps):
            masks = env.action_masks()
            env.step((rng.random(masks.shape) * masks).argmax(axis=1))

    play()
    return seconds(play) / (steps * count)


def structured_flop(market: TrainingMarket, width: int = 64) -> int:
    """Multiplications and additions of one row forward, actor and critic."""
    layout = structured_kwargs(market.spec)["layout"]
    context, pooled = layout["portfolio"], layout["portfolio"] + 4 * width
    encoded = sum(
        layout[count] * width * (layout[values] + context + width)
        for count, values in (("opportunities", "opportunity"), ("slots", "slot"))
    )
    scored = sum((pooled + count * width) * width for count in (layout["opportunities"], layout["slots"], 0))
    return 2 * (2 * encoded + scored + pooled * width)


def report(made: list[Contender], rates: list[float], market: TrainingMarket) -> None:
    large = made[1]
    flop = structured_flop(market) * 3 * large.agent.n_epochs
    reached = flop / large.per_decision(large.update) / np.array(rates[1:])
    print(f"sgemm {np.median(rates) / 1e9:.0f} GFLOP/s, environment alone {1e6 * environment_alone(market):.1f} us")
    print(f"large batches reach {100 * np.median(reached):.0f} % of it in the update ({flop / 1e6:.1f} MFLOP)")
    print(
        "| | decisions/s | us each | least | rollout | update | epochs | x plain |\n|---|---|---|---|---|---|---|---|"
    )
    plain = made[0].per_decision(made[0].rollout, made[0].update)
    for one in made:
        whole = one.per_decision(one.rollout, one.update)
        parts = [1e6 * np.median(one.per_decision(part)) for part in (one.rollout, one.update)]
        print(
            f"| {one.name} | {1 / np.median(whole):,.0f} | {1e6 * np.median(whole):.0f} | "
            f"{1e6 * whole.min():.0f} | {parts[0]:.0f} | "
            f"{parts[1]:.0f} | {one.agent.n_epochs} | {np.median(plain / whole):.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--train-to")
    parser.add_argument("--cycles", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    market = market_of(asked.dataset, asked.train_to)
    made, rates = contenders(market), []
    with threadpool_limits(1):
        for _ in range(asked.cycles + 1):
            rates.append(sgemm_rate())
            for one in made:
                one.cycle()
    report(made, rates, market)


if __name__ == "__main__":
    main()
