"""The folders in a folder of runs, each as one row; for the command line, and for pages about runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from adapters.research.run_kinds import UNKNOWN, RunRow, read_folder
from engine.errors import UserError, shown

SortKey = Literal["started", "run", "kind", "pnl", "drawdown", "trades"]
SORTS: tuple[SortKey, ...] = get_args(SortKey)
NOTHING = float("inf")


def list_runs(folder: Path, sort: SortKey = "started") -> list[RunRow]:
    """A row for every folder in ``folder``, whoever made it; what is broken or foreign says so in ``problem``.

    By start the newest come first, by P&L and trades the most, by drawdown the least; what is not known comes last.
    Raises ``UserError`` when there is no such folder.
    """
    rows = [_row(entry) for entry in _entries(folder)]
    return sorted(sorted(rows, key=lambda row: row.id), key=_ORDERS[sort])


def run_of(folder: Path, run_id: str) -> RunRow:
    """The row of one folder in ``folder``. ``run_id`` is its name as it stands there, never a path.

    Raises ``UserError`` for a name that nothing in there has, such as ``..`` and whatever has a separator.
    """
    # Looked up among the names that are there: nothing is joined to a path that somebody else chose.
    for entry in _entries(folder):
        if entry.name == run_id:
            return _row(entry)
    raise UserError(f"{folder} holds no run {shown(run_id)}; `arb runs {folder}` lists them")


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Folders, and links; a plain file is no run."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the one that holds the folders of runs")
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if entry.is_symlink() or entry.is_dir(follow_symlinks=False))


def _row(entry: os.DirEntry[str]) -> RunRow:
    if entry.is_symlink():
        # It may lead anywhere, and a page would show what lies there.
        return RunRow(entry.name, UNKNOWN, problem="a link, which is not followed")
    row = read_folder(Path(entry.path))
    return row if row.started else replace(row, started=_stamp(entry.name))


def _stamp(name: str) -> datetime | None:
    """When a run began, from the name that commands give to folders of their own accord."""
    try:
        return datetime.strptime(name.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _by(key: str, sign: int) -> Callable[[RunRow], float]:
    """The best of the players in a run, the smallest first."""

    def order(row: RunRow) -> float:
        known = (getattr(result, key) for result in row.results)
        return min((sign * value for value in known if value is not None), default=NOTHING)

    return order


_ORDERS: Mapping[SortKey, Callable[[RunRow], float | str]] = {
    "started": lambda row: -row.started.timestamp() if row.started else NOTHING,
    "run": lambda row: row.id,
    "kind": lambda row: row.kind,
    "pnl": _by("pnl_pct_per_7d", -1),
    "drawdown": _by("max_drawdown_pct", 1),
    "trades": _by("trades", -1),
}
