"""The market of a run as files that workers map: made once, and the same memory for all of them.

What a worker needs of a market is what the kernel reads and the ranked candidates. Preparing that takes three times
the memory that it fills, so the parent does it once, into ``courses/`` of the run, which it removes at the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from adapters.research.pbt.job import PBTJob, load_job_data
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import unfamiliar
from engine.accounting.tape import BAR, INSTRUMENT, LEG, LEVEL, PAIR, QUOTE, RULES, Tape, TapeArrays
from engine.market.data import Floats, Ints
from engine.market.schedule import BOOKING
from engine.observation.encoding import Ranked
from engine.observation.features import Tables
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.transformed import Live
from engine.settings import EngineSettings
from rl_training.environments.candidates import Candidates
from rl_training.environments.episodes import TrainingMarket
from rl_training.pbt.interval import TrainingContext

FOLDER = "courses"
"""The name that runs under way have it by."""
LAYOUT = "layout.json"
TABLES = "tables"
RECORDS = {
    "quotes": QUOTE,
    "bookings": BOOKING,
    "pairs": PAIR,
    "rules": RULES,
    "legs": LEG,
    "bars": BAR,
    "instruments": INSTRUMENT,
    "levels": LEVEL,
}
"""Arrays of a tape that .npy files would give back with another alignment: they are kept as bytes."""


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


@contextmanager
def training_markets_of(folder: Path, job: PBTJob) -> Iterator[None]:
    """The files of a run's training markets, as long as the context lasts; the prepared market itself is not kept."""
    write_training_markets(folder / FOLDER, job, load_job_data(job)[1])
    try:
        yield
    finally:
        # What somebody else has put there stays.
        if training_markets_only(folder / FOLDER) is None:
            shutil.rmtree(folder / FOLDER, ignore_errors=True)


def write_training_markets(folder: Path, job: PBTJob, builder: OpportunityBuilder) -> None:
    """Write tape and candidates of training and validation; a folder that was left there gives way."""
    tape = builder.tape
    layout: dict[str, Any] = {
        "hours": tape.hours,
        "wallet_shares": tape.wallet_shares.tolist(),
        "max_delay_hours": int(tape.settlements.max_delay_hours),
        "most_bookings": int(tape.settlements.counts.max(initial=1)),
    }
    with new_directory(folder, instead_of=training_markets_only) as aside:
        for name, array in tape.arrays._asdict().items():
            layout[name] = array.shape
            flat = np.ascontiguousarray(array).reshape(-1)
            np.save(aside / f"{name}.npy", flat.view(np.uint8) if name in RECORDS else flat)
        for which, (start, end) in _windows(job).items():
            market = _market(job, builder, start, end)
            layout[which] = (market.first, market.last)
            for part, array in _parts(market.candidates):
                # The tables of version 2 are the market's, and the same for both.
                np.save(aside / f"{part if part.startswith(TABLES) else f'{which}_{part}'}.npy", array)
        (aside / LAYOUT).write_text(json.dumps(layout), encoding="utf-8")


def training_markets_only(folder: Path) -> str | None:
    """What in a folder is not from ``write_training_markets``; None when all of it is."""
    return unfamiliar(folder, (LAYOUT, "*.npy"))


def _windows(job: PBTJob) -> dict[str, tuple[datetime, datetime]]:
    return {"train": (job.train_from, job.train_to), "validation": (job.validate_from, job.validate_to)}


def _market(job: PBTJob, builder: OpportunityBuilder, start: datetime, end: datetime) -> TrainingMarket:
    index_of = builder.tape.market.index_of
    return TrainingMarket.over(builder, job.settings.observation, job.scaler, index_of(start), index_of(end))


def read_context(folder: Path, job: PBTJob) -> TrainingContext:
    """Where a worker trains and scores, over mapped files."""
    layout = json.loads((folder / LAYOUT).read_text(encoding="utf-8"))
    arrays = {name: _mapped(folder / f"{name}.npy") for name in TapeArrays._fields}
    records = {
        name: (array.view(RECORDS[name]) if name in RECORDS else array).reshape(layout[name])
        for name, array in arrays.items()
    }
    # Of the counts only the largest is asked for.
    settlements = _Settlements(layout["max_delay_hours"], np.array([layout["most_bookings"]]))
    tape = _MappedTape(
        TapeArrays(**records), job.settings, settlements, layout["hours"], np.array(layout["wallet_shares"], float)
    )
    markets = {
        which: TrainingMarket(
            cast(Tape, tape),  # all of a tape that a training market is asked for
            job.settings.observation,
            _candidates(folder, which, job.settings.observation.version),
            *layout[which],
        )
        for which in ("train", "validation")
    }
    return TrainingContext(
        **markets,
        training=job.settings.training,
        scaler=job.scaler,
        cost_table_hash=job.settings.cost_table_hash(),
        learner=job.learner,
        seed=job.seed,
        drawdown_weight=job.settings.pbt.drawdown_weight,
    )


def _parts(value: Any, name: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of nested tuples by name; None is none."""
    if isinstance(value, tuple):
        for field, part in zip(value._fields, value, strict=True):  # type: ignore[attr-defined]  # all have names
            # Tables are known by their own name, wherever they are kept.
            yield from _parts(part, TABLES if isinstance(part, Tables) else f"{name}{'_' if name else ''}{field}")
    elif value is not None:
        yield name, value


def _candidates(folder: Path, which: str, version: int) -> Candidates:
    def arrays(kind: Any, name: str, *missing: str) -> Any:
        return {field: _mapped(folder / f"{name}_{field}.npy") for field in kind._fields if field not in missing}

    live = None
    if version == 2:
        tables = Tables(**arrays(Tables, TABLES))
        live = Live(tables=tables, **arrays(Live, f"{which}_ranked_live", "tables"))
    ranked = Ranked(**arrays(Ranked, f"{which}_ranked", "live"), live=live)
    return Candidates(ranked, **arrays(Candidates, which, "ranked"))


def _mapped(path: Path) -> NDArray[Any]:
    """An array over a file's own pages. Copy-on-write, since compiled code tells read-only arrays apart."""
    return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
