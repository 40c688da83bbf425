"""Price history files become one market of indexed arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from adapters.datasets.arrays import market_of
from adapters.datasets.coin_files import CoinFile, read_coin_file, row_errors
from adapters.datasets.findings import hour_text
from adapters.datasets.hourly_intervals import hourly_intervals
from adapters.datasets.layout import KINDS, DatasetInfo, Delisting, coin_paths
from adapters.gate.frozen import frozen_hours, frozen_note
from adapters.naming.symbols import symbol_among
from engine.errors import DataError
from engine.market.data import NEVER, PER_LEG_FLOATS, MarketData
from engine.windows import hour_of, time_of

Notes = tuple[str, ...]


def read_market(folder: Path, info: DatasetInfo | None) -> tuple[MarketData, tuple[str, ...]]:
    """Market of a ``price_history`` folder, and notes on what was passed over.

    Prices of frozen bars are unknown, intervals are those of every hour. Without ``info`` the files are of an older
    layout: span and exchanges are those found. Raises ``DataError`` at the first thing that is wrong, with file, coin
    and hour.
    """
    files = []
    for path in coin_paths(folder):
        file = read_coin_file(path, older=info is None)
        for finding in row_errors(file):
            raise finding.as_error()
        files.append(file)
    if info is None:
        span = min(int(f.hours[0]) for f in files), max(int(f.hours[-1]) for f in files)
        exchanges: Sequence[str] = sorted({name for f in files for name in f.legs})
    else:
        span = _span(info)
        exchanges = sorted(info.exchanges)
        _fits_info(files, info)
    market, frozen = _market(files, exchanges, span), Notes()
    # Bars tell more (their own volume, low and high) than hourly prices, so a search among them is not repeated.
    if info is None or not info.frozen_bars_left_out:
        market, frozen = _without_frozen(market)
    intervals = hourly_intervals(market.funding_rate, market.funding_interval_hours)
    market = replace(market, funding_interval_hours=intervals)
    return market if info is None else with_delistings(market, info.delistings), (*_notes(files), *frozen)


def _span(info: DatasetInfo) -> tuple[int, int]:
    return hour_of(info.first_hour), hour_of(info.last_hour)


def _fits_info(files: Sequence[CoinFile], info: DatasetInfo) -> None:
    first, last = _span(info)
    for file in files:
        for name in file.legs:
            if name not in info.exchanges:
                raise DataError(f"has {name}, which dataset.yaml does not list", file=str(file.path), coin=file.coin)
        for row in (0, -1):
            if not first <= file.hours[row] <= last:
                hour = hour_text(int(file.milliseconds[row]))
                raise DataError("lies outside the span in dataset.yaml", file=str(file.path), coin=file.coin, hour=hour)
    absent = set(info.exchanges) - {name for file in files for name in file.legs}
    if absent:
        folder = str(files[0].path.parent)
        raise DataError(f"dataset.yaml lists {', '.join(sorted(absent))}, but no file has a price of it", file=folder)


def _market(files: Sequence[CoinFile], exchanges: Sequence[str], span: tuple[int, int]) -> MarketData:
    hours = np.arange(span[0], span[1] + 1, dtype=np.int64)
    legs = [(s, e) for s, file in enumerate(files) for e, name in enumerate(exchanges) if name in file.legs]
    told = {kind for file in files for leg in file.legs.values() for kind in leg}
    kinds = [kind for kind in KINDS if kind in told or kind in PER_LEG_FLOATS]
    arrays = {kind: np.full((len(legs), len(hours)), np.nan) for kind in kinds}
    for leg, (s, e) in enumerate(legs):
        rows = files[s].hours - span[0]
        for kind, values in files[s].legs[exchanges[e]].items():
            arrays[kind][leg, rows] = values
    return market_of(
        arrays,
        hours=hours,
        legs=(np.array([s for s, _ in legs], np.int64), np.array([e for _, e in legs], np.int64)),
        symbols=[file.coin for file in files],
        exchanges=exchanges,
    )


def _without_frozen(market: MarketData) -> tuple[MarketData, Notes]:
    """The market without prices of frozen bars, at their end and as fills at their beginning; a note on each leg."""
    price, fill, notes = market.price, market.fill_price, []
    for leg in range(market.legs):
        frozen = frozen_hours(price[leg], fill[leg], market.volume_24h_usd[leg])
        if frozen.any():
            first = time_of(int(market.hours[int(frozen.argmax())]))
            notes.append(frozen_note(*market.leg_name(leg), int(frozen.sum()), first))
            price[leg, frozen] = np.nan
            # The bar that ended at a frozen hour opened an hour before: its open is the fill of that hour.
            fill[leg, :-1][frozen[1:]] = np.nan
    return market, tuple(notes)


def with_delistings(market: MarketData, delistings: Sequence[Delisting]) -> MarketData:
    """The market with dated notices; of several for one leg the earliest end counts.

    Raises ``DataError`` for a leg that the market does not have.
    """
    ends, known = np.full(market.legs, NEVER, np.int64), np.full(market.legs, NEVER, np.int64)
    names = {market.leg_name(leg): leg for leg in range(market.legs)}
    # The earliest comes last and so overwrites the others.
    for notice in sorted(delistings, key=lambda notice: notice.time, reverse=True):
        leg = names.get((symbol_among(notice.symbol, market.symbols), notice.exchange))
        if leg is None:
            raise DataError(
                f"dataset.yaml delists it on {notice.exchange}, which has no price of it", coin=notice.symbol
            )
        ends[leg], known[leg] = hour_of(notice.time), hour_of(notice.known_at)
    return replace(market, delisting_hour=ends, delisting_known_hour=known)


def _notes(files: Sequence[CoinFile]) -> tuple[str, ...]:
    ignored = sorted({column for file in files for column in file.ignored})
    left_out = tuple(f"left out: {file.coin}: {why}" for file in files for why in file.left_out)
    return left_out + ((f"price history columns not used: {', '.join(ignored)}",) if ignored else ())
