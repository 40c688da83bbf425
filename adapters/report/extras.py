"""What lies in the folder of a run besides its six files; every part may be absent, with a reason to print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adapters.cost_stress import FILE as STRESS
from adapters.entries import FILE as ENTRIES
from adapters.json_files import read_object
from adapters.references import CURVES, FACTS, HINDSIGHT, PERSISTENT
from engine.errors import LONGEST_REASON, UserError, cut

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
    facts = _table(folder / FACTS, _references)
    curves = _table(folder / CURVES, pd.read_parquet)
    return Extras(
        references=() if facts is None else facts,
        curves=None if curves is None else curves.set_index("time"),
        stress=_json(folder / STRESS),
        significance=_json(folder / SIGNIFICANCE),
        entries=_table(folder / ENTRIES, pd.read_csv),
    )


def _references(path: Path) -> list[dict[str, Any]]:
    """What was played beside a run. Raises ``ValueError`` when one has no name or no metrics."""
    found: list[dict[str, Any]] = read_object(path)["references"]
    for one in found:
        if (
            not isinstance(one, dict)
            or not isinstance(one.get("name"), str)
            or not isinstance(one.get("metrics"), dict)
        ):
            raise ValueError("a reference has no name or no metrics")
    return found


def _json(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = _table(path, read_object)
    return found


def _table(path: Path, reader: Any) -> Any:
    try:
        return reader(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # pandas, pyarrow and json raise many kinds for a broken file
        reason = cut(str(error), LONGEST_REASON) or type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}); remove it, or run the backtest again") from error


__all__ = ["HINDSIGHT", "PERSISTENT", "Extras", "read_extras"]
