"""What made a folder, by the files in it, and what they say of the run. Tables of hours and trades are not read."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.datasets.layout import INFO_FILE
from adapters.storage.bundles import DESCRIPTION
from adapters.storage.causes import cause
from adapters.storage.csv_files import unquoted
from adapters.storage.json_files import read_object
from adapters.storage.pbt_names import JOB, read_summary
from adapters.storage.run_names import (
    COMPARED,
    COMPARISON,
    EVALUATION,
    MANIFEST,
    METRICS,
    PAPER_DATABASE,
    PBT_PAGE,
    PLAN,
    POLICY_RESULTS,
    STRESS_PAGE,
    STRESS_RESULTS,
)
from adapters.storage.saved_run import REPORT, read_head, run_folders
from adapters.storage.sealed import SealError, read_sealed
from engine.errors import ArbError, DataError, in_words

UNKNOWN = "unknown"
VALIDATION, AT_ONCE = "validation", "at once"


@dataclass(frozen=True)
class Result:
    """What one player made: % of capital per 7 days, maximum drawdown in % and closed trades; None: not known."""

    strategy: str
    pnl_pct_per_7d: float | None = None
    max_drawdown_pct: float | None = None
    trades: float | None = None
    """A mean where there are several phases or episodes."""


@dataclass(frozen=True)
class RunRow:
    """What a folder says of itself; ``id`` is its name, ``kind`` the command that made it, or what else it is."""

    id: str
    kind: str
    started: datetime | None = None
    dataset: str | None = None
    results: tuple[Result, ...] = ()
    finished: bool | None = None
    """None where it is no run, or where nobody knows."""
    report: str | None = None
    """The page about all of it: the name of a file in the folder."""
    problem: str | None = None
    """What is wrong with it, in words; None where nothing is."""


def read_folder(folder: Path) -> RunRow:
    """The row of a folder. Whatever is wrong with it is its ``problem``; nothing is raised for it."""
    kind = UNKNOWN
    try:
        for marker, named, read in _MARKERS:
            if (folder / marker).is_file():
                kind = named or _kind_of_manifest(folder)
                return read(folder, kind)
        inside = [path for path in folder.iterdir() if path.is_dir() and (path / MANIFEST).is_file()]
        problem = f"no run itself: it holds {len(inside)} of them" if inside else "nothing in it is known"
    except ArbError as error:
        problem = str(error)
    except Exception as error:  # whatever is in one folder, the others are to be seen
        problem = cause(error) or in_words(error)
    # Where the folder lies is known to whoever asked, and a page must not show it.
    return RunRow(folder.name, kind, problem=problem.replace(f"{folder}/", "").replace(str(folder), folder.name))


def _kind_of_manifest(folder: Path) -> str:
    """The command that a manifest names; manifests of backtests of older versions name none."""
    return _text(read_object(folder / MANIFEST), "written_by", "arb backtest").removeprefix("arb ")


def _of_manifest(folder: Path, kind: str) -> RunRow:
    if kind not in _COMMANDS:
        return RunRow(folder.name, UNKNOWN, problem=f"{MANIFEST} says that {kind} wrote it, which is no command")
    return _COMMANDS[kind](folder, kind)


def _played(folder: Path, kind: str) -> RunRow:
    """`arb backtest`, `paper-export`, `walk-forward`: one player over a window."""
    metrics, manifest = read_head(folder)
    result = _result(_text(manifest, "strategy", folder.name), metrics)
    return RunRow(folder.name, kind, **_facts(manifest), results=(result,), finished=True, report=_page(folder, REPORT))


def _several(folder: Path, _: str) -> RunRow:
    """The same of several strategies, a folder each."""
    rows = [_played(inside, _kind_of_manifest(inside)) for inside in run_folders(folder)]
    first, results = rows[0], tuple(result for row in rows for result in row.results)
    return RunRow(
        folder.name, first.kind, first.started, first.dataset, results, finished=True, report=_page(folder, REPORT)
    )


def _tuned(folder: Path, kind: str) -> RunRow:
    manifest = read_object(folder / MANIFEST)
    best = _object(manifest, "best")
    result = _result(_text(manifest, "strategy", ""), _object(best, "metrics"))
    return RunRow(folder.name, kind, _time(manifest), _name_of(manifest, "dataset"), (result,), finished=True)


def _trained(folder: Path, kind: str) -> RunRow:
    manifest = read_object(folder / MANIFEST)
    metrics = _object(manifest, "metrics").get(VALIDATION) or {}
    result = _result(f"ppo-seed{manifest.get('seed')}", metrics)
    return RunRow(folder.name, kind, **_facts(manifest), results=(result,), finished=True)


def _stressed(folder: Path, kind: str) -> RunRow:
    """The base runs, without stress."""
    manifest, found = read_object(folder / MANIFEST), read_object(folder / STRESS_RESULTS)
    results = tuple(_result(_text(one, "strategy", ""), one["runs"][0]) for one in found["strategies"])
    return RunRow(
        folder.name, kind, **_facts(manifest), results=results, finished=True, report=_page(folder, STRESS_PAGE)
    )


def _policy(folder: Path, kind: str) -> RunRow:
    """What was selected, on the hours that it is judged by, mean over the phases of its clock."""
    manifest, found, plan = read_object(folder / MANIFEST), read_object(folder / POLICY_RESULTS), _sealed(folder / PLAN)
    choice = _text(_object(found, "selection"), "choice", "")
    fold = _text(_object(_object(plan, "settings"), "recipe"), "ships", "")
    metrics = _object(_object(_object(_object(found, "folds"), fold), choice), AT_ONCE)
    return RunRow(folder.name, kind, **_facts(manifest), results=(_result(choice, metrics),), finished=True)


def _population(folder: Path, kind: str) -> RunRow:
    """The best agent so far; the manifest is written last of all."""
    job, summary = _sealed(folder / JOB), read_summary(folder)
    results: tuple[Result, ...] = ()
    if summary:
        agent, iteration = summary["winner"], max(one["iteration"] for one in summary["results"])
        (best,) = (one for one in summary["results"] if (one["agent"], one["iteration"]) == (agent, iteration))
        results = (_result(f"agent {agent}", _object(best, "metrics")),)
    finished = (folder / MANIFEST).is_file()
    dataset = _facts(read_object(folder / MANIFEST))["dataset"] if finished else _name_of(job, "dataset")
    return RunRow(folder.name, kind, _time(job), dataset, results, finished, _page(folder, PBT_PAGE))


def _evaluated(folder: Path, kind: str) -> RunRow:
    with (folder / EVALUATION).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    results = (_result(unquoted(row["model"]), {key: _cell(row[key]) for key in _SHOWN}) for row in rows)
    return RunRow(folder.name, kind, results=tuple(results), finished=True)


def _compared(folder: Path, kind: str) -> RunRow:
    found = read_object(folder / COMPARED)
    names = (_text(_object(found, side), "strategy", "") for side in ("first", "second"))
    return RunRow(folder.name, kind, results=tuple(Result(name) for name in names), finished=True)


def _cut(folder: Path, _: str) -> RunRow:
    """A run of which there is a plan and no result yet."""
    plan = _sealed(folder / PLAN)
    kind = "train" if "timesteps" in plan else "walk-forward" if "lengths" in plan else "make-policy"
    results = tuple(Result(str(name)) for name in plan.get("strategies", ()))
    dataset = _name_of(plan, "data" if kind == "train" else "dataset")
    return RunRow(folder.name, kind, _time(plan), dataset, results, finished=False)


def _no_run(folder: Path, kind: str) -> RunRow:
    return RunRow(folder.name, kind)


def _without_manifest(folder: Path, kind: str) -> RunRow:
    return RunRow(folder.name, kind, problem=f"it has {METRICS} and no {MANIFEST}")


Read = Callable[[Path, str], RunRow]
_MARKERS: tuple[tuple[str, str, Read], ...] = (
    (JOB, "train-pbt", _population),
    (COMPARED, "compare", _compared),
    (EVALUATION, "evaluate", _evaluated),
    (MANIFEST, "", _of_manifest),
    (PLAN, UNKNOWN, _cut),
    (COMPARISON, "backtest", _several),
    (INFO_FILE, "data set", _no_run),
    (PAPER_DATABASE, "paper state", _no_run),
    (DESCRIPTION, "bundle", _no_run),
    (METRICS, UNKNOWN, _without_manifest),
)
"""A file, what a folder that has it is (empty: the file says it), and what reads it; the first that is there counts."""
_COMMANDS: Mapping[str, Read] = {
    "backtest": _played,
    "paper-export": _played,
    "walk-forward": _played,
    "tune": _tuned,
    "train": _trained,
    "stress": _stressed,
    "make-policy": _policy,
}
_SHOWN = ("pnl_pct_per_7d", "max_drawdown_pct", "trades")


def _result(strategy: str, metrics: Mapping[str, Any]) -> Result:
    return Result(strategy, *(_number(metrics, key) for key in _SHOWN))


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """When and on what, of a manifest of ``research.manifest``."""
    return {"started": _time(manifest), "dataset": _text(_object(manifest, "dataset"), "name", "") or None}


def _name_of(values: Mapping[str, Any], key: str) -> str | None:
    """The folder that a path leads to: where it lies is nobody's business."""
    return Path(_text(values, key, "")).name or None


def _time(values: Mapping[str, Any]) -> datetime | None:
    told = values.get("started")
    if told is None:
        return None
    time = datetime.fromisoformat(_text(values, "started", ""))
    if time.tzinfo is None:
        raise ValueError("'started' has no time zone")
    return time


def _text(values: Mapping[str, Any], key: str, otherwise: str) -> str:
    value = values.get(key, otherwise)
    if not isinstance(value, str):
        raise ValueError(f"{key!r} is no text")
    return value


def _object(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    if not isinstance(value, Mapping):
        raise ValueError(f"{key!r} is no object")
    return value


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key!r} is no number")
    return float(value)


def _cell(text: str) -> float | None:
    return float(text) if text else None


def _page(folder: Path, name: str) -> str | None:
    return name if (folder / name).is_file() else None


def _sealed(path: Path) -> dict[str, Any]:
    try:
        return read_sealed(path)
    except SealError as error:
        raise DataError(str(error), file=str(path)) from None
