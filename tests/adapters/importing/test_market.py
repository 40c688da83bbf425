"""Real recordings, written as two programs keep them: imported and built they are the data set of the raw tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support_cli import arb
from support_datasets import assert_same_market, write_raw
from support_imports import Tables, binance_archive, freqtrade_feather, marks_at_opens

from adapters.datasets.load import load_dataset

RAW = Path(__file__).resolve().parents[4] / "shared" / "market"
COINS = ("PEPE", "ENA", "TAO", "XLM")
pytestmark = [
    pytest.mark.market,
    pytest.mark.skipif(not RAW.is_dir(), reason="needs the real market data beside the checkout (../shared/market)"),
]


def test_archives_and_feather_files_of_the_recordings_are_the_recordings(tmp_path: Path) -> None:
    tables = {name: pd.read_parquet(RAW / name) for name in ("prices_1h.parquet", "funding.parquet")}
    for source, exchange, make in (
        ("binance-archive", "binance", binance_archive),
        ("freqtrade", "hyperliquid", freqtrade_feather),
    ):
        (tmp_path / exchange).mkdir()
        make(tmp_path / exchange, _of(tables, exchange))
        words = ["--from", source, "--exchange", exchange, "--out", tmp_path / "raw"]
        assert arb("data", "import", tmp_path / exchange, *words) == 0
    parts = [_of(tables, exchange) for exchange in ("binance", "hyperliquid")]
    wanted = write_raw(tmp_path / "wanted", *([table for each in parts for table in each[kind]] for kind in (0, 1)))
    marks = pd.concat(
        [marks_at_opens(each) for each in parts[0][0]] + [marks_at_opens(each, 8) for each in parts[1][0]]
    )
    marks.to_parquet(wanted / "marks_1h.parquet")
    built = []
    for name, raws in (("one", [tmp_path / "raw"]), ("two", [wanted]), ("both", [tmp_path / "raw", wanted])):
        assert arb("data", "build", *raws, "--out", tmp_path / name) == 0
        built.append(load_dataset(tmp_path / name, cache=False).market)
    assert len(built[0].symbols) == len(COINS)
    assert_same_market(built[0], built[1])
    assert_same_market(built[2], built[1])


def _of(tables: dict[str, pd.DataFrame], exchange: str) -> Tables:
    mine = (table[(table["exchange"] == exchange) & table["base"].isin(COINS)] for table in tables.values())
    prices, funding = ([part.reset_index(drop=True) for _, part in table.groupby("symbol")] for table in mine)
    return [each.astype({"volume": float}) for each in prices], funding
