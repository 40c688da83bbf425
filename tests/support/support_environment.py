"""Small courses for tests of environments, training and bundles."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from market_strategies import EXCHANGES, random_market

from engine.market.data import MarketData
from engine.observation.encoding import ObservationSpec, Scaler, fit_scaler
from engine.settings import EngineSettings, FeeRow
from engine.worlds import World
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.vec_env import FundingVecEnv
from strategies.policy import Policy

HOURS = 300
FIRST, LAST = 40, HOURS - 1
SPEC = ObservationSpec()


@cache
def market() -> MarketData:
    """Three coins on four exchanges with everything that can befall them."""
    return random_market(np.random.default_rng(5), coins=3, exchanges=4, hours=HOURS)


def settings(**changes: Any) -> EngineSettings:
    """Young coins are offered soon, every exchange of the random markets has fees."""
    fees = {name: (FeeRow(since="2020-01-01", maker=0.0002, taker=0.0005),) for name in EXCHANGES}
    return EngineSettings(**({"min_history_hours": 8, "fees": fees} | changes))


def builder(**changes: Any) -> World[EngineSettings]:
    """Tape and tables of the random market."""
    return World.of(market(), settings(**changes))


def course(spec: ObservationSpec = SPEC, **changes: Any) -> TrainingMarket:
    """Rows ``FIRST..LAST`` of the random market."""
    made = builder(**changes)
    return TrainingMarket.over(made, spec, fit_scaler(made, spec, FIRST, LAST), FIRST, LAST)


def vec_environment(portfolios: int = 4, seed: int = 0, **options: Any) -> FundingVecEnv:
    """Environments over the random market."""
    return FundingVecEnv(course(), portfolios, np.random.default_rng(seed), **options)


def random_valid(masks: Any, rng: np.random.Generator) -> Any:
    """One allowed action a row, each as likely as the others."""
    return (rng.random(masks.shape) * masks).argmax(axis=-1)


def random_policy(seed: int = 0, spec: ObservationSpec = SPEC, hidden: tuple[int, ...] = (16, 8)) -> Policy:
    """An untrained network with a plausible scaler."""
    rng = np.random.default_rng(seed)
    widths = [spec.size, *hidden, spec.actions]
    weights = tuple(rng.normal(0, 1 / np.sqrt(a), (a, b)).astype(np.float32) for a, b in pairwise(widths))
    biases = tuple(rng.normal(0, 0.1, width).astype(np.float32) for width in widths[1:])
    count = len(spec.features)
    scaler = Scaler(mean=tuple(rng.normal(size=count)), deviation=tuple(rng.uniform(0.5, 2, count)))
    return Policy(f"random-{seed}", spec, scaler, weights, biases, "0" * 16)
