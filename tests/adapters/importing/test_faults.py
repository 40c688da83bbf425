"""What is wrong with files is refused or said in one line that names the file, and the rest is imported."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support_cli import arb
from support_imports import BY_NAME, DESCRIPTIONS, KLINES, NOW, import_, klines, make, raw_tables, text, write, zipped

from adapters.exchanges.coins import Listing
from adapters.exchanges.raw_store import RawStore

BTC = "BTC_USDT_USDT-1h-futures.json"
RATES = "BTC_USDT_USDT-8h-funding_rate.json.gz"


class Folder:
    """Files of freqtrade as JSON, to be spoilt and imported."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.files, self.raw, self._capsys = make(BY_NAME["freqtrade JSON"], folder / "files"), folder / "raw", capsys

    def edit(self, name: str, change: Callable[[list[list[Any]]], Any]) -> None:
        path = self.files / name
        content = path.read_bytes()
        rows = json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
        changed = change(rows)
        told = json.dumps(rows if changed is None else changed).encode()
        path.write_bytes(gzip.compress(told) if name.endswith(".gz") else told)

    def __call__(self, *options: str, now: str = NOW) -> tuple[int, str]:
        """Exit code and all that was said."""
        code = arb("data", "import", self.files, "--from", "freqtrade", "--exchange", "okx", "--out", self.raw,
                   "--now", now, *options)  # fmt: skip
        said = self._capsys.readouterr()
        if code == 2:
            assert said.err.count("\n") == 1
            assert not self.raw.exists()
        return code, said.out + said.err

    def bars(self, base: str = "BTC") -> pd.DataFrame:
        return self._of("prices_1h.parquet", base)

    def rates(self, base: str = "BTC") -> pd.DataFrame:
        return self._of("funding.parquet", base)

    def _of(self, name: str, base: str) -> pd.DataFrame:
        table = pd.read_parquet(self.raw / name)
        return table[table["base"] == base].reset_index(drop=True)


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


def scaled(column: int, factor: float) -> Callable[[list[list[Any]]], Any]:
    return lambda rows: [[*row[:column], row[column] * factor, *row[column + 1 :]] for row in rows]


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1000, "likely microseconds read as milliseconds"),
        (0.001, "likely seconds read as milliseconds"),
        (1e6, "likely nanoseconds read as milliseconds"),
    ],
)
def test_times_in_another_unit_are_refused(folder: Folder, factor: float, words: str) -> None:
    folder.edit(BTC, scaled(0, factor))
    code, said = folder()
    assert code == 1
    (line,) = [line for line in said.splitlines() if words in line]
    assert line.startswith(f"refused: {BTC}, BTC/USDT:USDT: the time lies in the year")
    assert "60 of 60 rows" in line
    assert len(folder.bars()) == 0
    assert len(folder.bars("PEPE")) == 60


@pytest.mark.parametrize("factor", [100.0, 1e4])
def test_rates_that_are_no_fractions_are_refused(folder: Folder, factor: float) -> None:
    for name in (RATES, RATES.replace("BTC", "PEPE")):
        folder.edit(name, scaled(1, factor))
    code, said = folder()
    assert code == 1
    table = pd.read_parquet(folder.raw / "funding.parquet")
    assert len(table) == 0
    assert RATES in said


def test_rates_of_one_contract_in_per_cent_are_said(folder: Folder) -> None:
    folder.edit(RATES, scaled(1, 100.0))
    code, said = folder()
    assert code == 0
    assert "likely per cent, not fractions" in said


@pytest.mark.parametrize(("hours", "is_said"), [(3, True), (1, True), (4, False), (8, False)])
def test_settlements_of_another_zone_are_said(folder: Folder, hours: int, is_said: bool) -> None:
    folder.edit(RATES, lambda rows: [[row[0] + hours * 3_600_000, *row[1:]] for row in rows])
    code, said = folder()
    assert code == 0
    assert ("when no exchange settles: likely another zone" in said) == is_said
    if hours == 3:
        assert "BTC/USDT:USDT: settlements at 03:00, 11:00, 19:00 UTC" in said


