"""Random markets, settings and orders that reach every rule of docs/design.md sections 3 and 4.

Plain generators take a ``numpy`` generator; ``cases()`` wraps them for hypothesis, which draws the seed and the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference_records import Enter, Exit

from engine.market.data import NEVER, MarketData
from engine.market.instruments import Instruments
from engine.market.order_books import OrderBooks, SeenBook
from engine.settings import (
    EngineSettings,
    FeeRow,
    FilterSettings,
    MakerSettings,
    MarginSettings,
    SpreadBin,
    SpreadRow,
)
from engine.windows import hour_of

COINS = ("AAAUSDT", "BBBUSDT", "CCCUSDT")
EXCHANGES = ("binanceusdm", "bybit", "hyperliquid", "okx")
FIRST_DAY = date(2024, 3, 1)
INTERVALS = (1, 2, 4, 8)

Floats = NDArray[np.float64]
Orders = dict[int, list[Enter | Exit]]
Rng = np.random.Generator


@dataclass(frozen=True)
class Case:
    """One random run: rows ``first`` to ``last`` inclusive."""

    market: MarketData
    settings: EngineSettings
    orders: Orders
    first: int
    last: int


SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.fixed_dictionaries(
    {"coins": st.integers(1, 3), "exchanges": st.integers(2, 4), "hours": st.integers(20, 150)}
)
"""Of a random market."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Random runs; hypothesis shrinks the sizes, the seed names the rest."""
    return random_case(np.random.default_rng(draw(SEEDS)), **draw(SIZES))


