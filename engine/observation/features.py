"""The one feature builder: what is known about every directed pair at an hour (docs/design.md section 5).

``build_tables`` computes window statistics once for a market; ``feature_matrix`` puts the features of one hour
together from them, and ``daily_net_features`` those that are computed on request. Every window is computed from its
own rows alone, newest first, so that a shorter history gives the same bits as a longer one: live and backtest agree
exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from engine.accounting.tape import Tape, TapeArrays
from engine.compiled import compiled, hourly
from engine.market.carried import carry_forward
from engine.market.data import Floats, Ints
from engine.market.schedule import ACTUAL

FEATURES: dict[str, str] = {
    "long_funding_rate": "last settled rate of the long leg, % of notional per settlement",
    "short_funding_rate": "last settled rate of the short leg, % of notional per settlement",
    "long_interval_8h": "funding interval of the long leg / 8 h",
    "short_interval_8h": "funding interval of the short leg / 8 h",
    "fund_profit_8h": "daily net of the last settled rates / 3, %",
    "fundProfit8h24hProj": "net of the rates settled in 24 h, per 8 h, %",
    "fundProfit8h3dProj": "net of the rates settled in 72 h, per 8 h, %",
    "fund_apr": "daily net of the last settled rates * 365, %",
    "fundApr24hProj": "net of the rates settled in 24 h, per year, %",
    "fundApr3dProj": "net of the rates settled in 72 h, per year, %",
    "spread30SampleAvg": "mean of the last 30 hourly spreads, fraction",
    "priceSpread24hAvg": "mean spread over 24 h, fraction",
    "priceSpread3dAvg": "mean spread over 72 h, fraction",
    "spread_volatility_stddev": "population standard deviation of the last 30 hourly spreads, fraction",
    "log_volume_24h": "log10 of the worse 24 h volume, USD",
    "bidAskSpreadPercent": "the wider quoted spread, %; where one leg has none, the other's",
    "log_orderbookDepthUsd": "log10 of the worse depth, USD",
    "estimatedProfitPercentage": "fund_apr",
    "positionCostPercent": "fees of the four fills, % of notional per leg",
    "spread30_minus_24h": "spread30SampleAvg - priceSpread24hAvg",
    "apr_minus_apr24h": "fund_apr - fundApr24hProj",
    "apr24h_minus_apr3d": "fundApr24hProj - fundApr3dProj",
    "volume_24h": "the worse 24 h volume of the two legs, USD; unknown when one of them is",
    "orderbookDepthUsd": "the worse depth of the two legs, USD; unknown when one of them is",
    "spread": "(P_short - P_long) / P_long, fraction",
    "spread8hAvg": "mean spread over 8 h, fraction",
    "net_funding_24h_bps": "net of the rates settled in 24 h, basis points per day",
    "net_funding_72h_bps": "net of the rates settled in 72 h, basis points per day",
    "net_funding_168h_bps": "net of the rates settled in 168 h (or since listing), basis points per day",
}
"""Every feature by name with its unit. "Net" is short minus long: positive is what the position earns."""

COLUMN = {name: i for i, name in enumerate(FEATURES)}
DAYS = 7
ON_REQUEST: dict[str, str] = {
    "net_funding_7d_daily_sd_bps": "population standard deviation of the last seven daily nets, basis points per day",
    "net_funding_7d_daily_lowest_bps": "lowest of the last seven daily nets, basis points per day",
}
"""Features that are computed when somebody asks for them: they are no columns of the matrix and cost nothing before.

