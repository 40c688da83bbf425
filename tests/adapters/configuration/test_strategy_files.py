"""Strategies of the user's own, named by the path of their file, and the one import that a rule needs."""

from __future__ import annotations

import ast
import json
import sys
from hashlib import sha256
from pathlib import Path

import pytest

import strategies
from adapters.cli import arb, main
from adapters.configuration.settings import key_parts, load_settings
from adapters.configuration.strategy_registry import load_strategy_class
from adapters.storage.run_files import folder_name
from engine.errors import UserError
from strategies import plugin

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = str(ROOT / "data" / "sample")
RULES = ("hold", "random_actions", "greedy", "carry", "basis")

MINE = """
import sizes
from strategies.carry import Carry
from strategies.plugin import Context, Enter, Exit, Order, Settings, View


class Parameters(Settings):
    most: int = 1
    hours: int = 30


class MyRule:
    Parameters = Parameters
    policies = 0

    def __init__(self, parameters: Parameters, context: Context) -> None:
        assert Carry.__module__ == "strategies.carry"
        self.parameters = parameters

    def decide(self, view: View) -> list[Order]:
        if view.time.day == sizes.BAD_DAY:
            raise ValueError("not today")
        leaving = [Exit(p.slot) for p in view.positions if view.time.hour == self.parameters.hours % 24]
        return leaving + [Enter(int(pair)) for pair in view.offered.nonzero()[0][: self.parameters.most]]


number = 4
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a folder ``strategies`` of the user's own, a package even, with a module beside it."""
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    (folder / "sizes.py").write_text("BAD_DAY = 0\n", encoding="utf-8")
    (folder / "broken.py").write_text("def (\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [*sys.modules]:
        if name == "sizes" or name.endswith("mine.py"):
            monkeypatch.delitem(sys.modules, name)
    return folder / "mine.py"


def test_the_shipped_rules_import_from_the_plugin_alone() -> None:
    for rule in RULES:
        tree = ast.parse((ROOT / "strategies" / f"{rule}.py").read_text(encoding="utf-8"))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        ours = {module for module in modules if module and module.split(".")[0] in ("engine", "strategies", "adapters")}
        assert ours <= {"strategies.plugin", "strategies.costs", "strategies.ranking"}, rule


def test_the_plugin_has_all_that_it_promises() -> None:
    assert {"Settings", "Enter", "Exit", "Order", "View", "Context", "Strategy"} <= {*plugin.__all__}
    assert all(hasattr(plugin, name) for name in plugin.__all__)


def test_a_file_is_read_by_its_path(mine: Path) -> None:
    found = load_strategy_class("./strategies/mine.py:MyRule")
    assert found.__module__ == "./strategies/mine.py"
    assert load_strategy_class("./strategies/mine.py:MyRule") is found
    assert load_strategy_class(f"{mine}:MyRule").__name__ == "MyRule"
    assert strategies.__file__ == str(ROOT / "strategies" / "__init__.py")


def test_a_file_in_the_working_directory_needs_no_dot(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine.parent)
    assert load_strategy_class("mine.py:MyRule").__module__ == "./mine.py"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./strategies/none.py:MyRule", "FileNotFoundError: there is no Python file ./strategies/none.py"),
        ("./strategies:MyRule", "there is no Python file ./strategies"),
        ("./strategies/broken.py:MyRule", "cannot be imported: SyntaxError"),
        ("./strategies/mine.py:Other", "cannot be imported: AttributeError"),
        ("./strategies/mine.py:number", "is no strategy: it is not a class"),
        ("./strategies/mine.py", "unknown strategy './strategies/mine.py'.*your own: module:Class or ./file.py:Class"),
    ],
)
@pytest.mark.usefixtures("mine")
def test_what_is_no_strategy_is_refused_in_one_line(
    name: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=message):
        load_strategy_class(name)
    monkeypatch.setattr(sys, "argv", ["arb", "backtest", "--strategy", name, "--data", SAMPLE])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_settings_name_it_as_one_key(mine: Path) -> None:
    assert key_parts("strategies.a.b:C.d") == ["strategies", "a.b:C", "d"]
    assert key_parts("strategies./a.b/c.py:D.e") == ["strategies", "/a.b/c.py:D", "e"]
    assert key_parts("strategies.carry.horizon_hours") == ["strategies", "carry", "horizon_hours"]
    settings = load_settings(None, [f"strategies.{mine}:MyRule.most=2"])
    assert settings.strategies[f"{mine}:MyRule"] == {"most": 2}


def test_folders_are_named_without_the_path() -> None:
    assert folder_name("carry") == "carry"
    assert folder_name("pkg.rules:Rule") == "pkg.rules.Rule"
    assert folder_name("./mine.py:MyRule") == folder_name("/home/me/mine.py:MyRule") == "mine.MyRule"


def test_a_backtest_plays_it_and_the_manifest_keeps_its_file(mine: Path, tmp_path: Path) -> None:
    name = "./strategies/mine.py:MyRule"
    words = ["backtest", "--strategy", f"{name},hold", "--data", SAMPLE, "--window", "test", "--no-report"]
    arb.main([*words, "--set", f"strategies.{name}.most=2", "--out", "both"], standalone_mode=False)
    manifest = json.loads((tmp_path / "both" / "mine.MyRule" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["strategy"] == name
    assert manifest["strategies"] == [name, "hold"]
    assert manifest["settings"]["strategies"][name] == {"most": 2}
    content = sha256(mine.read_bytes()).hexdigest()
    assert manifest["strategy_files"] == {name: {"path": str(mine), "sha256": content}}
    assert (tmp_path / "both" / "mine.MyRule" / "trades.csv").read_text(encoding="utf-8").count("\n") > 1


def test_an_error_in_it_names_file_and_line(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine.parent / "sizes.py").write_text("BAD_DAY = 25\n", encoding="utf-8")
    words = ["backtest", "--strategy", "./strategies/mine.py:MyRule", "--data", SAMPLE, "--window", "test"]
    monkeypatch.setattr(sys, "argv", ["arb", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "strategy ./strategies/mine.py:MyRule at 2025-07-25T00:00Z: ValueError: not today (mine.py:22)" in told


@pytest.mark.usefixtures("mine")
def test_workers_find_it_too(tmp_path: Path) -> None:
    name = "./strategies/mine.py:MyRule"
    Path("grid.yaml").write_text(f'"{name}": {{most: [1, 2], hours: [3, 9]}}\n', encoding="utf-8")
    grid = ["--strategy", name, "--data", SAMPLE, "--grid", "grid.yaml", "--workers", "2"]
    arb.main(["tune", *grid, "--out", "tuned"], standalone_mode=False)
    assert any((tmp_path / "tuned").iterdir())
    days = ["--train-days", "10", "--validate-days", "10", "--test-days", "20", "--no-report"]
    arb.main(["walk-forward", *grid, *days, "--out", "forward"], standalone_mode=False)
    assert (tmp_path / "forward" / "trades.csv").read_text(encoding="utf-8").count("\n") > 1
