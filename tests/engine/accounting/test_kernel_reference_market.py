"""The kernel against the slow second implementation on real data: coins with silent weeks and interval changes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from market_strategies import Case, random_orders, random_settings
from same_records import assert_same

from adapters.datasets.build import market_from_raw
from adapters.datasets.raw_tables import read_bars, read_settlements
from engine.windows import hour_of

RAW = Path(__file__).resolve().parents[4] / "shared" / "market"
pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not RAW.is_dir(), reason="needs the real market data beside the checkout (../shared/market)"),
]

SPANS = {
    "silent weeks of new coins": (("IPUSDT", "KAITOUSDT", "TRUMPUSDT", "BTCUSDT"), "2025-02-22", "2025-03-14"),
    "interval change": (("WIFUSDT", "DOGEUSDT"), "2025-01-10", "2025-01-20"),
    "scaled contracts": (("PEPEUSDT", "ETHUSDT"), "2025-01-05", "2025-01-14"),
}


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("seed", [1])
def test_kernel_agrees_with_the_reference_on_real_data(span: str, seed: int) -> None:
    coins, start, end = SPANS[span]
    bars, settlements = read_bars(RAW / "prices_1h.parquet"), read_settlements(RAW / "funding.parquet")
    first, last = (hour_of(datetime.fromisoformat(day).replace(tzinfo=UTC)) for day in (start, end))
    bars = bars[bars["coin"].isin(coins) & bars["opened_hour"].between(first, last)]
    settlements = settlements[settlements["coin"].isin(coins) & settlements["row_hour"].between(first, last)]
    market = market_from_raw(bars, settlements, origin="real data")
    rng = np.random.default_rng(seed)
    settings = random_settings(rng).model_copy(update={"max_positions": 3, "initial_capital_usd": 10_000.0})
    orders = random_orders(rng, market, settings)
    assert_same(Case(market, settings, orders, 80, len(market.hours) - 1))
