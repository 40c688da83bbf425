"""Episodes of extreme funding: which coin, when, how strong, and its path on each exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.sample.coins import Coin
from adapters.sample.processes import ornstein_uhlenbeck
from adapters.sample.settings import SampleSettings
from engine.market.data import Floats

PER_8H = 1 / 3
MIDDLE = (0.2, 0.8)
"""Where in its equal part of the span an episode may start: neighbours stay apart."""
OWN_NOISE = 0.06
"""Share of an episode's variance that is each exchange's own."""
GONE_BPS = 0.5
"""Below this an episode is over: the exponential decay would never let funding return to the baseline."""


@dataclass(frozen=True)
class Episode:
    """One spell of negative funding. Hours are rows of the data set; ``bps_per_8h`` is its height, positive."""

    symbol: str
    start: int
    ramp_hours: int
    plateau_hours: int
    bps_per_8h: float

    @property
    def end(self) -> int:
        """First row of the decay."""
        return self.start + self.ramp_hours + self.plateau_hours


def draw_episodes(rng: np.random.Generator, settings: SampleSettings, hours: int) -> list[Episode]:
    """Episodes spread evenly over the span; a coin has a second one only after every other coin had one.

    Sizes are drawn one from each of equal parts of the (logarithmic) range, so that a small number of episodes
    covers it.
    """
    extremes = settings.extremes
    present = {coin.symbol for coin in settings.coins}
    names = [symbol for symbol in extremes.symbols if symbol in present]
    waiting = [names[i] for i in rng.permutation(len(names))]
    sizes = rng.permutation((np.arange(extremes.episodes) + rng.random(extremes.episodes)) / max(extremes.episodes, 1))
    low, high = np.log(extremes.bps_per_day)
    episodes = []
    for number, share in enumerate(sizes):
        at = (number + rng.uniform(*MIDDLE)) / extremes.episodes
        trading = [symbol for symbol in waiting if _trades(settings, symbol, at)]
        if not trading:
            continue
        waiting.remove(trading[0])
        waiting.append(trading[0])
        episodes.append(
            Episode(
                symbol=trading[0],
                start=int(at * hours),
                ramp_hours=int(rng.uniform(*extremes.ramp_hours)),
                plateau_hours=int(rng.uniform(*extremes.plateau_hours)),
                bps_per_8h=float(np.exp(low + (high - low) * share)) * PER_8H,
            )
        )
    return episodes


def _trades(settings: SampleSettings, symbol: str, at: float) -> bool:
    listed = all(listing.at <= at for listing in settings.incidents.listings if listing.symbol == symbol)
    return listed and all(gone.at > at for gone in settings.incidents.vanishings if gone.symbol == symbol)


def shape_of(episode: Episode, hours: int, decay_half_life_hours: float) -> Floats:
    """Course of an episode between 0 and 1: a smooth ramp, a plateau, an exponential decay."""
    row = np.arange(hours)
    ramp = np.clip((row - episode.start) / max(episode.ramp_hours, 1), 0, 1)
    decay = 0.5 ** (np.maximum(row - episode.end, 0) / decay_half_life_hours)
    return np.asarray(ramp**2 * (3 - 2 * ramp) * decay)


def premium_of_extremes(
    rng: np.random.Generator, settings: SampleSettings, coin: Coin, episodes: Sequence[Episode], hours: int
) -> tuple[Floats, Floats]:
    """What the coin's episodes add to the premium.

    Returns bps per 8 h ``[exchanges, hours]`` (negative) and the course ``[hours]`` between 0 and 1.
    """
    premium, course = np.zeros((len(coin.exchanges), hours)), np.zeros(hours)
    for episode in episodes:
        if episode.symbol != coin.symbol:
            continue
        shape = shape_of(episode, hours, settings.extremes.decay_half_life_hours)
        shared = ornstein_uhlenbeck(rng, 1, hours, settings.extremes.noise_half_life_hours)
        own = ornstein_uhlenbeck(rng, len(coin.exchanges), hours, settings.extremes.noise_half_life_hours)
        noise = settings.extremes.noise * (np.sqrt(1 - OWN_NOISE) * shared + np.sqrt(OWN_NOISE) * own)
        factors = [rng.uniform(*settings.exchanges[name].extreme_factor) for name in coin.exchanges]
        # Noise may end an episode for a while but never turn its sign.
        size = np.array(factors)[:, None] * np.maximum(1 + noise, 0.0)
        bps = episode.bps_per_8h * size * shape
        premium -= np.where(bps < GONE_BPS, 0.0, bps)
        course = np.maximum(course, shape)
    return premium, course
