"""Does a strategy look ahead? It is replayed around random hours of a data set, each time with another future.

Around each hour a part of the data is cut out, long enough for every feature, and played from fresh capital; then
again with noise for everything that comes later, and with nothing that comes later. What a strategy reads by itself
from elsewhere cannot be changed here: so it is watched (``file_watch``), and a strategy that opens the data set or
the caches of arb at any time, or anything at all while it decides, does not pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from adapters.research.audit.file_watch import FileWatch, Touch
from engine.analysis.lookahead import NO_FILL, NO_FUTURE, Leak, Replay, Subject, guilty_tables, leaks, replay
from engine.errors import UserError
from engine.market.counterfactual import rows_of
from engine.market.data import MarketData
from engine.observation.answers import ask
from engine.observation.encoding import ObservationSpec, Scaler
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Order, Strategy, View
from engine.settings import EngineSettings
from engine.windows import time_of

HISTORY_HOURS = 240
"""Rows before the first decision of a replay: the longest window of a feature, and more."""
FUTURE_HOURS = 96
BEFORE = "before"
"""Label of the watch while a strategy is imported and made."""
TRACED = 3
"""For so many hours that leak the tables are found out."""


@dataclass(frozen=True)
class Finding:
    """Something known too early: what was not the same at ``hour`` when only ``table`` changed after ``cut``."""

    cut: datetime
    hour: datetime
    what: str
    table: str | None
    trial: str

    def __str__(self) -> str:
        if self.table is None:
            return f"{self.what} of {self.hour:%Y-%m-%dT%H:%MZ} depend on what comes later ({self.trial})"
        since = "the first trade after" if self.table == "fill_price" else "after"
        return f"{self.table} {since} {self.cut:%Y-%m-%dT%H:%MZ} leaked into {self.what} of {self.hour:%Y-%m-%dT%H:%MZ}"


@dataclass(frozen=True)
class AuditResult:
    """What was tried and found; ``orders`` were sent and compared in all."""

    cuts: int
    leaking_cuts: int
    hours: int
    orders: int
    findings: list[Finding]
    touches: list[Touch]


def audit(
    market: MarketData,
    settings: EngineSettings,
    make: Callable[[], Strategy],
    layout: ObservationSpec | None,
    rng: np.random.Generator,
    *,
    cuts: int,
    hours: int,
    watch: FileWatch,
    progress: Callable[[int], None] = lambda _: None,
) -> AuditResult:
    """Try ``cuts`` random hours, each with the ``hours`` hours of decisions before it.

    ``make`` builds the strategy anew for each replay; ``watch`` notes what it opens. Raises ``UserError`` for a data
    set that is too short.
    """
    findings: list[Finding] = []
    leaking = traced = orders = 0
    for done, row in enumerate(_rows_to_cut(market, settings, rng, cuts, hours), start=1):
        part, subject, cut = _around(market, settings, _watched(make, watch), layout, row, hours)
        original = replay(subject, part)
        orders += sum(len(facts["orders"]) for facts in original.seen.values())
        found = leaks(subject, part, original, cut, rng)
        if found:
            leaking += 1
            explained = _explained(found, subject, part, original, cut, rng, trace=traced < TRACED)
            traced += explained[0].table is not None
            findings += explained
        watch.pause()
        progress(done)
    return AuditResult(cuts, leaking, hours, orders, findings, watch.touches)


# What is opened while a strategy is made is told apart from what is opened between two decisions.
def _watched(make: Callable[[], Strategy], watch: FileWatch) -> Callable[[], Strategy]:
    """Strategies whose hours are known to the watch."""

    def watched() -> Strategy:
        watch.at(BEFORE)
        return _Watched(make(), watch)

    return watched


class _Watched:
    """A strategy that says which hour it is at; what is opened until the next one is on its account."""

    def __init__(self, strategy: Strategy, watch: FileWatch) -> None:
        self._strategy, self._watch = strategy, watch

    def decide(self, view: View) -> Sequence[Order]:
        self._watch.at(f"{view.time:%Y-%m-%dT%H:%MZ}")
        return ask(self._strategy, view)


def touches_in_words(name: str, touches: Sequence[Touch]) -> tuple[list[str], list[str]]:
    """What a strategy must not have opened, and what it may have, as lines; each thing once, at its first hour."""
    findings, notes = {}, {}
    for touch in touches:
        if touch.label == BEFORE and not touch.watched:
            notes[touch.what] = (
                f"note: {name} opened {touch.what} before its first decision: whether that knows the future is not seen"
            )
        elif touch.what not in findings:
            when = "before its first decision" if touch.label == BEFORE else f"while it decided at {touch.label}"
            findings[touch.what] = f"{name} opened {touch.what} {when}: no audit can change what it read there"
    return list(findings.values()), list(notes.values())


def _rows_to_cut(
    market: MarketData, settings: EngineSettings, rng: np.random.Generator, cuts: int, hours: int
) -> list[int]:
    first = min(settings.min_history_hours, len(market.hours) // 4) + hours
    last = len(market.hours) - 3
    if last - first < 2:
        raise UserError(f"the data set has {len(market.hours)} hours; an audit of {hours} hours needs more")
    chosen = rng.choice(np.arange(first, last + 1), min(cuts, last - first + 1), replace=False)
    return sorted(int(row) for row in chosen)


def _around(
    market: MarketData,
    settings: EngineSettings,
    make: Callable[[], Strategy],
    layout: ObservationSpec | None,
    row: int,
    hours: int,
) -> tuple[MarketData, Subject, int]:
    """The hours around a row, what is played on them, and where the row is in them."""
    start = max(0, row - hours - max(HISTORY_HOURS, settings.min_history_hours))
    part = rows_of(market, start, min(len(market.hours), row + FUTURE_HOURS))
    cut = row - start
    subject = Subject(settings, cut - hours, lambda *_: make(), scaler=_unscaled, last=cut + 1, layout=layout)
    return part, subject, cut


def _unscaled(_builder: OpportunityBuilder, spec: ObservationSpec, _first: int) -> Scaler:
    """Observations are compared as they are; a model brings the scaler that it was trained with."""
    width = len(spec.features)
    return Scaler(mean=(0.0,) * width, deviation=(1.0,) * width)


def _explained(
    found: list[Leak],
    subject: Subject,
    part: MarketData,
    original: Replay,
    cut: int,
    rng: np.random.Generator,
    *,
    trace: bool,
) -> list[Finding]:
    """The tables that leak, or the first thing that differs where no single one does or it was not traced."""

    def at(row: int) -> datetime:
        return time_of(int(part.hours[row]))

    guilty = guilty_tables(subject, part, original, cut, rng) if trace else []
    if guilty:
        return [Finding(at(cut), at(leak.row), leak.what, table, NO_FILL) for table, leak in guilty]
    first = min(found, key=lambda leak: (leak.row, leak.trial == NO_FUTURE))
    return [Finding(at(cut), at(first.row), first.what, None, first.trial)]
