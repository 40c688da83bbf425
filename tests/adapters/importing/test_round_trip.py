"""Files of every format, made out of raw tables: imported and built they are the tables' data set, row for row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support_cli import arb
from support_datasets import assert_same_market, write_raw
from support_imports import MADE, Made, import_, make, raw_tables, write_tables

from adapters.commands.data_import import FORMATS as NAMED
from adapters.datasets.load import load_dataset
from adapters.datasets.raw_tables import read_bars, read_settlements
from adapters.importing.formats.registry import DESCRIBED, FORMATS
from engine.market.data import MarketData


def built(folder: Path, *raws: Path) -> MarketData:
    assert arb("data", "build", *raws, "--out", folder) == 0
    return load_dataset(folder, cache=False).market


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_what_is_imported_is_what_the_raw_tables_say(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, raw = make(made, tmp_path / "files"), tmp_path / "raw"
    assert import_(made, files, raw) == [0] * len(made.parts), capsys.readouterr()
    capsys.readouterr()
    wanted = write_tables(tmp_path / "wanted", made)
    for read, name in ((read_bars, "prices_1h.parquet"), (read_settlements, "funding.parquet")):
        mine, theirs = (read(folder / name).drop(columns="contract") for folder in (raw, wanted))
        pd.testing.assert_frame_equal(mine, theirs, check_exact=name == "funding.parquet", rtol=1e-15)
    other = write_raw(tmp_path / "other", *raw_tables("mexc"))
    market = built(tmp_path / "one", raw, other)
    assert_same_market(market, built(tmp_path / "two", wanted, other))
    assert np.isnan(market.mark_price).all() == (made.marks is None)


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_the_same_import_again_adds_nothing(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, raw = make(made, tmp_path / "files"), tmp_path / "raw"
    import_(made, files, raw)
    before = {path: path.read_bytes() for path in sorted(raw.rglob("*.parquet"))}
    capsys.readouterr()
    assert import_(made, files, raw) == [0] * len(made.parts)
    assert "0 new bars, 0 new settlements" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in sorted(raw.rglob("*.parquet"))} == before


def test_the_command_names_every_format() -> None:
    assert {*NAMED} == {*FORMATS, DESCRIBED}
