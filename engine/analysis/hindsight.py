"""The best that was possible: with the whole future known, which orders earn most under the kernel's costs.

For one position slot of fixed USD size without a stop-loss the answer is exact. The value of being free at an hour is
that of the hour before or of the best position that can be left then; a position that was opened at o and is left at
e earns ``units(o) * (worth(e) - cost(o))``, for each pair a straight line in ``worth(e)``, so the best o is found on
the upper envelope of the lines so far (``upper_envelope``). Further slots get the best plan that what the slots
before them hold leaves over: feasible, with ``slots * (best of one slot)`` as a bound from above.

Capital is not part of the search: with one slot equity at an entry is never below the start, except for funding that
is booked late; an order that is refused for margin is recorded like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.accounting.codes import LONG, SHORT
from engine.accounting.tape import LEAVES_BY_NOTICE, SILENT, Tape, TapeArrays
from engine.analysis.hindsight_values import (
    entry_cost,
    exit_value,
    fills,
    funding_received,
    may_enter,
    units,
    worse_hour,
)
from engine.analysis.upper_envelope import add_line, highest
from engine.compiled import compiled
from engine.errors import UserError
from engine.market.data import Floats, Ints
from engine.worlds import ruled

PLANNED = np.dtype(
    [
        ("slot", "i8"),
        ("pair", "i8"),
        ("opened", "i8"),  # rows of the fills
        ("closed", "i8"),
        ("forced", "i8"),  # 1 when the position leaves without an order: outage, delisting, end of data
        ("long_entry", "f8"),  # raw fills that the plan reckons with, USD
        ("short_entry", "f8"),
        ("long_exit", "f8"),
        ("short_exit", "f8"),
        ("gain", "f8"),  # USD, all costs and funding
    ],
    align=True,
)
NO_WAY, BY_ORDER, FORCED, OUTAGE = 0, 1, 2, 3


class _Task(NamedTuple):
    """One search: rows ``first..last``; a trade fills ``latency`` hours after its order.

    ``shortest`` is the least number of hours from fill to fill; ``rest`` how many hours before an entry's fill the slot
    must have been free. ``blocked`` ``[pairs, rows]`` and ``taken`` ``[legs, rows]`` keep clear of other slots.
    """

    first: int
    last: int
    notional: float
    latency: int
    shortest: int
    rest: int
    persistent: bool
    blocked: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    received: Floats  # by side, leg and row


@dataclass(frozen=True, eq=False)
class Plan:
    """Trades in the order of their fills, their gain in USD, and a bound that no plan for these slots exceeds."""

    trades: NDArray[Any]
    gain_usd: float
    bound_usd: float
    persistent: bool


def is_searchable(tape: Tape) -> bool:
    """Whether the search is right on this tape: it knows no wallets, failing legs, resting orders, lots or books."""
    settings, arrays = tape.settings, tape.arrays
    is_plain = settings.account == "pooled" and settings.leg_failure_probability == 0
    return is_plain and settings.execution == "taker" and not len(arrays.instruments) and not len(arrays.levels)


def fixed_size(tape: Tape, notional_usd: float | None = None) -> Tape:
    """The tape for positions of fixed notional per leg without stop-loss. None: what the settings give at the start.

    Raises ``UserError`` where the search would not be right: margin by exchange, legs that fail, orders that rest,
    sizes in lots, order books that are walked.
    """
    settings = tape.settings
    if not is_searchable(tape):
        lots = "; this data set has lots: set instruments=ignore" if len(tape.arrays.instruments) else ""
        walks = "; this data set has order books: set order_books=ignore" if len(tape.arrays.levels) else ""
        raise UserError(
            "hindsight knows account=pooled and execution=taker without leg failures, lots and order books only; leave "
            f"these settings out{lots}{walks}"
        )
    fraction = settings.position_fraction or 1.0 / settings.max_positions
    by_settings = settings.position_size_usd or settings.initial_capital_usd * fraction / 2.0 * settings.leverage
    changes = {"position_size_usd": notional_usd or by_settings, "max_position_loss_pct": None}
    return ruled(tape, settings.model_copy(update=changes))


def _task(tape: Tape, first: int, last: int, persistent: bool) -> _Task:
    settings, rows = tape.settings, last - first + 1
    latency = settings.latency_hours
    # With several slots a position's slot is known only once it is seen open.
    shortest = latency + (1 if settings.max_positions > 1 or latency == 0 else 0)
    return _Task(
        first, last, float(settings.position_size_usd or np.nan), latency, shortest,
        max(latency, 1 if persistent else 0), persistent,
        np.zeros((len(tape.pairs), rows), np.bool_), np.zeros((tape.market.legs, rows), np.bool_),
        funding_received(tape.arrays, first, last),
    )  # fmt: skip


def _keep_clear(tape: Tape, task: _Task, trades: NDArray[Any]) -> None:
    """Later slots may not hold the pairs of these trades, nor their mirrors, nor in a persistent plan share a fill."""
    for trade in trades:
        pair, opened, closed = int(trade["pair"]), int(trade["opened"]) - task.first, int(trade["closed"]) - task.first
        # Latency on both sides: an entry is refused when its pair is held as it is ordered, not as it is filled.
        for held in (pair, int(tape.pairs.mirror[pair])):
            task.blocked[held, max(0, opened - task.latency) : closed + task.latency] = True
        if task.persistent:
            # The tape has one fill for a leg and hour, and a persistent plan replaces it: two trades cannot share it.
            for leg in (tape.pairs.long_leg[pair], tape.pairs.short_leg[pair]):
                task.taken[leg, [opened, closed]] = True


@compiled
def _source(tape: TapeArrays, task: _Task, pair: int, t: int, entering: bool) -> int:
    """The hour whose spread a fill at t gets."""
    return int(worse_hour(tape, pair, t, task.last, entering)) if task.persistent else t


@compiled
def _funding(tape: TapeArrays, task: _Task, pair: int, t: int) -> float:
    k = t - task.first
    return float(task.received[SHORT, tape.pairs[pair].short, k] + task.received[LONG, tape.pairs[pair].long, k])


@compiled
def _worth(tape: TapeArrays, task: _Task, pair: int, t: int, way: int) -> float:
    """USD per unit from leaving at t, with all funding since the first row."""
    # A forced exit does not choose its hour, so there is no luck in it to take away.
    source = t if way >= FORCED else _source(tape, task, pair, t, False)
    value = exit_value(tape, pair, t, source, task.notional, way == OUTAGE)
    return float(value + _funding(tape, task, pair, t))


@compiled
def _line(tape: TapeArrays, task: _Task, pair: int, o: int, before: float) -> tuple[float, float]:
    """Slope and intercept of what an entry at o comes to, as a function of ``_worth``; ``before``: earned so far."""
    quantity = units(tape, pair, o, task.notional)
    cost = entry_cost(tape, pair, o, _source(tape, task, pair, o, True), task.notional)
    return quantity, before - quantity * (cost + _funding(tape, task, pair, o))


@compiled
def _describe(tape: TapeArrays, task: _Task, pair: int, opened: int, closed: int, forced: int, out: Any) -> None:
    trade = out[0]
    trade.pair, trade.opened, trade.closed = pair, opened, closed
    trade.forced = 1 if forced >= FORCED else 0
    trade.long_entry, trade.short_entry = fills(tape, pair, opened, _source(tape, task, pair, opened, True))
    source = closed if forced >= FORCED else _source(tape, task, pair, closed, False)
    trade.long_exit, trade.short_exit = fills(tape, pair, closed, source)
    slope, intercept = _line(tape, task, pair, opened, 0.0)
    trade.gain = slope * _worth(tape, task, pair, closed, forced) + intercept


@compiled
def _way_out(tape: TapeArrays, task: _Task, pair: int, t: int) -> int:
    """How a position in the pair can leave at t."""
    long_leg, short_leg = tape.pairs[pair].long, tape.pairs[pair].short
    long_quote, short_quote = tape.quotes[long_leg, t], tape.quotes[short_leg, t]
    stale, flags = max(long_quote.stale, short_quote.stale), long_quote.flags | short_quote.flags
    if stale > tape.rules[0].max_stale or flags & SILENT > 0:
        return OUTAGE
    if flags & LEAVES_BY_NOTICE > 0 or t == task.last:
        return FORCED
    k = t - task.first
    # A stale leg cancels an exit that waits for the latency; one that is filled at once is not refused for it.
    if (task.latency > 0 and stale > 0) or task.taken[long_leg, k] or task.taken[short_leg, k]:
        return NO_WAY
    return BY_ORDER


@compiled
def _can_open(tape: TapeArrays, task: _Task, pair: int, o: int) -> bool:
    if not task.first + task.latency <= o < task.last or task.blocked[pair, o - task.first]:
        return False
    k = o - task.first
    taken = task.taken[tape.pairs[pair].long, k] or task.taken[tape.pairs[pair].short, k]
    return bool(not taken and may_enter(tape, pair, o))


@compiled
def _earned(best: Floats, k: int) -> float:
    return float(best[k]) if k >= 0 else 0.0


@compiled
def _leave(best: Floats, came: Ints, k: int, value: float, pair: int, opened: int, way: int) -> None:
    """Note a way to be free at row k if it is the best so far."""
    if value > best[k]:
        best[k] = value
        came[k, 0], came[k, 1], came[k, 2] = pair, opened, way


@compiled
def _wider(rows: Any) -> Any:
    """Twice the room in every row."""
    wide = np.empty((rows.shape[0], 2 * rows.shape[1]), rows.dtype)
    wide[:, : rows.shape[1]] = rows
    return wide


@compiled
def _search(tape: TapeArrays, task: _Task) -> Ints:
    """For each row how the slot got free at it in the best plan: pair, row of entry, way out; -1: it was before."""
    pairs, rows = tape.pairs.shape[0], task.last - task.first + 1
    best, came = np.zeros(rows), np.full((rows, 3), -1)
    slopes, intercepts = np.empty((pairs, 16)), np.empty((pairs, 16))
    names, counts = np.empty((pairs, 16), np.int64), np.zeros(pairs, np.int64)
    since = np.full(pairs, task.first)  # entries before this row have been forced out
    for k in range(rows):
        t = task.first + k
        # Waiting costs nothing: what was reached an hour ago is reached now.
        best[k] = _earned(best, k - 1)
        for pair in range(pairs):
            way = _way_out(tape, task, pair, t)
            if counts[pair] > 0 and way != NO_WAY:
                x = _worth(tape, task, pair, t, way)
                j = highest(slopes[pair], intercepts[pair], counts[pair], x)
                value = slopes[pair, j] * x + intercepts[pair, j]
                _leave(best, came, k, value, pair, names[pair, j], way)
            if way >= FORCED:
                for o in range(max(since[pair], t - task.shortest + 1), t):  # too young to leave by an order
                    if _can_open(tape, task, pair, o):
                        slope, intercept = _line(tape, task, pair, o, _earned(best, o - task.rest - task.first))
                        value = slope * _worth(tape, task, pair, t, way) + intercept
                        _leave(best, came, k, value, pair, o, way)
                counts[pair], since[pair] = 0, t
        if counts.max() == slopes.shape[1]:
            slopes, intercepts = _wider(slopes), _wider(intercepts)
            names = _wider(names)
        for pair in range(pairs):
            o = t - task.shortest + 1
            if task.blocked[pair, k]:
                counts[pair], since[pair] = 0, t + 1
            elif o >= since[pair] and _can_open(tape, task, pair, o):
                slope, intercept = _line(tape, task, pair, o, _earned(best, o - task.rest - task.first))
                counts[pair] = add_line(slopes[pair], intercepts[pair], names[pair], counts[pair], slope, intercept, o)
    return came


def _trades(tape: Tape, task: _Task, slot: int) -> NDArray[Any]:
    """The best trades of one slot, read backwards from the end."""
    came = _search(tape.arrays, task)
    found: list[NDArray[Any]] = []
    t = task.last
    while t > task.first:
        pair, opened, forced = (int(value) for value in came[t - task.first])
        if pair < 0:
            t -= 1
            continue
        trade: NDArray[Any] = np.zeros(1, PLANNED)
        _describe(tape.arrays, task, pair, opened, t, forced, trade)
        trade["slot"] = slot
        found.append(trade)
        # The value of the entry was built on the slot that was free then.
        t = opened - task.rest
    return np.concatenate(found[::-1]) if found else np.zeros(0, PLANNED)


def best_plan(tape: Tape, first: int, last: int, *, persistent: bool = False) -> Plan:
    """The best trades in rows ``first..last`` of a ``fixed_size`` tape; nothing after ``last`` is looked at.

    ``persistent``: every fill that an order makes has the worse spread of its hour and the next, and a slot rests for
    an hour between two positions. Raises ``UserError`` for a tape with a stop-loss or without a fixed size.
    """
    settings = tape.settings
    if settings.position_size_usd is None or settings.max_position_loss_pct is not None:
        raise UserError("hindsight needs a fixed position size and no stop-loss (see fixed_size)")
    task = _task(tape, first, last, persistent)
    parts: list[NDArray[Any]] = []
    for slot in range(settings.max_positions):
        trades = _trades(tape, task, slot)
        if not len(trades):
            break
        parts.append(trades)
        _keep_clear(tape, task, trades)
    trades = np.concatenate(parts) if parts else np.zeros(0, PLANNED)
    best_of_one = float(parts[0]["gain"].sum()) if parts else 0.0
    order = np.lexsort((trades["slot"], trades["opened"]))
    return Plan(trades[order], float(trades["gain"].sum()), settings.max_positions * best_of_one, persistent)


def with_planned_fills(tape: Tape, plan: Plan) -> Tape:
    """The tape on which a persistent plan is played: its fills have the worse spread. Other plans: the same tape."""
    if not plan.persistent:
        return tape
    quotes: Any = tape.arrays.quotes.copy()
    long_leg, short_leg = tape.pairs.long_leg, tape.pairs.short_leg
    for trade in plan.trades:
        for hour, forced, when in ((trade["opened"], 0, "entry"), (trade["closed"], trade["forced"], "exit")):
            if not forced:
                quotes["fill"][long_leg[trade["pair"]], hour] = trade[f"long_{when}"]
                quotes["fill"][short_leg[trade["pair"]], hour] = trade[f"short_{when}"]
    return replace(tape, arrays=tape.arrays._replace(quotes=quotes))
