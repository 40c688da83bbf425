"""``arb data import``: read, judged, put together, added to a raw folder, and reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.configuration.settings import load_settings
from adapters.datasets.selection import Selection, selection_of
from adapters.exchanges.coins import Listing
from adapters.exchanges.raw_store import RawStore
from adapters.gate.limits import GateSettings
from adapters.importing.adding import Added, add
from adapters.importing.agreement import hourly, refuse_other_units, remark_zones, said_once, without_running
from adapters.importing.contracts import Contracts, contracts_of
from adapters.importing.formats.registry import format_of
from adapters.importing.judging import Rows, judge, rows_of
from adapters.importing.listed_rules import record_rules
from adapters.importing.reading import Progress, recordings_in
from adapters.importing.recordings import BARS, Recording
from adapters.importing.refusals import Refusals
from adapters.importing.report import REPORT_FILE, Report, report_of, write_report
from adapters.naming.exchanges import canonical_exchange, checked_exchange
from engine.errors import DataError, UserError, shown


@dataclass(frozen=True)
class ImportRequest:
    """What is asked for; None means the default that the command states."""

    source: str
    path: Path
    exchange: str
    out: Path
    now_ms: int
    describe: Path | None = None
    listings: Path | None = None
    symbols: str | None = None
    exclude: str | None = None
    strict: bool = False
    config: Path | None = None
    overrides: tuple[str, ...] = ()


def run_import(asked: ImportRequest, progress: Progress = lambda *_: None) -> Report:
    """Import, write the tables anew and the report beside them. Nothing is written when nothing can be used.

    Raises ``UserError`` for a request that makes no sense, and ``DataError`` when nothing is left, with the first
    reason.
    """
    chosen = format_of(asked.source, asked.describe)
    exchange = checked_exchange(asked.exchange)
    if chosen.exchange not in (None, exchange):
        raise UserError(f"--from {asked.source} is data of {chosen.exchange}; --exchange says {exchange}")
    selection, limits = selection_of(asked.symbols, asked.exclude), load_settings(asked.config, asked.overrides).gate
    contracts, store = contracts_of(exchange, asked.listings), RawStore(asked.out)
    store.check(REPORT_FILE)
    judgement = Judgement(contracts, limits, asked.now_ms, Refusals(asked.strict))
    refusals = judgement.refusals
    recordings = recordings_in(asked.path, chosen, refusals, progress, judgement.shortened)
    by_contract = _by_contract(recordings, contracts, selection, refusals)
    parts = [judgement.part(listing, each) for listing, each in _parts(by_contract, refusals)]
    refuse_other_units(parts)
    remark_zones(parts)
    usable = [part for part in (rows.left() for rows in parts) if len(part.times)]
    _refuse_nothing(usable, refusals, asked.path)
    added = _add(usable, store, progress)
    refused = store.judge(limits)
    _, left_out = store.merge(refused)
    rules: list[str] = []
    try:
        rules = record_rules(asked.out, [each.leg.listing for each in added], asked.listings, asked.now_ms, refusals)
    except DataError as error:  # the tables are there all the same
        left_out = [*left_out, str(error)]
    report = report_of(asked.source, exchange, str(asked.path), added, refusals, refused, left_out, rules)
    write_report(asked.out, report)
    return report


@dataclass(frozen=True)
class Judgement:
    """How recordings become rows: whose they are, what they can be, when it is, and where refusals go."""

    contracts: Contracts
    limits: GateSettings
    now_ms: int
    refusals: Refusals

    def part(self, listing: Listing, recordings: Sequence[Recording]) -> Rows:
        """The rows of one contract and kind that can be used: bars of an hour, each once."""
        unit = self.contracts.coins_of_a_unit(listing)
        rows = said_once(judge(rows_of(listing, recordings, unit, self.refusals), self.limits, self.now_ms))
        if rows.kind == BARS:
            rows = without_running(rows, {each.file for each in recordings if each.last_may_run})
        return hourly(rows)

    def shortened(self, recording: Recording) -> Recording:
        """The recording with bars of an hour: a year of minutes of every coin would not fit into memory."""
        if recording.kind != BARS or recording.minutes == 60:
            return recording
        try:
            rows = self.part(self.contracts.of(recording), [recording])
        except UserError:  # told where contracts are sorted
            return recording
        return replace(
            recording, times=rows.times, values=rows.values, minutes=60, made_of=recording.minutes,
            volume_unit="listed", last_may_run=False,
        )  # fmt: skip


def _by_contract(
    recordings: Sequence[Recording], contracts: Contracts, selection: Selection, refusals: Refusals
) -> dict[Listing, list[Recording]]:
    """The recordings of each wanted contract; of a coin in several quote currencies the preferred one."""
    found: dict[Listing, list[Recording]] = defaultdict(list)
    for recording in recordings:
        stated = recording.exchange
        if stated and canonical_exchange(stated) != contracts.exchange:
            what = f"data of {shown(stated)}, and --exchange says {contracts.exchange}"
            refusals.unused.append((recording.file, what))
            continue
        try:
            listing = contracts.of(recording)
        except UserError as error:
            refusals.file(recording.file, str(error), recording.contract)
            continue
        if selection.keeps(listing.symbol):
            found[listing].append(recording)
    return {
        listing: each for listing, each in found.items() if _is_preferred(listing, found, contracts.quotes, refusals)
    }


def _is_preferred(
    listing: Listing, found: dict[Listing, list[Recording]], quotes: Sequence[str], refusals: Refusals
) -> bool:
    rivals = {other.quote_currency for other in found if other.coin == listing.coin}
    best = min(rivals, key=lambda quote: quotes.index(quote) if quote in quotes else len(quotes))
    if listing.quote_currency != best:
        file = found[listing][0].file
        refusals.unused.append((file, f"{listing.listed}: {listing.coin} is there in {best} too, which is preferred"))
    return listing.quote_currency == best


Part = tuple[Listing, list[Recording]]


def _parts(by_contract: dict[Listing, list[Recording]], refusals: Refusals) -> list[Part]:
    """The recordings of each contract and kind; of bars of several lengths the longest, which need least work."""
    parts: list[Part] = []
    for listing, recordings in by_contract.items():
        for kind in dict.fromkeys(each.kind for each in recordings):
            mine = [each for each in recordings if each.kind == kind]
            longest = max(each.made_of for each in mine)
            for other in (each for each in mine if each.made_of != longest):
                what = f"bars of {other.made_of} minutes of {listing.listed}, which is there in {longest} minutes too"
                refusals.unused.append((other.file, what))
            parts.append((listing, [each for each in mine if each.made_of == longest]))
    return parts


def _add(usable: list[Rows], store: RawStore, progress: Progress) -> list[Added]:
    by_listing: dict[Listing, list[Rows]] = defaultdict(list)
    for rows in usable:
        by_listing[rows.listing].append(rows)
    added = []
    for done, parts in enumerate(by_listing.values(), start=1):
        added.append(add(store, parts))
        progress("adding contracts", done, len(by_listing))
    return added


def _refuse_nothing(usable: Sequence[Rows], refusals: Refusals, path: Path) -> None:
    if usable:
        return
    first = refusals.first()
    if first is not None:
        raise first.as_error()
    if refusals.unused:
        file, what = refusals.unused[0]
        raise DataError(f"there is nothing for raw tables: {what}", file=file)
    raise DataError("nothing is left: none of the coins there is wanted, or no bar is finished", file=str(path))
