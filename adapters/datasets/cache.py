"""Loaded data sets, kept under the fingerprint of their files, the limits of the gate, and the code that read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adapters.datasets.arrays import market_of
from adapters.storage.array_store import AnyArray, cache_root, read_arrays, write_arrays
from adapters.storage.code_fingerprint import code_fingerprint
from adapters.storage.regular_files import read_regular
from engine.errors import DataError
from engine.market.data import BAR_EXTREMES, PER_LEG_FLOATS, MarketData, RecordedOpportunities, facts_of
from engine.market.instruments import INSTRUMENT_ARRAYS, Instruments
from engine.market.order_books import ORDER_BOOK_ARRAYS, OrderBooks

MADE_BY = ("engine", "adapters")
ENTRIES_KEPT = 16
MOST_FILE_BYTES = 16 * 2**30
"""A year of a coin on eight exchanges has a few MB."""


def fingerprint_of(files: Iterable[tuple[str, Path]], facts: str) -> str:
    """32 hex digits over names, sizes and contents of files, and over ``facts`` stated elsewhere.

    Raises ``DataError`` for what is missing or no regular file.
    """
    whole = hashlib.blake2b(facts.encode(), digest_size=16)
    for name, path in sorted(files):
        content = _content(path)
        # Names and sizes too: the same bytes divided among other files are other facts.
        whole.update(f"\n{name} {len(content)} ".encode())
        whole.update(hashlib.blake2b(content).digest())
    return whole.hexdigest()


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MOST_FILE_BYTES)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", file=str(path)) from None


class Kept(NamedTuple):
    """A market that was read, what people should know of it, and the fingerprint of its facts."""

    market: MarketData
    notes: tuple[str, ...]
    fingerprint: str


def store(key: str, market: MarketData, notes: tuple[str, ...], fingerprint: str = "") -> None:
    """Keep a market. A disk that cannot take it costs only the next start its time, so that is no error."""
    recorded = market.recorded
    facts = {
        "first_hour": int(market.hours[0]),
        "hours": len(market.hours),
        "symbols": market.symbols,
        "exchanges": market.exchanges,
        "opportunity_columns": None if recorded is None else recorded.columns,
        "notes": notes,
        "fingerprint": fingerprint,
    }
    write_arrays(_entry(key), _arrays_of(market), facts, kept=ENTRIES_KEPT)


def load(key: str) -> Kept | None:
    """The market kept under a key as read-only memory-mapped arrays, or None if absent or damaged."""
    try:
        arrays, manifest = read_arrays(_entry(key))
        return Kept(_market(manifest, arrays), tuple(manifest["notes"]), str(manifest["fingerprint"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _entry(key: str) -> Path:
    return cache_root() / "datasets" / f"{key}-{code_fingerprint(*MADE_BY)}"


def _arrays_of(market: MarketData) -> dict[str, AnyArray]:
    """Everything worth a file; a kind of which nothing is known is left out."""
    arrays: dict[str, AnyArray] = {
        name: np.ascontiguousarray(values)
        for name, values in facts_of(market, np.asarray).items()
        if name in BAR_EXTREMES or not np.isnan(values).all()
    }
    for name in ("leg_symbol", "leg_exchange", "delisting_hour", "delisting_known_hour"):
        arrays[name] = getattr(market, name)
    if market.instruments is not None:
        for name in INSTRUMENT_ARRAYS:
            arrays[f"instruments_{name}"] = getattr(market.instruments, name)
    if market.order_books is not None:
        for name in ORDER_BOOK_ARRAYS:
            arrays[f"order_books_{name}"] = getattr(market.order_books, name)
    if market.recorded is not None:
        for name in ("offsets", "pair", "features"):
            arrays[f"recorded_{name}"] = getattr(market.recorded, name)
    return arrays


def _market(manifest: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> MarketData:
    shape = (len(arrays["leg_symbol"]), int(manifest["hours"]))
    kinds = {name: arrays[name] for name in (*PER_LEG_FLOATS, *BAR_EXTREMES) if name in arrays}
    if any(values.shape != shape for values in kinds.values()):
        raise ValueError("arrays of different shapes")
    first = int(manifest["first_hour"])
    market = market_of(
        kinds,
        hours=np.arange(first, first + shape[1], dtype=np.int64),
        legs=(arrays["leg_symbol"], arrays["leg_exchange"]),
        symbols=manifest["symbols"],
        exchanges=manifest["exchanges"],
    )
    return replace(
        market,
        delisting_hour=arrays["delisting_hour"],
        delisting_known_hour=arrays["delisting_known_hour"],
        instruments=_instruments(arrays),
        order_books=_order_books(arrays),
        recorded=_recorded(manifest["opportunity_columns"], arrays),
    )


def _instruments(arrays: Mapping[str, AnyArray]) -> Instruments | None:
    if "instruments_leg" not in arrays:
        return None
    return Instruments(**{name: arrays[f"instruments_{name}"] for name in INSTRUMENT_ARRAYS})


def _order_books(arrays: Mapping[str, AnyArray]) -> OrderBooks | None:
    if "order_books_leg" not in arrays:
        return None
    return OrderBooks(**{name: arrays[f"order_books_{name}"] for name in ORDER_BOOK_ARRAYS})


def _recorded(columns: list[str] | None, arrays: Mapping[str, AnyArray]) -> RecordedOpportunities | None:
    if columns is None:
        return None
    return RecordedOpportunities(
        offsets=arrays["recorded_offsets"],
        pair=arrays["recorded_pair"],
        features=arrays["recorded_features"],
        columns=tuple(columns),
    )
