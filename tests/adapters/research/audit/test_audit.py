"""``arb audit``: it catches who looks ahead, says what leaked and when, and leaves the honest alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support_datasets import info_of

from adapters.cli import main
from adapters.datasets.load import load_dataset
from adapters.datasets.write import write_dataset
from engine.market.data import select

SAMPLE = Path(__file__).resolve().parents[4] / "data" / "sample"
COINS = ("AVAXUSDT", "BNBUSDT", "BTCUSDT", "DOGEUSDT", "PNUTUSDT")
CHEATS = {
    "NextPrice": "price",
    "FillPrice": "fill_price",
    "EarlyRate": "funding_rate",
    "WholeDay": "volume_24h_usd",
    "Foreboding": "delisting notices",
}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some coins of the sample, one of which was delisted: a cheat needs no more to be caught, the tables are small."""
    market = select(load_dataset(SAMPLE).market, symbols=COINS)
    folder = tmp_path_factory.mktemp("data") / "few"
    write_dataset(market, folder, info_of(market))
    return folder


def audit(capsys: pytest.CaptureFixture[str], strategy: str, *more: object, data: Path = SAMPLE) -> tuple[int, str]:
    """Exit code and what was said."""
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "--strategy", strategy, "--data", str(data), *(str(argument) for argument in more)])
    assert isinstance(stopped.value.code, int)
    said = capsys.readouterr()
    return stopped.value.code, said.out + said.err


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_caught_and_its_table_named(cheat: str, few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audit(capsys, f"plugin_cheats:{cheat}", "--cuts", 6, "--hours", 12, data=few)
    assert code == 1
    assert "LEAKS at " in said
    named = {
        line.split(" after ")[0].removesuffix(" the first trade") for line in said.splitlines() if "leaked" in line
    }
    assert CHEATS[cheat] in named
    expected = {"delisting notices"} if cheat == "Foreboding" else {CHEATS[cheat]}
    assert named == expected
    assert re.search(r"after \d{4}-\d\d-\d\dT\d\d:00Z leaked into orders of \d{4}-\d\d-\d\dT\d\d:00Z", said)


def test_a_scaler_fitted_on_everything_is_caught(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audit(capsys, "plugin_cheats:ScaledByEverything", "--cuts", 3, "--hours", 8, data=few)
    assert code == 1
    assert "leaked into orders" in said


@pytest.mark.parametrize("strategy", ["hold", "random", "greedy", "carry", "basis", "plugin_cheats:Honest"])
def test_the_honest_are_clean(strategy: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audit(capsys, strategy, "--cuts", 3, "--hours", 24, "--set", "strategies.random.enter_probability=0.3")
    assert code == 0
    assert "nothing leaks" in said


def test_the_same_seed_tries_the_same_hours(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--cuts", 4, "--hours", 6, "--seed", 5)
    runs = [audit(capsys, "plugin_cheats:NextPrice", *words, data=few) for _ in range(2)]
    assert runs[0] == runs[1]


def test_mistakes_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(capsys, "hindsight") == (2, "error: hindsight knows the future; only `arb backtest` plays it, as a "
                                             "measure for the others\n")  # fmt: skip
    code, said = audit(capsys, "carry", "--hours", 1400)
    assert code == 2
    assert "the data set has 1440 hours" in said
