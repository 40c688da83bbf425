"""Everything that was tried, on disk: ``trials.parquet`` has the hours of the window and a column of returns per trial.

A search writes it beside its results; what was chosen carries the summary of it (``Trials``) along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adapters.storage.atomic import replacing_file
from adapters.storage.table_files import floats_of, read_table
from adapters.storage.time_columns import milliseconds_of
from engine.analysis.significance import STILL, Trials
from engine.analysis.statistics import Overfitting, backtest_overfitting, sharpe
from engine.errors import DataError
from engine.market.data import Floats

FILE = "trials.parquet"
TIME = "time"
EACH_IS = "each_trial_is"
FEWEST_HOURS = 32
"""Sixteen blocks of two hours: less cannot be cross-validated."""


@dataclass(frozen=True, eq=False)
class TrialRecord:
    """What was tried on one window. ``returns`` is ``[hours, trials]``, fractions per hour, first hour ``start``.

    ``each_is`` says what one trial is made of, where that is more than one run; it stands in the file's metadata.
    """

    names: tuple[str, ...]
    start: datetime
    returns: Floats
    each_is: str = ""

    @property
    def end(self) -> datetime:
        return self.start + timedelta(hours=len(self.returns) - 1)


def record_of(returns: Mapping[str, Floats], start: datetime, each_is: str = "") -> TrialRecord:
    """Trials by name, in their order. Raises ``ValueError`` when they differ in length or there is none."""
    return TrialRecord(tuple(returns), start, np.stack(list(returns.values()), axis=1), each_is)


def write_trials(path: Path, record: TrialRecord) -> None:
    """Write the file, whole or not at all; equal records give equal bytes."""
    first = np.datetime64(record.start.replace(tzinfo=None), "s")
    times = first + np.arange(len(record.returns)) * np.timedelta64(3600, "s")
    columns: dict[str, pa.Array] = {TIME: pa.array(times).cast(pa.timestamp("s", tz="UTC"))}
    columns |= {name: pa.array(record.returns[:, k]) for k, name in enumerate(record.names)}
    about = {EACH_IS: record.each_is} if record.each_is else None
    with replacing_file(path) as aside:
        pq.write_table(
            pa.table(columns, metadata=about), aside, compression="zstd", use_dictionary=False, write_statistics=False
        )


def read_trials(path: Path) -> TrialRecord:
    """The record of a search. Raises ``DataError`` for a file that is missing, broken or no such record."""
    table = read_table(path, text=())
    if TIME not in table.column_names or len(table.column_names) < 2:
        raise DataError(f"is no record of trials: it needs a column {TIME!r} and one per trial", file=str(path))
    hours = milliseconds_of(table, TIME, path)
    # The blocks of the cross-validation are stretches of time: a hole would put hours of two times into one.
    if np.any(np.diff(hours) != 3_600_000):
        raise DataError("its hours do not follow each other", file=str(path))
    names = tuple(name for name in table.column_names if name != TIME)
    returns = np.stack([floats_of(table, name, path) for name in names], axis=1)
    if not np.isfinite(returns).all():
        raise DataError("a return is not a finite number", file=str(path))
    start = np.datetime64(int(hours[0]), "ms").astype(datetime)
    each_is = (table.schema.metadata or {}).get(EACH_IS.encode(), b"").decode("utf-8", "replace")
    return TrialRecord(names, start.replace(tzinfo=UTC), returns, each_is)


def summarise(record: TrialRecord, source: str, dataset_fingerprint: str) -> Trials:
    """Number of trials, spread of their Sharpe ratios, and probability of overfitting."""
    ratios = sharpe(record.returns.T)
    found, reason = _overfitting(record.returns)
    return Trials(
        count=len(record.names),
        sharpe_deviation=float(ratios.std(ddof=1)) if len(ratios) > 1 else 0.0,
        overfitting=found.probability if found else None,
        loss_probability=found.loss_probability if found else None,
        overfitting_reason=reason,
        source=source,
        start=record.start,
        end=record.end,
        dataset_fingerprint=dataset_fingerprint,
    )


def _overfitting(returns: Floats) -> tuple[Overfitting | None, str | None]:
    hours, trials = returns.shape
    if trials < 2:
        return None, "one trial only: nothing was chosen"
    if hours < FEWEST_HOURS:
        return None, f"fewer than {FEWEST_HOURS} hours cannot be cross-validated"
    if not returns.any():
        return None, STILL
    return backtest_overfitting(returns), None
