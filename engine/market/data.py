"""The market as indexed arrays: what every adapter delivers and the whole engine reads.

A leg is one symbol on one exchange. All per-leg arrays have the shape ``[legs, hours]`` so that the consecutive
hours of a leg lie next to each other. ``nan`` means "not known at that hour"; it is never replaced by zero.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError, UserError
from engine.market.instruments import Instruments
from engine.market.order_books import OrderBooks
from engine.windows import Window, hour_of, time_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""An hour that does not come: the delisting hour of a leg without a notice."""
BAR_EXTREMES = ("high", "low")
"""Optional arrays of ``MarketData``: without them it cannot be known which resting orders were filled."""


@dataclass(frozen=True, eq=False)
class RecordedOpportunities:
    """Opportunities that a data set brings along instead of having them derived (rows sorted by hour, pair).

    Row ``r`` belongs to hour index ``i`` when ``offsets[i] <= r < offsets[i + 1]``. ``pair`` indexes
    ``MarketData.pairs``. ``features`` has one column per name in ``columns`` (the feature vocabulary of
    ``engine.observation.features``); ``nan`` falls back to the derived value.
    """

    offsets: Ints  # [hours + 1]
    pair: Ints  # [rows]
    features: Floats  # [rows, columns]
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class MarketData:
    """Raw hourly facts of one data set or one live collection; no value is carried forward here.

    Source: docs/design.md sections 3 to 5. ``hours`` are consecutive hour numbers (see ``hour_of``).
    """

    hours: Ints  # [hours], consecutive
    symbols: tuple[str, ...]  # sorted
    exchanges: tuple[str, ...]  # sorted
    leg_symbol: Ints  # [legs] index into symbols; legs are sorted by (symbol, exchange)
    leg_exchange: Ints  # [legs] index into exchanges
    price: Floats  # last trade at or before t, USD per coin (or the mid, live)
    fill_price: Floats  # first trade after t; never visible at t
    mark_price: Floats
    funding_rate: Floats  # decimal per settlement, of the settlement in (t-1h, t]; nan: nothing settled
    funding_interval_hours: Floats  # interval in force as stated at t; nan where the source does not say
    volume_24h_usd: Floats
    bid_ask_spread: Floats  # whole quoted spread as a fraction of price
    depth_usd: Floats
    funding_known_hour: Ints | None = None  # [legs, hours] hour number at which that settlement was known; None: t
    delisting_hour: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # [legs]; NEVER without a notice
    delisting_known_hour: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # [legs]
    settlement_grace_hours: int = 0  # hours a due settlement may stay pending before it counts as missing (live: 1)
    recorded: RecordedOpportunities | None = None
    high: Floats | None = None  # of the trades in (t, t+1h], as fill_price is their first; None: not known at all
    low: Floats | None = None
    instruments: Instruments | None = None  # None: no exchange's rules of orders are known
    order_books: OrderBooks | None = None  # None: nothing but spread and depth is known of any book

    def __post_init__(self) -> None:
        if not self.delisting_hour.size:
            object.__setattr__(self, "delisting_hour", np.full(self.legs, NEVER, np.int64))
            object.__setattr__(self, "delisting_known_hour", np.full(self.legs, NEVER, np.int64))
        # Windows and ages count rows as hours; a gap would make them shorter than they say.
        if self.hours.size and np.any(np.diff(self.hours) != 1):
            raise DataError("the hours of a market must be consecutive")
        for name in BAR_EXTREMES:
            extremes = getattr(self, name)
            # They are easily forgotten where the other arrays are cut, and would then belong to other hours.
            if extremes is not None and extremes.shape != self.price.shape:
                raise DataError(f"{name} has not the shape of the prices")
        if self.instruments is not None and not np.all(self.instruments.leg < self.legs):
            raise DataError("instruments are of legs that the market does not have")
        if self.order_books is not None and not np.all(self.order_books.leg < self.legs):
            raise DataError("order books are of legs that the market does not have")
        order = [(int(s), int(e)) for s, e in zip(self.leg_symbol, self.leg_exchange, strict=True)]
        # The order of legs is the order of pairs, which breaks ties of every ranking: it must not hang on the source.
        if order != sorted(set(order)):
            raise DataError("legs must be unique and sorted by symbol and exchange")

    @property
    def legs(self) -> int:
        return len(self.leg_symbol)

    def leg(self, symbol: str, exchange: str) -> int:
        """Index of a leg. Raises ``UserError`` when the market does not have it."""
        for i in range(self.legs):
            if self.symbols[self.leg_symbol[i]] == symbol and self.exchanges[self.leg_exchange[i]] == exchange:
                return i
        raise UserError(f"{symbol} on {exchange} is not in this data set")

    def leg_name(self, leg: int) -> tuple[str, str]:
        """(symbol, exchange) of a leg."""
        return self.symbols[self.leg_symbol[leg]], self.exchanges[self.leg_exchange[leg]]

    def index_of(self, time: datetime) -> int:
        """Row of a whole hour. Raises ``UserError`` outside the data."""
        index = hour_of(time) - int(self.hours[0])
        if not 0 <= index < len(self.hours):
            first, last = time_of(self.hours[0]), time_of(self.hours[-1])
            raise UserError(
                f"{time:%Y-%m-%dT%H:%MZ} is outside the data ({first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ})"
            )
        return index

    def window(self, start: datetime, end: datetime) -> Window:
        """Rows of the hours from ``start`` to ``end``, both included. Raises ``UserError`` outside the data."""
        return Window(self.index_of(start), self.index_of(end))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every directed pair of two legs of one symbol, sorted by (symbol, long exchange, short exchange).

    The order is the tie-break of every ranking. ``mirror[p]`` is the pair with the legs swapped.
    """

    long_leg: Ints
    short_leg: Ints
    mirror: Ints

    def __len__(self) -> int:
        return len(self.long_leg)


def directed_pairs(market: MarketData) -> Pairs:
    """All directed pairs of a market."""
    rows = [
        (long_leg, short_leg)
        for long_leg in range(market.legs)
        for short_leg in range(market.legs)
        if long_leg != short_leg and market.leg_symbol[long_leg] == market.leg_symbol[short_leg]
    ]
    index = {row: i for i, row in enumerate(rows)}
    mirror = np.array([index[(short_leg, long_leg)] for long_leg, short_leg in rows], np.int64)
    columns = np.array(rows, np.int64).reshape(-1, 2)
    return Pairs(np.ascontiguousarray(columns[:, 0]), np.ascontiguousarray(columns[:, 1]), mirror)


PER_LEG_FLOATS = (
    "price",
    "fill_price",
    "mark_price",
    "funding_rate",
    "funding_interval_hours",
    "volume_24h_usd",
    "bid_ask_spread",
    "depth_usd",
)
"""The ``[legs, hours]`` float arrays that every ``MarketData`` has, in the order in which they are stored."""


def facts_of(market: MarketData, change: Callable[[Floats], Floats]) -> dict[str, Floats]:
    """Every ``[legs, hours]`` float array that a market has, by name, after ``change``: for ``replace``."""
    present = (name for name in BAR_EXTREMES if getattr(market, name) is not None)
    return {name: change(getattr(market, name)) for name in (*PER_LEG_FLOATS, *present)}


def select(
    market: MarketData, *, symbols: Sequence[str] | None = None, exchanges: Sequence[str] | None = None
) -> MarketData:
    """The same market with only the named symbols and exchanges (None keeps all).

    Raises ``UserError`` for a name that the market does not have, or when nothing is left.
    """
    for wanted, present, kind in (
        (symbols, market.symbols, "symbol"),
        (exchanges, market.exchanges, "exchange"),
    ):
        for name in wanted or ():
            if name not in present:
                near = difflib.get_close_matches(name, present, n=1, cutoff=0.0)[0]
                raise UserError(f"{kind} {name} is not in this data set; nearest: {near} (of {', '.join(present)})")
    keep = np.array(
        [
            (symbols is None or market.leg_name(i)[0] in symbols)
            and (exchanges is None or market.leg_name(i)[1] in exchanges)
            for i in range(market.legs)
        ],
        dtype=bool,
    )
    if keep.all():
        return market
    if not keep.any():
        raise UserError("the filters leave no symbol and exchange at all")
    if market.recorded is not None:
        raise UserError("filters on symbols or exchanges cannot be combined with recorded opportunities")
    return with_legs(market, keep)


def with_legs(market: MarketData, keep: NDArray[np.bool_]) -> MarketData:
    """The same hours of the legs to ``keep``, without recorded opportunities: these name pairs of all legs."""
    arrays: dict[str, Any] = dict(facts_of(market, lambda values: values[keep]))
    known = market.funding_known_hour
    names = [market.leg_name(int(leg)) for leg in np.flatnonzero(keep)]
    symbols, exchanges = sorted({symbol for symbol, _ in names}), sorted({exchange for _, exchange in names})
    return replace(
        market,
        symbols=tuple(symbols),
        exchanges=tuple(exchanges),
        leg_symbol=np.array([symbols.index(symbol) for symbol, _ in names], np.int64),
        leg_exchange=np.array([exchanges.index(exchange) for _, exchange in names], np.int64),
        recorded=None,
        funding_known_hour=None if known is None else known[keep],
        delisting_hour=market.delisting_hour[keep],
        delisting_known_hour=market.delisting_known_hour[keep],
        instruments=None if market.instruments is None else market.instruments.of_legs(keep),
        order_books=None if market.order_books is None else market.order_books.of_legs(keep),
        **arrays,
    )
