"""The real recordings become a data set that agrees with them, read row by row in another way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapters.datasets.build import build_dataset
from adapters.datasets.load import Dataset, load_dataset
from adapters.datasets.validate import validate

RAW = Path(__file__).resolve().parents[4] / "shared" / "market"
pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not RAW.is_dir(), reason="needs the real market data beside the checkout (../shared/market)"),
]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("built") / "market"
    build_dataset(RAW, out, name="market", source="recordings")
    return load_dataset(out, cache=False)


def leg_of(dataset: Dataset, row: pd.Series) -> int:
    exchange = {"binance": "binanceusdm"}.get(row["exchange"], row["exchange"])
    return dataset.market.leg(f"{row['base']}USDT", exchange)


def test_every_leg_of_the_recordings_is_there(dataset: Dataset) -> None:
    counts = np.bincount(dataset.market.leg_exchange)
    assert dict(zip(dataset.market.exchanges, counts.tolist(), strict=True)) == {
        "binanceusdm": 39,
        "bybit": 15,
        "hyperliquid": 45,
        "okx": 24,
    }
    assert len(dataset.market.symbols) == 46


def test_sampled_bars_stand_where_the_design_says(dataset: Dataset) -> None:
    market = dataset.market
    raw = pd.read_parquet(RAW / "prices_1h.parquet")
    assert int((~np.isnan(market.price)).sum()) == len(raw)
    assert int((~np.isnan(market.fill_price)).sum()) == len(raw)
    legs = dict(list(raw.groupby(["exchange", "base"])))
    scaled = raw[raw["multiplier"] > 1].sample(50, random_state=1)
    for _, row in pd.concat([raw.sample(300, random_state=2), scaled]).iterrows():
        leg, opened = leg_of(dataset, row), market.index_of(row["timestamp"].to_pydatetime())
        assert market.price[leg, opened + 1] == row["close"] / row["multiplier"]
        assert market.fill_price[leg, opened] == row["open"] / row["multiplier"]
        same = legs[row["exchange"], row["base"]]
        recent = same[same["timestamp"].between(row["timestamp"] - 23 * HOUR, row["timestamp"])]
        volume = (recent["volume"].astype(float) * recent["close"]).sum()
        assert market.volume_24h_usd[leg, opened + 1] == pytest.approx(volume, rel=1e-12)


def test_every_settlement_is_on_its_row(dataset: Dataset) -> None:
    market = dataset.market
    raw = pd.read_parquet(RAW / "funding.parquet")
    raw = raw[raw["settlement_time"].between(dataset.info.first_hour, dataset.info.last_hour)]
    assert int((~np.isnan(market.funding_rate)).sum()) == len(raw)
    for _, row in raw.sample(300, random_state=3).iterrows():
        leg, hour = leg_of(dataset, row), market.index_of(row["settlement_time"].to_pydatetime())
        assert market.funding_rate[leg, hour] == row["funding_rate"]
        assert market.funding_interval_hours[leg, hour] == row["interval_hours"]


def test_the_recordings_hold_warnings_but_no_errors(dataset: Dataset) -> None:
    findings = validate(dataset.path)
    assert {finding.severity for finding in findings} == {"warning"}
    # The lone wick of 2025-04-07 on a thin exchange shows both against another exchange and against the next trade.
    wick = {(f.kind, f.hour) for f in findings if f.coin == "RENDERUSDT" and f.hour == "2025-04-07T07:00Z"}
    assert wick == {("exchanges disagree", "2025-04-07T07:00Z"), ("next trade far away", "2025-04-07T07:00Z")}