A daily net is that of the rates settled in the 24 h that end at t, in the 24 h before these, and so on. Only days that
both legs have whole count, at most seven; with fewer than two both features are unknown."""
HISTORY_HOURS = 168
"""The longest window of any feature."""

RECORDED_NAMES = {
    "long_funding_interval_hours": "long_interval_8h",
    "short_funding_interval_hours": "short_interval_8h",
}
"""Recorded columns whose feature has another name; they are divided by 8."""


class Tables(NamedTuple):
    """Window statistics by hour: per-leg arrays ``[hours, legs]``, per-pair arrays ``[hours, pairs]``."""

    rate: Floats  # last settled rate, decimal
    interval: Floats  # hours
    daily_24h: Floats  # rates booked in the window per day of it, decimal; a younger leg counts the days it has
    daily_72h: Floats
    daily_168h: Floats
    volume: Floats
    bid_ask: Floats
    depth: Floats
    fee_rate: Floats
    spread: Floats
    spread_8h: Floats
    spread_24h: Floats
    spread_30h: Floats
    spread_72h: Floats
    spread_std: Floats


@njit(cache=True)
def _daily_rates(booked: Floats, first: Ints, since: int, out24: Floats, out72: Floats, out168: Floats) -> None:
    """Booked rates per day over the last 24, 72 and 168 clock hours (or since ``first``), ``[hours, legs]``.

    Those of 24 hours also of the rows before ``since`` that days of the last week end at.
    """
    for leg in range(booked.shape[0]):
        for t in range(max(0, since - 24 * (DAYS - 1)), booked.shape[1]):
            age = t - first[leg] + 1
            # Summed anew for each hour: a running sum keeps the rounding of rows that have left it, so that live, which
            # begins later, would differ from a backtest in the last bit.
            total, n = 0.0, 0
            for hours, out in ((24, out24), (72, out72), (168, out168)):
                while n < min(hours, age):
                    total += booked[leg, t - n]
                    n += 1
                out[t, leg] = total / (n / 24) if n > 0 else np.nan
                if t < since:
                    break


@hourly
def _deviation(row: Floats, t: int, n: int, mean: float) -> float:
    """Population standard deviation of the last n values up to t."""
    squares = 0.0
    for k in range(n):
        squares += (row[t - k] - mean) ** 2
    return float(np.sqrt(squares / n)) if n > 0 else np.nan


@compiled
def _spread_windows(long_price: Floats, short_price: Floats, pair: int, since: int, tables: Tables) -> None:
    """Spread of one pair and its window statistics, from carried prices."""
    row = (short_price - long_price) / long_price
    for t in range(since, row.shape[0]):
        tables.spread[t, pair] = row[t]
        total, n, known = 0.0, 0, True
        for hours, means in (
            (8, tables.spread_8h),
            (24, tables.spread_24h),
            (30, tables.spread_30h),
            (72, tables.spread_72h),
        ):
            while known and n < hours:
                known = n <= t and not np.isnan(row[t - n])
                if known:
                    total += row[t - n]
                    n += 1
            means[t, pair] = total / n if n > 0 else np.nan
        tables.spread_std[t, pair] = _deviation(row, t, min(n, 30), tables.spread_30h[t, pair])


@compiled
def _all_spread_windows(price: Floats, long_leg: Ints, short_leg: Ints, since: int, tables: Tables) -> None:
    for pair in range(long_leg.shape[0]):
        _spread_windows(price[long_leg[pair]], price[short_leg[pair]], pair, since, tables)


def booked_rates(tape: Tape) -> Floats:
    """Sum of the settled rates booked on each leg and hour ``[legs, hours]``, decimal; what is assumed is no rate."""
    counts, bookings = tape.settlements.counts, tape.settlements.bookings
    booked, actual = np.zeros(counts.size), bookings["kind"] == ACTUAL
    # At the row where it became known, not at that of its instant: a late one would be seen too early.
    np.add.at(booked, np.repeat(np.arange(counts.size), counts.ravel())[actual], bookings["rate"][actual])
    return booked.reshape(counts.shape)


def build_tables(tape: Tape, since: int = 0) -> Tables:
    """Window statistics of every leg, pair and hour of a tape.

    Rows before ``since`` are left undefined, but for ``daily_24h`` of the six days before it.
    """
    quotes, market, pairs = tape.arrays.quotes, tape.market, tape.pairs
    legs, couples = (tape.hours, market.legs), (tape.hours, len(pairs))

    def by_hour(values: Floats) -> Floats:
        return np.ascontiguousarray(values.T, dtype=np.float64)

    tables = Tables(
        rate=by_hour(tape.settlements.last_rate),
        interval=by_hour(tape.settlements.interval_hours),
        daily_24h=np.empty(legs),
        daily_72h=np.empty(legs),
        daily_168h=np.empty(legs),
        volume=by_hour(carry_forward(market.volume_24h_usd, tape.before.legs["volume"])),
        bid_ask=by_hour(market.bid_ask_spread),
        depth=by_hour(market.depth_usd),
        fee_rate=by_hour(quotes["fee_rate"]),
        spread=np.empty(couples),
        spread_8h=np.empty(couples),
        spread_24h=np.empty(couples),
        spread_30h=np.empty(couples),
        spread_72h=np.empty(couples),
        spread_std=np.empty(couples),
    )
    has_price = ~np.isnan(quotes["price"])
    first = np.where(has_price.any(axis=1), has_price.argmax(axis=1), tape.hours)
    # A leg that is older than the window is as old as it is: its first price lies before row 0.
    first = np.minimum(first, tape.before.legs["first"])
    _daily_rates(booked_rates(tape), first, since, tables.daily_24h, tables.daily_72h, tables.daily_168h)
    _all_spread_windows(np.ascontiguousarray(quotes["price"]), pairs.long_leg, pairs.short_leg, since, tables)
    return tables


@hourly
def _log10(value: float) -> float:
    return float(np.log10(value)) if value > 0 else np.nan


@hourly
def pair_features(tape: TapeArrays, tables: Tables, p: int, t: int, row: Floats) -> None:
    """Features of pair p at row t into ``row`` ``[features]``, in the order of ``FEATURES``."""
    lo, sh = tape.pairs[p].long, tape.pairs[p].short
    long_rate, short_rate = 100 * tables.rate[t, lo], 100 * tables.rate[t, sh]
    # Per day: the same rate paid every hour is eight times what it is every 8 h.
    daily = short_rate * 24 / tables.interval[t, sh] - long_rate * 24 / tables.interval[t, lo]
    daily_24h = 100 * (tables.daily_24h[t, sh] - tables.daily_24h[t, lo])
    daily_72h = 100 * (tables.daily_72h[t, sh] - tables.daily_72h[t, lo])
    daily_168h = 100 * (tables.daily_168h[t, sh] - tables.daily_168h[t, lo])
    # Builtin min and max would give nan in one direction of a pair and a number in the other.
    volume = np.minimum(tables.volume[t, lo], tables.volume[t, sh])
    depth = np.minimum(tables.depth[t, lo], tables.depth[t, sh])
    row[0], row[1] = long_rate, short_rate
    row[2], row[3] = tables.interval[t, lo] / 8, tables.interval[t, sh] / 8
    row[4], row[5], row[6] = daily / 3, daily_24h / 3, daily_72h / 3
    row[7], row[8], row[9] = daily * 365, daily_24h * 365, daily_72h * 365
    row[10], row[11], row[12] = tables.spread_30h[t, p], tables.spread_24h[t, p], tables.spread_72h[t, p]
    row[13] = tables.spread_std[t, p]
    row[14] = _log10(volume)
    row[15] = 100 * np.fmax(tables.bid_ask[t, lo], tables.bid_ask[t, sh])
    row[16] = _log10(depth)
    row[17] = row[7]
    # Each leg is filled twice, and rates are fractions.
    row[18] = 200 * (tables.fee_rate[t, lo] + tables.fee_rate[t, sh])
    row[19] = row[10] - row[11]
    row[20], row[21] = row[7] - row[8], row[8] - row[9]
    row[22], row[23] = volume, depth
    row[24], row[25] = tables.spread[t, p], tables.spread_8h[t, p]
    row[26], row[27], row[28] = 100 * daily_24h, 100 * daily_72h, 100 * daily_168h


@compiled
def feature_matrix(tape: TapeArrays, tables: Tables, t: int, out: Floats) -> None:
    """Features of every pair at row t into ``out`` ``[pairs, features]``, columns in the order of ``FEATURES``."""
    for p in range(tape.pairs.shape[0]):
        pair_features(tape, tables, p, t, out[p])


@hourly
def whole_days(tape: TapeArrays, tables: Tables, leg: int, t: int, out: Floats) -> int:
    """Rates booked in each of the last days, newest first, into ``out`` ``[DAYS]``; returns how many are whole."""
    for day in range(DAYS):
        newest = t - 24 * day
        # Prices are carried forward: where the first row of a day has one, the leg has the whole day.
        if newest < 23 or np.isnan(tape.quotes[leg, newest - 23].price):
            return day
        out[day] = tables.daily_24h[newest, leg]
    return DAYS


@hourly
def daily_net_spread(rates: Floats, long: int, short: int, days: int, nets: Floats) -> tuple[float, float]:
    """Deviation and lowest of the daily nets of two rows of ``rates`` ``[legs, DAYS]``; nan of fewer than two days.

    ``nets`` ``[DAYS]`` is room to reckon in.
    """
    if days < 2:
        return np.nan, np.nan
    total, lowest = 0.0, np.inf
    for day in range(days):
        nets[day] = 1e4 * (rates[short, day] - rates[long, day])
        total += nets[day]
        lowest = min(lowest, nets[day])
    return _deviation(nets, days - 1, days, total / days), lowest


@compiled
def daily_net_features(tape: TapeArrays, tables: Tables, t: int, out: Floats) -> None:
    """The features of ``ON_REQUEST`` of every pair at row t into ``out`` ``[pairs, 2]``, in their order."""
    legs = tape.quotes.shape[0]
    rates, days = np.empty((legs, DAYS)), np.empty(legs, np.int64)
    for leg in range(legs):
        days[leg] = whole_days(tape, tables, leg, t, rates[leg])
    nets = np.empty(DAYS)
    for p in range(tape.pairs.shape[0]):
        lo, sh = tape.pairs[p].long, tape.pairs[p].short
        out[p, 0], out[p, 1] = daily_net_spread(rates, lo, sh, min(days[lo], days[sh]), nets)
