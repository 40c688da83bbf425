"""What a scan answers: rows with what they are of, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.scan.rows import Choice, PairNow, rows_of
from adapters.scan.scene import Scene, Source


@dataclass(frozen=True)
class Scan:
    """Rows with what they are of: ``time`` is the hour, ``seen`` the moment of the numbers, ``coins`` how many are
    known, ``events`` what should be there and is not."""

    source: Source
    time: datetime
    seen: datetime
    age_hours: float
    sort: str
    coins: int
    events: tuple[str, ...]
    rows: tuple[PairNow, ...]


def scan_of(scene: Scene, choice: Choice, now: datetime) -> Scan:
    """What there is at an hour, as of ``now``. Raises ``UserError`` like ``rows_of``."""
    rows, age = tuple(rows_of(scene, choice)), (now - scene.seen).total_seconds() / 3600
    coins = len(scene.builder.tape.market.symbols)
    return Scan(scene.source, scene.time, scene.seen, age, choice.sort, coins, scene.events, rows)


def in_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Names that were given one by one, or several with commas between them."""
    return tuple(part.strip() for name in names for part in name.split(",") if part.strip())


def as_text(scan: Scan) -> str:
    """The JSON object in one line."""
    return json.dumps(as_json(scan), allow_nan=False)


def as_json(scan: Scan) -> dict[str, Any]:
    """Plain values: times as text (UTC), None where something is not known."""
    return {
        "source": scan.source._asdict(),
        "time": _text(scan.time),
        "seen": _text(scan.seen),
        "age_hours": scan.age_hours,
        "sort": scan.sort,
        "coins": scan.coins,
        "events": list(scan.events),
        "rows": [_plain(row) for row in scan.rows],
    }


def _plain(row: PairNow) -> dict[str, Any]:
    legs = {
        side: leg._asdict() | {"next_settlement": None if (due := leg.next_settlement) is None else _text(due)}
        for side, leg in (("long", row.long), ("short", row.short))
    }
    return row._asdict() | legs


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
