"""Does anything that is seen, decided or booked up to an hour depend on what happens after it?

A subject is replayed on a market and on copies of it whose future is another one: noise after the cut, noise from the
first trade after the cut on, and no future at all. Whatever differs up to the cut looked ahead.

The first trade after hour ``c`` (``fill_price[c]``) is a special case: orders of hour ``c`` are filled at it, so the
ledger of ``c`` may depend on it; what is seen and decided at ``c`` may not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from market_cuts import up_to

from engine.backtest import run_backtest
from engine.books import Kind, Reason
from engine.market import PER_LEG_FLOATS, Floats, MarketData, RecordedOpportunities, directed_pairs
from engine.observation import ObservationSpec, Scaler, action_mask, encoding_of, fit_scaler
from engine.opportunities import OpportunityBuilder
from engine.records import Records
from engine.settings import EngineSettings
from engine.tape import prepare
from engine.view import Order, Strategy, View

Rng = np.random.Generator
Facts = dict[str, Any]
"""What was seen at one hour: arrays, numbers and orders by name."""


@dataclass(frozen=True)
class Subject:
    """What is under suspicion: everything that turns a market into decisions, made anew for every replay.

    Decisions are taken at rows ``first`` to ``last - 1``; a scaler is fitted on the rows before ``first``.
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

    @property
    def spec(self) -> ObservationSpec:
        return ObservationSpec(positions=self.settings.max_positions)


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
        facts["orders"] = list(self._strategy.decide(view))
        self.seen[self._market.index_of(view.time)] = facts
        return list(facts["orders"])

    def _facts(self, view: View) -> Facts:
        features, offered = view._hour
        observation, visible = view.observe(self._encoding, self._spec)
        mask = np.empty(self._spec.actions, bool)
        action_mask(view._loop.books, 0, visible, mask)
        money = (view.equity_usd, view.cash_usd, view.free_slots, view.positions)
        return {
            "features": features,
            "offered": offered,
            "open to entry": view.offered,
            "shown": visible,
            "opportunities": observation[5 + 3 * self._spec.positions :],
            "portfolio": (*money, observation[: 5 + 3 * self._spec.positions].tolist(), mask.tolist()),
        }


def replay(subject: Subject, market: MarketData, last: int) -> Replay:
    """Run a subject over its window of a market."""
    builder = subject.builder(market, subject.settings)
    scaler = subject.scaler(builder, subject.spec, subject.first)
    witness = _Witness(subject.strategy(builder, scaler), market, subject.spec, scaler)
    records = run_backtest(builder, witness, subject.first, last)
    return Replay(witness.seen, records)


def leaks(subject: Subject, market: MarketData, original: Replay, cut: int, rng: Rng) -> list[str]:
    """What up to row ``cut`` changes with the future, as sentences; empty for honest subjects.

    ``original`` is the replay of the whole market. ``cut`` lies after ``subject.first`` and before the last hour.
    """
    last = len(market.hours) - 1
    found = []
    noisy = replay(subject, with_other_future(market, cut, rng), last)
    found += _differences("noise after the hour", original, noisy, cut, booked_to=cut)
    unfilled = replay(subject, with_other_future(market, cut, rng, fill_too=True), last)
    found += _differences("noise from the first trade after the hour on", original, unfilled, cut, booked_to=cut - 1)
    ended = replay(subject, up_to(market, cut), cut)
    found += _differences("no future", original, ended, cut - 1, booked_to=cut - 1)
    return found


def _differences(trial: str, one: Replay, two: Replay, seen_to: int, booked_to: int) -> Iterator[str]:
    """Facts up to ``seen_to`` and bookings up to ``booked_to`` that are not the same in two replays."""
    for row in sorted(row for row in one.seen if row <= seen_to):
        for name, value in one.seen[row].items():
            own_exit = name in ("portfolio", "orders") and row > booked_to and _protected_at(one.records, row)
            if not own_exit and not _same(value, two.seen[row][name]):
                yield f"{trial}: {name} of row {row} are not what they were"
    for name in ("ledger", "notes", "hours"):
        ours, theirs = (_booked(getattr(side.records, name), booked_to) for side in (one, two))
        if len(ours) != len(theirs) or not all(_same(ours[f], theirs[f]) for f in ours.dtype.names):
            yield f"{trial}: {name} up to row {booked_to} are not what they were"
    settled = [_settled(side.records, seen_to) for side in (one, two)]
    if not _same(*settled):
        yield f"{trial}: funding booked up to row {seen_to} is not what it was"


