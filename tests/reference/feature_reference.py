"""Features of docs/design.md section 5 a second time: pandas over the raw market, one pair at a time.

Nothing of ``engine.observation.features`` or the tape is used. Which settlements are booked at which hour comes from
``reference_legs``, the slow second implementation of the settlement rules.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
from reference_legs import LegHistory

from engine.market.data import MarketData
from engine.settings import EngineSettings, fee_rate
from engine.windows import time_of


class LegSeries:
    """One leg as hourly series."""

    def __init__(self, market: MarketData, leg: int, settings: EngineSettings) -> None:
        self._market, self._leg, self._settings = market, leg, settings
        self._history = LegHistory(market, leg, settings.max_stale_hours)
        self.price = pd.Series(market.price[leg]).ffill()
        self.volume = pd.Series(market.volume_24h_usd[leg]).ffill()
        self.bid_ask = pd.Series(market.bid_ask_spread[leg])
        self.depth = pd.Series(market.depth_usd[leg])

    @cached_property
    def actuals(self) -> list[tuple[int, int, float]]:
        """(row known, row settled, rate) of every actual settlement, as they became known."""
        market, leg = self._market, self._leg
        start = int(market.hours[0])
        known = market.funding_known_hour
        found = [
            (s if known is None else max(s, int(known[leg, s]) - start), s, float(rate))
            for s, rate in enumerate(market.funding_rate[leg])
            if not np.isnan(rate)
        ]
        return sorted(found)

    def rate(self, t: int) -> float:
        """The settled rate of the latest settlement known at t."""
        known = [(s, rate) for row, s, rate in self.actuals if row <= t]
        return max(known)[1] if known else np.nan

    def interval(self, t: int) -> float:
        """The interval as stated, else as the gaps between settlements show it."""
        stated = self._market.funding_interval_hours[self._leg, : t + 1]
        if not np.isnan(stated).all():
            return float(stated[~np.isnan(stated)][-1])
        believed, doubtful, last = np.nan, np.nan, None
        for row, s, _ in self.actuals:
            if row > t or (last is not None and s <= last):
                continue
            if last is not None:
                gap = s - last
                sure = np.isnan(believed) or gap <= believed or gap == doubtful
                believed, doubtful = (gap, np.nan) if sure else (believed, gap)
            last = s
        return believed

    @cached_property
    def booked(self) -> pd.Series:
        """Sum of the settled rates booked at each hour from the leg's first price on, nan before."""
        booked = pd.Series(0.0, index=self.price.index)
        for t, bookings in self._history.bookings.items():
            booked[t] = sum(float(booking.rate) for booking in bookings if booking.kind == "actual")
        return booked.where(self.price.notna())

    def daily(self, t: int, hours: int) -> float:
        """Booked rates a day over the window, or over the hours that the leg has."""
        window = self.booked.iloc[max(0, t + 1 - hours) : t + 1].dropna()
        return float(window.sum() / (len(window) / 24)) if len(window) else np.nan

    def whole_days(self, t: int) -> list[float]:
        """Sums of the booked rates of the last seven days, newest first, as far as the leg has them whole."""
        days = [self.booked.iloc[max(0, end - 24) : end] for end in range(t + 1, t + 1 - 7 * 24, -24) if end > 0]
        whole = [len(day) == 24 and bool(day.notna().all()) for day in days]
        first_gap = whole.index(False) if False in whole else len(whole)
        return [float(day.sum()) for day in days[:first_gap]]

    def fee(self, t: int) -> float:
        exchange = self._market.leg_name(self._leg)[1]
        rows, time = self._settings.fees[exchange], time_of(int(self._market.hours[t]))
        return fee_rate(rows, "taker", time) * self._settings.cost_multiple


def _wider(one: float, two: float) -> float:
    known = [spread for spread in (one, two) if not np.isnan(spread)]
    return max(known, default=np.nan)


def log10(value: float) -> float:
    return float(np.log10(value)) if value > 0 else np.nan


def expected_features(long: LegSeries, short: LegSeries, t: int) -> dict[str, float]:
    """Every feature of one directed pair at row t."""
    spreads = ((short.price - long.price) / long.price).iloc[: t + 1].dropna()

    def mean(hours: int) -> float:
        return float(spreads.iloc[-hours:].mean())

    def projected(hours: int) -> float:
        return 100 * (short.daily(t, hours) - long.daily(t, hours))

    daily = 100 * (24 / short.interval(t) * short.rate(t) - 24 / long.interval(t) * long.rate(t))
    volume = float(np.min([long.volume[t], short.volume[t]]))
    depth = float(np.min([long.depth[t], short.depth[t]]))
    return {
        "long_funding_rate": 100 * long.rate(t),
        "short_funding_rate": 100 * short.rate(t),
        "long_interval_8h": long.interval(t) / 8,
        "short_interval_8h": short.interval(t) / 8,
        "fund_profit_8h": daily / 3,
        "fundProfit8h24hProj": projected(24) / 3,
        "fundProfit8h3dProj": projected(72) / 3,
        "fund_apr": daily * 365,
        "fundApr24hProj": projected(24) * 365,
        "fundApr3dProj": projected(72) * 365,
        "spread30SampleAvg": mean(30),
        "priceSpread24hAvg": mean(24),
        "priceSpread3dAvg": mean(72),
        "spread_volatility_stddev": float(spreads.iloc[-30:].std(ddof=0)),
        "log_volume_24h": log10(volume),
        "bidAskSpreadPercent": 100 * _wider(long.bid_ask[t], short.bid_ask[t]),
        "log_orderbookDepthUsd": log10(depth),
        "estimatedProfitPercentage": daily * 365,
        "positionCostPercent": 100 * (2 * long.fee(t) + 2 * short.fee(t)),
        "spread30_minus_24h": mean(30) - mean(24),
        "apr_minus_apr24h": daily * 365 - projected(24) * 365,
        "apr24h_minus_apr3d": projected(24) * 365 - projected(72) * 365,
        "volume_24h": volume,
        "orderbookDepthUsd": depth,
        "spread": mean(1),
        "spread8hAvg": mean(8),
        "net_funding_24h_bps": 100 * projected(24),
        "net_funding_72h_bps": 100 * projected(72),
        "net_funding_168h_bps": 100 * projected(168),
    }


def expected_on_request(long: LegSeries, short: LegSeries, t: int) -> dict[str, float]:
    """The features that are computed on request, of one directed pair at row t."""
    nets = [1e4 * (paid - owed) for paid, owed in zip(short.whole_days(t), long.whole_days(t), strict=False)]
    known = len(nets) >= 2
    return {
        "net_funding_7d_daily_sd_bps": float(np.std(nets)) if known else np.nan,
        "net_funding_7d_daily_lowest_bps": min(nets) if known else np.nan,
    }
