"""``arb audit``: it catches who looks ahead, says what leaked and when, and leaves the honest alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support_datasets import info_of

from adapters.cli import main
from adapters.datasets.load import load_dataset
from adapters.datasets.write import write_dataset
from engine.market.data import select
from engine.market.instruments import Instruments

SAMPLE = Path(__file__).resolve().parents[4] / "data" / "sample"
COINS = ("AVAXUSDT", "BNBUSDT", "BTCUSDT", "DOGEUSDT", "PNUTUSDT")
CHEATS = {
    "NextPrice": "price",
    "FillPrice": "fill_price",
    "EarlyRate": "funding_rate",
    "WholeDay": "volume_24h_usd",
    "Foreboding": "delisting notices",
    "LaterRules": "instruments",
}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some coins of the sample, one of which was delisted: a cheat needs no more to be caught, the tables are small.

    Every leg has lots of next to nothing, and others from the last hour on.
    """
    market = select(load_dataset(SAMPLE).market, symbols=COINS)
    legs, since = np.repeat(np.arange(market.legs), 2), np.tile(market.hours[[0, -1]], market.legs)
    unknown, lots = np.full(len(legs), np.nan), np.where(since == market.hours[0], 1e-6, 10.0 ** -(legs % 5))
    market = replace(market, instruments=Instruments(legs, since, unknown, lots, unknown, unknown))
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
    assert named == {CHEATS[cheat]}
    assert re.search(r"after \d{4}-\d\d-\d\dT\d\d:00Z leaked into orders of \d{4}-\d\d-\d\dT\d\d:00Z", said)


def test_a_scaler_fitted_on_everything_is_caught(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audit(capsys, "plugin_cheats:ScaledByEverything", "--cuts", 3, "--hours", 8, data=few)
    assert code == 1
    assert "leaked into orders" in said


def test_who_obeys_rules_of_orders_is_clean(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audit(capsys, "plugin_cheats:Honest", "--cuts", 3, "--hours", 12, data=few)
    assert code == 0
    assert "nothing leaks" in said


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
