"""Hours in which a price may be refused, found for all hours at once.

In every other hour all exchanges of a coin agree, or the only one moved no further than it may: ``prices.judge`` would
believe everything in it, whatever had been refused before.
"""

from __future__ import annotations

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.past import carried
from adapters.gate.prices import COINS_OF_AN_EXCHANGE, MOST_OF_AN_EXCHANGE
from adapters.gate.values import Flags
from engine.market.data import Floats, MarketData


class Suspects:
    """``flags`` ``[hours - since]`` of prices ``[legs, hours]``; legs are sorted by coin."""

    def __init__(self, market: MarketData, prices: Floats, since: int, limits: GateSettings) -> None:
        self._since, self._memory = since, limits.memory_hours
        self._starts = np.flatnonzero(np.diff(market.leg_symbol, prepend=-1))
        self._coin = np.cumsum(np.diff(market.leg_symbol, prepend=-1) != 0) - 1
        new = prices[:, since:]
        known = ~np.isnan(new)
        count = np.add.reduceat(known, self._starts, axis=0, dtype=np.int64)
        spread = self._spread(new)
        self._alone = known & (count == 1)[self._coin]
        apart = spread > 1 + limits.max_price_disagreement
        shifted = known & (count > 1)[self._coin], (spread > 1 + limits.max_exchange_shift)[self._coin]
        jumped = self._alone & self._unlikely(prices, limits)
        self.flags: Flags = np.any(apart, axis=0) | _exchanges_off(market, *shifted) | np.any(jumped, axis=0)

    def refused(self, leg: int, column: int) -> None:
        """A leg has another past than it seemed: wherever nothing but this tells, it is looked at anew."""
        first = column + 1 - self._since
        # Lone prices of later hours were compared with the refused one; the other flags hang on no past.
        self.flags[first : first + self._memory] |= self._alone[leg, first : first + self._memory]

    def _spread(self, prices: Floats) -> Floats:
        """Highest by lowest price of each coin and hour, nan where there is none."""
        highest = np.fmax.reduceat(prices, self._starts, axis=0)
        return np.asarray(highest / np.fmin.reduceat(prices, self._starts, axis=0))

    def _unlikely(self, prices: Floats, limits: GateSettings) -> Flags:
        """Which prices moved further than one may alone, or have no past of their own while the coin has one."""
        # The root of the age, as in ``prices.judge``: the longer nothing was known the further a price may honestly be.
        value, age = (array[:, self._since :] for array in _until_before(prices, self._memory))
        moved = np.abs(np.log(prices[:, self._since :] / value)) > np.log1p(limits.max_lone_move) * np.sqrt(age)
        # ``judge`` lends a leg without a past that of its coin; where the coin has none a lone price is believed.
        elsewhere = np.add.reduceat(~np.isnan(value), self._starts, axis=0, dtype=np.int64)[self._coin] > 0
        return np.asarray(moved | (np.isnan(value) & elsewhere))


def _until_before(prices: Floats, memory: int) -> tuple[Floats, Floats]:
    """Last price before each hour and the hours since it."""
    # One hour less, since it is shifted by one: together as far back as ``past.before`` looks.
    value, age = carried(prices, memory - 1)
    nothing = np.full((len(prices), 1), np.nan)
    return np.hstack([nothing, value[:, :-1]]), np.hstack([nothing, age[:, :-1] + 1])


def _exchanges_off(market: MarketData, compared: Flags, apart: Flags) -> Flags:
    """Hours in which nearly all of an exchange's coins are apart from others; ``[legs, hours]`` both."""
    found = np.zeros(compared.shape[1], np.bool_)
    for exchange in range(len(market.exchanges)):
        rows = market.leg_exchange == exchange
        count = compared[rows].sum(axis=0)
        off = (compared[rows] & apart[rows]).sum(axis=0)
        found |= (count >= COINS_OF_AN_EXCHANGE) & (off >= MOST_OF_AN_EXCHANGE * count)
    return found
