"""Does anything that is seen, decided or booked up to an hour depend on what happens after it?

A subject is replayed on a market and on copies of it whose future is another one: noise after the cut, noise from the
first trade after the cut on, and no future at all. Whatever differs up to the cut looked ahead.

The first trade after hour ``c`` (``fill_price[c]``) is a special case: orders of hour ``c`` are filled at it, so the
ledger of ``c`` may depend on it; what is seen and decided at ``c`` may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.accounting.books import Kind, Reason
from engine.accounting.records import Records
from engine.accounting.tape import prepare
from engine.backtest import run_backtest
from engine.errors import in_words
from engine.market.counterfactual import OPPORTUNITIES, TABLES, up_to, with_other_future
from engine.market.data import Floats, MarketData
from engine.observation.actions import action_mask
from engine.observation.answers import ask
from engine.observation.encoding import Float32s, ObservationSpec, Scaler, encoding_of, fit_scaler
from engine.observation.opportunities import OpportunityBuilder
from engine.observation.view import Order, Strategy, View
from engine.settings import EngineSettings

Rng = np.random.Generator
Facts = dict[str, Any]
"""What was seen at one hour: arrays, numbers and orders by name."""


@dataclass(frozen=True)
class Subject:
    """What is under suspicion: everything that turns a market into decisions, made anew for every replay.

    Decisions are taken at rows ``first`` to ``last - 1`` (None: of all data); a scaler is fitted on the rows before
    ``first``. ``layout`` is the observation that is compared, by default that of the number of positions.
    """

    settings: EngineSettings
    first: int
    strategy: Callable[[OpportunityBuilder, Scaler], Strategy]
    builder: Callable[[MarketData, EngineSettings], OpportunityBuilder] = lambda market, settings: OpportunityBuilder(
        prepare(market, settings)
    )
    scaler: Callable[[OpportunityBuilder, ObservationSpec, int], Scaler] = lambda builder, spec, first: fit_scaler(
        builder, spec, 0, first - 1
    )
    last: int | None = None
    layout: ObservationSpec | None = None

    @property
    def spec(self) -> ObservationSpec:
        return self.layout or ObservationSpec(positions=self.settings.max_positions)


@dataclass(frozen=True)
class Replay:
    """What happened: the facts seen at each row, and the records."""

    seen: dict[int, Facts]
    records: Records


class _Witness:
    """Notes what a strategy is shown and what it answers."""

    def __init__(self, strategy: Strategy, market: MarketData, spec: ObservationSpec, scaler: Scaler) -> None:
        self._strategy, self._market, self._spec = strategy, market, spec
        self._encoding = encoding_of(spec, scaler)
        self.seen: dict[int, Facts] = {}

    def decide(self, view: View) -> Sequence[Order]:
        facts = self._facts(view)
        facts["orders"] = ask(self._strategy, view)
        self.seen[self._market.index_of(view.time)] = facts
        return list(facts["orders"])

    def _facts(self, view: View) -> Facts:
        features, offered = view._hour
        observation, visible = view.observe(self._encoding, self._spec)
        mask = np.empty(self._spec.actions, bool)
        action_mask(view._loop.books, 0, visible, mask)
        opportunities, own = self._parts(observation)
        money = (view.equity_usd, view.cash_usd, view.free_slots, view.positions)
        return {
            "features": features,
            "offered": offered,
            "open to entry": view.offered,
            "shown": visible,
            "opportunities": opportunities,
            "portfolio": (*money, *own, mask.tolist()),
        }

    def _parts(self, observation: Float32s) -> tuple[Float32s, list[Any]]:
        """What of an observation is the market's, and what depends on the books."""
        first, width = self._spec.first_opportunity, self._spec.widths.opportunity
        end, margins = first + width * self._spec.opportunities, 2 * self._spec.wallets
        shown = observation[first:end].reshape(-1, width)
        own = (observation[:first], shown[:, width - margins :].ravel(), observation[end:])
        return shown[:, : width - margins].ravel(), [part.tolist() for part in own]


@dataclass(frozen=True)
class Leak:
    """Something of ``row`` that is not the same under another future; ``tables`` did it, as far as that was asked."""

    trial: str
    what: str
    row: int
    tables: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.trial}: {self.what} of row {self.row} are not what they were"


NOISE, NO_FILL, NO_FUTURE = "noise after the hour", "noise from the first trade after the hour on", "no future"


def replay(subject: Subject, market: MarketData, last: int | None = None) -> Replay:
    """Run a subject over its window of a market, or up to row ``last`` of it."""
    builder = subject.builder(market, subject.settings)
    scaler = subject.scaler(builder, subject.spec, subject.first)
    witness = _Witness(subject.strategy(builder, scaler), market, subject.spec, scaler)
    end = len(market.hours) - 1 if subject.last is None else subject.last
    records = run_backtest(builder, witness, subject.first, end if last is None else last)
    return Replay(witness.seen, records)


