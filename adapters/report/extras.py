"""What lies in the folder of a run besides its six files; every part may be absent, with a reason to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.cost_stress import FILE as STRESS
from adapters.entries import FILE as ENTRIES
from adapters.references import CURVES, FACTS, HINDSIGHT, PERSISTENT
from adapters.saved_run import read_json
from engine.errors import UserError

SIGNIFICANCE = "significance.json"


@dataclass(frozen=True, eq=False)
class Extras:
    """Parsed files, None where there are none. ``curves`` are equities in USD by reference, indexed by time."""

    references: Sequence[Mapping[str, Any]] = ()
    curves: pd.DataFrame | None = None
    stress: Mapping[str, Any] | None = None
    significance: Mapping[str, Any] | None = None
    entries: pd.DataFrame | None = None

    def reference(self, name: str) -> Mapping[str, Any] | None:
        """The facts of one reference run."""
        return next((one for one in self.references if one["name"] == name), None)

    def share_of(self, optimum: str, pnl_usd: float) -> float | None:
        """P&L as a fraction of what an optimum made; None where that made nothing or was not played."""
        found = self.reference(optimum)
        most = None if found is None else found["metrics"]["pnl_usd"]
        return pnl_usd / most if most is not None and most > 0 else None


def read_extras(folder: Path) -> Extras:
    """Whatever is there. Raises ``UserError`` for a file that is there and cannot be read."""
    facts = _json(folder / FACTS)
    curves = _table(folder / CURVES, pd.read_parquet)
    return Extras(
        references=() if facts is None else facts["references"],
        curves=None if curves is None else curves.set_index("time"),
        stress=_json(folder / STRESS),
        significance=_json(folder / SIGNIFICANCE),
        entries=_table(folder / ENTRIES, pd.read_csv),
    )


def _json(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = _table(path, read_json)
    return found


def _table(path: Path, reader: Any) -> Any:
    try:
        return reader(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # pandas, pyarrow and json raise many kinds for a broken file
        raise UserError(f"{path} cannot be read ({error}); remove it, or run the backtest again") from error


__all__ = ["HINDSIGHT", "PERSISTENT", "Extras", "read_extras"]
