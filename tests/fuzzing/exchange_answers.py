"""Exchange answers with one spoilt place, read and judged: what is believed is near what the exchange really had.

The answers are those of the loopback exchanges as real ccxt clients gave them, recorded once; a case spoils a copy.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from loopback.server import LoopbackServer
from loopback.world import HOUR_MS
from support_exchanges import settings_of, world_of

from adapters.exchanges.calls import Caller
from adapters.exchanges.clients import Clients
from adapters.exchanges.collector import Look
from adapters.exchanges.history import ExchangeHistory
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.leg_source import LegSource, Wanted
from adapters.exchanges.quotes import Quote
from adapters.exchanges.rows import RowReader
from adapters.gate.limits import GateSettings
from adapters.gate.market import Gated, gate_market
from adapters.paper.history_facts import past_hours
from adapters.paper.live_facts import facts_of_quote, is_usable
from adapters.paper.setup import universe
from engine.live_window import FACTS, HourFacts
from engine.market.data import PER_LEG_FLOATS, MarketData

NAME = "exchange answers"
EXCHANGES = ("binanceusdm", "bybit", "gate", "hyperliquid", "okx")
COINS = ("BTC", "ETH", "PEPE")
PAST, CAUGHT_UP = 96, 24
LIMITS = GateSettings()
JUNK: tuple[Any, ...] = (
    None, float("nan"), float("inf"), -float("inf"), 0, 0.0, -1, -1.5, 1e9, 1e300, 10**400, 480, "480h", "-8h", "NaN",
    "", "abc", "1e999", True, False, [], [1, 2, 3], {}, {"a": 1}, "\x00", "9" * 400, 2**63, 5e-324, 1, 24, 60,
)  # fmt: skip
NEAR = {"price": 0.2, "fill_price": 0.2, "mark_price": 0.1}
"""How far a believed value may be from the truth, as the limits promise."""


@dataclass
class Recorder(Caller):
    """Keeps what every request of a kind answered for a contract."""

    def __post_init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Any]] = defaultdict(list)

    async def __call__(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await super().__call__(request, *args, **kwargs)
        if args and isinstance(answer, list):
            self.answers[request.__name__, args[0]] += answer
        return answer


@dataclass(frozen=True)
class World:
    """What the exchanges answered in one hour, the rows of their history, and what is true."""

    looks: Mapping[str, Look]
    quotes: Mapping[tuple[str, str], Quote]
    histories: Mapping[str, ExchangeHistory]
    rows: Mapping[tuple[str, str], tuple[list[Any], list[Any]]]
    past: MarketData  # the hours before those that are caught up, then these, then the one of the quotes
    now_ms: int

    @property
    def legs(self) -> list[tuple[str, str]]:
        """(symbol, exchange)."""
        return [self.past.leg_name(leg) for leg in range(self.past.legs)]


def case(rng: np.random.Generator, folder: Path) -> str:
    """One spoilt answer; raises ``AssertionError`` when something is believed that is not near the truth."""
    del folder  # nothing is written
    return _quotes(rng) if rng.random() < 0.6 else _rows(rng)


def _quotes(rng: np.random.Generator) -> str:
    """A place of a bulk answer or of an order book."""
    world = recorded()
    leg = int(rng.integers(world.past.legs))
    symbol, exchange = world.legs[leg]
    look, good = world.looks[exchange], world.quotes[symbol, exchange]
    tables = {name: dict(table) for name, table in look.tables.items()}
    holders = [name for name, table in tables.items() if good.listed in table]
    name = holders[rng.integers(len(holders))]
    tables[name][good.listed] = _spoilt(rng, tables[name][good.listed])
    quote = replace(look, tables=tables)._quote(look.listed[symbol.removesuffix("USDT")])
    values = np.array([getattr(world.past, kind)[:, -1] for kind in FACTS])
    truth = values.copy()
    values[:, leg] = np.nan
    if is_usable(quote):
        values[:, leg] = [np.nan if value is None else value for value in facts_of_quote(quote)]
    gated = _judged(world.past, len(world.past.hours) - 1, values[:, :, None])
    _assert_near(np.array([getattr(gated.market, kind)[:, -1] for kind in FACTS]), truth, leg)
    return "refused" if quote.refused or quote.faults or gated.refusals else "accepted"


def _rows(rng: np.random.Generator) -> str:
    """A row of candles, or of settled rates, that are caught up."""
    world = recorded()
    symbol, exchange = world.legs[int(rng.integers(world.past.legs))]
    good = world.histories[exchange].legs[symbol]
    bars, rates = (list(rows) for rows in world.rows[symbol, exchange])
    of_bars = bool(rng.random() < 0.5)
    spoilt = bars if of_bars else rates
    row = int(rng.integers(max(0, len(spoilt) - CAUGHT_UP - 2), len(spoilt)))
    spoilt[row] = _spoilt(rng, spoilt[row])
    leg = LegHistory(good.listing)
    reader = RowReader(leg.listing, LIMITS, leg.refused, world.now_ms)
    for rows, read in ((leg.bars, reader.bars(bars, 1.0)), (leg.settlements, reader.rates(rates))):
        rows.add(read, 0, world.now_ms)
    changed = replace(world.histories[exchange], legs={**world.histories[exchange].legs, symbol: leg})
    last = int(world.past.hours[-1])
    first = last - CAUGHT_UP
    hours = past_hours({**world.histories, exchange: changed}, world.legs, first, last - 1)
    gated = _judged(world.past, len(world.past.hours) - 1 - CAUGHT_UP, *_arrays(hours, world.past.legs))
    row_of = {hour: i for i, hour in enumerate(gated.market.hours.tolist())}
    for hour in range(first, last):
        at, true = row_of[hour], hour - int(world.past.hours[0])
        for kind in ("price", "fill_price"):
            _assert_kind(kind, getattr(gated.market, kind)[:, at], getattr(world.past, kind)[:, true])
        believed, right = gated.market.funding_rate[:, at], world.past.funding_rate[:, true]
        both = ~np.isnan(believed) & ~np.isnan(right)
        assert (np.abs(believed - right)[both] <= 0.004).all(), "a settled rate far from the true one is believed"
        assert not (~np.isnan(believed) & np.isnan(right) & (np.abs(believed) > 0.004)).any()
    return "refused" if leg.refused or gated.refusals else "accepted"


def _spoilt(rng: np.random.Generator, value: Any) -> Any:
    """A copy with one place, at any depth, that is junk, scaled or gone; sometimes nothing else is left."""
    if rng.random() < 0.05:
        return JUNK[rng.integers(len(JUNK))]
    changed = copy.deepcopy(value)
    holder, key = _place(rng, changed)
    if holder is None:
        return JUNK[rng.integers(len(JUNK))]
    old = holder[key]
    if isinstance(old, int | float | str) and not isinstance(old, bool) and rng.random() < 0.4:
        try:
            scaled = float(old) * float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.05, 12)))
            holder[key] = repr(scaled) if isinstance(old, str) else scaled
            return changed
        except ValueError:
            pass
    holder[key] = JUNK[rng.integers(len(JUNK))]
    return changed


def _place(rng: np.random.Generator, value: Any) -> tuple[Any, Any]:
    """A place to write to, inside of mappings and lists; (None, None) when there is none."""
    while isinstance(value, dict | list) and len(value):
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[int(rng.integers(len(keys)))]
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.1:
            return value, key
        value = inner
    return None, None


def _judged(market: MarketData, since: int, values: Any, rates: Any = None) -> Gated:
    """New hours ``[FACTS, legs, hours]`` behind the first rows of a market, judged."""
    count = values.shape[2]
    kinds: dict[str, Any] = {
        name: np.hstack([getattr(market, name)[:, :since], values[i]]) for i, name in enumerate(FACTS)
    }
    nothing = np.full((market.legs, count), np.nan)
    kinds["funding_rate"] = np.hstack([market.funding_rate[:, :since], nothing if rates is None else rates])
    joined = replace(market, hours=market.hours[: since + count], **kinds)
    return gate_market(joined, LIMITS, since=since)


def _assert_near(believed: Any, truth: Any, leg: int) -> None:
    """The facts of an hour ``[FACTS, legs]`` beside what they should be: those of other legs are untouched."""
    for i, kind in enumerate(FACTS):
        others = np.arange(believed.shape[1]) != leg
        np.testing.assert_array_equal(believed[i, others], truth[i, others], err_msg=f"{kind} of another leg")
        if kind in NEAR:
            _assert_kind(kind, believed[i], truth[i])
        elif kind == "funding_interval_hours":
            assert np.isnan(believed[i, leg]) or believed[i, leg] in LIMITS.interval_hours
        else:
            most = LIMITS.max_spread if kind == "bid_ask_spread" else LIMITS.max_volume_usd
            assert np.isnan(believed[i, leg]) or 0 <= believed[i, leg] <= most


def _assert_kind(kind: str, believed: Any, truth: Any) -> None:
    """Prices are near the true ones; where no true one is known there is none that is believed."""
    known = ~np.isnan(believed)
    assert not (known & np.isnan(truth)).any(), f"{kind} of nothing is believed"
    apart = np.abs(np.log(believed[known] / truth[known]))
    assert (apart <= -np.log1p(-NEAR[kind]) + 0.01).all(), f"{kind} {believed[known]} for {truth[known]} is believed"


@lru_cache
def recorded() -> World:
    """Ask the loopback exchanges once."""
    world = world_of(8, coins=COINS, exchanges=EXCHANGES)
    with LoopbackServer(world) as server:
        return asyncio.run(_recorded(server))


async def _recorded(server: LoopbackServer) -> World:
    settings, now = settings_of(server, *EXCHANGES), server.world.now_ms
    hour = now // HOUR_MS
    looks = {name: Look(name, settings.collection, COINS, COINS) for name in EXCHANGES}
    histories, rows = {}, {}
    async with Clients(settings, server.world.clock) as clients:
        for name, look in looks.items():
            await look.run(clients)
            recorder = Recorder(settings.collection)
            source = LegSource(clients.of(name), name, recorder, LIMITS)
            histories[name] = ExchangeHistory(name)
            for coin in COINS:
                leg = LegHistory(look.listed[coin])
                await source.complete(leg, Wanted((hour - PAST - 26) * HOUR_MS, now))
                histories[name].legs[leg.listing.symbol] = leg
                found = (
                    recorder.answers[kind, leg.listing.listed] for kind in ("fetch_ohlcv", "fetch_funding_rate_history")
                )
                rows[leg.listing.symbol, name] = tuple(found)
    quotes = {(quote.symbol, quote.exchange): quote for look in looks.values() for quote in look.quotes()}
    return World(looks, quotes, histories, rows, _truth(histories, quotes, hour), now)


def _truth(histories: Mapping[str, ExchangeHistory], quotes: Mapping[tuple[str, str], Quote], hour: int) -> MarketData:
    """The hours before, and that of the quotes; everything of it is believed."""
    legs = sorted(quotes)
    empty = universe(legs, 0)
    hours = past_hours(histories, legs, hour - PAST, hour - 1)
    values, rates = _arrays(hours, len(legs))
    now = np.array([[np.nan if v is None else v for v in facts_of_quote(quotes[leg])] for leg in legs]).T
    kinds = {name: np.hstack([values[i], now[i][:, None]]) for i, name in enumerate(FACTS)}
    kinds["funding_rate"] = np.hstack([rates, np.full((len(legs), 1), np.nan)])
    market = replace(empty, hours=np.arange(hour - PAST, hour + 1), **{name: kinds[name] for name in PER_LEG_FLOATS})
    assert gate_market(market, LIMITS).refusals == ()
    return market


def _arrays(hours: list[HourFacts], legs: int) -> tuple[Any, Any]:
    """Facts as ``[FACTS, legs, hours]`` and settled rates ``[legs, hours]``, those of earlier hours left out."""
    values = np.stack([facts.values for facts in hours], axis=2)
    rates = np.full((legs, len(hours)), np.nan)
    for facts in hours:
        for settled in facts.settled:
            if settled.hour >= hours[0].hour:
                rates[settled.leg, settled.hour - hours[0].hour] = settled.rate
    return values, rates
