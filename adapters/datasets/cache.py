"""Arrays of loaded data sets, kept as ``.npy`` files under the fingerprint of the files they came from.

A cache entry is written aside and renamed, so that nobody sees half of one; an entry that does not match its own
manifest (shape, type or checksum) counts as absent. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.datasets.arrays import market_of
from adapters.datasets.atomic import new_directory
from engine.market import PER_LEG_FLOATS, MarketData, RecordedOpportunities

FORMAT = 1
"""Raised whenever reading the same files would give other arrays."""
ENTRIES_KEPT = 16
_MANIFEST = "manifest.json"
_Array = NDArray[Any]


def cache_root() -> Path:
    """``$ARB_CACHE_DIR``, else ``$XDG_CACHE_HOME/arb``, else ``~/.cache/arb``."""
    if own := os.environ.get("ARB_CACHE_DIR"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "arb"
    return Path.home() / ".cache" / "arb"


def fingerprint_of(files: Iterable[tuple[str, Path]], facts: str) -> str:
    """32 hex digits over names, sizes and contents of files, and over ``facts`` stated elsewhere."""
    whole = hashlib.blake2b(facts.encode(), digest_size=16)
    for name, path in sorted(files):
        content = path.read_bytes()
        whole.update(f"\n{name} {len(content)} ".encode())
        whole.update(hashlib.blake2b(content).digest())
    return whole.hexdigest()


def store(fingerprint: str, market: MarketData, notes: tuple[str, ...]) -> None:
    """Keep a market. A disk that cannot take it costs only the next start its time, so that is no error."""
    entry = _entry(fingerprint)
    try:
        with new_directory(entry, replace=True) as aside:
            _write(aside, market, notes)
        _forget_the_oldest(entry.parent)
    except OSError:
        return


def load(fingerprint: str) -> tuple[MarketData, tuple[str, ...]] | None:
    """The market kept under a fingerprint as read-only memory-mapped arrays, or None if absent or damaged."""
    entry = _entry(fingerprint)
    try:
        manifest = json.loads((entry / _MANIFEST).read_bytes())
        arrays = {name: _read(entry, name, facts) for name, facts in manifest["arrays"].items()}
        market = _market(manifest, arrays)
        os.utime(entry / _MANIFEST)
        return market, tuple(manifest["notes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _entry(fingerprint: str) -> Path:
    return cache_root() / "datasets" / f"{fingerprint}-{FORMAT}"


def _write(folder: Path, market: MarketData, notes: tuple[str, ...]) -> None:
    arrays = _arrays_of(market)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    recorded = market.recorded
    manifest = {
        "arrays": {name: _facts(array) for name, array in arrays.items()},
        "first_hour": int(market.hours[0]),
        "hours": len(market.hours),
        "symbols": market.symbols,
        "exchanges": market.exchanges,
        "opportunity_columns": None if recorded is None else recorded.columns,
        "notes": notes,
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _arrays_of(market: MarketData) -> dict[str, _Array]:
    """Everything worth a file; a kind of which nothing is known is left out."""
    arrays: dict[str, _Array] = {
        name: np.ascontiguousarray(getattr(market, name))
        for name in PER_LEG_FLOATS
        if not np.isnan(getattr(market, name)).all()
    }
    for name in ("leg_symbol", "leg_exchange", "delisting_hour", "delisting_known_hour"):
        arrays[name] = getattr(market, name)
    if market.recorded is not None:
        for name in ("offsets", "pair", "features"):
            arrays[f"recorded_{name}"] = getattr(market.recorded, name)
    return arrays


def _facts(array: _Array) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": array.dtype.str, "crc32": zlib.crc32(array.data)}


def _read(entry: Path, name: str, facts: Mapping[str, Any]) -> _Array:
    # Unlike np.load this knows no other format than .npy and refuses arrays of Python objects.
    array: _Array = np.asarray(np.lib.format.open_memmap(entry / f"{name}.npy", mode="r"))
    if _facts(array) != facts:
        raise ValueError(f"{name} is not what the manifest says")
    return array


def _market(manifest: Mapping[str, Any], arrays: Mapping[str, _Array]) -> MarketData:
    shape = (len(arrays["leg_symbol"]), int(manifest["hours"]))
    kinds = {name: arrays[name] for name in PER_LEG_FLOATS if name in arrays}
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
        recorded=_recorded(manifest["opportunity_columns"], arrays),
    )


def _recorded(columns: list[str] | None, arrays: Mapping[str, _Array]) -> RecordedOpportunities | None:
    if columns is None:
        return None
    return RecordedOpportunities(
        offsets=arrays["recorded_offsets"],
        pair=arrays["recorded_pair"],
        features=arrays["recorded_features"],
        columns=tuple(columns),
    )


def _forget_the_oldest(folder: Path) -> None:
    """Keep the entries used last; recordings that grow every hour would fill the disk otherwise."""
    entries = sorted(folder.glob(f"*/{_MANIFEST}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for manifest in entries[ENTRIES_KEPT:]:
        shutil.rmtree(manifest.parent, ignore_errors=True)
