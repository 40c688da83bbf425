"""An idea stands in one place: late and dear worlds, players, runs and windows are each made in one file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
ROOMS = ("engine", "strategies", "rl_training", "adapters")
COMMANDS = ("backtest", "evaluate", "tune", "stress", "audit", "deploy")
MOST_LINES = 60


def found(pattern: str, *, under: tuple[str, ...] = ROOMS) -> set[str]:
    """Files of the product in which a pattern occurs."""
    return {name for name, text in sources(under) if re.search(pattern, text)}


@cache
def sources(rooms: tuple[str, ...]) -> list[tuple[str, str]]:
    """Path and text of every file of the product in some folders."""
    paths = [path for room in rooms for path in sorted((HOUSE / room).rglob("*.py"))]
    return [(path.relative_to(HOUSE).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"_replace\(\s*rules=", "engine/worlds.py"),
        (r"latency_hours\s*[+]|latency_hours\"?\s*[:=][^=\n]*[+]", "engine/worlds.py"),
        (r"cost_multiple\"?\s*[:=][^=\n]*[*]", "engine/worlds.py"),
        (r"(?m)^class (Window|Span)\b", "engine/windows.py"),
        (r"(?m)^class World\b", "engine/worlds.py"),
    ],
    ids=["a tape under other rules", "later fills", "dearer costs", "a span of hours", "a market under rules"],
)
def test_an_idea_of_the_product_has_one_home(pattern: str, home: str) -> None:
    assert found(pattern) == {home}


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"\brun_backtest\(", "adapters/research/playing.py"),
        (r"(?m)^class (Played|Episode)\b", "adapters/research/playing.py"),
        (r"(?m)^class (Player|Entrant|Contestant)\b", "adapters/research/players.py"),
        (r"\b(Ppo|Ensemble)\(", "adapters/research/players.py"),
    ],
    ids=["a run", "what came of a run", "who plays", "a policy that plays"],
)
def test_an_idea_of_research_has_one_home(pattern: str, home: str) -> None:
    assert found(pattern, under=("adapters/research", "adapters/reporting", "adapters/commands")) == {home}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_only_hands_on(name: str) -> None:
    lines = (HOUSE / "adapters" / "commands" / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES, f"{len(lines)} lines: what a command does belongs to adapters/research"
