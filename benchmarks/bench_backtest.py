"""A year of 50 coins with a Python strategy: arb against backtrader, interleaved in one run, medians.

A bar is one hour of one leg (a coin on an exchange): 50 coins on 2 exchanges are 100 feeds. Both sides run the same
rule: once a day enter the best pair by trailing funding, leave when it is gone. backtrader gets a shorter span,
since its speed does not depend on the length.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import backtrader as bt
import numpy as np
import pandas as pd

from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.market.data import MarketData
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Enter, Exit, Order, View
from engine.settings import EngineSettings, FeeRow

COINS, EXCHANGES, HOURS, BACKTRADER_HOURS, ROUNDS = 50, ("binanceusdm", "bybit"), 8760, 400, 5
FIRST_HOUR = 473_352  # 2024-01-01T00:00Z


def make_market(coins: int = COINS) -> MarketData:
    """Random walks with a basis between the exchanges and funding every 8 hours."""
    rng = np.random.default_rng(1)
    legs = coins * len(EXCHANGES)
    coin = np.repeat(np.exp(np.cumsum(rng.normal(0, 0.01, (coins, HOURS)), axis=1)) * 100, len(EXCHANGES), axis=0)
    price = coin * (1 + rng.normal(0, 0.0005, (legs, HOURS)))
    rate = np.full((legs, HOURS), np.nan)
    rate[:, ::8] = rng.normal(0, 0.0005, (legs, len(range(0, HOURS, 8))))
    unknown = np.full((legs, HOURS), np.nan)
    return MarketData(
        hours=np.arange(FIRST_HOUR, FIRST_HOUR + HOURS),
        symbols=tuple(f"C{i:02d}USDT" for i in range(coins)),
        exchanges=EXCHANGES,
        leg_symbol=np.repeat(np.arange(coins), len(EXCHANGES)),
        leg_exchange=np.tile(np.arange(len(EXCHANGES)), coins),
        price=price,
        fill_price=price * (1 + rng.normal(0, 0.0001, (legs, HOURS))),
        mark_price=unknown,
        funding_rate=rate,
        funding_interval_hours=np.where(np.isnan(rate), np.nan, 8.0),
        volume_24h_usd=np.full((legs, HOURS), 1e8),
        bid_ask_spread=unknown,
        depth_usd=unknown,
    )


class DailyCarry:
    """Once a day: leave pairs that no longer pay, enter the one that pays most."""

    def decide(self, view: View) -> Sequence[Order]:
        if view.time.hour:
            return ()
        net = view.feature("net_funding_168h_bps")
        orders: list[Order] = [Exit(position.slot) for position in view.positions if net[position.pair] < 0]
        best = int(np.nanargmax(np.where(view.offered, net, np.nan))) if view.offered.any() else -1
        return [*orders, Enter(best)] if best >= 0 else orders


class BacktraderCarry(bt.Strategy):  # type: ignore[misc]  # backtrader is untyped
    """The same decision rhythm and bookkeeping load in backtrader: daily ranking, two legs a position."""

    def __init__(self) -> None:
        self.hour = 0

    def next(self) -> None:
        self.hour += 1
        if self.hour % 24:
            return
        net = [self.datas[i + 1].openinterest[0] - self.datas[i].openinterest[0] for i in range(0, len(self.datas), 2)]
        best = int(np.argmax(net))
        self.buy(data=self.datas[2 * best], size=1)
        self.sell(data=self.datas[2 * best + 1], size=1)


def backtrader_seconds(market: MarketData) -> float:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.addstrategy(BacktraderCarry)
    index = pd.date_range("2024-01-01", periods=BACKTRADER_HOURS, freq="h")
    for leg in range(market.legs):
        close = market.price[leg, :BACKTRADER_HOURS]
        rate = np.nan_to_num(market.funding_rate[leg, :BACKTRADER_HOURS])
        frame = pd.DataFrame(
            {"open": close, "high": close, "low": close, "close": close, "volume": 1.0, "openinterest": rate}, index
        )
        cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    start = time.perf_counter()
    cerebro.run()
    return time.perf_counter() - start


def arb_seconds(builder: OpportunityBuilder) -> float:
    start = time.perf_counter()
    run_backtest(builder, DailyCarry(), 0, HOURS - 1)
    return time.perf_counter() - start


def help_seconds() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "adapters.cli", "--help"], capture_output=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    market = make_market()
    fees = {
        name: (FeeRow.model_validate({"since": "2024-01-01", "maker": 0.0002, "taker": 0.0005}),) for name in EXCHANGES
    }
    start = time.perf_counter()
    builder = OpportunityBuilder(prepare(market, EngineSettings(fees=fees)))
    arb_seconds(builder)
    print(f"first preparation and run, compilation included: {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    builder = OpportunityBuilder(prepare(market, EngineSettings(fees=fees)))
    print(f"preparation of {market.legs} legs x {HOURS} h: {time.perf_counter() - start:.2f} s")
    ours, theirs, helps = [], [], []
    for _ in range(ROUNDS):
        ours.append(market.legs * HOURS / arb_seconds(builder))
        theirs.append(market.legs * BACKTRADER_HOURS / backtrader_seconds(market))
        helps.append(help_seconds())
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"arb        {statistics.median(ours):>12,.0f} bars/s  ({market.legs * HOURS:,} bars)")
    print(f"backtrader {statistics.median(theirs):>12,.0f} bars/s  ({market.legs * BACKTRADER_HOURS:,} bars)")
    print(f"ratio      {ratio:>12,.0f} x       (target: 100)")
    print(f"arb --help {statistics.median(helps):>12.3f} s       (target: 0.5)")


if __name__ == "__main__":
    main()
