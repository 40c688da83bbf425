"""Settings files and ``--set`` words that were altered: read as they are meant, or refused in one short line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from adapters.configuration.settings import CONFIGS, ArbSettings, load_settings
from adapters.configuration.tuning_grids import read_grid
from adapters.paper.settings import load_config
from adapters.research.stress.settings import load_stress
from engine.accounting.tape import rules_record
from engine.errors import UserError
from engine.settings import parse_settings

NAME = "settings"
Rng = np.random.Generator
LONGEST = 300
"""Characters of a message beside the name of the file."""
VALUES = (
    "true", "false", "null", "~", "", "nan", ".nan", ".inf", "-.inf", "1e308", "-1e308", "1e999", "1:30", "12:30:45",
    "2025-02-30", "2025-01-01", "0x1F", "0b1", "010", "1_000", "-1", "0", "-0.0", "1e-320", "9" * 400, "9" * 5000,
    "[]", "{}", "[1]", "{a: 1}", "[[[]]]", "*x", "&x 1", "!!int 3", "!!python/name:os.system", "!!binary AA==",
    "'", '"', "[", "{", "- a", "a: b: c", "x" * 5000, '"a\\0b"', '"a\\nb"', "yes", "on", "NO", "|", ">", "%", "@", "`",
    "\t", "\u2028", "\ufeff", "é", "null null", "3 4", "1,5", "1.5.2", "+", "--", "...", "---", "&a [*a]", "<<",
)  # fmt: skip
WORDS = (
    "slippage_bps", "initial_capital_usd", "max_positions", "filters.symbols", "margin.wallet_shares", "leverage",
    "margin.maintenance_margin_rate", "training.ppo.net_arch", "pbt.search.gamma", "fees.bybit.taker", "fees.x.taker",
    "strategies.carry.enter_margin", "strategies.x", "tuned", "significance.samples", "account", "fill_at",
    "", ".", "..",
    "filters", "filters.", "slipage", "leg_failure_seed", "max_stale_hours", "x" * 3000, "a\0b", "\udcff", "fees",
)  # fmt: skip


@cache
def texts() -> dict[str, str]:
    """What is shipped, by the door through which it is read."""
    names = {"settings": "default.yaml", "paper": "paper.yaml", "stress": "stress.yaml", "grid": "tuning.yaml"}
    return {door: (CONFIGS / name).read_text(encoding="utf-8") for door, name in names.items()}


def case(rng: Rng, folder: Path) -> str:
    """One altered file or some altered words, through one door."""
    door = str(rng.choice(["settings", "settings", "set", "paper", "stress", "grid"]))
    path = folder / "mine.yaml"
    overrides = [_word(rng) for _ in range(int(rng.integers(1, 4)))] if door == "set" or rng.random() < 0.2 else []
    text = "" if door == "set" else _altered(rng, texts()[door])
    path.write_bytes(_flipped(rng, text.encode("utf-8", "surrogateescape")))
    try:
        _read(door, path, overrides)
    except UserError as error:
        said = str(error).replace(str(path), "")
        assert "\n" not in said, said
        assert len(said) < LONGEST, said
        return "refused"
    return "accepted"


def _read(door: str, path: Path, overrides: list[str]) -> None:
    if door == "paper":
        config = load_config(path, overrides)
        _make_sense(config.engine)
        assert 0 <= config.paper.seed < 2**32
    elif door == "stress":
        stress = load_stress(path)
        json.dumps(stress.model_dump(mode="json"), allow_nan=False)
    elif door == "grid":
        grid = read_grid(path, "carry")
        assert all(isinstance(values, list) and values for values in grid.values())
    else:
        _make_sense(load_settings(path, overrides))


def _make_sense(settings: ArbSettings) -> None:
    """What was accepted can be run, written down and read again."""
    written = json.dumps(settings.model_dump(mode="json"), allow_nan=False)
    assert parse_settings(ArbSettings, json.loads(written)) == settings
    rules = rules_record(settings)
    for name in rules.dtype.names or ():
        value = float(rules[name][0])
        assert math.isnan(value) or abs(value) <= 1e13, (name, value)
    assert settings.margin.maintenance_margin_rate * settings.leverage < 1
    for name, value in _numbers(settings.model_dump()):
        assert math.isfinite(value), name
    assert not isinstance(settings.slippage_bps, bool)


def _numbers(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _numbers(value, f"{name}.{key}")
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _numbers(value, name)
    elif isinstance(values, float):
        yield name, values


def _word(rng: Rng) -> str:
    """One ``--set``, mostly of a key that there is."""
    if rng.random() < 0.1:
        return str(rng.choice(["", "=", "==", "slippage_bps", "slippage_bps==1", "=1", "a=b=c", " slippage_bps = 1 "]))
    return f"{rng.choice(WORDS)}={rng.choice(VALUES)}"


def _altered(rng: Rng, text: str) -> str:
    lines = text.splitlines()
    for _ in range(int(rng.integers(1, 4))):
        change = CHANGES[int(rng.integers(len(CHANGES)))]
        lines = change(rng, lines) or [""]
    return "\n".join(lines)


def _place(rng: Rng, lines: list[str]) -> int:
    return int(rng.integers(len(lines)))


def _another_value(rng: Rng, lines: list[str]) -> list[str]:
    valued = [i for i, line in enumerate(lines) if re.match(r"\s*[\w-]+:\s+[^#\s{\[]", line)]
    if valued:
        i = valued[int(rng.integers(len(valued)))]
        lines[i] = re.sub(r":\s+.*", lambda _: f": {rng.choice(VALUES)}", lines[i], count=1)
    return lines


def _another_key(rng: Rng, lines: list[str]) -> list[str]:
    i = _place(rng, lines)
    return [*lines[:i], re.sub(r"\w+:", lambda _: f"{rng.choice(VALUES)}:", lines[i], count=1), *lines[i + 1 :]]


def _twice(rng: Rng, lines: list[str]) -> list[str]:
    i, j = _place(rng, lines), _place(rng, lines)
    return [*lines[:j], lines[i], *lines[j:]]


def _gone(rng: Rng, lines: list[str]) -> list[str]:
    i = _place(rng, lines)
    return lines[:i] + lines[i + 1 :]


def _indented(rng: Rng, lines: list[str]) -> list[str]:
    i = _place(rng, lines)
    lines[i] = str(rng.choice([" ", "  ", "\t", "- "])) + lines[i] if rng.random() < 0.7 else lines[i].lstrip()
    return lines


def _a_letter(rng: Rng, lines: list[str]) -> list[str]:
    i = _place(rng, lines)
    j = int(rng.integers(len(lines[i]) + 1))
    lines[i] = lines[i][:j] + str(rng.choice(list(":-[]{}#&*!|>'\"%@`,?\t ~0x"))) + lines[i][j + int(rng.integers(2)) :]
    return lines


def _cut(rng: Rng, lines: list[str]) -> list[str]:
    i = _place(rng, lines)
    return [*lines[:i], lines[i][: int(rng.integers(len(lines[i]) + 1))]]


def _itself(rng: Rng, lines: list[str]) -> list[str]:
    return [*lines, str(rng.choice(["x: &x {y: *x}", "filters: &f {symbols: [*f]}", "a: &a [*a]", "<<: &m {<<: *m}"]))]


CHANGES: tuple[Callable[[Rng, list[str]], list[str]], ...] = (
    _another_value, _another_value, _another_value, _another_key, _twice, _gone, _indented, _a_letter, _cut, _itself,
)  # fmt: skip


def _flipped(rng: Rng, content: bytes) -> bytes:
    """Now and then a bit of it."""
    if rng.random() < 0.9 or not content:
        return content
    spoilt = bytearray(content)
    spoilt[int(rng.integers(len(spoilt)))] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)
