"""``arb audit``: it catches who looks ahead, says what leaked and when, and leaves the honest alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.cli import main

SAMPLE = Path(__file__).resolve().parents[4] / "data" / "sample"
CHEATS = {
    "NextPrice": "price",
    "FillPrice": "fill_price",
    "EarlyRate": "funding_rate",
    "WholeDay": "volume_24h_usd",
    "Foreboding": "delisting notices",
}


def audit(capsys: pytest.CaptureFixture[str], strategy: str, *more: object) -> tuple[int, str]:
    """Exit code and what was said."""
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "--strategy", strategy, "--data", str(SAMPLE), *(str(argument) for argument in more)])
    assert isinstance(stopped.value.code, int)
    said = capsys.readouterr()
    return stopped.value.code, said.out + said.err


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_caught_and_its_table_named(cheat: str, capsys: pytest.CaptureFixture[str]) -> None:
    # The volume of a whole day makes a difference to orders only now and then.
    cuts, hours = (6, 12) if cheat == "WholeDay" else (3, 6)
    code, said = audit(capsys, f"plugin_cheats:{cheat}", "--cuts", cuts, "--hours", hours)
    assert code == 1
    assert "LEAKS at " in said
    named = {
        line.split(" after ")[0].removesuffix(" the first trade") for line in said.splitlines() if "leaked" in line
    }
    assert CHEATS[cheat] in named
    expected = {"delisting notices"} if cheat == "Foreboding" else {CHEATS[cheat]}
    assert named == expected
    assert re.search(r"after \d{4}-\d\d-\d\dT\d\d:00Z leaked into orders of \d{4}-\d\d-\d\dT\d\d:00Z", said)


def test_a_scaler_fitted_on_everything_is_caught(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audit(capsys, "plugin_cheats:ScaledByEverything", "--cuts", 2, "--hours", 6)
    assert code == 1
    assert "leaked into orders" in said


@pytest.mark.parametrize("strategy", ["hold", "random", "greedy", "carry", "basis", "plugin_cheats:Honest"])
def test_the_honest_are_clean(strategy: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = audit(capsys, strategy, "--cuts", 3, "--hours", 24, "--set", "strategies.random.enter_probability=0.3")
    assert code == 0
    assert "nothing leaks" in said


def test_the_same_seed_tries_the_same_hours(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [audit(capsys, "plugin_cheats:NextPrice", "--cuts", 2, "--hours", 4, "--seed", 5) for _ in range(2)]
    assert runs[0] == runs[1]


def test_mistakes_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(capsys, "hindsight") == (2, "error: hindsight knows the future; only `arb backtest` plays it, as a "
                                             "measure for the others\n")  # fmt: skip
    code, said = audit(capsys, "carry", "--hours", 1400)
    assert code == 2
    assert "the data set has 1440 hours" in said
