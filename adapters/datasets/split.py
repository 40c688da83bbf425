"""``arb data split``: new windows for a data set that exists."""

from __future__ import annotations

from pathlib import Path

from adapters.datasets.layout import INFO_FILE, DatasetInfo, read_info, write_info
from adapters.datasets.windows import WindowEdges, check_windows
from engine.errors import UserError


def split_dataset(dataset: Path, edges: WindowEdges) -> tuple[DatasetInfo, list[str]]:
    """Rewrite the windows in ``dataset.yaml``; edges that are not stated stay as they are.

    Returns the new content and warnings about short embargoes. Raises ``UserError`` when windows would overlap or
    leave the data, and when nothing is stated; the file then stays as it was.
    """
    if edges == WindowEdges():
        raise UserError("no edge of a window is given; for example --train-to 2025-01-31T23:00Z")
    if dataset.is_dir() and not (dataset / INFO_FILE).exists():
        raise UserError(f"{dataset} has no {INFO_FILE}: files of older layouts have no named windows")
    info = read_info(dataset)
    windows = edges.over(info.windows, info.first_hour, info.last_hour)
    warnings = check_windows(windows, info.first_hour, info.last_hour)
    info = info.model_copy(update={"windows": windows})
    write_info(dataset, info)
    return info, warnings