def test_rows_twice_count_once_and_rows_that_contradict_each_other_not_at_all(folder: Folder) -> None:
    folder.edit(BTC, lambda rows: [*rows, rows[3], [*rows[5][:4], rows[5][4] * 1.001, rows[5][5]]])
    code, said = folder()
    assert code == 0
    assert f"refused: {BTC}, BTC/USDT:USDT: there are bars of one time that contradict each other (2 of" in said
    assert len(folder.bars()) == 59
    assert pd.Timestamp("2024-05-01T05:00Z") not in set(folder.bars()["timestamp"])


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (1, None, "open is not a positive number"),
        (4, -1.0, "close is not a positive number"),
        (2, "x", "high is not a positive number"),
        (3, 1e9, "low of one coin is not from 1e-12 to 1e+07 USD"),
        (2, 10.0, "open or close lies outside of low and high"),
        (0, None, "the time is empty or none"),
        (0, 1_714_521_900_000, "the bar does not open at a whole hour"),
    ],
)
def test_a_bar_that_cannot_be_is_refused_alone(folder: Folder, column: int, value: Any, words: str) -> None:
    def change(rows: list[list[Any]]) -> None:
        rows[7][column] = value

    folder.edit(BTC, change)
    code, said = folder()
    assert code == 0
    assert f"refused: {BTC}, BTC/USDT:USDT: {words} (1 of 60 rows" in said
    assert len(folder.bars()) == 59


def test_where_many_rows_are_nonsense_the_others_are_not_trusted(folder: Folder) -> None:
    def change(rows: list[list[Any]]) -> None:
        for row in rows[::10]:
            row[1] = 0.0

    folder.edit(BTC, change)
    code, said = folder()
    assert code == 1
    assert f"refused: {BTC}, BTC/USDT:USDT: 6 of 60 rows cannot be used: the others are not trusted either" in said
    assert len(folder.bars()) == 0
    assert len(folder.bars("PEPE")) == 60


def test_bars_that_are_not_finished_are_left_out(folder: Folder) -> None:
    code, said = folder(now="2024-05-02T10:30Z")
    assert code == 1
    assert folder.bars()["timestamp"].max() == pd.Timestamp("2024-05-02T09:00Z")
    assert "note: bars that are not finished are left out" in said
    # A bar may be running, but a rate of the future cannot be: its times are wrong.
    assert f"refused: {RATES}, BTC/USDT:USDT: the time lies in the future (3 of 8 rows" in said
    assert f"refused: {RATES}, BTC/USDT:USDT: 3 of 8 rows cannot be used: the others are not trusted either" in said
    assert len(folder.rates()) == 0


