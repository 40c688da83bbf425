from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from adapters.cli import main
from adapters.commands.strategies import command
from adapters.configuration import strategy_registry
from adapters.configuration.strategy_registry import build_strategy, check_names, load_strategy_class, strategy_classes
from adapters.reporting.strategy_list import allowed, describe
from engine.errors import SettingsError, UserError
from strategies.carry import Carry, CarryParameters
from strategies.plugin import Context

CONTEXT = Context(np.random.default_rng(0))
RULES = ["hold", "random", "greedy", "carry", "basis"]

OWN_STRATEGY = '''
from pydantic import Field

from engine.settings import Settings
from engine.observation.view import Enter


class Parameters(Settings):
    pair: int = Field(3, ge=0, lt=9, description="which pair it likes, " + "told at length, " * 6 + "in two lines")


class Own:
    """Always wants the same pair."""

    Parameters = Parameters
    policies = {policies}

    def __init__(self, parameters, context):
        self.pair = parameters.pair

    def decide(self, view):
        return [Enter(self.pair)]


class Half:
    Parameters = dict
    policies = "many"


number = 4
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module with a strategy of the user's own, lying in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"own_rules_{tmp_path.name.replace('-', '_')}"
    Path(f"{name}.py").write_text(OWN_STRATEGY.replace("{policies}", "2"), encoding="utf-8")
    return name


def test_the_installed_strategies_are_found() -> None:
    assert [*strategy_classes()] == sorted([*RULES, "week", "hindsight", "ppo", "ensemble"])
    assert load_strategy_class("carry") is Carry


def test_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown strategy 'cary'; did you mean 'carry'"):
        load_strategy_class("cary")
    with pytest.raises(UserError, match="unknown strategy 'holt'; did you mean 'hold'"):
        check_names(["carry", "any.module:Class", "holt"])


def test_one_name_claimed_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint("carry", "one:A", "arb.strategies"), EntryPoint("carry", "two:B", "arb.strategies")]
    monkeypatch.setattr(strategy_registry, "_installed", lambda: entries)
    with pytest.raises(UserError, match="'carry': one:A and two:B"):
        strategy_classes()


def test_module_and_class_are_found_in_the_working_directory(own: str) -> None:
    strategy_class = load_strategy_class(f"{own}:Own")
    assert strategy_class.__name__ == "Own"
    assert strategy_class.policies == 2


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module_anywhere:Own", "cannot be imported: ModuleNotFoundError"),
        ("{own}:Nothing", "cannot be imported: AttributeError"),
        ("{own}:number", "is no strategy: it is not a class"),
        ("{own}:Half", "has no Parameters.Settings., has no number `policies`, has no decide"),
    ],
)
def test_what_is_no_strategy_is_refused_in_one_line(own: str, target: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_strategy_class(target.replace("{own}", own))
    assert "\n" not in str(caught.value)


def test_parameters_are_validated() -> None:
    assert isinstance(build_strategy("carry", {"horizon_hours": 100}, CONTEXT), Carry)
    with pytest.raises(SettingsError, match=r"strategies\.carry: unknown key 'horizon'; did you mean 'horizon_hours'"):
        build_strategy("carry", {"horizon": 100}, CONTEXT)
    with pytest.raises(SettingsError, match=r"strategies\.carry: horizon_hours = -1"):
        build_strategy("carry", {"horizon_hours": -1}, CONTEXT)
    with pytest.raises(SettingsError, match="horizon_hours = nan"):
        build_strategy("carry", {"horizon_hours": float("nan")}, CONTEXT)
    with pytest.raises(SettingsError, match="unknown key 'size'"):
        build_strategy("hold", {"size": 1}, CONTEXT)


def test_a_strategy_without_its_models_is_refused(own: str) -> None:
    with pytest.raises(UserError, match="needs 2 trained models; give --model PATH"):
        build_strategy(f"{own}:Own", {}, CONTEXT)


def test_rules_and_registry_do_without_torch() -> None:
    code = (
        "import sys, adapters.configuration.strategy_registry as r\n"
        f"[r.load_strategy_class(name) for name in {RULES}]\n"
        "print(sorted({'torch', 'stable_baselines3', 'gymnasium', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_list_names_every_parameter_with_value_range_and_meaning() -> None:
    result = CliRunner().invoke(command, RULES)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert "\x1b" not in result.output
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == RULES
    carry = lines[lines.index(next(line for line in lines if line.startswith("carry"))) :]
    for name, info in CarryParameters.model_fields.items():
        line = next(line for line in carry if line.startswith(f"  {name} "))
        assert allowed(info) in line
        assert (info.description or "?") in line


def test_the_list_shows_strategies_of_your_own_and_wraps_long_texts(own: str) -> None:
    lines = describe(f"{own}:Own", {"pair": 5})
    assert "Always wants the same pair. Needs 2 trained models (--model)." in " ".join(" ".join(lines[:2]).split())
    assert max(len(line) for line in lines) <= 100
    (row,) = [line for line in lines if line.startswith("  pair")]
    assert row.split()[1:5] == ["5", "0", "..", "<9"]


def test_a_broken_plug_in_is_listed_with_its_reason_but_refused_when_asked_for() -> None:
    assert "not available: strategy no_such:Thing cannot be imported" in " ".join(describe("no_such:Thing", {}))
    with pytest.raises(UserError, match="no_such:Thing cannot be imported"):
        describe("no_such:Thing", {}, must_load=True)


def test_an_unknown_name_on_the_command_line_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["strategies", "gredy"])
    assert caught.value.code == 2
    assert "did you mean 'greedy'" in capsys.readouterr().err
