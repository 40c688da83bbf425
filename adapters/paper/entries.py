"""What an hour adds to the journal of paper trading, as plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.gate.refusals import Refusal
from adapters.paper.schema import HOUR_COLUMNS
from engine.accounting.records import Records
from engine.live_window import HourFacts

RECORD_FIELDS = {"ledger": "ledger", "trades": "trades", "notes": "notes", "equity": "hours"}
"""Tables of the journal by the part of ``Records`` that they hold."""


@dataclass(frozen=True)
class Decision:
    """What was decided at an hour: orders as (kind, target), or why nothing was decided."""

    strategy: str
    orders: tuple[tuple[int, int], ...]
    no_decision: str | None
    observation_hash: str


@dataclass(frozen=True)
class Event:
    """Something that a person may want to know of an hour; ``refusal``: the value of ``leg`` that is not believed."""

    kind: str
    text: str
    leg: int | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Snapshot:
    """What the next hour starts from; the books are None before the first one played."""

    hour: int
    before: bytes
    portfolio: bytes | None
    slots: bytes | None
    awaiting_settlement: bytes | None
    wallets: bytes | None
    generator: str | None
    report: Mapping[str, Any]


@dataclass(frozen=True)
class HourEntry:
    """All that one hour adds to the journal. ``records`` count hours since 1970."""

    facts: HourFacts
    status: str
    detail: str = ""
    decision: Decision | None = None
    records: Records | None = None
    events: tuple[Event, ...] = ()
    quotes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


def shifted(records: Records, hours: int) -> Records:
    """Records whose hours count ``hours`` more: from rows to hour numbers, or back."""
    parts = {}
    for table, name in RECORD_FIELDS.items():
        rows = getattr(records, name).copy()
        # The kernel counts rows of its window, which moves every hour; only hour numbers mean the same for ever.
        for column in HOUR_COLUMNS[table]:
            rows[column] += hours
        parts[name] = rows
    counters = records.missing_settlements, records.fills_at_last_trade, records.stale_hours
    return Records(parts["ledger"], parts["trades"], parts["notes"], parts["hours"], *counters)
