"""How fast data sets load: 175 coins on 2 exchanges over 60 days, cold and cached, each in a fresh interpreter.

Run by hand: ``python benchmarks/bench_load.py``. Targets: 3 s cold, 0.3 s cached. Cold means that the arrays are not
cached; the files themselves may be in the memory of the operating system. Starting Python and importing the loader
are left out; reading cold imports pandas and pyarrow, and that is counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from adapters.datasets.arrays import market_of
from adapters.datasets.layout import DatasetInfo
from adapters.datasets.load import load_dataset
from adapters.datasets.write import coin_table, write_dataset
from engine.market.data import MarketData
from engine.windows import hour_of, time_of

COINS, EXCHANGES, HOURS = 175, ("binanceusdm", "bybit"), 60 * 24
RUNS = 3
PROGRAM = """
import sys, time
from pathlib import Path
from adapters.datasets.load import load_dataset
start, cpu = time.perf_counter(), time.process_time()
load_dataset(Path(sys.argv[1]))
print(time.perf_counter() - start, time.process_time() - cpu)
"""


def big_market() -> MarketData:
    rng = np.random.default_rng(1)
    first = hour_of(datetime.fromisoformat("2024-05-01T00:00Z"))
    shape = (COINS * len(EXCHANGES), HOURS)
    path = np.cumsum(rng.normal(0, 0.01, (COINS, HOURS)), axis=1)
    price = 100 * np.exp(np.repeat(path, len(EXCHANGES), axis=0) + rng.normal(0, 3e-4, shape))
    settles = np.arange(HOURS) % 8 == 0
    kinds = {
        "price": price,
        "fill_price": price * (1 + rng.normal(0, 1e-4, shape)),
        "funding_rate": np.where(settles, rng.normal(0, 1e-4, shape), np.nan),
        "funding_interval_hours": np.where(settles, 8.0, np.nan) + np.zeros(shape),
        "volume_24h_usd": rng.uniform(1e6, 1e9, shape),
    }
    legs = np.divmod(np.arange(shape[0]), len(EXCHANGES))
    symbols = [f"C{i:03}USDT" for i in range(COINS)]
    return market_of(kinds, hours=np.arange(first, first + HOURS), legs=legs, symbols=symbols, exchanges=EXCHANGES)


def write_older_csv(market: MarketData, folder: Path) -> None:
    """The same market as older files: CSV, without fill prices, with recorded opportunities."""
    (folder / "price_history").mkdir(parents=True)
    for symbol in market.symbols:
        frame = coin_table(market, symbol).to_pandas()
        kept = [name for name in frame if not name.endswith(("fill_price", "interval_hours", "usd"))]
        frame[kept].fillna(0.0).to_csv(folder / "price_history" / f"{symbol}.csv", index=False)
    rng = np.random.default_rng(2)
    rows = 300_000
    long_first = rng.integers(0, 2, rows)
    pd.DataFrame(
        {
            "entry_time": [time_of(int(market.hours[h])) - timedelta(minutes=9) for h in rng.integers(0, HOURS, rows)],
            "symbol": np.array(market.symbols)[rng.integers(0, COINS, rows)],
            "long_exchange": np.array(EXCHANGES)[long_first],
            "short_exchange": np.array(EXCHANGES)[1 - long_first],
            **{name: rng.normal(0, 1, rows) for name in ("fund_apr", "fund_profit_8h", "spread30SampleAvg")},
        }
    ).to_parquet(folder / "opportunities.parquet")


def seconds(dataset: Path, cache: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one load in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(dataset)],
        env=os.environ | {"ARB_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    wall, cpu = done.stdout.split()
    return float(wall), float(cpu)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        market = big_market()
        first, last = time_of(int(market.hours[0])), time_of(int(market.hours[-1]))
        info = DatasetInfo(
            name="bench", source="random", exchanges=EXCHANGES, first_hour=first, last_hour=last, how_made="bench_load"
        )
        write_dataset(market, folder / "parquet", info)
        write_older_csv(market, folder / "older")
        for name in ("parquet", "older"):
            cold = min(seconds(folder / name, folder / f"cache-{name}-{run}") for run in range(RUNS))
            cached = min(seconds(folder / name, folder / f"cache-{name}-0") for _ in range(RUNS))
            legs = load_dataset(folder / name, cache=False).market.legs
            print(
                f"{name:<8} {legs} legs x {HOURS} h: cold {cold[0]:.2f} s, {cold[1]:.2f} s of CPU (target 3 s); "
                f"cached {cached[0]:.3f} s, {cached[1]:.3f} s of CPU (target 0.3 s)"
            )


if __name__ == "__main__":
    main()
