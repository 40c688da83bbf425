"""A training market as files that workers map: what the kernel reads of its tape, and the ranked candidates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from adapters.storage.giving_way import unfamiliar
from adapters.storage.mapped_arrays import read_mapped, write_mapped
from engine.accounting.tape import BAR, INSTRUMENT, LEG, LEVEL, PAIR, QUOTE, RULES, Tape, TapeArrays
from engine.market.data import Floats, Ints
from engine.market.schedule import BOOKING
from engine.observation.encoding import ObservationSpec, Ranked
from engine.observation.features import Tables
from engine.observation.transformed import Live
from engine.settings import EngineSettings
from rl_training.environments.candidates import Candidates
from rl_training.environments.demonstrations import at_phase
from rl_training.environments.episodes import TrainingMarket

LAYOUT = "layout.json"
ARRAYS = "arrays.bin"
TABLES = "tables"
RECORDS: Mapping[str, np.dtype[Any]] = {
    "quotes": QUOTE,
    "bookings": BOOKING,
    "pairs": PAIR,
    "rules": RULES,
    "legs": LEG,
    "bars": BAR,
    "instruments": INSTRUMENT,
    "levels": LEVEL,
}
"""Arrays of a tape whose rows are records."""


@dataclass(frozen=True, eq=False)
class _Settlements:
    """What the hourly loop asks about settlements."""

    max_delay_hours: int
    counts: Ints


@dataclass(frozen=True, eq=False)
class _MappedTape:
    """The part of a ``Tape`` that training uses."""

    arrays: TapeArrays
    settings: EngineSettings
    settlements: _Settlements
    hours: int
    wallet_shares: Floats


def write_markets(folder: Path, markets: Mapping[str, TrainingMarket]) -> None:
    """Write markets of one tape and one observation, by name, into a folder that is there and empty."""
    tape = next(iter(markets.values())).tape
    arrays: dict[str, NDArray[Any]] = dict(tape.arrays._asdict())
    for name, market in markets.items():
        for part, array in _parts(market.candidates):
            # The tables of version 2 are the tape's, and the same for all.
            arrays[part if part.startswith(TABLES) else f"{name}_{part}"] = array
    layout: dict[str, Any] = {
        "settings": tape.settings.model_dump(mode="json", include=set(EngineSettings.model_fields)),
        "hours": tape.hours,
        "wallet_shares": tape.wallet_shares.tolist(),
        "max_delay_hours": int(tape.settlements.max_delay_hours),
        "most_bookings": int(tape.settlements.counts.max(initial=1)),
        "markets": {name: [one.first, one.last, one.spec.phase] for name, one in markets.items()},
        "arrays": write_mapped(folder / ARRAYS, arrays),
    }
    (folder / LAYOUT).write_text(json.dumps(layout), encoding="utf-8")


def read_markets(folder: Path, spec: ObservationSpec) -> dict[str, TrainingMarket]:
    """The markets of a folder, over mapped files; ``spec`` is what they were written with, at whatever phase."""
    layout = json.loads((folder / LAYOUT).read_text(encoding="utf-8"))
    arrays = read_mapped(folder / ARRAYS, layout["arrays"], RECORDS)
    # Of the counts only the largest is asked for.
    settlements = _Settlements(layout["max_delay_hours"], np.array([layout["most_bookings"]]))
    settings = EngineSettings.model_validate(layout["settings"])
    shares = np.array(layout["wallet_shares"], float)
    own = TapeArrays(**{name: arrays[name] for name in TapeArrays._fields})
    tape = _MappedTape(own, settings, settlements, layout["hours"], shares)
    markets = {}
    for name, (first, last, phase) in layout["markets"].items():
        candidates = _candidates(arrays, name, spec.version)
        # All of a tape that a training market is asked for.
        market = TrainingMarket(cast(Tape, tape), spec, candidates, first, last)
        markets[name] = at_phase(market, phase)
    return markets


def markets_only(folder: Path) -> str | None:
    """What in a folder is not from ``write_markets``; None when all of it is."""
    return unfamiliar(folder, (LAYOUT, ARRAYS))


def _parts(value: Any, name: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of nested tuples by name; None is none."""
    if isinstance(value, tuple):
        for field, part in zip(value._fields, value, strict=True):  # type: ignore[attr-defined]  # all have names
            # Tables are known by their own name, wherever they are kept.
            yield from _parts(part, TABLES if isinstance(part, Tables) else f"{name}{'_' if name else ''}{field}")
    elif value is not None:
        yield name, value


def _candidates(arrays: Mapping[str, NDArray[Any]], which: str, version: int) -> Candidates:
    def of(kind: Any, name: str, *missing: str) -> Any:
        return {field: arrays[f"{name}_{field}"] for field in kind._fields if field not in missing}

    live = None
    if version == 2:
        live = Live(tables=Tables(**of(Tables, TABLES)), **of(Live, f"{which}_ranked_live", "tables"))
    ranked = Ranked(**of(Ranked, f"{which}_ranked", "live"), live=live)
    return Candidates(ranked, **of(Candidates, which, "ranked"))
