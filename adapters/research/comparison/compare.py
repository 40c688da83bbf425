"""Two saved runs side by side over the hours that both have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adapters.research.comparison.causes import Attribution, attribute
from adapters.research.comparison.held import Held, book_of, hour_numbers
from adapters.storage.saved_run import SavedRun
from engine.errors import DataError, UserError
from engine.settings import EngineSettings

EXACT = 1e-9
"""How far the causes may miss the difference, relative to the capital: rounding, and no more."""


@dataclass(frozen=True)
class Side:
    """One of the two runs: P&L over the common span in USD and in % of its initial capital; hours of it alone."""

    run: SavedRun
    pnl_usd: float
    pnl_pct: float
    hours_alone: NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """Two runs from the first to the last hour that both have; differences are the first less the second.

    ``hours`` has a row for each common hour: equity, P&L since the beginning of the span, open positions.
    ``settings`` are the settings that differ, as (first, second).
    """

    first: Side
    second: Side
    hours: pd.DataFrame
    attribution: Attribution
    settings: Mapping[str, tuple[Any, Any]]

    @property
    def drift_pct(self) -> float:
        """Difference of the P&L in % of each run's own initial capital."""
        return self.first.pnl_pct - self.second.pnl_pct

    @property
    def parted(self) -> pd.Timestamp | None:
        """The first common hour at whose end the two P&L differ; None when they never do."""
        apart = self.hours["difference_usd"].abs() > EXACT * self.first.run.initial_capital_usd
        return self.hours["time"][apart].min() if apart.any() else None


def compare(one: SavedRun, other: SavedRun) -> Comparison:
    """Compare two runs. Raises ``UserError`` without common hours, ``DataError`` when the files of a run disagree."""
    ours, theirs = (hour_numbers(run.equity["time"]) for run in (one, other))
    common = np.intersect1d(ours, theirs)
    if not len(common):
        raise UserError(f"{one.folder} and {other.folder} have no hour in common: {_span(one)} and {_span(other)}")
    first, last = int(common[0]), int(common[-1])
    books = book_of(one, first, last), book_of(other, first, last)
    found = attribute(*books)
    capital = max(one.initial_capital_usd, other.initial_capital_usd)
    # Equity and ledger are separate files: a remainder is a damaged file or a cause that is not told, never rounding.
    if abs(sum(found.causes.values()) - found.difference_usd) > EXACT * capital:
        raise DataError(
            f"equity and ledger disagree by {sum(found.causes.values()) - found.difference_usd:+.6f} USD",
            file=f"{one.folder} or {other.folder}",
        )
    sides = [
        Side(run, book.pnl_usd, 100 * book.pnl_usd / run.initial_capital_usd, np.setdiff1d(hours, common))
        for run, book, hours in zip((one, other), books, (ours, theirs), strict=True)
    ]
    return Comparison(sides[0], sides[1], _side_by_side(one, other, common), found, _differing(one, other))


def _side_by_side(one: SavedRun, other: SavedRun, common: NDArray[np.int64]) -> pd.DataFrame:
    table = pd.DataFrame({"time": one.equity["time"][np.isin(hour_numbers(one.equity["time"]), common)].to_numpy()})
    table["time"] = table["time"].dt.tz_localize("UTC") if table["time"].dt.tz is None else table["time"]
    for name, run in (("first", one), ("second", other)):
        hours = hour_numbers(run.equity["time"])
        rows = run.equity[np.isin(hours, common)]
        before = int(np.searchsorted(hours, common[0])) - 1
        start = run.equity["equity_usd"].to_numpy()[before] if before >= 0 else run.initial_capital_usd
        table[f"{name}_equity_usd"] = rows["equity_usd"].to_numpy()
        table[f"{name}_pnl_usd"] = rows["equity_usd"].to_numpy() - start
        table[f"{name}_open_positions"] = rows["open_positions"].to_numpy()
    table["difference_usd"] = table["first_pnl_usd"] - table["second_pnl_usd"]
    return table


def _differing(one: SavedRun, other: SavedRun) -> dict[str, tuple[Any, Any]]:
    """What the manifests say differently: strategy, data, and every setting of the engine."""
    ours, theirs = (_said(run.manifest) for run in (one, other))
    return {
        key: (ours.get(key), theirs.get(key))
        for key in sorted(set(ours) | set(theirs))
        if ours.get(key) != theirs.get(key)
    }


def _said(manifest: Mapping[str, Any]) -> dict[str, Any]:
    stated = manifest.get("settings", {})
    # The hash of the cost tables stands for them, which are too long to be shown.
    settings = {
        key: stated[key] for key in EngineSettings.model_fields if key in stated and key not in ("fees", "spreads")
    }
    played = str(manifest.get("strategy", ""))
    return {
        **settings,
        "strategy": manifest.get("strategy"),
        "parameters": stated.get("strategies", {}).get(played),
        "cost table": manifest.get("cost_table_hash"),
        "data": manifest.get("dataset", {}).get("fingerprint"),
        "seed": manifest.get("seed"),
    }


def _span(run: SavedRun) -> str:
    if not run.hours:
        return "no hours"
    times = run.equity["time"]
    return f"{times.iloc[0]:%Y-%m-%dT%H:%MZ} to {times.iloc[-1]:%Y-%m-%dT%H:%MZ}"


def decision_hour(held: Held, side: Side) -> int:
    """The hour at which a position was ordered; its fill may have come later."""
    settings = side.run.manifest["settings"]
    # Of runs from before there were resting orders, the manifest says nothing of them.
    rested = int(settings.get("execution") == "maker_then_hedge")
    return held.opened - int(settings.get("latency_hours", 0)) - rested
