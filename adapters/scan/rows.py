"""What is told of a pair, and per coin the pair to tell of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from adapters.naming.exchanges import canonical_exchange, nearest_exchange
from adapters.naming.symbols import symbol_among
from adapters.scan.scene import Scene
from engine.errors import UserError, did_you_mean, shown
from engine.market.data import Floats
from engine.observation.view import View
from strategies.costs import round_trip_bps

DAYS_PER_YEAR = 365
"""Of ``fund_apr``, as in the features."""

SORTS = {
    "apr": "net funding of the last settled rates, highest first",
    "8h": "the same, per 8 h",
    "day": "the same, per day",
    "24h": "net funding of the rates settled in 24 h",
    "168h": "net funding of the rates settled in 168 h",
    "payback": "hours until funding pays the round trip back, fewest first",
    "cost": "the round trip, cheapest first",
    "spread": "bid-ask spread, narrowest first",
    "depth": "the thinner order book, deepest first",
    "volume": "the smaller 24 h volume, largest first",
    "coin": "by name",
}
"""What rows can be sorted by."""
_FIGURE = {
    "apr": "apr_pct", "8h": "net_8h_bps", "day": "net_day_bps", "24h": "net_24h_bps_day", "168h": "net_168h_bps_day",
    "payback": "payback_hours", "cost": "round_trip_bps", "spread": "bid_ask_bps", "depth": "depth_usd",
    "volume": "volume_24h_usd",
}  # fmt: skip
_LOWEST_FIRST = ("payback", "cost", "spread")
_CHOOSE_PAIR = ("apr", "8h", "day", "24h", "168h", "payback")
"""Sorted by these the pair of a coin is the best in them; else it is that with the highest APR."""


class LegNow(NamedTuple):
    """One leg. Rates are % of notional per settlement: ``settled`` is the last one that was paid, ``running`` the
    exchange's own estimate of the next one (never used). Intervals and ages in hours; None is "not known"."""

    exchange: str
    settled_rate_pct: float | None
    running_rate_pct: float | None
    interval_hours: float | None
    next_settlement: datetime | None
    stale_hours: int | None


class PairNow(NamedTuple):
    """A directed pair at an hour; None is "not known". "Net" is short minus long: what the position would earn.

    ``net_8h_bps``, ``net_day_bps`` (three times that), ``apr_pct`` (of 365 days): by the last settled rates, basis
    points and % of the notional of one leg. ``net_24h_bps_day``, ``net_168h_bps_day``: of the rates settled in the last
    hours, basis points per day. ``round_trip_bps``: fees, slippage and spread of four fills. ``payback_hours``: until
    ``net_day_bps`` has paid them; None also where it never does. ``price_gap_bps``: short price over long price.
    ``bid_ask_bps``: the wider quoted spread; ``depth_usd`` and ``volume_24h_usd``: the smaller of both legs.
    ``stale_hours``: age of the older price. ``why_not``: why it is not offered for entry, None where it is.
    """

    symbol: str
    long: LegNow
    short: LegNow
    net_8h_bps: float | None
    net_day_bps: float | None
    apr_pct: float | None
    net_24h_bps_day: float | None
    net_168h_bps_day: float | None
    round_trip_bps: float | None
    payback_hours: float | None
    price_gap_bps: float | None
    bid_ask_bps: float | None
    depth_usd: float | None
    volume_24h_usd: float | None
    stale_hours: int | None
    offered: bool
    why_not: str | None


@dataclass(frozen=True)
class Choice:
    """What to tell, and in which order; empty or None: all."""

    sort: str = "apr"
    min_apr_pct: float | None = None
    exchanges: tuple[str, ...] = ()
    """Both legs are among these."""
    symbols: tuple[str, ...] = ()
    top: int | None = None

    def __post_init__(self) -> None:
        if self.sort not in SORTS:
            raise UserError(
                f"cannot sort by {shown(self.sort)}; {did_you_mean(self.sort, SORTS)} (of {', '.join(SORTS)})"
            )
        if self.min_apr_pct is not None and math.isnan(self.min_apr_pct):
            raise UserError("the least APR is no number; write it in %, like --min-apr 20")


def figures_of(view: View) -> dict[str, Floats]:
    """The numbers of ``PairNow`` by name, of every pair ``[pairs]``, nan where unknown."""
    net_8h = 100 * view.feature("fund_profit_8h")
    net_day, cost = 3 * net_8h, round_trip_bps(view)
    pays = net_day > 0
    return {
        "net_8h_bps": net_8h,
        "net_day_bps": net_day,
        "apr_pct": view.feature("fund_apr"),
        "net_24h_bps_day": view.feature("net_funding_24h_bps"),
        "net_168h_bps_day": view.feature("net_funding_168h_bps"),
        "round_trip_bps": cost,
        "payback_hours": np.where(pays, 24 * cost / np.where(pays, net_day, 1.0), np.nan),
        "price_gap_bps": 1e4 * view.feature("spread"),
        "bid_ask_bps": 100 * view.feature("bidAskSpreadPercent"),
        "depth_usd": view.feature("orderbookDepthUsd"),
        "volume_24h_usd": view.feature("volume_24h"),
    }


