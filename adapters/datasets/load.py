"""The one way in: a data set folder, or files of the older layouts, become a checked market."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from adapters.datasets import cache as array_cache
from adapters.datasets.layout import (
    BOOKS_FILE,
    INFO_FILE,
    INSTRUMENTS_FILE,
    OPPORTUNITIES,
    PRICE_FOLDER,
    DatasetInfo,
    coin_paths,
    opportunities_path,
    read_info,
)
from adapters.datasets.windows import check_windows
from adapters.gate.limits import GateSettings
from adapters.gate.refusals import lines_of
from engine.errors import DataError, UserError
from engine.market.data import MarketData, facts_of
from engine.market.instruments import INSTRUMENT_ARRAYS
from engine.market.order_books import ORDER_BOOK_ARRAYS
from engine.settings import hash_of
from engine.windows import time_of


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded data set. The arrays of ``market`` are read-only."""

    path: Path
    info: DatasetInfo
    market: MarketData
    windows: dict[str, tuple[datetime, datetime]]
    """First and last hour, both included, of each named window; empty for older layouts."""
    fingerprint: str
    """Changes with any fact about the market; not with the name of the data set or its windows."""
    notes: tuple[str, ...] = ()
    """What the gate did not believe, and what reading passed over or replaced in older files, for people."""

    def window(self, name: str) -> tuple[datetime, datetime]:
        """First and last hour of a named window. Raises ``UserError`` when it is not defined."""
        if name not in self.windows:
            has = ", ".join(self.windows) or "none"
            raise UserError(f"{self.path} has no window {name!r} (it has: {has}); define it with `arb data split`")
        return self.windows[name]


def load_dataset(path: Path, gate: GateSettings | None = None, *, cache: bool = True) -> Dataset:
    """Load a data set folder, with or without ``dataset.yaml`` (then it is of the older layout).

    Values beyond the limits of ``gate`` (None: the shipped ones) are unknown in its market, and its notes say so.
    Raises ``DataError`` naming file, coin and hour for anything that must not be used.
    """
    if not path.is_dir():
        raise DataError("is not a folder; give a data set such as data/sample", file=str(path))
    if not (path / INFO_FILE).exists():
        if not (path / PRICE_FOLDER).is_dir():
            raise DataError(f"holds neither {INFO_FILE} nor {PRICE_FOLDER}/; is it a data set?", file=str(path))
        return _load(path, path / PRICE_FOLDER, opportunities_path(path), None, gate, cache)
    info = read_info(path)
    try:
        check_windows(info.windows, info.first_hour, info.last_hour)
    except UserError as error:
        raise DataError(str(error), file=str(path / INFO_FILE)) from None
    return _load(path, path / PRICE_FOLDER, opportunities_path(path), info, gate, cache)


def load_pieces(
    opportunities: Path | None, price_history: Path, gate: GateSettings | None = None, *, cache: bool = True
) -> Dataset:
    """Load older files that lie in different places; without ``opportunities`` every directed pair is one.

    Raises ``DataError`` like ``load_dataset``.
    """
    return _load(price_history, price_history, opportunities, None, gate, cache)


def _load(
    path: Path,
    prices: Path,
    opportunities: Path | None,
    info: DatasetInfo | None,
    gate: GateSettings | None,
    cache: bool,
) -> Dataset:
    limits = gate or GateSettings()
    optional = _optional_paths(path, info)
    files = _fingerprint(prices, opportunities, info, optional)
    key = f"{files}-{limits.identity}"
    kept = array_cache.load(key) if cache else None
    if kept is None:
        kept = _read(prices, opportunities, info, limits, files, optional)
        # Else a mixture of two versions would be kept, and found again, under the fingerprint of the first.
        if _fingerprint(prices, opportunities, info, _optional_paths(path, info)) != files:
            raise DataError("changed while it was being read; try again", file=str(path))
        if cache:
            array_cache.store(key, *kept)
    market, notes, fingerprint = kept
    info = info or _older_info(path, market)
    windows = {str(name): (window.start, window.end) for name, window in info.windows.items()}
    return Dataset(path, info, market, windows, fingerprint, notes)


