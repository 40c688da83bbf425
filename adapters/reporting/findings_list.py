"""What is wrong in a data set, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from adapters.datasets.findings import Finding
from adapters.datasets.layout import PRICE_FOLDER


def findings_list(findings: Iterable[Finding], dataset: Path, limit: int) -> list[str]:
    """Lines grouped by severity and kind, at most ``limit`` of each kind (0: all), and a count at the end."""
    ordered = sorted(findings, key=lambda finding: (finding.severity, finding.kind))
    lines: list[str] = []
    for (severity, kind), group in groupby(ordered, key=lambda finding: (finding.severity, finding.kind)):
        of_kind = list(group)
        shown = of_kind[: limit or None]
        lines.append(f"{severity}: {kind} ({len(of_kind)})")
        lines += [f"  {_line(finding, dataset)}" for finding in shown]
        if len(shown) < len(of_kind):
            lines.append(f"  ... and {len(of_kind) - len(shown)} more (--limit 0 shows all)")
    errors = sum(finding.severity == "error" for finding in ordered)
    return [*lines, f"{dataset}: {_count(errors, 'error')}, {_count(len(ordered) - errors, 'warning')}"]


def _line(finding: Finding, dataset: Path) -> str:
    path = Path(finding.file)
    # A price history file is named after its coin; neither its folder nor the coin need be said again.
    for folder in (dataset / PRICE_FOLDER, dataset):
        if path.is_relative_to(folder) and path != folder:
            path = path.relative_to(folder)
            break
    place = [str(path), "" if finding.coin in (path.stem, "") else finding.coin, finding.exchange, finding.hour]
    return f"{' '.join(part for part in place if part)}: {finding.message}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
