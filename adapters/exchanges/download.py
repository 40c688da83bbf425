"""``arb data fetch``: history of many coins from many exchanges into the raw tables of a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.datasets.selection import Selection, selection_of, symbols_of
from adapters.exchanges.clients import Clock, machine_milliseconds
from adapters.exchanges.coins import Listing
from adapters.exchanges.fetch_report import report_of
from adapters.exchanges.history import ExchangeHistory, Watcher, fetch_history
from adapters.exchanges.instrument_store import record_instruments
from adapters.exchanges.leg_history import LegHistory
from adapters.exchanges.leg_source import Wanted
from adapters.exchanges.notice_store import record_notices
from adapters.exchanges.ranking import top_symbols
from adapters.exchanges.raw_store import PARTS, RawStore
from adapters.exchanges.settings import ExchangesSettings
from adapters.naming.symbols import coin_of, symbol_of
from adapters.storage.atomic import replacing_file
from engine.errors import ArbError, DataError, UserError

REPORT_FILE = "fetch_report.json"
SELECTION_FILE = "selection.json"
ROWS_BETWEEN_SAVES = 500

Progress = Callable[[str, int, int], None]
"""(exchange, legs done, legs in all)"""


@dataclass(frozen=True)
class Request:
    """What to download. Times in ms; ``symbols`` as a person writes them, or ``top:50``; ``exclude`` likewise."""

    settings: ExchangesSettings
    symbols: str
    since: int
    until: int
    folder: Path
    exclude: str | None = None


async def download(
    request: Request,
    *,
    clock: Clock | None = None,
    progress: Progress = lambda *_: None,
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fetch what the folder lacks, merge the tables, and write and answer the report (see ``fetch_report``).

    ``tell`` gets a line for everything that a person should know. Raises ``UserError`` for a request that makes no
    sense and ``ArbError`` when no coins could be chosen; an exchange that fails is in the report.
    """
    store = RawStore(request.folder)
    store.check(REPORT_FILE)
    symbols = await _chosen_symbols(request, clock, tell)
    watcher = StoringWatcher(store, progress)
    wanted = Wanted(request.since, request.until)
    by_exchange = dict.fromkeys(request.settings.exchanges, symbols)
    found = await fetch_history(request.settings, by_exchange, wanted, clock=clock, watcher=watcher)
    refused = watcher.store.judge(request.settings.gate) if _anything(found.values()) else None
    rows, left_out = ({}, []) if refused is None else watcher.store.merge(refused)
    now = clock() if clock is not None else machine_milliseconds()
    listings = [leg.listing for each in found.values() for leg in each.legs.values()]
    for record in (record_notices, record_instruments):
        try:
            record(request.folder, listings, now)
        except DataError as error:  # what was downloaded is there all the same
            left_out = [*left_out, str(error)]
    report = report_of(list(found.values()), request.since, request.until, refused, left_out=left_out, now=now)
    write_json(request.folder / REPORT_FILE, {**report, "rows": rows})
    return report


class StoringWatcher(Watcher):
    """Stores legs while they come in, now and then and at their end, and shows how far each exchange is."""

    def __init__(self, store: RawStore, progress: Progress) -> None:
        self.store, self._progress = store, progress
        self._stored: dict[Listing, int] = {}
        self._legs: dict[str, tuple[int, int]] = {}

    def known(self, listing: Listing) -> LegHistory:
        leg = self.store.load(listing)
        self._stored[listing] = _size(leg)
        return leg

    def started(self, exchange: str, legs: int) -> None:
        self._legs[exchange] = (0, legs)
        self._progress(exchange, 0, legs)

    def page_came(self, leg: LegHistory) -> None:
        # A save writes the whole part anew; one for each page would cost more the longer the history is.
        if _size(leg) - self._stored[leg.listing] >= ROWS_BETWEEN_SAVES:
            self._save(leg)

    def leg_ended(self, leg: LegHistory) -> None:
        if _size(leg) != self._stored[leg.listing]:
            self._save(leg)
        done, legs = self._legs[leg.listing.exchange]
        self._legs[leg.listing.exchange] = (done + 1, legs)
        self._progress(leg.listing.exchange, done + 1, legs)

    def _save(self, leg: LegHistory) -> None:
        self.store.save(leg)
        self._stored[leg.listing] = _size(leg)


def _size(leg: LegHistory) -> int:
    return len(leg.bars.by_time) + len(leg.settlements.by_time)


def _anything(found: Any) -> bool:
    histories: list[ExchangeHistory] = list(found)
    return any(_size(leg) for history in histories for leg in history.legs.values())


