"""The per-leg arrays of a market by the names of their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.market.data import Floats, Ints, MarketData


def market_of(
    kinds: Mapping[str, Floats],
    *,
    hours: Ints,
    legs: tuple[Ints, Ints],
    symbols: Sequence[str],
    exchanges: Sequence[str],
) -> MarketData:
    """A market from ``[legs, hours]`` arrays by kind; a kind that is absent is unknown throughout (nan).

    ``legs`` are the indexes of each leg's symbol and exchange. Arrays that are made here are read-only.
    """

    def kind(name: str) -> Floats:
        return kinds[name] if name in kinds else _unknown((len(legs[0]), len(hours)))

    return MarketData(
        hours=hours,
        symbols=tuple(symbols),
        exchanges=tuple(exchanges),
        leg_symbol=legs[0],
        leg_exchange=legs[1],
        price=kind("price"),
        fill_price=kind("fill_price"),
        mark_price=kind("mark_price"),
        funding_rate=kind("funding_rate"),
        funding_interval_hours=kind("funding_interval_hours"),
        volume_24h_usd=kind("volume_24h_usd"),
        bid_ask_spread=kind("bid_ask_spread"),
        depth_usd=kind("depth_usd"),
        high=kinds.get("high"),
        low=kinds.get("low"),
    )


def _unknown(shape: tuple[int, int]) -> Floats:
    array = np.full(shape, np.nan)
    array.flags.writeable = False
    return array
