"""What a list of markets demands of orders comes into the data set as if it had stood in the raw tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import write_raw
from support_imports import BY_NAME, NOW, Made, import_, make, raw_tables, write, write_tables

from adapters.datasets.instruments import InstrumentRow, read_instruments, rows_of, write_instruments
from adapters.datasets.load import load_dataset
from engine.market.instruments import RULES_OF_ORDERS

NAN = float("nan")
HOUR = int(pd.Timestamp(NOW).timestamp()) // 3600
FILE = "instruments.parquet"
STATED: dict[str, Any] = {
    "contractSize": 0.1,
    "precision": {"price": 0.0001, "amount": 0.3},
    "limits": {"cost": {"min": 5}, "leverage": {"max": 50}},
}


def market(name: str, **stated: Any) -> dict[str, Any]:
    """A contract as ccxt's load_markets lists it."""
    identity = {"symbol": f"{name}/USDT:USDT", "base": name, "baseName": name, "quote": "USDT", "settle": "USDT"}
    return {**identity, "swap": True, "linear": True, **stated}


def listed(folder: Path, *markets: Mapping[str, Any]) -> Path:
    write(folder / "markets.json", json.dumps({one["symbol"]: one for one in markets}).encode())
    return folder / "markets.json"


def built(folder: Path, *raws: Path) -> list[str]:
    """The rules of orders of the data set of raw folders."""
    assert arb("data", "build", *raws, "--out", folder) == 0
    return [repr(row) for row in rows_of(load_dataset(folder, cache=False).market)]


@pytest.mark.parametrize(
    ("name", "pepe", "tick", "lot"),
    [
        ("bybit", "1000PEPE", 1e-7, 30.0),
        ("okx", "PEPE", 1e-4, 0.03),
        ("ccxt", "PEPE", NAN, 0.03),
        ("described CSV", "PEPE", 1e-4, 0.03),
    ],
    ids=["of a thousand", "of one", "without ticks", "CSV"],
)
def test_rules_of_a_list_are_those_of_the_raw_tables(
    name: str, pepe: str, tick: float, lot: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, raw = BY_NAME[name], tmp_path / "raw"
    files = make(made, tmp_path / "files")
    bare = {"precision": {"amount": "0.001"}}
    markets = listed(tmp_path, market(pepe, **STATED), market("BTC", **bare), market("ETH", **STATED))
    assert import_(made, files, raw, "--listings", str(markets)) == [0] * len(made.parts)
    said = capsys.readouterr().out
    names = sorted(("BTC/USDT:USDT", f"{pepe}/USDT:USDT"))
    assert f"{FILE}: tick, lot, least order, most leverage as listed of {', '.join(names)}" in said
    report = json.loads((raw / "import_report.json").read_text())
    assert report["instruments"] == names
    wanted = write_tables(tmp_path / "wanted", made)
    rows = [
        InstrumentRow("BTCUSDT", made.exchange, HOUR, NAN, 0.001, NAN, NAN),
        InstrumentRow("PEPEUSDT", made.exchange, HOUR, tick, lot, 5.0, 50.0),
    ]
    write_instruments(wanted / FILE, rows)
    other = write_raw(tmp_path / "other", *raw_tables("mexc"))
    mine = built(tmp_path / "one", raw, other)
    assert mine == built(tmp_path / "two", wanted, other) == [repr(row) for row in rows]


def imported(tmp_path: Path, *options: str, made: Made = BY_NAME["okx"]) -> int:
    files = tmp_path / "files"
    if not files.exists():
        make(made, files)
    return import_(made, files, tmp_path / "raw", *options)[0]


def test_what_did_not_change_is_not_written_again_and_a_change_is_dated(tmp_path: Path) -> None:
    markets = listed(tmp_path, market("BTC", **STATED))
    path = tmp_path / "raw" / FILE
    assert imported(tmp_path, "--listings", str(markets)) == 0
    first = path.read_bytes()
    assert imported(tmp_path) == 0
    assert imported(tmp_path, "--listings", str(markets), "--now", "2024-06-02T00:00Z") == 0
    assert path.read_bytes() == first
    listed(tmp_path, market("BTC", **STATED, active=True) | {"contractSize": 1.0})
    assert imported(tmp_path, "--listings", str(markets), "--now", "2024-06-02T00:00Z") == 0
    assert [(row.since_hour, row.lot) for row in read_instruments(path)] == [(HOUR, 0.03), (HOUR + 24, 0.3)]


def test_a_list_that_states_none_writes_none_and_the_report_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    markets = listed(tmp_path, market("BTC", contractSize=1.0, limits={"cost": {"min": 0}}))
    assert imported(tmp_path, "--listings", str(markets)) == 0
    said = capsys.readouterr().out
    for name in ("BTC", "PEPE"):
        assert f"note: {name}/USDT:USDT: no {', '.join(RULES_OF_ORDERS)} is listed ({markets})" in said
    assert FILE not in said
    assert not (tmp_path / "raw" / FILE).exists()
    assert json.loads((tmp_path / "raw" / "import_report.json").read_text())["instruments"] == []


def test_without_a_list_nothing_is_said_of_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported(tmp_path) == 0
    assert "is listed" not in capsys.readouterr().out
    assert not (tmp_path / "raw" / FILE).exists()


def test_a_damaged_file_of_instruments_costs_none_of_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "raw" / FILE, b"PAR1 no more")
    markets = listed(tmp_path, market("BTC", **STATED))
    assert imported(tmp_path, "--listings", str(markets)) == 1
    said = capsys.readouterr().out
    assert "left out: " in said
    assert f"{FILE}: is not parquet as expected" in said
    assert "as listed of" not in said
    assert len(pd.read_parquet(tmp_path / "raw" / "prices_1h.parquet"))


def test_steps_of_a_unit_that_only_the_description_knows_are_of_a_coin_too(tmp_path: Path) -> None:
    said = "kind: settlements\nsymbol: PEPE/USDT:USDT\nmultiplier: 1000\ncolumns: {time: t, funding_rate: r}\n"
    write(tmp_path / "said.yaml", f"{said}time: {{format: ms}}\n".encode())
    write(tmp_path / "rates.csv", b"t,r\n1714521600000,0.0001\n")
    markets = listed(tmp_path, market("PEPE", **STATED))
    words = ["--from", "csv", "--describe", tmp_path / "said.yaml", "--exchange", "gate", "--now", NOW]
    assert arb("data", "import", tmp_path / "rates.csv", *words, "--listings", markets, "--out", tmp_path / "raw") == 0
    (row,) = read_instruments(tmp_path / "raw" / FILE)
    np.testing.assert_array_equal(row.rules, (1e-7, 30.0, 5.0, 50.0))
