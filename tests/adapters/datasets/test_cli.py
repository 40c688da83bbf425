"""``arb data`` on the command line: what it prints, how it exits, what it writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from support_cli import arb
from support_datasets import bars, info_of, raw_pair, settlements, small_market, window, write_raw

from adapters.datasets.findings import Finding
from adapters.datasets.layout import read_info
from adapters.datasets.write import write_dataset
from adapters.reporting.findings_list import findings_list


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARB_CACHE_DIR", str(tmp_path / "cache"))


def test_build_inspect_split_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, out = raw_pair(tmp_path / "raw", hours=400), tmp_path / "out"
    assert arb("data", "build", raw, "--out", out, "--name", "pair", "--source", "a test") == 0
    assert read_info(out).name == "pair"
    assert arb("data", "inspect", out) == 0
    shown = capsys.readouterr().out
    assert "401 (2024-05-01T00:00Z to 2024-05-17T16:00Z)" in shown
    assert "binanceusdm          1   100.00         99.75          100  4 h 100.0 %" in shown
    edges = ("--train-to", "2024-05-10T00:00Z", "--validate-from", "2024-05-12T00:00Z")
    assert (
        arb("data", "split", out, *edges, "--validate-to", "2024-05-13T00:00Z", "--test-from", "2024-05-14T00:00Z") == 0
    )
    captured = capsys.readouterr()
    assert "train      2024-05-01T00:00Z to 2024-05-10T00:00Z     217 h" in captured.out
    assert "only 23 h lie between validation and test" in captured.err
    assert arb("data", "validate", out) == 0
    assert "0 errors, 1 warning" in capsys.readouterr().out


def test_split_refuses_overlap_and_leaves_the_file_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = small_market(100)
    write_dataset(market, tmp_path / "set", info_of(market, windows={"train": window(0, 30), "test": window(60, 90)}))
    before = (tmp_path / "set" / "dataset.yaml").read_bytes()
    assert arb("data", "split", tmp_path / "set", "--train-to", "2024-05-03T12:00Z") == 2
    assert "before or at the end of train" in capsys.readouterr().err
    assert arb("data", "split", tmp_path / "set") == 2
    assert "no edge of a window is given" in capsys.readouterr().err
    assert arb("data", "split", tmp_path / "set", "--validate-from", "2024-05-03T00:00Z") == 2
    assert "give --validate-from and --validate-to" in capsys.readouterr().err
    assert arb("data", "split", tmp_path / "set", "--train-to", "2024-05-01") == 2
    assert "has no time zone" in capsys.readouterr().err
    assert arb("data", "split", tmp_path / "set", "--train-to", "noon") == 2
    assert "is not a time" in capsys.readouterr().err
    assert arb("data", "split", tmp_path / "set", "--train-to", "2024-05-01T00:30Z") == 2
    assert "is not a whole hour" in capsys.readouterr().err
    assert (tmp_path / "set" / "dataset.yaml").read_bytes() == before


def test_split_writes_a_data_set_that_says_the_same_otherwise(tmp_path: Path) -> None:
    market = small_market(100)
    write_dataset(market, tmp_path / "set", info_of(market))
    before = yaml.safe_load((tmp_path / "set" / "dataset.yaml").read_text())
    assert arb("data", "split", tmp_path / "set", "--train-to", "2024-05-02T00:00Z") == 0
    after = yaml.safe_load((tmp_path / "set" / "dataset.yaml").read_text())
    assert after.pop("windows") == {"train": {"from": "2024-05-01T00:00:00Z", "to": "2024-05-02T00:00:00Z"}}
    assert before.pop("windows") == {}
    assert after == before


def test_validate_exits_with_1_for_errors_and_2_for_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = small_market(24)
    market.price[0, 5] = 1e-3
    write_dataset(market, tmp_path / "set", info_of(market))
    assert arb("data", "validate", tmp_path / "set") == 1
    captured = capsys.readouterr()
    assert "error: absurd price (1)\n  BTCUSDT.parquet binanceusdm 2024-05-01T05:00Z: " in captured.out
    assert captured.err == ""
    assert arb("data", "validate", tmp_path / "absent") == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert arb("data", "validate") == 2


def test_the_report_is_limited_per_kind_and_counts_everything(tmp_path: Path) -> None:
    file = str(tmp_path / "price_history" / "BTCUSDT.parquet")
    many = [Finding("warning", "gap in prices", "no price for 1 h", file, "BTCUSDT", "okx", f"h{i}") for i in range(5)]
    wrong = Finding("error", "windows", "they overlap", str(tmp_path / "dataset.yaml"))
    other = Finding("error", "data set", "is unknown", str(tmp_path / "opportunities.csv"), "X", "", "h9")
    assert findings_list([*many, wrong, other], tmp_path, 2) == [
        "error: data set (1)",
        "  opportunities.csv X h9: is unknown",
        "error: windows (1)",
        "  dataset.yaml: they overlap",
        "warning: gap in prices (5)",
        "  BTCUSDT.parquet okx h0: no price for 1 h",
        "  BTCUSDT.parquet okx h1: no price for 1 h",
        "  ... and 3 more (--limit 0 shows all)",
        f"{tmp_path}: 2 errors, 5 warnings",
    ]
    assert len(findings_list(many, tmp_path, 0)) == 7


def test_a_failed_build_says_one_line_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = bars("bybit", "BTC", [1.0, 2.0])
    table.loc[1, "close"] = np.nan
    raw = write_raw(tmp_path / "raw", [table], [settlements("bybit", "BTC", {0: 1e-4})])
    assert arb("data", "build", raw, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "BTC/USDT:USDT on bybit, 2024-05-01T01:00Z: close is not a positive price" in error
    assert not (tmp_path / "out").exists()
    assert arb("data", "build", tmp_path / "absent", "--out", tmp_path / "out") == 2


def test_help_names_every_command_without_heavy_imports() -> None:
    program = (
        "import sys\nfrom adapters.cli import main\n"
        "try:\n    main(['data', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('pandas', 'pyarrow', 'torch', 'rich', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for name in ("build", "inspect", "split", "validate"):
        assert f"\n  {name} " in done.stdout
    assert done.stdout.strip().endswith("[]")


@pytest.mark.parametrize("name", ["build", "inspect", "split", "validate"])
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert arb("data", name, "--help") == 0
    assert f"arb data {name} " in capsys.readouterr().out.split("Example")[1]
