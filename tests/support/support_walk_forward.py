"""A small data set for walk-forwards of rules, and what to compare of their folders."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from small_market import wandering_market
from support_cli import arb

from adapters.datasets.layout import DatasetInfo, NamedWindow
from adapters.datasets.write import write_dataset
from engine.market.data import MarketData
from engine.windows import time_of

HOURS = 330
GRID = {"carry": {"window_hours": [24], "horizon_hours": [24, 96], "enter_margin": [1.0, 3.0], "leave_margin": [0.1]}}
LENGTHS = ("--train-days", 2, "--validate-days", 3, "--test-days", 2, "--embargo-hours", 6)
FOLDS = 4
FOLD_HOURS = 24 * 7 + 12
SETTINGS = ("--set", "min_history_hours=12")
TIMES = ("started", "finished", "command", "code_version")


def market(seed: int = 8) -> MarketData:
    """The market of these tests."""
    return wandering_market(HOURS, seed)


def write_data(folder: Path) -> Path:
    """The market as a data set, with a small grid beside it."""
    write_grid(folder / "grid.yaml")
    return write_market(market(), folder / "small")


def write_market(data: MarketData, folder: Path, **windows: tuple[int, int]) -> Path:
    """A data set of the market; ``windows`` by first and last row."""
    info = DatasetInfo(
        name="small",
        source="a test",
        exchanges=data.exchanges,
        first_hour=time_of(int(data.hours[0])),
        last_hour=time_of(int(data.hours[-1])),
        how_made="by hand",
        windows={
            name: NamedWindow(start=time_of(int(data.hours[first])), end=time_of(int(data.hours[last])))
            for name, (first, last) in windows.items()
        },
    )
    write_dataset(data, folder, info)
    return folder


def write_grid(path: Path) -> Path:
    """The grid of the tests as a file."""
    path.write_text(yaml.safe_dump(GRID, sort_keys=False), encoding="utf-8")
    return path


def options(data: Path, out: Path, *more: object, strategy: str = "carry") -> list[object]:
    """The command on the small data set; the grid lies beside it."""
    grid = ("--grid", data.parent / "grid.yaml") if "carry" in strategy else ()
    own = ("--data", data, *grid, "--workers", 1, "--no-report", "--out", out)
    return ["walk-forward", "--strategy", strategy, *own, *LENGTHS, *SETTINGS, *more]


def walk(data: Path, out: Path, *more: object, strategy: str = "carry") -> int:
    """Exit code of the command."""
    return arb(*options(data, out, *more, strategy=strategy))


def folds(folder: Path) -> list[dict[str, Any]]:
    """``folds.json``."""
    found: list[dict[str, Any]] = json.loads((folder / "folds.json").read_text(encoding="utf-8"))["folds"]
    return found


def rows(path: Path) -> list[dict[str, str]]:
    """A CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_same_results(one: Path, other: Path) -> None:
    """Every file byte for byte; manifests and looks without their times."""
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, other)]
    assert names[0] == names[1]
    for name in names[0]:
        if (one / name).is_file():
            contents = [list(_comparable(folder / name)) for folder in (one, other)]
            assert contents[0] == contents[1], name


def _comparable(path: Path) -> Iterator[Any]:
    if path.name == "manifest.json":
        manifest = json.loads(path.read_text(encoding="utf-8"))
        yield {key: value for key, value in manifest.items() if key not in TIMES}
    elif path.name == "looks.jsonl":
        for line in path.read_text(encoding="utf-8").splitlines():
            yield {key: value for key, value in json.loads(line).items() if key != "time"}
    else:
        yield path.read_bytes()
