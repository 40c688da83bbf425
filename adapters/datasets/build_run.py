"""A data set from raw tables, as it is asked for: built, then looked over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adapters.configuration.settings import load_settings
from adapters.datasets.build import build_dataset
from adapters.datasets.findings import Finding
from adapters.datasets.layout import DatasetInfo
from adapters.datasets.left_out import LeftOut
from adapters.datasets.opportunity_file import write_opportunities
from adapters.datasets.selection import selection_of
from adapters.datasets.validate import validate
from adapters.datasets.windows import WindowEdges
from adapters.datasets.write import Progress
from adapters.naming.names import name_of_folder, together


@dataclass(frozen=True)
class BuildRequest:
    """What is asked for; None means the default that the command states."""

    raw: tuple[Path, ...]
    out: Path
    name: str | None
    source: str | None
    replace: bool
    symbols: str | None
    exclude: str | None
    strict: bool
    write_opportunities: bool
    config: Path | None
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Built:
    """A new data set: its ``dataset.yaml``, what was left out line by line, and what is odd about the rest."""

    out: Path
    info: DatasetInfo
    warnings: list[str]
    left_out: list[str]
    findings: list[Finding]


def build(asked: BuildRequest, edges: WindowEdges | None, progress: Progress | None) -> Built:
    """Build it whole or not at all. Raises ``UserError`` and ``DataError`` like ``build_dataset``."""
    left, also_write = LeftOut(strict=asked.strict), None
    selection = selection_of(asked.symbols, asked.exclude)
    if asked.write_opportunities:
        also_write = partial(write_opportunities, progress=progress)
    info, warnings = build_dataset(
        asked.raw, asked.out, name=name_of_folder(asked.name, asked.out.resolve().name),
        source=asked.source or together(asked.raw),
        windows=edges, replace=asked.replace, left=left, selection=selection,
        gate=load_settings(asked.config, asked.overrides).gate, progress=progress, also_write=also_write,
    )  # fmt: skip
    return Built(asked.out, info, warnings, list(left.lines()), validate(asked.out))