async def _chosen_symbols(request: Request, clock: Clock | None, tell: Callable[[str], None]) -> list[str]:
    """The symbols in their usual form. A choice by volume is kept, so that a run that was cut goes on with it."""
    if request.since >= request.until:
        raise UserError("--since must lie before --until, and before now")
    if not request.symbols.startswith("top:"):
        selection = selection_of(request.symbols, request.exclude)
        return [symbol for symbol in symbols_of(request.symbols, "--symbols") if selection.keeps(symbol)]
    count, selection = _count(request.symbols), selection_of(None, request.exclude)
    choice: dict[str, Any] = {"symbols": request.symbols, "exchanges": sorted(request.settings.exchanges)}
    if selection.excluded:
        choice["exclude"] = sorted(selection.excluded)
    path = request.folder / PARTS / SELECTION_FILE
    earlier = _earlier_choice(path)
    if earlier is not None and earlier["choice"] == choice:
        tell(f"{request.symbols}: the coins that an earlier run chose (delete {path} to choose again)")
        return list(earlier["chosen"])
    chosen = await _top(request.settings, count, selection, clock, tell)
    write_json(path, {"choice": choice, "chosen": chosen})
    return chosen


def _earlier_choice(path: Path) -> dict[str, Any] | None:
    """The choice that a run before kept, None when there was none. Raises ``DataError`` for a damaged file."""
    if not path.is_file():
        return None
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        chosen = [symbol_of(coin_of(symbol)) for symbol in kept["chosen"]]
        return {"choice": dict(kept["choice"]), "chosen": chosen}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        raise DataError("is damaged; delete it to choose the coins again", file=str(path)) from None


def _count(text: str) -> int:
    number = text.removeprefix("top:")
    if not number.isdigit() or int(number) == 0:
        raise UserError(f"--symbols {text}: write a whole number, for example top:50")
    return int(number)


async def _top(
    settings: ExchangesSettings, count: int, selection: Selection, clock: Clock | None, tell: Callable[[str], None]
) -> list[str]:
    # As many more as may fall out again, so that the number asked for is left.
    ranked, outcomes = await top_symbols(settings, count + len(selection.excluded), clock=clock)
    chosen = [symbol for symbol in ranked if selection.keeps(symbol)][:count]
    for outcome in outcomes:
        if outcome.error:
            tell(f"warning: {outcome.exchange} has no say in the choice of coins: {outcome.error}")
    if not chosen:
        raise ArbError("no coin could be chosen by volume; name them with --symbols or try again")
    tell(f"top:{count} by the smaller of the two highest volumes: {', '.join(chosen)}")
    return chosen


def write_json(path: Path, value: Any) -> None:
    """A JSON file, whole or not at all."""
    with replacing_file(path) as aside:
        aside.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def lines_of(report: dict[str, Any]) -> Sequence[str]:
    """A line for each thing in the report that a person should look at, then one of totals for each exchange."""
    lines = [f"left out: {line}" for line in report["left_out"]]
    for name, exchange in report["exchanges"].items():
        if exchange["error"]:
            lines.append(f"error: {name}: {exchange['error']}")
        lines += [f"warning: {name} does not list {symbol}" for symbol in exchange["not_listed"]]
        for symbol, leg in exchange["symbols"].items():
            lines += _leg_lines(f"{name} {symbol}", leg)
    return [*lines, *_totals(report)]


def _totals(report: dict[str, Any]) -> Iterator[str]:
    for name, exchange in report["exchanges"].items():
        rows = [sum(leg[kind]["rows"] for leg in exchange["symbols"].values()) for kind in ("bars", "settlements")]
        yield f"{name}: {len(exchange['symbols'])} coins, {rows[0]} bars, {rows[1]} settlements"


def _leg_lines(place: str, leg: dict[str, Any]) -> list[str]:
    lines = [f"error: {place}: {leg['error']}"] if leg["error"] else []
    if leg["ends"]:
        lines.append(f"note: {place}: {leg['listed']} ends at {leg['ends']}, its exchange says")
    if leg["refused"]["values"]:
        lines.append(f"refused: {place}: {leg['refused']['values']} values, the first: {leg['refused']['first'][0]}")
    for kind in ("bars", "settlements"):
        found = leg[kind]
        if not found["rows"]:
            lines.append(f"gap: {place}: no {kind} at all")
        if found["begins_late"]:
            lines.append(f"note: {place}: {kind} begin at {found['first']}: listed then, or older ones are not kept")
        lines += [
            f"gap: {place}: {g['missing']} {kind} missing after {g['after']}, before {g['before']}"
            for g in found["gaps"]
        ]
    return lines
