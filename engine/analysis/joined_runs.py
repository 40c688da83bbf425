"""Several runs, one after the other, as the record of one account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.accounting.records import NO_RECORDS, Records
from engine.errors import UserError

COUNTERS = ("missing_settlements", "fills_at_last_trade", "stale_hours")


def chain(runs: Sequence[Records]) -> Records:
    """One record of runs that follow each other; ids of positions go on from run to run, counters are added.

    The first run's capital and all ledger entries make the equity of the whole only if every run began with what the
    one before it ended with. Raises ``UserError`` for runs that overlap.
    """
    if not runs:
        return NO_RECORDS
    for one, following in pairwise(runs):
        if len(one.hours) and len(following.hours) and following.hours["hour"][0] <= one.hours["hour"][-1]:
            raise UserError("runs that overlap cannot be one account's")
    # Every run counts its positions from 1: unchanged, one id in the ledger would name several of them.
    used = np.cumsum([0, *(_last_id(run) for run in runs[:-1])])
    return replace(
        runs[-1],
        ledger=np.concatenate([_renumbered(run.ledger, by) for run, by in zip(runs, used, strict=True)]),
        trades=np.concatenate([_renumbered(run.trades, by) for run, by in zip(runs, used, strict=True)]),
        notes=np.concatenate([run.notes for run in runs]),
        hours=np.concatenate([run.hours for run in runs]),
        **{name: sum(getattr(run, name) for run in runs) for name in COUNTERS},
    )


def _last_id(run: Records) -> int:
    return int(max((rows["position_id"].max() for rows in (run.ledger, run.trades) if len(rows)), default=0))


def _renumbered(rows: NDArray[Any], by: int) -> NDArray[Any]:
    moved = rows.copy()
    moved["position_id"][moved["position_id"] > 0] += by  # transfers belong to no position
    return moved