def test_rows_in_any_order_are_the_same(folder: Folder) -> None:
    folder()
    before = folder.bars()
    folder.edit(BTC, lambda rows: rows[::-1])
    folder.raw = folder.raw.with_name("again")
    folder()
    pd.testing.assert_frame_equal(folder.bars(), before)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"[]", "holds no rows"),
        (b'{"a": 1}', "holds no rows"),
        (b"[[1714521600000, 1, 1, 1, 1", "is no JSON, or only a part of it"),
        (b"[[1714521600000, 1, 1, 1, 1]]", "holds rows that are no lists of 6 numbers"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_alone(folder: Folder, content: bytes, words: str) -> None:
    (folder.files / BTC).write_bytes(content)
    code, said = folder()
    assert code == 1
    assert f"refused: {BTC}: {words}" in said
    assert len(folder.bars("PEPE")) == 60


def test_a_half_archive_is_refused(folder: Folder) -> None:
    path = folder.files / RATES
    path.write_bytes(path.read_bytes()[:-20])
    code, said = folder()
    assert code == 1
    assert f"refused: {RATES}: is cut off or damaged" in said


def test_files_of_another_kind_are_named_and_not_used(folder: Folder) -> None:
    write(folder.files / "README.md", b"x")
    write(folder.files / "BTC_USDT-1h.feather", b"x")
    write(folder.files / "BTC_USDT_USDT-4h-futures.json", b"x")
    write(folder.files / ".DS_Store", b"x")
    code, said = folder()
    assert code == 0
    assert "not used: README.md: a file of another kind" in said
    assert "not used: BTC_USDT-1h.feather: spot prices" in said
    assert "not used: BTC_USDT_USDT-4h-futures.json: candles of 4h" in said
    assert "DS_Store" not in said


def test_strict_refuses_what_would_be_left_out(folder: Folder) -> None:
    folder.edit(BTC, scaled(4, -1.0))
    code, said = folder("--strict")
    assert code == 2
    assert "close is not a positive number" in said


def test_what_is_there_stays_and_what_contradicts_it_is_told(folder: Folder) -> None:
    folder()
    before = folder.bars()

    def change(rows: list[list[Any]]) -> None:
        for column in (1, 2, 3, 4):
            rows[4][column] *= 1.01

    folder.edit(BTC, change)
    code, said = folder()
    assert code == 0
    assert f"refused: {BTC}, BTC/USDT:USDT: contradicts" in said
    assert "(1 of 60 rows, first 2024-05-01T04:00Z)" in said
    assert "0 new bars" in said
    pd.testing.assert_frame_equal(folder.bars(), before)


def test_nothing_is_written_when_nothing_can_be_used(folder: Folder) -> None:
    for path in folder.files.iterdir():
        path.write_bytes(b"x" if path.suffix == ".json" else gzip.compress(b"x"))
    code, said = folder()
    assert code == 2
    assert "is no JSON" in said


def test_a_folder_of_other_tables_is_not_touched(folder: Folder) -> None:
    folder.raw.mkdir()
    (folder.raw / "funding.parquet").write_bytes(b"mine")
    code = arb("data", "import", folder.files, "--from", "freqtrade", "--exchange", "okx", "--out", folder.raw)
    assert code == 2
    assert [path.name for path in folder.raw.iterdir()] == ["funding.parquet"]


# --- archives ---


def archive(
    tmp_path: Path, rows: list[list[Any]], *, head: Any = KLINES, folder: str = "klines", end: bytes = b""
) -> Path:
    write(tmp_path / "files" / folder / "BTCUSDT-1h-2024-05.csv", text(rows, head) + end)
    return tmp_path / "files"


def import_archive(tmp_path: Path, *options: str) -> int:
    return arb("data", "import", tmp_path / "files", "--from", "binance-archive", "--exchange", "binance",
               "--out", tmp_path / "raw", "--now", NOW, *options)  # fmt: skip


def test_a_line_that_is_cut_off_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = klines(raw_tables("bybit")[0][0])
    archive(tmp_path, rows[:-2], end=b"1714730400000,30000.0,30")
    assert import_archive(tmp_path) == 0
    assert "the last line has no end and is left out" in capsys.readouterr().out
    assert len(pd.read_parquet(tmp_path / "raw" / "prices_1h.parquet")) == 58
    archive(tmp_path, rows[:-2], end=b"1714730400000,30000.0,30\n")
    assert import_archive(tmp_path) == 0
    assert "1 lines have other fields than the first one" in capsys.readouterr().out


def test_a_zip_is_whole_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "files" / "BTCUSDT-1h-2024-05.zip"
    content = zipped("BTCUSDT-1h-2024-05.csv", text(klines(raw_tables("bybit")[0][0]), KLINES))
    for spoilt in (content[:-30], content[: len(content) // 2], content.replace(b"PK", b"xx", 1), b"PK"):
        write(path, spoilt)
        assert import_archive(tmp_path) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"error: {path}: is cut off or damaged")
        assert line.count("\n") == 1
    write(path, content)
    write(path.with_name(path.name + ".CHECKSUM"), b"0" * 64 + b"  BTCUSDT-1h-2024-05.zip\n")
    assert import_archive(tmp_path) == 2
    assert "is not what BTCUSDT-1h-2024-05.zip.CHECKSUM says" in capsys.readouterr().err


def test_mark_prices_are_not_taken_for_trades(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[*row[:5], 0, *row[6:]] for row in klines(raw_tables("bybit")[0][0])]
    archive(tmp_path, rows)
    assert import_archive(tmp_path) == 2
    assert "has prices without any volume: mark or index prices" in capsys.readouterr().err
    for folder, what in (("spot", "spot prices"), ("indexPriceKlines", "prices of an index")):
        archive(tmp_path / folder, rows, folder=folder)
        assert import_archive(tmp_path / folder) == 2
        assert what in capsys.readouterr().err


@pytest.mark.parametrize("name", ["BTCUSD_PERP", "BTCUSDT_240628", "ETH!USDT"])
def test_contracts_that_are_no_linear_perpetuals_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write(tmp_path / "files" / f"{name}-1h-2024-05.csv", text(klines(raw_tables("bybit")[0][0]), KLINES))
    assert import_archive(tmp_path) == 2
    assert f"{name}-1h-2024-05.csv, {name}: " in capsys.readouterr().err


def test_minutes_become_hours_where_all_of_them_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = BY_NAME["okx"]
    files = make(made, tmp_path / "files")
    path = next(files.glob("BTC*candlesticks*"))
    lines = _member(path).split(b"\r\n")
    del lines[1 + 60 * 5 + 7]
    path.write_bytes(zipped("x.csv", b"\r\n".join(lines)))
    assert import_(made, files, tmp_path / "raw") == [0]
    assert "BTC/USDT:USDT: 1 hours lack some of their bars of 1 minutes, left out" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "raw" / "prices_1h.parquet")
    assert len(table[table["base"] == "BTC"]) == 59


def _member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as packed:
        return packed.read(packed.namelist()[0])


def test_a_list_of_markets_tells_sizes_of_contracts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = BY_NAME["freqtrade JSON"]
    files = make(made, tmp_path / "files")
    market = {"symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT", "settle": "USDT", "swap": True,
              "linear": True, "contractSize": 0.001}  # fmt: skip
    write(tmp_path / "markets.json", json.dumps({"BTC/USDT:USDT": market}).encode())
    words = ["data", "import", files, "--from", "freqtrade", "--exchange", "gate", "--now", NOW]
    assert arb(*words, "--out", tmp_path / "raw", "--listings", tmp_path / "markets.json") == 0
    assert "volume is negative, no number, or in contracts of no known size" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "raw" / "prices_1h.parquet").sort_values("timestamp")
    wanted = raw_tables("okx")[0][0]["volume"] * 0.001
    assert table.loc[table["base"] == "BTC", "volume"].tolist() == wanted.tolist()
    assert table.loc[table["base"] == "PEPE", "volume"].isna().all()


