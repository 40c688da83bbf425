"""Steps a second of kernel, vectorised environment and gymnasium environment, on one thread, in one run.

    OMP_NUM_THREADS=1 python benchmarks/bench_environment.py DATASET [--portfolios 16] [--steps 1000] [--rounds 40]

Random valid actions on random windows of the training range are drawn and their orders kept beforehand; what is timed
is the environments alone, replaying them. A round goes through all contenders, so that a busy machine slows all of
them alike. Printed are the fastest round, which other work on the machine disturbs least, and the median one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adapters.configuration.settings import load_settings
from adapters.datasets.load import load_dataset
from adapters.research.markets import prepare_dataset, window_of
from engine.accounting.books import Status
from engine.accounting.loop import HourlyLoop
from engine.observation.encoding import fit_scaler
from rl_training.environments.episodes import TrainingMarket
from rl_training.environments.gym_env import FundingArbitrageEnv
from rl_training.environments.vec_env import FundingVecEnv
from rl_training.settings import EpisodeSettings

TARGETS = {"kernel": 2e6, "vectorised": 1e6, "gymnasium": 5e4}
LONG_WINDOW_HOURS = 2000
EPISODE = EpisodeSettings(length_hours=336)
LEAVING_LESS_LIKELY = 0.8
"""So that 1.5 positions are held on average, though every episode begins with none."""


@dataclass
class Contender:
    """What is timed: ``play`` takes ``steps`` environment steps."""

    name: str
    steps: int
    play: Callable[[], None]
    seconds: list[float] = field(default_factory=list)

    def rates(self) -> tuple[float, float]:
        """Environment steps a second of the fastest and of the median round."""
        return self.steps / min(self.seconds), self.steps / float(np.median(self.seconds))


@dataclass
class Script:
    """Actions and orders of one random play, and how many positions were held on average."""

    actions: list[Any]
    orders: list[Any]
    held: float


def record(env: FundingVecEnv, steps: int) -> Script:
    """Play random valid actions from a reset on."""
    rng, held = np.random.default_rng(1), 0
    actions, orders = [], []
    odds = np.ones(env.episodes.market.spec.actions)
    odds[1 + env.episodes.market.spec.opportunities :] = LEAVING_LESS_LIKELY
    env.seed(0)
    env.reset()
    for _ in range(steps):
        masks = env.action_masks()
        held += np.count_nonzero(env.episodes.loop.books.slots["status"] == int(Status.OPEN))
        actions.append((rng.random(masks.shape) * masks * odds).argmax(axis=1))
        env.step(actions[-1])
        orders.append(env.episodes.buffers.orders.copy())
    return Script(actions, orders, held / steps / env.num_envs)


def kernel(market: TrainingMarket, script: Script, windows: tuple[Any, Any]) -> Contender:
    """The hourly loop alone: orders in, equity gains out."""
    portfolios = len(windows[0])
    loop = HourlyLoop(market.tape, portfolios, close_at_end=False, recording_hours=0)

    def play() -> None:
        loop.start(*windows)
        for orders in script.orders:
            loop.advance(orders)

    return Contender("kernel", portfolios * len(script.orders), play)


def vectorised(env: FundingVecEnv, script: Script) -> Contender:
    """Actions in, observations, rewards, dones and infos out; episodes begin anew."""

    def play() -> None:
        env.seed(0)
        env.reset()
        for actions in script.actions:
            env.step(actions)

    return Contender("vectorised", env.num_envs * len(script.actions), play)


def single(market: TrainingMarket, script: Script) -> Contender:
    """One portfolio behind the interface of gymnasium."""
    env = FundingArbitrageEnv(market, episode=EPISODE)
    actions = [int(row[0]) for row in script.actions]

    def play() -> None:
        env.reset(seed=0)
        for action in actions:
            if env.step(action)[3]:
                env.reset()

    return Contender("gymnasium", len(actions), play)


def contenders(market: TrainingMarket, portfolios: int, steps: int) -> tuple[list[Contender], dict[str, float]]:
    """All of them, warmed up, and the positions that their portfolios hold on average."""
    hours = min(LONG_WINDOW_HOURS, market.last - market.first)
    long_steps = min(steps, hours - 1)
    windows = market.draw(np.random.default_rng(0), hours, portfolios)
    whole = EpisodeSettings(length_hours=hours)
    long_env = FundingVecEnv(market, portfolios, np.random.default_rng(0), episode=whole)
    long_env.set_options([{"first": int(a), "last": int(b)} for a, b in zip(*windows, strict=True)])
    long_script = record(long_env, long_steps)
    env = FundingVecEnv(market, portfolios, np.random.default_rng(0), episode=EPISODE)
    script = record(env, steps)
    made = [kernel(market, long_script, windows), vectorised(env, script), single(market, script)]
    for contender in made:
        contender.play()
    return made, {"kernel": long_script.held, "vectorised": script.held, "gymnasium": script.held}


def run(made: Sequence[Contender], rounds: int) -> None:
    """Time every contender once a round."""
    for _ in range(rounds):
        for contender in made:
            start = time.perf_counter()
            contender.play()
            contender.seconds.append(time.perf_counter() - start)


def market_of(path: Path, changes: Sequence[str]) -> TrainingMarket:
    """The training range of a data set under the shipped settings with changes (KEY=VALUE)."""
    settings, dataset = load_settings(None, changes), load_dataset(path)
    builder, window = prepare_dataset(dataset, settings), window_of(dataset, None, None, "train")
    spec = settings.observation
    return TrainingMarket.over(
        builder, spec, fit_scaler(builder, spec, window.first, window.last), window.first, window.last
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--portfolios", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of arb backtest")
    options = parser.parse_args()
    market = market_of(options.dataset, options.set)
    made, held = contenders(market, options.portfolios, options.steps)
    run(made, options.rounds)
    print(f"{options.portfolios} portfolios (gymnasium: 1), random valid actions, one thread")
    print(f"observation {market.spec.version}; a step of an environment lasts until it decides: {market.spec.clock}")
    print(f"{'steps a second':<16}{'fastest':>12}{'median':>12}{'target':>12}{'x target':>10}{'held':>8}")
    for contender in made:
        fastest, median = contender.rates()
        target = TARGETS[contender.name]
        print(
            f"{contender.name:<16}{fastest:>12,.0f}{median:>12,.0f}{target:>12,.0f}{fastest / target:>10.2f}"
            f"{held[contender.name]:>8.2f}"
        )


if __name__ == "__main__":
    main()
