"""Folders of runs whose files were damaged: read as what they were, or refused with the file that is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
from support_datasets import info_of, small_market

from adapters.cli import main
from adapters.datasets.write import write_dataset

NAME = "saved runs"
Rng = np.random.Generator
HOURS = 60
JSON = ("metrics.json", "manifest.json", "significance.json", "references.json", "cost_stress.json")
TABLES = ("trades.csv", "notes.csv", "entries.csv", "ledger.parquet", "equity.parquet", "references.parquet")


@cache
def whole() -> Path:
    """Two runs on one small data set."""
    place = Path(mkdtemp(prefix="saved-runs-"))
    market = small_market(HOURS)
    write_dataset(market, place / "data", info_of(market))
    for name, strategy in (("one", "random"), ("two", "hold")):
        words = ["backtest", "--strategy", strategy, "--data", str(place / "data"), "--out", str(place / name)]
        words += ["--set", "min_history_hours=4", "--set", "strategies.random.enter_probability=0.4"]
        assert _called([*words, "--set", "significance.samples=100"])[0] == 0
    return place


def case(rng: Rng, folder: Path) -> str:
    """One damaged run, compared with another or reported anew."""
    run = folder / "run"
    shutil.copytree(whole() / "one", run)
    damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
    about = damage(rng, run)
    command = ["report", str(run)] if rng.random() < 0.2 else ["compare", str(run), str(whole() / "two")]
    if command[0] == "compare":
        command += ["--out", str(folder / "out")]
    before = sorted(path.name for path in run.iterdir())
    code, said = _called(command)
    assert sorted(path.name for path in run.iterdir()) == before or command[0] == "report", about
    if code == 0:
        return "accepted"
    assert code == 2, (about, code, said)
    assert said.startswith("error: "), (about, said)
    assert said.count("\n") == 1, (about, said)
    assert len(said) < 700, (about, said)
    assert not (folder / "out").exists(), about
    return "refused"


def _called(words: list[str]) -> tuple[int, str]:
    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        try:
            main(words)
        except SystemExit as ended:
            return int(ended.code or 0), told.getvalue()
    return 0, told.getvalue()


# --- damages ---


def _bytes(rng: Rng, run: Path) -> str:
    path = run / str(rng.choice([*JSON, *TABLES]))
    content = bytearray(path.read_bytes())
    kind = str(rng.choice(["flip", "cut", "empty", "junk"]))
    if kind == "flip" and content:
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        content = content[: int(rng.integers(len(content) + 1))]
    else:
        content = bytearray() if kind == "empty" else bytearray(rng.bytes(500))
    path.write_bytes(content)
    return f"{kind} {path.name}"


def _gone(rng: Rng, run: Path) -> str:
    path = run / str(rng.choice([*JSON, *TABLES]))
    path.unlink()
    if rng.random() < 0.3:
        path.mkdir()
    return f"gone {path.name}"


def _json(rng: Rng, run: Path) -> str:
    """One value somewhere becomes another, or goes."""
    path = run / str(rng.choice(JSON))
    values = json.loads(path.read_text())
    holder, key = values, _key(rng, values)
    trail = [str(key)]
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.6:
        holder = holder[key]
        key = _key(rng, holder)
        trail.append(str(key))
    odd: tuple[Any, ...] = (None, 0, -1, 1.5, 1e300, "x", "", True, [], {}, [1], {"a": 1}, "2025-02-30", "<b>")
    if rng.random() < 0.4:
        del holder[key]
    else:
        holder[key] = odd[int(rng.integers(len(odd)))]
    path.write_text(json.dumps(values))
    return f"json {path.name} {'.'.join(trail)}"


def _key(rng: Rng, holder: Any) -> Any:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    return keys[int(rng.integers(len(keys)))]


def _table(rng: Rng, run: Path) -> str:
    """A column goes, or a value of it becomes another."""
    path = run / str(rng.choice(TABLES))
    read: Callable[..., pd.DataFrame] = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
    table = read(path)
    column = str(rng.choice(list(table.columns)))
    kind = str(rng.choice(["drop", "text", "nothing", "rename", "rows", "twice"]))
    if kind == "drop":
        table = table.drop(columns=column)
    elif kind == "rename":
        table = table.rename(columns={column: "other"})
    elif kind == "rows":
        table = table.iloc[: int(rng.integers(len(table) + 1))]
    elif kind == "twice":
        table = pd.concat([table, table])
    else:
        table[column] = table[column].astype(object)
        if len(table):
            row, place = int(rng.integers(len(table))), list(table.columns).index(column)
            table.iloc[row, place] = "x" if kind == "text" else None
        if path.suffix != ".csv":
            table[column] = table[column].map(lambda value: None if value is None else str(value))
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
    return f"table {path.name} {column} {kind}"


DAMAGES: tuple[Callable[[Rng, Path], str], ...] = (_bytes, _gone, _json, _json, _json, _table, _table)