def random_case(rng: Rng, coins: int = 2, exchanges: int = 3, hours: int = 100) -> Case:
    """A market with settings, orders and a window that mostly starts after the data does."""
    market = random_market(rng, coins, exchanges, hours)
    settings = random_settings(rng)
    first = int(rng.integers(0, hours // 2))
    last = hours - 1 if rng.random() < 0.7 else int(rng.integers(first + 1, hours))
    return Case(market, settings, random_orders(rng, market, settings), first, last)


def random_settings(rng: Rng) -> EngineSettings:
    """Settings that make protection, refusals and latency frequent; fees for every exchange of ``EXCHANGES``."""
    max_positions = int(rng.integers(1, 5))
    sizing: dict[str, Any] = [
        {},
        {"position_fraction": float(rng.uniform(0.1, 0.9))},
        {"position_size_usd": float(rng.uniform(5, 4_000))},
    ][_pick(rng, 0.6, 0.2, 0.2)]
    return EngineSettings(
        initial_capital_usd=float(rng.uniform(100, 20_000)),
        max_positions=max_positions,
        min_notional_usd=float(rng.choice([10.0, rng.uniform(1, 900)], p=[0.8, 0.2])),
        max_position_loss_pct=None if rng.random() < 0.15 else float(-rng.uniform(0.3, 4)),
        slippage_bps=float(rng.choice([0.0, 2.0, rng.uniform(0, 30)])),
        impact_coefficient=0.0 if rng.random() < 0.7 else float(rng.uniform(0, 0.1)),
        outage_slippage_bps=float(rng.choice([50.0, rng.uniform(0, 300)])),
        max_stale_hours=int(rng.integers(1, 8)),
        min_history_hours=int(rng.integers(1, 9)),
        latency_hours=int(rng.choice([0, 1, 2, 3], p=[0.5, 0.25, 0.15, 0.1])),
        fill_at="last_trade" if rng.random() < 0.15 else "next_trade",
        # The first of the two numbers was for a setting that is no more: seeds keep their markets.
        cost_multiple=1.0 if rng.random(2)[1] < 0.7 else float(rng.uniform(0, 4)),
        fees={exchange: _fee_rows(rng) for exchange in EXCHANGES},
        **_random_costs(rng.spawn(1)[0]),
        filters=FilterSettings(
            min_volume_24h_usd=float(rng.uniform(1e3, 1e6)) if rng.random() < 0.1 else None,
            max_bid_ask_spread=float(rng.uniform(0.001, 0.01)) if rng.random() < 0.1 else None,
        ),
        fit_to_free_margin=bool(rng.random() < 0.3),
        **sizing,
    )


def _random_costs(rng: Rng) -> dict[str, Any]:
    """Half of the time spreads by volume; dated rows for some exchanges, the others have those of ``elsewhere``.

    Drawn from a stream of its own, so that seeds keep their markets.
    """
    if rng.random() < 0.5:
        return {}
    named = [name for name in EXCHANGES if rng.random() < 0.6]
    return {"spread_model": "volume", "spreads": {name: _spread_rows(rng) for name in [*named, "elsewhere"]}}


def _spread_rows(rng: Rng) -> tuple[SpreadRow, ...]:
    days = rng.choice(np.arange(-4, 10), size=int(rng.integers(1, 4)), replace=False)
    return tuple(SpreadRow(since=FIRST_DAY + timedelta(days=int(day)), half_spread=_spread_bins(rng)) for day in days)


def _spread_bins(rng: Rng) -> tuple[SpreadBin, ...]:
    count = int(rng.integers(1, 5))
    floors = [0.0, *np.sort(10 ** rng.uniform(2, 7, count - 1)).tolist()]
    widths = np.sort(rng.uniform(0, 40, count))[::-1].tolist()
    return tuple(SpreadBin(from_usd=usd, bps=bps) for usd, bps in zip(floors, widths, strict=True))


def _fee_rows(rng: Rng) -> tuple[FeeRow, ...]:
    """One to four rows around the days of the market, in no order, rebates included."""
    days = rng.choice(np.arange(-4, 10), size=int(rng.integers(1, 5)), replace=False)
    return tuple(
        FeeRow(
            since=FIRST_DAY + timedelta(days=int(day)),
            maker=float(rng.uniform(-0.0002, 0.0004)),
            taker=float(rng.uniform(0.0002, 0.001)),
        )
        for day in days
    )


def random_orders(rng: Rng, market: MarketData, settings: EngineSettings) -> Orders:
    """Orders by row of decision: mostly sensible, several an hour at times, some impossible."""
    eager = rng.uniform(0.1, 0.7)
    orders: Orders = {}
    for t in range(len(market.hours)):
        if rng.random() < eager:
            count = 1 + int(rng.geometric(0.6))
            orders[t] = [_random_order(rng, market, settings) for _ in range(count)]
    return orders


def _random_order(rng: Rng, market: MarketData, settings: EngineSettings) -> Enter | Exit:
    if rng.random() < 0.25:
        beyond = settings.max_positions + (rng.random() < 0.1)
        return Exit(int(rng.integers(0, beyond)))
    if rng.random() < 0.04:
        exchange = str(rng.choice(EXCHANGES))
        return Enter(*[("DDDUSDT", *EXCHANGES[:2]), (COINS[0], exchange, exchange)][_pick(rng, 0.5, 0.5)])
    symbol = str(rng.choice(market.symbols))
    long_exchange, short_exchange = rng.choice(market.exchanges, size=2, replace=False)
    return Enter(symbol, str(long_exchange), str(short_exchange))


def random_market(rng: Rng, coins: int = 2, exchanges: int = 3, hours: int = 100) -> MarketData:
    """A market of up to ``coins * exchanges`` legs; see the functions below for what can befall a leg."""
    start = hour_of(datetime.combine(FIRST_DAY, datetime.min.time(), UTC)) + int(rng.integers(0, 48))
    listed = [
        (coin, exchange)
        for coin in range(coins)
        for exchange in range(exchanges)
        if exchange < 2 or rng.random() < 0.85
    ]
    coin_prices = [10 ** rng.uniform(-3, 4.5) * np.exp(np.cumsum(_returns(rng, hours))) for _ in range(coins)]
    legs = [_random_leg(rng, coin_prices[coin]) for coin, _ in listed]
    notices = np.array([_delisting(rng, start, hours) for _ in listed], np.int64)
    used = sorted({exchange for _, exchange in listed})
    arrays: dict[str, Any] = {name: np.array([leg[name] for leg in legs]) for name in legs[0]}
    return MarketData(
        hours=np.arange(start, start + hours, dtype=np.int64),
        symbols=COINS[:coins],
        exchanges=tuple(EXCHANGES[exchange] for exchange in used),
        leg_symbol=np.array([coin for coin, _ in listed], np.int64),
        leg_exchange=np.array([used.index(exchange) for _, exchange in listed], np.int64),
        **arrays,
        depth_usd=np.full((len(listed), hours), np.nan),
        funding_known_hour=_known_hours(rng, start, len(listed), hours) if rng.random() < 0.3 else None,
        delisting_hour=notices[:, 0],
        delisting_known_hour=notices[:, 1],
        settlement_grace_hours=_pick(rng, 0.7, 0.2, 0.1),
    )


def _random_leg(rng: Rng, coin_price: Floats) -> dict[str, Floats]:
    hours = len(coin_price)
    latent = coin_price * np.exp(_basis(rng, hours))
    dark = _dark_hours(rng, hours)
    rate, interval = _funding(rng, hours)
    volume = np.where(rng.random(hours) < 0.1, np.nan, 10 ** rng.uniform(4, 7) * rng.lognormal(size=hours))
    volume[rng.random(hours) < 0.01] = 0.0
    volume[: int(rng.integers(0, hours)) if rng.random() < 0.2 else 0] = np.nan
    spread = np.where(rng.random(hours) < 0.1, np.nan, rng.uniform(0, 0.008, hours))
    fill = latent * (1 + rng.normal(0, 0.001, hours))
    mark = latent * (1 + rng.normal(0, 0.001, hours))
    return {
        "price": np.where(dark, np.nan, latent),
        # The bar after a gap opens while the price of its first hour is not there yet.
        "fill_price": _sometimes_all(rng, 0.1, np.where(rng.random(hours) < np.where(dark, 0.7, 0.04), np.nan, fill)),
        "mark_price": _sometimes_all(rng, 0.3, np.where(rng.random(hours) < np.where(dark, 0.5, 0.05), np.nan, mark)),
        "funding_rate": _sometimes_all(rng, 0.03, rate),
        "funding_interval_hours": _as_stated(rng, interval, rate),
        "volume_24h_usd": _sometimes_all(rng, 0.1, volume),
        "bid_ask_spread": _sometimes_all(rng, 0.4, spread),
    }


def _returns(rng: Rng, hours: int) -> Floats:
    return rng.normal(0, 0.008, hours) + (rng.random(hours) < 0.02) * rng.normal(0, 0.08, hours)


def _basis(rng: Rng, hours: int) -> Floats:
    """Log difference of a leg from its coin: a slow walk with jumps that reach the stop-loss."""
    steps = rng.normal(0, 0.001, hours) + (rng.random(hours) < 0.015) * rng.normal(0, 0.04, hours)
    return np.asarray(np.cumsum(steps))


def _dark_hours(rng: Rng, hours: int) -> NDArray[np.bool_]:
    """Hours without a price: before a late listing, gaps of 1 to 12 hours, and for good after vanishing."""
    dark = np.zeros(hours, bool)
    for gap in np.flatnonzero(rng.random(hours) < rng.choice([0.0, 0.01, 0.04])):
        dark[gap : gap + int(rng.integers(1, 13))] = True
    if rng.random() < 0.15:
        dark[: int(rng.integers(0, hours // 2))] = True
    if rng.random() < 0.12:
        dark[int(rng.integers(0, hours)) :] = True
    return dark


def _funding(rng: Rng, hours: int) -> tuple[Floats, Floats]:
    """Settled rates by row, some missing, late, early or exactly zero; and the interval in force at each row."""
    rate, interval = np.full(hours, np.nan), np.empty(hours)
    current = int(rng.choice(INTERVALS))
    troubled, unsteady = rng.choice([0.0, 0.1, 0.3]), rng.choice([0.0, 0.02, 0.06])
    due = int(rng.integers(0, current))
    for t in range(hours):
        if rng.random() < unsteady:
            current = int(rng.choice(INTERVALS))
        interval[t] = current
        if t < due:
            continue
        due = t + current
        row = t if rng.random() >= troubled else _astray(rng, t)
        if row is not None and 0 <= row < hours:
            rate[row] = 0.0 if rng.random() < 0.08 else 0.0005 * rng.standard_t(3)
    return rate, interval


def _astray(rng: Rng, t: int) -> int | None:
    """Where a settlement due at ``t`` really lands: nowhere, some hours late, or early."""
    return [None, t + int(rng.integers(1, 5)), t - int(rng.integers(1, 4))][_pick(rng, 0.5, 0.35, 0.15)]


def _as_stated(rng: Rng, interval: Floats, rate: Floats) -> Floats:
    """What the source says about the interval: always, at settlements only, from some row on, wrongly, or never."""
    never = np.full(len(interval), np.nan)
    rows = np.arange(len(interval))
    return [
        interval,
        np.where(np.isnan(rate), np.nan, interval),
        np.where(rows < rng.integers(0, len(rows)), np.nan, interval),
        np.full(len(interval), float(rng.choice(INTERVALS))),
        never,
    ][_pick(rng, 0.35, 0.15, 0.1, 0.05, 0.35)]


def _known_hours(rng: Rng, start: int, legs: int, hours: int) -> NDArray[np.int64]:
    """When a settlement became known: up to three hours later, never out of order within a leg."""
    delays = rng.choice([0, 0, 0, 1, 1, 2, 3], size=(legs, hours))
    known = start + np.arange(hours) + np.where(rng.random((legs, 1)) < 0.3, 0, delays)
    return np.maximum.accumulate(known.astype(np.int64), axis=1)


def _delisting(rng: Rng, start: int, hours: int) -> tuple[int, int]:
    if rng.random() < 0.85:
        return NEVER, NEVER
    hour = start + int(rng.integers(1, hours + 5))
    return hour, hour - int(rng.integers(-4, 30))


def _sometimes_all(rng: Rng, chance: float, values: Floats) -> Floats:
    """All unknown with the chance, as of a source that does not have the column."""
    return np.full(len(values), np.nan) if rng.random() < chance else values


def _pick(rng: Rng, *chances: float) -> int:
    return int(rng.choice(len(chances), p=chances))


@st.composite
def margin_cases(draw: st.DrawFn) -> Case:
    """Random runs with margin by exchange or failing legs."""
    return random_margin_case(np.random.default_rng(draw(SEEDS)), **draw(SIZES))


def random_margin_case(rng: Rng, coins: int = 2, exchanges: int = 3, hours: int = 100) -> Case:
    """A random case whose wallets are tight: liquidations, transfers, limits and failing legs are frequent."""
    case = random_case(rng, coins, exchanges, hours)
    market = with_shocks(rng, case.market)
    given = with_margin(rng, case.settings, market)
    return Case(market, given, random_orders(rng, market, given), case.first, case.last)


def with_shocks(rng: Rng, market: MarketData) -> MarketData:
    """The market with jumps of whole coins, the same on all exchanges, up to doubling within an hour."""
    shape = (len(market.symbols), len(market.hours))
    jumps = (rng.random(shape) < rng.choice([0.0, 0.03, 0.1])) * rng.choice([0.1, 0.3, 0.7]) * rng.normal(0, 1, shape)
    factor = np.exp(np.clip(np.cumsum(np.clip(jumps, -0.7, 0.7), axis=1), -3, 3))[market.leg_symbol]
    changed: dict[str, Any] = {n: getattr(market, n) * factor for n in ("price", "fill_price", "mark_price")}
    return replace(market, **changed)


def with_margin(rng: Rng, settings: EngineSettings, market: MarketData, *, always: bool = False) -> EngineSettings:
    """The settings with margin by exchange (mostly) and failing legs (half of the time)."""
    changes: dict[str, Any] = {"leg_failure_seed": int(rng.integers(0, 1000))}
    if rng.random() < 0.5:
        changes["leg_failure_probability"] = float(rng.choice([0.05, 0.3, 0.7]))
    if always or rng.random() < 0.85:
        changes |= {"account": "by_exchange", "leverage": float(rng.choice([1.0, 2.0, 3.0, rng.uniform(1, 5)]))}
        changes["margin"] = random_margin(rng, market)
    if settings.position_size_usd is None:
        changes["position_fraction"] = float(rng.uniform(0.1, 0.6))
    if rng.random() < 0.5:
        changes |= {"filters": FilterSettings(), "impact_coefficient": 0.0, "initial_capital_usd": 10_000.0}
    if rng.random() < 0.6:
        changes["max_position_loss_pct"] = None
    return EngineSettings(**(settings.model_dump() | changes))


def random_margin(rng: Rng, market: MarketData) -> MarginSettings:
    """Equal or given wallets, one of them empty at times; strict maintenance, so that ordinary moves liquidate."""
    weights = rng.uniform(0.2, 1, len(market.exchanges)) * (rng.random(len(market.exchanges)) < 0.9)
    shares = weights / weights.sum() if weights.any() else np.full(len(weights), 1 / len(weights))
    given = rng.random() < 0.4
    largest = float(shares.max()) if given else 1 / len(shares)
    return MarginSettings(
        wallet_shares=dict(zip(market.exchanges, shares.tolist(), strict=True)) if given else None,
        maintenance_margin_rate=float(rng.choice([0.01, 0.05, rng.uniform(0.05, 0.6)])),
        liquidation_fee_rate=float(rng.choice([0.005, rng.uniform(0, 0.03)])),
        transfer_hours=int(rng.integers(1, 6)),
        transfer_cost_usd=float(rng.choice([1.0, rng.uniform(0, 20)])),
        rebalance_below=None if rng.random() < 0.3 else float(rng.uniform(0.2, 0.97)),
        max_exchange_share=None if rng.random() < 0.6 else float(largest + (1 - largest) * rng.uniform(0.0, 0.3)),
    )


@st.composite
def resting_cases(draw: st.DrawFn) -> Case:
    """Random runs of which orders rest."""
    return random_resting_case(np.random.default_rng(draw(SEEDS)), **draw(SIZES))


def random_resting_case(rng: Rng, coins: int = 2, exchanges: int = 3, hours: int = 100) -> Case:
    """A random case, with wallets or without, of which orders rest: filled, partly filled and missed."""
    make = random_margin_case if rng.random() < 0.4 else random_case
    case = make(rng, coins, exchanges, hours)
    market = with_bars(rng, case.market)
    return Case(market, resting(case.settings, random_maker(rng)), case.orders, case.first, case.last)


def resting(settings: EngineSettings, maker: MakerSettings) -> EngineSettings:
    """The settings with orders that rest."""
    return EngineSettings(**(settings.model_dump() | {"execution": "maker_then_hedge", "maker": maker}))


def random_maker(rng: Rng) -> MakerSettings:
    """Limits near and far, and shares of the turnover from next to nothing to all of it."""
    return MakerSettings(
        leg=str(rng.choice(["auto", "long", "short"], p=[0.7, 0.15, 0.15])),
        offset_bps=float(rng.choice([0.0, 2.0, rng.uniform(0, 100)])),
        through_bps=float(rng.choice([0.0, 1.0, rng.uniform(0, 50)])),
        volume_share=float(rng.choice([0.01, 10 ** rng.uniform(-4, 0)])),
        adverse_bps=float(rng.choice([1.0, rng.uniform(0, 20)])),
        hedge_bps=float(rng.choice([1.0, rng.uniform(0, 20)])),
        fallback="cancel" if rng.random() < 0.3 else "taker",
    )


def with_bars(rng: Rng, market: MarketData) -> MarketData:
    """The market with high and low of its bars, some unknown and some at odds with the fill; more is traded in it."""
    after = np.roll(market.price, -1, axis=1)
    after[:, -1] = np.nan
    reach = np.exp(np.abs(rng.normal(0, 0.006, (2, *market.price.shape))))
    high, low = np.fmax(market.fill_price, after) * reach[0], np.fmin(market.fill_price, after) / reach[1]
    for values in (high, low):
        values[rng.random(values.shape) < 0.03] = np.nan
    odd = rng.random(high.shape) < 0.02
    high[odd] = 0.99 * market.fill_price[odd]
    return replace(market, high=high, low=low, volume_24h_usd=market.volume_24h_usd * 10 ** rng.uniform(0, 4))


@st.composite
def instrument_cases(draw: st.DrawFn) -> Case:
    """Random runs on exchanges with rules of orders, takers and orders that rest."""
    return random_instrument_case(np.random.default_rng(draw(SEEDS)), **draw(SIZES))


def random_instrument_case(rng: Rng, coins: int = 2, exchanges: int = 3, hours: int = 100) -> Case:
    """A random case, mostly of orders that rest, with lots and minima near the sizes of its positions."""
    make = random_resting_case if rng.random() < 0.7 else random_margin_case if rng.random() < 0.5 else random_case
    case = make(rng, coins, exchanges, hours)
    capital, share = case.settings.initial_capital_usd, case.settings.maker.volume_share
    market = with_instruments(rng, case.market, near_usd=capital / 10)
    # About as much as a position is worth is traded beyond a limit, so that many are filled in part.
    volume = 24 * capital / share * 10 ** rng.uniform(-1, 1, market.price.shape)
    volume[np.isnan(market.volume_24h_usd)] = np.nan
    near = {"volume_24h_usd": volume, "bid_ask_spread": market.bid_ask_spread * 0.05}
    maker = case.settings.maker.model_copy(update={"offset_bps": 2.0, "through_bps": 1.0})
    given = case.settings.model_copy(update={"maker": maker, "spread_model": "fixed", "fill_at": "next_trade"})
    return replace(case, market=replace(market, **near), settings=given)


def with_instruments(rng: Rng, market: MarketData, near_usd: float) -> MarketData:
    """The market with up to three dated rows for most legs, some of their values unknown; lots up to ``near_usd``."""
    legs, hours = market.leg_symbol, market.hours
    known_prices = [prices[~np.isnan(prices)] for prices in market.price]
    level = np.array([np.median(prices) if len(prices) else 1.0 for prices in known_prices])
    dates = {
        leg: np.sort(rng.choice(np.arange(hours[0] - 20, hours[-1]), int(rng.integers(1, 4)), replace=False))
        for leg in range(len(legs))
        if rng.random() < 0.8
    } or {0: hours[:1]}
    rows = [(leg, int(since)) for leg, sinces in dates.items() for since in sinces]
    price = level[[leg for leg, _ in rows]]

    def known(values: Floats) -> Floats:
        return np.where(rng.random(len(rows)) < 0.15, np.nan, values)

    return replace(
        market,
        instruments=Instruments(
            leg=np.array([leg for leg, _ in rows], np.int64),
            since=np.array([since for _, since in rows], np.int64),
            tick=known(_steps(rng, price * 1e-5, (1, 5, 50))),
            lot=known(_steps(rng, near_usd / price * 10 ** rng.uniform(-4, 0.2, len(rows)), (1, 2, 5, 3))),
            min_notional_usd=known(rng.choice([5.0, 10.0, near_usd], len(rows), p=[0.5, 0.35, 0.15])),
            max_leverage=known(rng.choice([1.0, 2.0, 20.0], len(rows), p=[0.05, 0.2, 0.75])),
        ),
    )


def _steps(rng: Rng, near: Floats, digits: tuple[int, ...]) -> Floats:
    """Decimal steps of about these sizes."""
    powers = np.floor(np.log10(near)).astype(int)
    return np.array([float(f"{rng.choice(digits)}e{power}") for power in powers])


@st.composite
def book_cases(draw: st.DrawFn) -> Case:
    """Random runs with recorded order books, takers and orders that rest, with rules of orders or without."""
    return random_book_case(np.random.default_rng(draw(SEEDS)), **draw(SIZES))


def random_book_case(rng: Rng, coins: int = 2, exchanges: int = 3, hours: int = 100) -> Case:
    """A random case with books about as deep as its positions are large: walked, cut, too thin, and absent."""
    makers = (random_case, random_margin_case, random_resting_case, random_instrument_case)
    case = makers[_pick(rng, 0.4, 0.2, 0.2, 0.2)](rng, coins, exchanges, hours)
    market = with_books(rng, case.market, near_usd=case.settings.initial_capital_usd / 10)
    changes = {
        "max_walk_bps": [25.0, None, float(10 ** rng.uniform(0, 2.5))][_pick(rng, 0.4, 0.2, 0.4)],
        "impact_coefficient": 0.0 if rng.random() < 0.5 else float(rng.uniform(0, 0.1)),
        "order_books": "ignore" if rng.random() < 0.05 else "walk",
    }
    return replace(case, market=market, settings=case.settings.model_copy(update=changes))


def with_books(rng: Rng, market: MarketData, near_usd: float, share: float = 0.7) -> MarketData:
    """The market with books at a ``share`` of the hours that have a price, of one level to eight on each side."""
    seen = []
    for leg, t in zip(*np.nonzero(~np.isnan(market.price)), strict=True):
        if rng.random() >= share:
            continue
        mid = market.price[leg, t] * (1 + rng.normal(0, 0.001))
        bids, asks = (_side_of_book(rng, mid, sign, near_usd / mid) for sign in (-1, 1))
        seen.append(SeenBook(int(leg), int(market.hours[t]), bids, asks))
    return replace(market, order_books=OrderBooks.of(seen))


def _side_of_book(rng: Rng, mid: float, sign: int, near: float) -> list[tuple[float, float]]:
    count = int(rng.integers(1, 9))
    distances = np.cumsum(10 ** rng.uniform(-6, -2.7, count))
    quantities = near * 10 ** rng.uniform(-1.5, 1, count)
    return list(zip((mid * (1 + sign * distances)).tolist(), quantities.tolist(), strict=True))
