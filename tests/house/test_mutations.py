"""The list of deliberate mutations keeps pace with code and tests (running it takes minutes: ``make mutations``)."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MUTATIONS: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests" / "mutations.yaml").read_text(encoding="utf-8"))
TRAP_TEST = re.compile(r"^def (test_trap_(\d\d)_\w+)", re.MULTILINE)


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation["what"])
def test_a_mutation_breaks_one_place_and_names_tests_that_exist(mutation: dict[str, Any]) -> None:
    assert set(mutation) == {"trap", "what", "file", "find", "replace", "tests"}
    assert text_of(mutation["file"]).count(mutation["find"]) == 1
    assert mutation["find"] != mutation["replace"]
    assert mutation["tests"]
    for test in mutation["tests"]:
        file, _, name = test.partition("::")
        assert f"def {name}(" in text_of(file)


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "run_mutations.py"), "--only", "no mutation is called this"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "matches no trap, file, description or tests" in done.stderr


def test_no_two_mutations_are_the_same() -> None:
    assert len({(one["file"], one["find"], one["replace"]) for one in MUTATIONS}) >= len(MUTATIONS) - 1
    assert len({one["what"] for one in MUTATIONS}) == len(MUTATIONS)


def test_every_trap_test_of_the_engine_has_a_mutation_that_it_must_see() -> None:
    seen = {test for one in MUTATIONS for test in one["tests"]}
    files = ["tests/adapters/commands/test_backtest.py", "tests/engine/observation/test_encoding.py"]
    files += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "tests" / "traps").glob("test_traps_*.py"))]
    tests = [(file, name) for file in files for name, _ in TRAP_TEST.findall(text_of(file))]
    assert len(tests) > 40
    assert [f"{file}::{name}" for file, name in tests if f"{file}::{name}" not in seen] == []


def test_the_engine_has_tests_for_traps_1_to_15() -> None:
    files = (ROOT / "tests" / "traps").glob("test_traps_*.py")
    numbers = {int(number) for path in files for _, number in TRAP_TEST.findall(path.read_text(encoding="utf-8"))}
    assert set(range(1, 16)) <= numbers