def _protected_at(records: Records, row: int) -> bool:
    """Whether a position left by a protective exit at a row: that fills at once, before the strategy looks."""
    reasons = [int(Reason.STOP_LOSS), int(Reason.DATA_OUTAGE), int(Reason.DELISTING)]
    return bool(np.any((records.trades["closed"] == row) & np.isin(records.trades["reason"], reasons)))


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


# --- another future ---


def with_other_future(market: MarketData, cut: int, rng: Rng, *, fill_too: bool = False) -> MarketData:
    """The same facts up to row ``cut``, and noise for everything that becomes known later.

    That includes settlements of earlier hours that are published after ``cut``, notices of delistings, recorded
    opportunities, and with ``fill_too`` the first trade after ``cut``.
    """
    changes: dict[str, Any] = {}
    for name in PER_LEG_FLOATS:
        values = getattr(market, name).copy()
        start = cut if fill_too and name == "fill_price" else cut + 1
        values[:, start:] = _noise(name, market, values[:, start:].shape, rng)
        changes[name] = values
    if market.funding_known_hour is not None:
        changes |= _other_publications(market, cut, rng, changes["funding_rate"])
    if market.recorded is not None:
        changes["recorded"] = _other_opportunities(market, market.recorded, cut, rng)
    return replace(market, **changes, **_other_notices(market, cut, rng))


def _noise(name: str, market: MarketData, shape: tuple[int, ...], rng: Rng) -> Floats:
    """Values of the right kind and size that have nothing to do with the market, some of them missing."""
    known = ~np.isnan(market.price)
    mean = np.where(known, market.price, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    level = np.where(mean > 0, mean, 100.0)[:, None] * rng.lognormal(0, 0.3, shape)
    kinds: dict[str, Callable[[], Floats]] = {
        "funding_rate": lambda: rng.normal(0, 0.003, shape),
        "funding_interval_hours": lambda: rng.choice([1.0, 2.0, 4.0, 8.0], shape),
        "volume_24h_usd": lambda: 10 ** rng.uniform(2, 9, shape),
        "bid_ask_spread": lambda: rng.uniform(0, 0.05, shape),
        "depth_usd": lambda: 10 ** rng.uniform(2, 6, shape),
    }
    values = kinds[name]() if name in kinds else level
    return np.where(rng.random(shape) < 0.2, np.nan, values)


def _other_publications(market: MarketData, cut: int, rng: Rng, rates: Floats) -> dict[str, Any]:
    assert market.funding_known_hour is not None
    now = int(market.hours[cut])
    known = market.funding_known_hour.copy()
    later = known > now
    rates[later] = rng.normal(0, 0.003, int(later.sum()))
    known[later] = np.maximum(now + 1, known[later] + rng.integers(-2, 3, int(later.sum())))
    return {"funding_rate": rates, "funding_known_hour": known}


def _other_notices(market: MarketData, cut: int, rng: Rng) -> dict[str, Any]:
    now = int(market.hours[cut])
    hour, known = market.delisting_hour.copy(), market.delisting_known_hour.copy()
    for leg in np.flatnonzero(known > now):
        known[leg] = now + int(rng.integers(1, 10))
        hour[leg] = known[leg] + int(rng.integers(-5, 20))
    return {"delisting_hour": hour, "delisting_known_hour": known}


def _other_opportunities(market: MarketData, recorded: RecordedOpportunities, cut: int, rng: Rng) -> Any:
    pairs, hours, kept = len(directed_pairs(market)), len(market.hours), int(recorded.offsets[cut + 1])
    later = [np.flatnonzero(rng.random(pairs) < 0.5) for _ in range(cut + 1, hours)]
    added = np.concatenate([np.empty(0, np.int64), *later])
    ends = kept + np.cumsum([len(rows) for rows in later])
    return replace(
        recorded,
        offsets=np.concatenate([recorded.offsets[: cut + 2], ends]).astype(np.int64),
        pair=np.concatenate([recorded.pair[:kept], added]),
        features=np.concatenate([recorded.features[:kept], rng.normal(0, 100, (len(added), len(recorded.columns)))]),
    )
