"""What lies in the folder of a run besides its six files; every part may be absent, with a reason to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.research.dearer_costs import FILE as STRESS
from adapters.research.dearer_costs import KEPT, TAKERS
from adapters.research.entries import FILE as ENTRIES
from adapters.research.references import CURVES, FACTS, HINDSIGHT, PERSISTENT
from adapters.storage.json_files import read_object
from adapters.storage.saved_run import known_metrics
from engine.analysis.significance import Significance
from engine.errors import LONGEST_REASON, UserError, cut

SIGNIFICANCE, FOLDS = "significance.json", "folds.json"
SHOWN_AT_ENTRY = ("funding_now_bps", "net_funding_168h_bps", "spread_bps", "rank")
"""Columns of the entries that a report shows."""


@dataclass(frozen=True, eq=False)
class Extras:
    """Parsed files, None where there are none. ``curves`` are equities in USD by reference, indexed by time."""

    references: Sequence[Mapping[str, Any]] = ()
    curves: pd.DataFrame | None = None
    stress: Mapping[str, Any] | None = None
    significance: Mapping[str, Any] | None = None
    entries: pd.DataFrame | None = None
    folds: Sequence[Mapping[str, Any]] | None = None
    """Of a walk-forward: windows, what was chosen, metrics on validation and test."""

    def reference(self, name: str) -> Mapping[str, Any] | None:
        """The facts of one reference run."""
        return next((one for one in self.references if one["name"] == name), None)

    def share_of(self, optimum: str, pnl_usd: float | None) -> float | None:
        """P&L as a fraction of what an optimum made; None where that made nothing or was not played."""
        found = self.reference(optimum)
        # An optimum that earned nothing is no measure: a share of it would be infinite or have the wrong sign.
        most = None if found is None else found["metrics"]["pnl_usd"]
        return pnl_usd / most if pnl_usd is not None and most is not None and most > 0 else None


def read_extras(folder: Path) -> Extras:
    """Whatever is there. Raises ``UserError`` for a file that is there and cannot be read."""
    return Extras(
        references=_read(folder / FACTS, _references) or (),
        curves=_read(folder / CURVES, lambda path: pd.read_parquet(path).set_index("time")),
        stress=_read(folder / STRESS, _stress),
        significance=_read(folder / SIGNIFICANCE, _significance),
        entries=_read(folder / ENTRIES, _entries),
        folds=_read(folder / FOLDS, _folds),
    )


def _references(path: Path) -> list[dict[str, Any]]:
    """References with all metrics; those that an older version did not know are None.

    Raises ``ValueError`` when one has no name or no metrics.
    """
    found: list[dict[str, Any]] = read_object(path)["references"]
    for one in found:
        if (
            not isinstance(one, dict)
            or not isinstance(one.get("name"), str)
            or not isinstance(one.get("metrics"), dict)
        ):
            raise ValueError("a reference has no name or no metrics")
    return [{**one, "metrics": known_metrics(one["metrics"])} for one in found]


def _stress(path: Path) -> dict[str, Any]:
    found = read_object(path)
    late, spreads = found.get("one_hour_late"), found.get("spread_model") or {}
    return {
        "costs": [{"multiple": float(row["multiple"]), **known_metrics(row, KEPT)} for row in found["costs"]],
        "break_even_multiple": found.get("break_even_multiple"),
        "one_hour_late": None if late is None else known_metrics(late, KEPT),
        "spread_model": {str(model): known_metrics(row, KEPT) for model, row in spreads.items()},
        TAKERS: known_metrics(found[TAKERS], KEPT) if TAKERS in found else None,
    }


def _significance(path: Path) -> dict[str, Any]:
    # A file of an older version lacks fields; the page shows a dash for them.
    return {**dict.fromkeys(Significance.model_fields), **read_object(path)}


def _entries(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path)
    return table.reindex(columns=[*table.columns, *(name for name in SHOWN_AT_ENTRY if name not in table.columns)])


def _folds(path: Path) -> list[dict[str, Any]]:
    return [
        {**fold, **{window: known_metrics(fold[window]) for window in ("validation", "test")}}
        for fold in read_object(path)["folds"]
    ]


def _read(path: Path, reader: Any) -> Any:
    try:
        return reader(path)
    # Runs without these files are whole; only a file that is there and broken is a reason to stop.
    except FileNotFoundError:
        return None
    except Exception as error:  # pandas, pyarrow and json raise many kinds for a broken file
        reason = cut(str(error), LONGEST_REASON) or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); remove it, or run the backtest again") from error


__all__ = ["HINDSIGHT", "PERSISTENT", "Extras", "read_extras"]
