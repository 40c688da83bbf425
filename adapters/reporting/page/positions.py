"""Every position of a run on a timeline, those that are still open too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from adapters.reporting.page.attribution import legs_of, of_positions
from adapters.storage.saved_run import SavedRun


def positions(run: SavedRun) -> pd.DataFrame:
    """One row a position by time of entry: names, ``entry``, ``exit`` (NaT while open), P&L so far, ``lane``.

    P&L of an open position is what was booked for it: fees and funding. Positions of one lane never overlap, so that
    there are as many lanes as positions were open at once.
    """
    held = of_positions(run.ledger)
    first = held.groupby("position_id").agg(
        symbol=("symbol", "first"), entry=("time", "min"), booked_usd=("amount_usd", "sum")
    )
    closed = run.trades.set_index("position_id")[["exit_time", "exit_reason", "pnl_usd", "pnl_pct"]]
    table = first.join(legs_of(run.ledger)).join(closed).rename(columns={"exit_time": "exit"}).reset_index()
    table["pnl_usd"] = table["pnl_usd"].fillna(table["booked_usd"])
    table = table.sort_values(["entry", "position_id"], kind="stable", ignore_index=True)
    table["exit_reason"] = table["exit_reason"].fillna("open")
    table["lane"] = lanes(table["entry"].tolist(), table["exit"].tolist())
    return table.drop(columns="booked_usd")


def lanes(entries: Sequence[pd.Timestamp], exits: Sequence[pd.Timestamp]) -> list[int]:
    """The lowest lane that is free at each entry; entries ascend. An exit at the hour of an entry frees its lane."""
    busy_until: list[pd.Timestamp] = []
    found = []
    for entry, left in zip(entries, exits, strict=True):
        lane = next((k for k, until in enumerate(busy_until) if until <= entry), len(busy_until))
        until = pd.Timestamp.max.tz_localize("UTC") if pd.isna(left) else left
        # A slice, because the lane may be a new one behind the last.
        busy_until[lane : lane + 1] = [until]
        found.append(lane)
    return found


def best_trade_share(run: SavedRun) -> tuple[float, float] | None:
    """P&L of the best trade and P&L of the run without it, USD; None without trades."""
    if run.trades.empty:
        return None
    best = float(np.max(run.trades["pnl_usd"]))
    return best, float(run.metrics["pnl_usd"] or 0.0) - best