def test_data_of_another_exchange_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = make(BY_NAME["tardis"], tmp_path / "files")
    words = ["data", "import", files, "--from", "tardis", "--out", tmp_path / "raw", "--now", NOW, "--exchange"]
    assert arb(*words, "bybit") == 2
    assert "data of 'binance-futures', and --exchange says bybit" in capsys.readouterr().err
    assert arb("data", "import", files, "--from", "okx-archive", "--exchange", "bybit", "--out", tmp_path / "raw") == 2
    assert "--from okx-archive is data of okx; --exchange says bybit" in capsys.readouterr().err


# --- described CSV ---


def described(tmp_path: Path, said: str, rows: str, *options: str) -> int:
    write(tmp_path / "said.yaml", said.encode())
    write(tmp_path / "files" / "BTCUSDT.csv", rows.encode())
    return arb("data", "import", tmp_path / "files", "--from", "csv", "--describe", tmp_path / "said.yaml",
               "--exchange", "gate", "--out", tmp_path / "raw", "--now", NOW, *options)  # fmt: skip


PLAIN = "kind: settlements\ncolumns: {time: t, funding_rate: r}\ntime: {format: %s}\n"


@pytest.mark.parametrize(
    ("said", "rows", "words"),
    [
        (PLAIN % "iso", "t,r\n2024-05-01 08:00,0.0001\n", "times have no zone (2024-05-01 08:00); say time.zone in"),
        (PLAIN % "ms", "t,r\n1714521600000000,0.0001\n", "likely microseconds read as milliseconds"),
        (PLAIN % "ms", "t,x\n1714521600000,0.0001\n", "column r is missing; it has t, x"),
        (PLAIN % "ms", "t,r\n1714521600000,0.2\n", "a rate is at most 0.03 in one settlement there, as a fraction"),
        (PLAIN % "ms", "t,r\n1714521600000,nan\n", "the rate is empty or no number"),
        (PLAIN % "ms", "t,r\n", "has no rows"),
        (PLAIN % "hours", "t,r\n1,1\n", "'hours' is none of s, ms, us, ns, iso and no pattern"),
        (PLAIN % "'%Q'", "t,r\n1,1\n", "'Q' is a bad directive"),
        (PLAIN % "iso, zone: Mars/Olympus", "t,r\n1,1\n", "'Mars/Olympus' is no time zone"),
        (PLAIN % "us, zone: Asia/Tokyo", "t,r\n1,1\n", "numbers since 1970 are UTC; leave zone out"),
        (PLAIN % "ms" + "rates: percent\n", "t,r\n1,1\n", "unknown key 'rates'; did you mean 'rate'?"),
        (PLAIN % "ms" + "rate: promille\n", "t,r\n1,1\n", "rate = 'promille'"),
        (PLAIN % "ms" + "symbol: 1000PEPEUSDT\nmultiplier: 1\n", "t,r\n1714521600000,0.0001\n",
         "its multiplier is said to be 1, but 1000PEPE/USDT:USDT is on 1000 coins by its name"),
        ("kind: bars\ncolumns: {time: t, open: o}\ntime: {format: ms}\n", "t,o\n1,1\n", "bars need columns.close"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_description_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str, rows: str, words: str
) -> None:
    assert described(tmp_path, said, rows) == 2
    line = capsys.readouterr().err
    assert words in line
    assert line.count("\n") == 1
    assert "BTCUSDT.csv" in line or "said.yaml" in line
    assert not (tmp_path / "raw").exists()


def test_local_times_are_read_in_their_zone_and_unclear_ones_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = PLAIN % '"%Y-%m-%d %H:%M", zone: Europe/Berlin'
    hours = ["2024-03-30 23:00", "2024-03-31 02:30", "2024-03-31 09:00"]
    assert described(tmp_path, said, "t,r\n" + "".join(f"{hour},0.0001\n" for hour in hours)) == 2
    capsys.readouterr()
    rows = "".join(f"2024-03-{day:02} {hour:02}:00,0.0001\n" for day in range(1, 31) for hour in (1, 9, 17))
    assert described(tmp_path, said, "t,r\n" + rows + "2024-03-31 02:30,0.0001\n2024-03-31 10:00,0.0001\n") == 0
    assert "1 times lie where clocks of Europe/Berlin are changed and are left out" in capsys.readouterr().out
    times = pd.read_parquet(tmp_path / "raw" / "funding.parquet")["settlement_time"]
    assert set(times.dt.hour) == {0, 8, 16}
    assert times.max() == pd.Timestamp("2024-03-31T08:00Z")


def test_a_stated_interval_stays_when_rows_are_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = PLAIN % "iso" + "interval_hours: 4\n"
    assert described(tmp_path, said, "t,r\n2024-05-01T08:00Z,0.0001\n2024-05-01T16:00Z,0.0002\n") == 0
    assert described(tmp_path, PLAIN % "iso", "t,r\n2024-05-01T16:00Z,0.0002\n2024-05-02T00:00Z,0.0003\n") == 0
    table = pd.read_parquet(tmp_path / "raw" / "funding.parquet")
    assert list(table.columns) == ["exchange", "symbol", "base", "multiplier", "settlement_time", "funding_rate",
                                   "interval_hours"]  # fmt: skip
    assert table["interval_hours"].tolist() == [4.0, 4.0, 8.0]
    assert "4/8 h both" in capsys.readouterr().out
    listing = Listing("gate", "BTC", "BTC/USDT:USDT", 1, 1.0, "USDT", created_ms=None)
    rows = RawStore(tmp_path / "raw").load(listing).settlements.sorted()
    assert [row[1:] for row in rows] == [(0.0001, 4.0), (0.0002, 4.0), (0.0003,)]


def test_the_descriptions_of_the_documentation_are_those_of_the_tests() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "data-import.md").read_text(encoding="utf-8")
    written = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert [each.strip() for each in written] == [each.strip() for each in DESCRIPTIONS.values()]
