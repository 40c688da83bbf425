"""Structured policies and small markets seen by observation version 2."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from market_strategies import EXCHANGES
from support_environment import FIRST, LAST, builder

from engine.observation.encoding import ObservationSpec, Scaler
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.vec_env import FundingVecEnv
from rl_training.learners.extraction import policy_layers
from rl_training.learners.structured import StructuredPolicy, structured_kwargs
from rl_training.settings import EpisodeSettings
from strategies.policy import Policy

SPEC = ObservationSpec(version=2, positions=2, opportunities=4, exchanges=tuple(EXCHANGES[:4]), decide_every_hours=4)
NO_SCALER = Scaler(mean=(), deviation=())
COSTS = "0" * 16


@cache
def market(spec: ObservationSpec = SPEC) -> TrainingMarket:
    """The random market of ``support_environment``."""
    return TrainingMarket.over(builder(max_positions=spec.positions), spec, NO_SCALER, FIRST, LAST)


def environments(portfolios: int = 4, *, seed: int = 0, hours: int = 48) -> FundingVecEnv:
    episode = EpisodeSettings(length_hours=hours)
    return FundingVecEnv(market(), portfolios, np.random.default_rng(seed), episode=episode)


def network(seed: int = 0, spec: ObservationSpec = SPEC, *, spread: float = 0.0, **more: Any) -> StructuredPolicy:
    """An untrained network; with ``spread`` its weights are drawn so wide that it trades."""
    limit = float(np.finfo(np.float32).max)
    seen = spaces.Box(-limit, limit, (spec.size,), np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = StructuredPolicy(seen, spaces.Discrete(spec.actions), lambda _: 1e-3, **structured_kwargs(spec, **more))
        if spread:
            for parameter in made.parameters():
                torch.nn.init.normal_(parameter, 0.0, spread)
    return made


def structured_policy(
    seed: int = 0, spec: ObservationSpec = SPEC, *, spread: float = 0.3, costs: str = COSTS
) -> Policy:
    """A network that trades, as it is deployed."""
    layers = policy_layers(network(seed, spec, spread=spread))
    return Policy(f"structured-{seed}", spec, NO_SCALER, *layers, costs, "structured")


def observations(count: int = 200, seed: int = 0, spec: ObservationSpec = SPEC) -> Any:
    """Observations of random play and wild ones, with masks of every sort, ``[N, size]``."""
    env, rng = environments(8, seed=seed), np.random.default_rng(seed)
    seen = [env.reset()]
    for _ in range(20):
        masks = env.action_masks()
        seen.append(env.step((rng.random(masks.shape) * masks).argmax(axis=1))[0])
    wild = rng.normal(0, 3, (count, spec.size)).astype(np.float32)
    wild[:, -spec.actions :] = rng.random((count, spec.actions)) < 0.5
    return np.concatenate([*seen, wild])
