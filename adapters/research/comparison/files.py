"""The files of a comparison: hours side by side, and everything about the causes as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.research.comparison.causes import CAUSES, Matched
from adapters.research.comparison.compare import Comparison, Side, decision_hour
from adapters.research.comparison.held import Held
from adapters.storage.csv_files import write_table
from adapters.storage.giving_way import unfamiliar, unsigned
from adapters.storage.run_files import write_json
from adapters.storage.run_names import COMPARED as CAUSES_FILE
from engine.windows import time_of

COMMAND = "arb compare"
HOURS_FILE = "compare.csv"


def comparison_only(folder: Path) -> str | None:
    """What in a folder is not from `arb compare`; None when all of it is."""
    return unsigned(folder / CAUSES_FILE, COMMAND) or unfamiliar(folder, (HOURS_FILE, CAUSES_FILE))


def write_comparison(folder: Path, found: Comparison) -> None:
    """``compare.csv``: one row an hour at full precision; ``compare.json``: causes and positions."""
    write_table(folder / HOURS_FILE, found.hours)
    parted = found.parted
    span = found.hours["time"]
    content = {
        "written_by": COMMAND,
        "first": _side(found.first),
        "second": _side(found.second),
        "from": span.iloc[0].isoformat(),
        "to": span.iloc[-1].isoformat(),
        "hours": len(span),
        "difference_usd": found.attribution.difference_usd,
        "drift_pct": found.drift_pct,
        "parted": None if parted is None else parted.isoformat(),
        "causes_usd": dict(found.attribution.causes),
        "causes": dict(CAUSES),
        "settings": {key: {"first": ours, "second": theirs} for key, (ours, theirs) in found.settings.items()},
        "positions": [_position(one, found) for one in found.attribution.positions],
    }
    write_json(folder / CAUSES_FILE, content)


def _side(side: Side) -> dict[str, Any]:
    return {
        "run": str(side.run.folder),
        "strategy": side.run.name,
        "pnl_usd": side.pnl_usd,
        "pnl_pct": side.pnl_pct,
        "hours_alone": [time_of(hour).isoformat() for hour in side.hours_alone],
    }


def _position(one: Matched, found: Comparison) -> dict[str, Any]:
    return {
        "first": _held(one.first, found.first),
        "second": _held(one.second, found.second),
        "difference_usd": one.difference_usd,
        "complete": one.complete,
        "causes_usd": dict(one.amounts),
    }


def _held(held: Held | None, side: Side) -> dict[str, Any] | None:
    if held is None:
        return None
    return {
        "position_id": held.number,
        "symbol": held.symbol,
        "long_exchange": held.exchanges.get("long"),
        "short_exchange": held.exchanges.get("short"),
        "decided": time_of(decision_hour(held, side)).isoformat(),
        "opened": time_of(held.opened).isoformat(),
        "closed": None if held.closed is None else time_of(held.closed).isoformat(),
        "reason": held.reason,
        "quantity": held.quantity,
        "pnl_usd": held.pnl_usd,
    }
