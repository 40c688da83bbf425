"""Strategies for tests that answer each hour with what a script says, and the way from names to pair indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reference_records import Enter as NamedEnter
from reference_records import Exit as NamedExit

from engine.market.data import MarketData, directed_pairs
from engine.observation.view import Enter, Exit, Order, View


def pair_indexes(market: MarketData) -> dict[tuple[str, str, str], int]:
    """Index of every directed pair by (symbol, long exchange, short exchange)."""
    pairs = directed_pairs(market)
    names = {}
    for i in range(len(pairs)):
        symbol, long_exchange = market.leg_name(int(pairs.long_leg[i]))
        names[(symbol, long_exchange, market.leg_name(int(pairs.short_leg[i]))[1])] = i
    return names


class Scripted:
    """Sends the orders that a script holds for the row of the hour; names that the market lacks become pair -1."""

    def __init__(self, market: MarketData, orders: Mapping[int, Sequence[NamedEnter | NamedExit]]) -> None:
        self._market = market
        self._orders = orders
        self._pairs = pair_indexes(market)

    def decide(self, view: View) -> Sequence[Order]:
        return [self._translate(order) for order in self._orders.get(self._market.index_of(view.time), ())]

    def _translate(self, order: NamedEnter | NamedExit) -> Order:
        if isinstance(order, NamedExit):
            return Exit(order.slot)
        return Enter(self._pairs.get((order.symbol, order.long_exchange, order.short_exchange), -1))