def _optional_paths(path: Path, info: DatasetInfo | None) -> list[Path]:
    """Rules of orders and order books, if the data set has them; older layouts have none."""
    return [path / name for name in (INSTRUMENTS_FILE, BOOKS_FILE) if info is not None and (path / name).exists()]


def _fingerprint(prices: Path, opportunities: Path | None, info: DatasetInfo | None, optional: Sequence[Path]) -> str:
    files = [(f"{PRICE_FOLDER}/{path.name}", path) for path in coin_paths(prices)]
    if opportunities is not None:
        if not opportunities.is_file():
            raise DataError("is missing", file=str(opportunities))
        files.append((f"{OPPORTUNITIES}{opportunities.suffix}", opportunities))
    files += [(path.name, path) for path in optional]
    return array_cache.fingerprint_of(files, "older" if info is None else _facts(info))


def _facts(info: DatasetInfo) -> str:
    """What of ``dataset.yaml`` is a fact about the market; what came with a later version only where it is said."""
    facts = info.model_dump(mode="json", include={"exchanges", "first_hour", "last_hour", "delistings"})
    if info.frozen_bars_left_out:
        facts["frozen_bars_left_out"] = True
    return json.dumps(facts, sort_keys=True)


def _read(
    prices: Path,
    opportunities: Path | None,
    info: DatasetInfo | None,
    limits: GateSettings,
    files: str,
    optional: Sequence[Path],
) -> array_cache.Kept:
    """Read the files themselves; pandas and pyarrow are imported only here, a cached start does without."""
    from adapters.datasets.assemble import read_market
    from adapters.gate.market import gate_market

    market, notes = read_market(prices, info)
    market, refusals = gate_market(market, limits)
    if opportunities is not None:
        from adapters.datasets.recorded import read_opportunities
        from adapters.gate.recorded import gate_recorded

        recorded, more = read_opportunities(opportunities, market)
        market, of_recorded = gate_recorded(replace(market, recorded=recorded), limits)
        notes, refusals = notes + more, refusals + of_recorded
    if optional:
        from adapters.datasets.instruments import with_instruments
        from adapters.datasets.order_books import with_order_books
        from adapters.gate.order_books import gate_order_books

        market, more = with_instruments(market, [path for path in optional if path.name == INSTRUMENTS_FILE])
        market, of_books = with_order_books(market, [path for path in optional if path.name == BOOKS_FILE])
        market, unbelieved = gate_order_books(market, limits)
        notes, refusals = (*notes, *more, *of_books), (*refusals, *unbelieved)
    _freeze(market)
    # Without refusals the facts are those of the files, whatever the limits were.
    # Twice sixteen digits are as many as the fingerprint of files has.
    fingerprint = hash_of([files, [repr(each) for each in refusals]]) * 2 if refusals else files
    return array_cache.Kept(market, (*lines_of(refusals), *notes), fingerprint)


def _freeze(market: MarketData) -> None:
    """Loaded facts are read-only, cached or not."""
    for values in facts_of(market, np.asarray).values():
        values.flags.writeable = False
    for name in ("hours", "leg_symbol", "leg_exchange", "delisting_hour", "delisting_known_hour"):
        getattr(market, name).flags.writeable = False
    for table, names in ((market.instruments, INSTRUMENT_ARRAYS), (market.order_books, ORDER_BOOK_ARRAYS)):
        for name in names if table is not None else ():
            getattr(table, name).flags.writeable = False
    if market.recorded is not None:
        for name in ("offsets", "pair", "features"):
            getattr(market.recorded, name).flags.writeable = False


def _older_info(path: Path, market: MarketData) -> DatasetInfo:
    return DatasetInfo(
        name=path.name,
        source="older files without dataset.yaml",
        exchanges=market.exchanges,
        first_hour=time_of(int(market.hours[0])),
        last_hour=time_of(int(market.hours[-1])),
        how_made="read as they are",
    )
