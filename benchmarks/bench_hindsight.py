"""Perfect hindsight over a year of 200 pairs: the exact optimum of one slot, and its persistent form, medians.

Takers and orders that rest. Prices and funding are random (the market of ``bench_backtest`` with twice the coins, and
bars of which an order is filled for some sizes only), so there is always something to win and the search has as much to
weigh as it can get. Compiling is done before the clock starts.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from datetime import date

import numpy as np
from bench_backtest import make_market

from engine.accounting.tape import Tape, prepare
from engine.analysis.hindsight import best_plan, fixed_size
from engine.market.data import MarketData
from engine.settings import EngineSettings, Execution, FeeRow

COINS, ROUNDS, LIMIT_SECONDS = 100, 3, 10.0
EXECUTIONS: tuple[Execution, ...] = ("taker", "maker_then_hedge")


def with_bars(market: MarketData) -> MarketData:
    """High and low about 30 bps beyond the first trade."""
    reach = np.abs(np.random.default_rng(2).normal(0, 0.003, (2, *market.price.shape)))
    return replace(market, high=market.fill_price * (1 + reach[0]), low=market.fill_price * (1 - reach[1]))


def make_tape(market: MarketData, execution: Execution) -> Tape:
    """A year, 100 coins on two exchanges: 200 directed pairs; one slot with all capital."""
    row = (FeeRow(since=date(2020, 1, 1), maker=0.0002, taker=0.0005),)
    settings = EngineSettings(max_positions=1, fees={"binanceusdm": row, "bybit": row}, execution=execution)
    return fixed_size(prepare(market, settings))


def main() -> int:
    """Print the medians; 1 when the limit is passed."""
    market = with_bars(make_market(COINS))
    last, too_slow = len(market.hours) - 1, False
    for execution in EXECUTIONS:
        tape = make_tape(market, execution)
        for persistent in (False, True):
            best_plan(tape, 0, 400, persistent=persistent)
        for persistent in (False, True):
            seconds = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                plan = best_plan(tape, 0, last, persistent=persistent)
                seconds.append(time.perf_counter() - began)
            middle = statistics.median(seconds)
            too_slow |= middle > LIMIT_SECONDS
            name = f"{execution}, {'persistent' if persistent else 'at once'}"
            print(f"{name}: {len(tape.pairs)} pairs x {last + 1} h in {middle:.2f} s, {len(plan.trades)} trades")
    print(f"limit {LIMIT_SECONDS:g} s")
    return int(too_slow)


if __name__ == "__main__":
    sys.exit(main())
