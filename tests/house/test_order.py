"""The order of the house: rooms rest on each other in one direction, and what should be small stays small."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def house() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_no_arrow_runs_up(house: ModuleType) -> None:
    plan = house.plan_of(ROOT)
    assert plan.up == []
    assert plan.rooms <= 21
    assert plan.count <= 108


def test_little_lies_loose_in_the_adapters(house: ModuleType) -> None:
    assert len(house.plan_of(ROOT).loose) <= 3


def test_commands_are_short(house: ModuleType) -> None:
    """They read options, call the work, and print; what is long belongs to research or reporting."""
    commands = house.plan_of(ROOT).commands
    assert len(commands) > 20
    assert {name: lines for name, lines in commands.items() if lines > 60} == {}


def test_arrows_are_counted_from_the_imports(house: ModuleType, tmp_path: Path) -> None:
    for name, text in {
        "engine/a.py": "import os\n",
        "strategies/b.py": "from engine import a\n",
        "adapters/x/__init__.py": "from adapters.y import c\n",
        "adapters/y/c.py": "def late():\n    from adapters.x import d\n",
        "adapters/x/d.py": "import strategies.b\n",
        "adapters/loose.py": "from adapters import y\n",
        "adapters/commands/long.py": "\n" * 7,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    plan = house.plan_of(tmp_path)
    assert dict(plan.arrows) == {
        "engine": frozenset(),
        "strategies": {"engine"},
        "adapters.x": {"adapters.y", "strategies"},
        "adapters.y": {"adapters.x"},
        "adapters.loose": {"adapters.y"},
        "adapters.commands": frozenset(),
    }
    assert plan.up == [("adapters.x", "adapters.y"), ("adapters.y", "adapters.x")]
    assert (plan.rooms, plan.count, plan.floors) == (6, 5, 4)
    assert (plan.loose, dict(plan.commands)) == (("loose.py",), {"long.py": 7})
