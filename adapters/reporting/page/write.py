"""The reports of a folder: of each run, and one that compares them when there are several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adapters.reporting.page.comparison import Compared, comparison_page
from adapters.reporting.page.extras import read_extras
from adapters.reporting.page.page import check_page, run_page, write_page
from adapters.reporting.page.terminal import Story, story_of
from adapters.storage.saved_run import REPORT, read_run, require_facts, run_folders

FACTS = {
    "strategy": str, "settings_hash": str, "dataset": dict, "cost_table": dict, "cost_table_hash": str,
    "code_version": str, "command": str, "packages": dict, "started": str, "finished": str,
}  # fmt: skip
"""What a page shows of the manifest."""


def write_reports(folder: Path, order: Sequence[str] = ()) -> list[Story]:
    """``report.html`` in the folder of a run; with several runs in the folder one in each, and the comparison.

    Everything comes from the files; the folders named in ``order`` come first, in that order. Raises ``UserError``
    when the folder has no run.
    """
    rank = {name: place for place, name in enumerate(order)}
    found = sorted(run_folders(folder), key=lambda one: rank.get(one.name, len(rank)))
    runs = [read_compared(one, folder) for one in found]
    for one in runs:
        write_page(one.run.folder / REPORT, run_page(one.run, one.extras))
    if [one.run.folder for one in runs] != [folder]:
        write_page(folder / REPORT, comparison_page(runs))
    return [story_of(one.run, one.extras) for one in runs]


def read_compared(folder: Path, beside: Path | None = None) -> Compared:
    """A run with its extras; with ``beside`` its report is linked as seen from that folder."""
    link = None if beside is None or beside == folder else f"{folder.relative_to(beside).as_posix()}/{REPORT}"
    run = read_run(folder)
    # Here the file and what it lacks can be named; a template would only miss a value.
    require_facts(run, FACTS)
    return Compared(run, read_extras(folder), link)


def compare(folders: Sequence[Path], out: Path) -> None:
    """One page that shows runs side by side. Raises ``UserError`` for a folder without a run."""
    check_page(out)
    found = [inside for folder in folders for inside in run_folders(folder)]
    write_page(out, comparison_page([read_compared(folder) for folder in found]))
