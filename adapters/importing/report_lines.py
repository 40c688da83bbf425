"""The report of an import for a terminal: a table of contracts, then what was refused and what else to know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.datasets.layout import INSTRUMENTS_FILE
from adapters.importing.report import REPORT_FILE, ContractReport, Report, RowsHeld

HEADS = ("contract", "bars", "from", "to", "missing", "settled", "interval", "missing", "refused")
WIDTH = 100
SHOWN = 5
"""Of each kind of lines; the report file has the others."""


def lines_of(report: Report, out: object) -> Iterator[str]:
    """Lines of at most 100 columns but for names of files."""
    yield from table(report.contracts)
    for each in report.contracts:
        yield from _about(each)
    for what, lines in (
        ("refused", report.files_refused),
        ("refused", report.rows_refused),
        ("left out", report.parts_left_out),
        ("note", report.remarks),
        ("not used", report.not_used),
    ):
        # Files are named by their place below the path that was given, which everybody knows.
        yield from _shown(what, [line.replace(f"{report.path}/", "") for line in lines])
    if report.instruments:
        yield f"{INSTRUMENTS_FILE}: tick, lot, least order, most leverage as listed of {_few(report.instruments)}"
    new = [sum(span.new for span in spans) for spans in _spans(report.contracts)]
    there = sum(span.there for spans in _spans(report.contracts) for span in spans)
    marks = sum(each.new_marks for each in report.contracts)
    marked = f", {marks:,} new marks" if marks else ""
    known = f", {there:,} rows were there already" if there else ""
    refused = f", {report.refused_rows:,} rows refused" if report.refused_rows else ""
    yield (
        f"{out}: {report.exchange}, {len(report.contracts)} contracts, {new[0]:,} new bars, {new[1]:,} new settlements"
        f"{marked}{known}{refused} ({REPORT_FILE})"
    )


def table(contracts: Sequence[ContractReport]) -> list[str]:
    """A row for each contract: what the folder holds of it now, in at most ``WIDTH`` columns."""
    rows = [HEADS, *(_row(each) for each in contracts)]
    if all(row[-1] == "0" for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    # Only names may be long; they are cut before a number is.
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1))
    return ["  ".join(_cell(HEADS[i], row[i], widths[i]) for i in range(len(row))).rstrip() for row in rows]


def _row(each: ContractReport) -> tuple[str, ...]:
    bars, settled = each.bars, each.settlements
    return (
        each.contract, f"{bars.rows:,}", _day(bars.first), _day(bars.last), f"{bars.missing:,}",
        f"{settled.rows:,}", _interval(each), f"{settled.missing:,}", f"{each.not_believed:,}",
    )  # fmt: skip


def _cell(head: str, text: str, width: int) -> str:
    cut = text if len(text) <= width else f"{text[: width - 3]}..."
    return f"{cut:<{width}}" if head in ("contract", "from", "to", "interval") else f"{cut:>{width}}"


def _interval(each: ContractReport) -> str:
    hours = sorted(each.intervals, key=float)
    if not hours:
        return "-"
    rows = each.settlements.rows
    how = "stated" if each.stated == rows else "inferred" if not each.stated else "both"
    return f"{'/'.join(hours) if len(hours) < 3 else f'{hours[0]}-{hours[-1]}'} h {how}"


def _about(each: ContractReport) -> Iterator[str]:
    if not each.settlements.rows:
        yield f"note: {each.contract}: no settlements yet; a data set needs both"
    if not each.bars.rows:
        yield f"note: {each.contract}: no bars yet; a data set needs both"
    if each.not_believed:
        yield f"refused: {each.not_believed} values by the gate, the first: {each.first_not_believed}"


def _shown(what: str, lines: Sequence[str]) -> Iterator[str]:
    yield from (f"{what}: {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"{what}: ... and {len(lines) - SHOWN:,} more (in {REPORT_FILE})"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= SHOWN else f"{len(names):,} contracts"


def _spans(contracts: Sequence[ContractReport]) -> tuple[list[RowsHeld], list[RowsHeld]]:
    return [each.bars for each in contracts], [each.settlements for each in contracts]


def _day(time: str | None) -> str:
    return "-" if time is None else time[:10]