def leaks(subject: Subject, market: MarketData, original: Replay, cut: int, rng: Rng) -> list[Leak]:
    """What up to row ``cut`` changes with the future; empty for honest subjects.

    ``original`` is the replay of the whole market. ``cut`` lies after ``subject.first`` and before the last hour.
    A subject that fails under another future leaks too.
    """
    noisy, unfilled = with_other_future(market, cut, rng), with_other_future(market, cut, rng, fill_too=True)
    return [
        *_trial(NOISE, subject, noisy, original, cut, booked_to=cut),
        *_trial(NO_FILL, subject, unfilled, original, cut, booked_to=cut - 1),
        # The last hour of a run decides nothing and closes what is open, so the hour before it is the last to compare.
        *_trial(NO_FUTURE, subject, up_to(market, cut), original, cut - 1, booked_to=cut - 1, last=cut),
    ]


def guilty_tables(
    subject: Subject, market: MarketData, original: Replay, cut: int, rng: Rng, draws: int = 3
) -> list[tuple[str, Leak]]:
    """Which tables after row ``cut``, changed alone, change something up to it, and what they change first.

    A table is given up to ``draws`` other futures, for not every one makes a difference.
    """
    found = []
    for table in TABLES:
        absent = market.recorded is None if table == OPPORTUNITIES else getattr(market, table, market) is None
        if absent:
            continue
        for _ in range(draws):
            changed = with_other_future(market, cut, rng, fill_too=True, tables=(table,))
            differing = _trial(NO_FILL, subject, changed, original, cut, booked_to=cut - 1)
            if differing:
                found.append((table, min(differing, key=lambda leak: leak.row)))
                break
    return found


def _trial(
    name: str, subject: Subject, market: MarketData, original: Replay, seen_to: int, booked_to: int,
    last: int | None = None,
) -> list[Leak]:  # fmt: skip
    try:
        other = replay(subject, market, last)
    except Exception as error:  # whatever a plug-in raises when the future is not as it expects
        return [Leak(f"{name}: {in_words(error)}", "decisions", seen_to)]
    return list(_differences(name, original, other, seen_to, booked_to))


def _differences(trial: str, one: Replay, two: Replay, seen_to: int, booked_to: int) -> Iterator[Leak]:
    """Facts up to ``seen_to`` and bookings up to ``booked_to`` that are not the same in two replays."""
    for row in sorted(row for row in one.seen if row <= seen_to):
        for name, value in one.seen[row].items():
            own_exit = name in ("portfolio", "orders") and row > booked_to and _protected_at(one.records, row)
            if not own_exit and not _same(value, two.seen[row][name]):
                yield Leak(trial, name, row)
    for name in ("ledger", "notes", "hours"):
        ours, theirs = (_booked(getattr(side.records, name), booked_to) for side in (one, two))
        if not _same_rows(ours, theirs):
            yield Leak(trial, f"bookings ({name})", _first_difference(ours, theirs))
    # Funding of an hour is booked before its fills: it may not differ even where what is filled may.
    settled = [_settled(side.records, seen_to) for side in (one, two)]
    if not _same(*settled):
        yield Leak(trial, "bookings (funding)", seen_to)


def _same_rows(ours: Any, theirs: Any) -> bool:
    return len(ours) == len(theirs) and all(_same(ours[f], theirs[f]) for f in ours.dtype.names)


def _first_difference(ours: Any, theirs: Any) -> int:
    """Row of the first booking that the other does not have."""
    for one, two in zip(ours, theirs, strict=False):
        if not _same_rows(one.reshape(1), two.reshape(1)):
            return int(min(one["hour"], two["hour"]))
    longer = ours if len(ours) > len(theirs) else theirs
    return int(longer[min(len(ours), len(theirs))]["hour"])


def _protected_at(records: Records, row: int) -> bool:
    """Whether a position left by a protective exit at a row: that fills at once, before the strategy looks."""
    by_itself = (
        Reason.STOP_LOSS, Reason.DATA_OUTAGE, Reason.DELISTING, Reason.LIQUIDATION, Reason.LEG_FAILURE
    )  # fmt: skip
    reasons = [int(reason) for reason in by_itself]
    left = np.any((records.trades["closed"] == row) & np.isin(records.trades["reason"], reasons))
    ledger = records.ledger[records.ledger["hour"] == row]
    return bool(left or np.any(ledger["kind"] == int(Kind.LIQUIDATION_FEE)))


def _booked(rows: Any, last: int) -> Any:
    return rows[rows["hour"] <= last]


def _settled(records: Records, last: int) -> Floats:
    ledger = records.ledger
    amounts: Floats = ledger["amount"][(ledger["kind"] == int(Kind.FUNDING)) & (ledger["hour"] <= last)]
    return amounts


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray):
        return np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    return bool(one == two)
