"""Recorded order books through the gate: one that cannot be of its coin at its hour counts as not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adapters.gate.limits import GateSettings
from adapters.gate.market import Gated
from adapters.gate.refusals import Refusal
from engine.market.data import MarketData

BOOK = "order book"


def gate_order_books(market: MarketData, limits: GateSettings) -> Gated:
    """The market without the books that are not believed; prices must have passed before.

    A book whose mid is far from the price of its hour is of another coin or unit, and one that is wide open names no
    price. Where no price is known nothing speaks against it.
    """
    books = market.order_books
    if books is None:
        return Gated(market, ())
    price = market.price[books.leg, books.hour - int(market.hours[0])]
    best = books.price[books.offsets[:-1]]
    away = np.abs(books.mid / price - 1) > limits.max_price_disagreement
    wide = (best[1::2] - best[::2]) / books.mid > limits.max_spread
    refusals = [
        Refusal(
            market.leg_name(int(books.leg[k]))[1],
            market.leg_name(int(books.leg[k]))[0],
            int(books.hour[k]),
            BOOK,
            float(books.mid[k]),
            f"its mid is more than {limits.max_price_disagreement:.0%} from the price {price[k]:g}"
            if away[k]
            else f"ask and bid are more than {limits.max_spread:.0%} apart",
        )
        for k in np.flatnonzero(away | wide)
    ]
    if not refusals:
        return Gated(market, ())
    return Gated(replace(market, order_books=books.kept(~(away | wide))), tuple(refusals))
