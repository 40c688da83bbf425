"""Everything that is or looks wrong in a data set, all at once; loading stops at the first error instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from adapters.datasets.assemble import read_market
from adapters.datasets.coin_files import read_coin_file, row_errors
from adapters.datasets.findings import Finding, hour_text
from adapters.datasets.grid import grid_of
from adapters.datasets.instruments import with_instruments
from adapters.datasets.layout import (
    BOOKS_FILE,
    INFO_FILE,
    INSTRUMENTS_FILE,
    PRICE_FOLDER,
    DatasetInfo,
    coin_of_file,
    coin_paths,
    opportunities_path,
    read_info,
)
from adapters.datasets.order_books import with_order_books
from adapters.datasets.price_checks import price_findings
from adapters.datasets.price_levels import level_findings
from adapters.datasets.rate_units import RateLevel, rate_levels, unit_findings
from adapters.datasets.recorded import read_opportunities
from adapters.datasets.settlement_checks import settlement_findings
from adapters.datasets.windows import check_windows
from adapters.datasets.write import Progress
from adapters.gate.limits import GateSettings
from adapters.gate.market import gate_market
from adapters.gate.order_books import BOOK, gate_order_books
from adapters.gate.recorded import gate_recorded
from adapters.gate.refusals import Refusal
from adapters.gate.values import RATE
from adapters.storage.stamps import HOUR_MS
from engine.errors import DataError, UserError


def validate(dataset: Path, *, progress: Progress | None = None) -> list[Finding]:
    """Findings on a data set folder of any layout, errors first, then by file, exchange and hour.

    An error is what loading refuses, or a price that another exchange contradicts; a warning is for people to
    judge. Raises ``DataError`` only when there is no data set at all.
    """
    has_info = (dataset / INFO_FILE).exists()
    if not has_info and not (dataset / PRICE_FOLDER).is_dir():
        raise DataError(f"holds neither {INFO_FILE} nor {PRICE_FOLDER}/; is it a data set?", file=str(dataset))
    findings = []
    info: DatasetInfo | None = None
    if has_info:
        info, of_info = _info_findings(dataset)
        findings += of_info
    findings += _coin_findings(dataset / PRICE_FOLDER, older=not has_info, progress=progress)
    # Putting it together stops at the first row that cannot be true, and that is among the findings already.
    if not any(finding.severity == "error" for finding in findings):
        findings += _whole_findings(dataset, info)
    return sorted(findings, key=lambda f: (f.severity, f.file, f.exchange, f.hour))


def _info_findings(dataset: Path) -> tuple[DatasetInfo | None, list[Finding]]:
    file = str(dataset / INFO_FILE)
    try:
        info = read_info(dataset)
    except DataError as error:
        return None, [_from(error, "dataset.yaml", file)]
    try:
        warnings = check_windows(info.windows, info.first_hour, info.last_hour)
    except UserError as error:
        return info, [Finding("error", "windows", str(error), file)]
    return info, [Finding("warning", "windows", warning, file) for warning in warnings]


def _coin_findings(folder: Path, *, older: bool, progress: Progress | None) -> list[Finding]:
    try:
        paths = coin_paths(folder)
    except DataError as error:
        return [_from(error, "price history", str(folder))]
    findings: list[Finding] = []
    levels: list[RateLevel] = []
    for done, path in enumerate(paths, start=1):
        findings += _file_findings(path, levels, older=older)
        if progress is not None:
            progress("checking coins", done, len(paths))
    return [*findings, *unit_findings(levels)]


def _file_findings(path: Path, levels: list[RateLevel], *, older: bool) -> Iterator[Finding]:
    """What is wrong in one file; the levels of its rates, which mean something only beside others, go to ``levels``."""
    try:
        file = read_coin_file(path, older=older)
    except DataError as error:
        yield _from(error, "unreadable file", str(path))
        return
    errors = list(row_errors(file))
    yield from errors
    # Neighbours in time mean nothing while times or values are impossible.
    if not errors:
        grid = grid_of(file)
        yield from price_findings(grid)
        yield from level_findings(grid)
        yield from settlement_findings(grid)
        levels += rate_levels(grid)


def _whole_findings(dataset: Path, info: DatasetInfo | None) -> list[Finding]:
    """What only shows when everything is put together: spans, exchanges, delistings, opportunities, the gate."""
    limits = GateSettings()
    try:
        market, left_out = read_market(dataset / PRICE_FOLDER, info)
        findings = [Finding("warning", "price history", note, str(dataset / PRICE_FOLDER)) for note in left_out]
        if info is not None:
            file = dataset / INSTRUMENTS_FILE
            market, notes = with_instruments(market, [file])
            findings += [Finding("warning", "instruments", note, str(file)) for note in notes]
        market, refusals = gate_market(market, limits)
        if info is not None:
            file = dataset / BOOKS_FILE
            market, notes = with_order_books(market, [file])
            findings += [Finding("warning", "order books", note, str(file)) for note in notes]
            refusals += gate_order_books(market, limits).refusals
        opportunities = opportunities_path(dataset)
        if opportunities is not None:
            recorded, notes = read_opportunities(opportunities, market)
            findings += [Finding("warning", "opportunities", note, str(opportunities)) for note in notes]
            refusals += gate_recorded(replace(market, recorded=recorded), limits).refusals
    except DataError as error:
        return [_from(error, "data set", str(dataset))]
    files = {coin_of_file(path): str(path) for path in coin_paths(dataset / PRICE_FOLDER)}
    books = str(dataset / BOOKS_FILE)
    told = (_not_believed(one, books if one.field == BOOK else files[one.symbol]) for one in refusals)
    return [*findings, *told]


def _not_believed(refusal: Refusal, file: str) -> Finding:
    """A value that counts as unknown when the data set is loaded."""
    kind = "unusual rate" if refusal.field == RATE else f"{refusal.field} not believed"
    message = f"{refusal.field} is {refusal.shown} ({refusal.limit})"
    return Finding("warning", kind, message, file, refusal.symbol, refusal.exchange, hour_text(refusal.hour * HOUR_MS))


def _from(error: DataError, kind: str, file: str) -> Finding:
    return Finding("error", kind, error.problem, error.file or file, error.coin or "", "", error.hour or "")