def rows_of(scene: Scene, choice: Choice) -> list[PairNow]:
    """Per coin its best pair: one that is offered before one that is not, then by what is sorted by.

    Raises ``UserError`` for coins and exchanges that are not looked at.
    """
    figures = figures_of(scene.view)
    wanted = _wanted(scene, choice)
    why_not = {pair: scene.why_not(pair) for pair in wanted}
    by = choice.sort if choice.sort in _CHOOSE_PAIR else "apr"
    best: dict[str, int] = {}
    for pair in sorted(wanted, key=lambda pair: (why_not[pair] is not None, _rank(figures, by, pair), pair)):
        best.setdefault(scene.view.pair_name(pair)[0], pair)
    chosen = [pair for pair in best.values() if _pays(figures, choice, pair)]
    if choice.sort == "coin":
        chosen.sort()  # pairs stand by symbol
    else:
        chosen.sort(key=lambda pair: (_rank(figures, choice.sort, pair), pair))
    return [_row(scene, figures, pair, why_not[pair]) for pair in chosen[: choice.top]]


def _wanted(scene: Scene, choice: Choice) -> list[int]:
    """The pairs that are asked about."""
    market = scene.builder.tape.market
    symbols = {_known(symbol_among(name, market.symbols), market.symbols, "coin") for name in choice.symbols}
    exchanges = {_known_exchange(name, market.exchanges) for name in choice.exchanges}
    if len(exchanges) == 1:
        raise UserError(f"a pair has legs on two exchanges; name another one beside {next(iter(exchanges))}")
    names = enumerate(map(scene.view.pair_name, range(scene.view.pairs)))
    return [
        pair
        for pair, (symbol, *both) in names
        if (not symbols or symbol in symbols) and (not exchanges or exchanges.issuperset(both))
    ]


def _known(name: str, known: Sequence[str], kind: str) -> str:
    if name not in known:
        raise UserError(f"{kind} {shown(name)} is not looked at here; {did_you_mean(name, known)}")
    return name


def _known_exchange(name: str, known: Sequence[str]) -> str:
    exchange = canonical_exchange(name)
    if exchange not in known:
        near = nearest_exchange(name, known)
        raise UserError(f"exchange {shown(name)} is not looked at here; did you mean {near!r}? (of {', '.join(known)})")
    return exchange


def _rank(figures: dict[str, Floats], sort: str, pair: int) -> float:
    """Lowest first; what is not known comes last."""
    value = float(figures[_FIGURE[sort]][pair])
    if math.isnan(value):
        return math.inf
    return value if sort in _LOWEST_FIRST else -value


def _pays(figures: dict[str, Floats], choice: Choice, pair: int) -> bool:
    # An APR that is not known cannot pass a limit on it.
    return choice.min_apr_pct is None or bool(figures["apr_pct"][pair] >= choice.min_apr_pct)


def _row(scene: Scene, figures: dict[str, Floats], pair: int, why_not: str | None) -> PairNow:
    symbol, *exchanges = scene.view.pair_name(pair)
    long, short = (
        _leg(scene, pair, side, leg, exchange)
        for side, leg, exchange in zip(("long", "short"), scene.legs(pair), exchanges, strict=True)
    )
    ages = (long.stale_hours, short.stale_hours)
    numbers: dict[str, Any] = {name: _number(values[pair]) for name, values in figures.items()}
    return PairNow(
        symbol=symbol,
        long=long,
        short=short,
        **numbers,
        stale_hours=None if None in ages else max(age for age in ages if age is not None),
        offered=why_not is None,
        why_not=why_not,
    )


def _leg(scene: Scene, pair: int, side: str, leg: int, exchange: str) -> LegNow:
    running = scene.quotes.get(leg, {}).get("funding_rate")
    return LegNow(
        exchange=exchange,
        settled_rate_pct=_number(scene.view.feature(f"{side}_funding_rate")[pair]),
        running_rate_pct=None if running is None else 100 * running,
        interval_hours=_number(8 * scene.view.feature(f"{side}_interval_8h")[pair]),
        next_settlement=scene.next_settlement(leg),
        stale_hours=scene.stale_hours(leg),
    )


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
