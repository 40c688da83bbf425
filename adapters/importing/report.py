"""What an import brought and what it did not: per contract rows, spans, hours missing, intervals, refusals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from adapters.datasets.settlement_intervals import bar_gaps, intervals_in_force
from adapters.exchanges.raw_gate import Refused as NotBelieved
from adapters.importing.adding import Added
from adapters.importing.recordings import BARS, MARKS, SETTLEMENTS
from adapters.importing.refusals import Refusals
from adapters.storage.atomic import replacing_file
from adapters.storage.provenance import command_line
from adapters.storage.stamps import HOUR_MS

REPORT_FILE = "import_report.json"
LONGEST_LIST = 1_000
"""Of lines in the report file."""


@dataclass(frozen=True)
class RowsHeld:
    """Rows that the folder holds: how many are new, how many the import had that were there, the first and the last."""

    rows: int
    new: int
    there: int
    first: str | None
    last: str | None
    missing: int
    """Hours without a bar, or settlements that were due, between the first and the last."""


@dataclass(frozen=True)
class ContractReport:
    """One contract. ``intervals``: settlements by their interval in hours, of which the source says ``stated``."""

    symbol: str
    contract: str
    multiplier: int
    bars: RowsHeld
    settlements: RowsHeld
    intervals: dict[str, int]
    stated: int
    without_range: int
    without_volume: int
    not_believed: int
    new_marks: int
    first_not_believed: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that ``import_report.json`` holds."""

    command: str
    source: str
    exchange: str
    path: str
    contracts: list[ContractReport]
    files_refused: list[str]
    rows_refused: list[str]
    refused_rows: int
    remarks: list[str]
    not_used: list[str]
    parts_left_out: list[str] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)
    """Contracts of which the list of markets stated rules of orders, for ``instruments.parquet``."""

    @property
    def is_complete(self) -> bool:
        """Whether every file that was wanted was read, and every part of the folder went into its tables."""
        return not self.files_refused and not self.parts_left_out


def report_of(
    source: str,
    exchange: str,
    path: str,
    added: Sequence[Added],
    refusals: Refusals,
    not_believed: NotBelieved,
    parts_left_out: Sequence[str],
    instruments: Sequence[str] = (),
) -> Report:
    """The report of an import."""
    remarks = [f"{what} ({_files(files)})" for what, files in refusals.remarks.items()]
    return Report(
        command=command_line(),
        source=source,
        exchange=exchange,
        path=path,
        contracts=sorted((_contract(each, not_believed) for each in added), key=lambda each: each.contract),
        files_refused=[str(each) for each in refusals.files],
        rows_refused=[str(each) for each in refusals.rows],
        refused_rows=sum(each.rows for each in (*refusals.files, *refusals.rows)),
        remarks=remarks,
        not_used=[f"{file}: {what}" for file, what in refusals.unused],
        parts_left_out=list(parts_left_out),
        instruments=sorted(instruments),
    )


def write_report(folder: Path, report: Report) -> None:
    """``import_report.json``, whole or not at all; of long lists the beginning."""
    values = asdict(report)
    for name in ("files_refused", "rows_refused", "remarks", "not_used"):
        values[name] = values[name][:LONGEST_LIST]
    with replacing_file(folder / REPORT_FILE) as aside:
        aside.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _contract(added: Added, not_believed: NotBelieved) -> ContractReport:
    leg = added.leg
    name = leg.listing.symbol, leg.listing.exchange
    bars, settlements = leg.bars.sorted(), [(*row, np.nan)[:3] for row in leg.settlements.sorted()]
    refused = not_believed.refusals.get(name, [])
    times = [int(row[0]) for row in settlements]
    inferred, gaps = intervals_in_force(times)
    hours = [inferred[i] if np.isnan(row[2]) else row[2] for i, row in enumerate(settlements)]
    bar_times = leg.bars.times()
    end = bar_times[-1] + HOUR_MS if bar_times else 0
    ranges, volumes = (sum(bool(np.isnan(row[i])) for row in bars) for i in (2, 5))
    return ContractReport(
        symbol=leg.listing.symbol,
        contract=leg.listing.listed,
        multiplier=leg.listing.multiplier,
        bars=_span(added, BARS, bar_times, sum(gap.missing for gap in bar_gaps(bar_times, end))),
        settlements=_span(added, SETTLEMENTS, times, sum(gap.missing for gap in gaps)),
        intervals=dict(sorted(Counter(f"{value:g}" for value in hours if not np.isnan(value)).items())),
        stated=sum(not np.isnan(row[2]) for row in settlements),
        without_range=ranges,
        without_volume=volumes,
        not_believed=len(refused),
        new_marks=added.new.get(MARKS, 0),
        first_not_believed=str(refused[0]) if refused else "",
    )


def _span(added: Added, kind: str, times: Sequence[int], missing: int) -> RowsHeld:
    first, last = (_text(times[0]), _text(times[-1])) if times else (None, None)
    return RowsHeld(len(times), added.new.get(kind, 0), added.there.get(kind, 0), first, last, missing)


def _text(time_ms: int) -> str:
    return f"{np.datetime64(time_ms, 'ms').astype('datetime64[m]')}Z"


def _files(files: Sequence[str]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0]}{more}"
