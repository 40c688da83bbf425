"""The markets of a run as files that workers map: made once, and the same memory for all of them.

What a worker needs of a market is what the kernel reads and the ranked candidates. Preparing that takes three times
the memory that it fills, so the parent does it once, into ``courses/`` of the run, which it removes at the end. A run
that draws worlds has a folder in there for each of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

from adapters.research.pbt.drawn_worlds import courses_of, held_back_of, worlds_of
from adapters.research.pbt.imitation import Start, has_imitation, make_imitation, read_start
from adapters.research.pbt.job import PBTJob, load_job_data
from adapters.research.pbt.market_files import ARRAYS, LAYOUT, markets_only, read_markets, write_markets
from adapters.storage.atomic import new_directory
from adapters.storage.giving_way import unfamiliar
from engine.observation.opportunities import OpportunityBuilder
from rl_training.environments.episodes import TrainingMarket
from rl_training.pbt.context import DrawnMarket, TrainingContext
from rl_training.recipe.courses import Course, Courses

FOLDER = "courses"
"""The name that runs under way have it by."""
RECORDED, AUGMENTED, HELD_BACK = "recorded", "augmented", "held_back"
"""How the folders of drawn worlds begin: two kinds to train in, one to judge by."""
ALL_HOURS = "all"
OF_EARLIER_VERSIONS = "*.npy"


@contextmanager
def training_markets_of(folder: Path, job: PBTJob) -> Iterator[None]:
    """The files of a run's training markets, as long as the context lasts; the prepared markets are not kept.

    The imitation that agents begin at is made too, unless the run has it already.
    """
    builder = load_job_data(job)[1]
    is_taught = not job.draws_worlds or has_imitation(folder)
    teach = _go_through if is_taught else partial(make_imitation, folder, job)
    write_training_markets(folder / FOLDER, job, builder, teach=teach)
    del builder
    try:
        yield
    finally:
        # What somebody else has put there stays.
        if training_markets_only(folder / FOLDER) is None:
            shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _go_through(courses: Courses) -> None:
    """Nothing is taught in them."""
    for _ in courses:
        pass


def write_training_markets(
    folder: Path, job: PBTJob, builder: OpportunityBuilder, teach: Callable[[Courses], None] = _go_through
) -> None:
    """Write training and validation, and the drawn worlds of a run that has some; a folder left there gives way.

    ``teach`` goes through the worlds to train in, of which only one is there at a time: together they would fill the
    memory.
    """
    with new_directory(folder, instead_of=training_markets_only) as aside:
        write_markets(
            aside, {which: _market(job, builder, start, end) for which, (start, end) in _windows(job).items()}
        )
        if not job.draws_worlds:
            return
        teach(_Written(aside, lambda: courses_of(job, builder), worlds_of(job).count))
        held_back = job.settings.pbt.judge.held_back_worlds
        _go_through(_Written(aside, lambda: held_back_of(job, builder), held_back, HELD_BACK))


@dataclass(frozen=True)
class _Written:
    """Each course once its files are there, in a folder of its own."""

    folder: Path
    drawn: Callable[[], Iterator[Course]]
    count: int
    kind: str | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Course]:
        for number, course in enumerate(self.drawn()):
            kind = self.kind or (AUGMENTED if course.is_augmented else RECORDED)
            place = self.folder / f"{kind}_{number:04d}"
            place.mkdir()
            write_markets(place, {ALL_HOURS: course.market})
            yield course


def training_markets_only(folder: Path) -> str | None:
    """What in a folder is not from ``write_training_markets``; None when all of it is."""
    drawn = {f"{kind}_*": markets_only for kind in (RECORDED, AUGMENTED, HELD_BACK)}
    return unfamiliar(folder, (LAYOUT, ARRAYS, OF_EARLIER_VERSIONS), drawn)


def _windows(job: PBTJob) -> dict[str, tuple[datetime, datetime]]:
    return {"train": (job.train_from, job.train_to), "validation": (job.validate_from, job.validate_to)}


def _market(job: PBTJob, builder: OpportunityBuilder, start: datetime, end: datetime) -> TrainingMarket:
    index_of = builder.tape.market.index_of
    return TrainingMarket.over(builder, job.settings.observation, job.scaler, index_of(start), index_of(end))


def read_context(folder: Path, job: PBTJob, start: Start | None = None) -> TrainingContext:
    """Where a worker trains and judges, over mapped files; ``start`` is what the agents begin at."""
    spec = job.settings.observation

    def of(*kinds: str) -> Iterator[tuple[str, TrainingMarket]]:
        # In the order in which they were drawn.
        found = sorted(chain(*(folder.glob(f"{kind}_*") for kind in kinds)), key=lambda path: path.name[-4:])
        return ((path.name, read_markets(path, spec)[ALL_HOURS]) for path in found)

    return TrainingContext(
        **read_markets(folder, spec),
        training=job.settings.training,
        scaler=job.scaler,
        cost_table_hash=job.settings.cost_table_hash(),
        learner=job.learner,
        seed=job.seed,
        drawdown_weight=job.settings.pbt.drawdown_weight,
        judge=job.settings.pbt.judge,
        drawn=tuple(DrawnMarket(market, name.startswith(AUGMENTED)) for name, market in of(RECORDED, AUGMENTED)),
        held_back=tuple(market for _, market in of(HELD_BACK)),
        start=start,
    )


def context_in(run_folder: Path, job: PBTJob) -> TrainingContext:
    """The context of a run whose markets lie in its folder. Raises ``DataError`` for an imitation that is not whole."""
    return read_context(run_folder / FOLDER, job, read_start(run_folder) if job.draws_worlds else None)
